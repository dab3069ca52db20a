# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Start the detector on a camera.

Wiring only: every parameter of config/detect.yaml is an argument, and its default value stands
there. An argument that is not given changes nothing.
"""

import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
import yaml

DEFAULT_PARAMS = Path(get_package_share_directory('lite_detector')) / 'config' / 'detect.yaml'
WIRING = {
    'params_file': (str(DEFAULT_PARAMS), 'parameter file'),
    'image': ('', 'image topic of the camera, e.g. /camera/image_raw; of several cameras one for '
                  'each, separated by commas, or image_raw for front/image_raw, rear/image_raw'),
    'namespace': ('', 'namespace of the node'),
    'log_level': ('info', 'of the node'),
    'respawn': ('false', 'start the node again if it dies'),
}
"""Argument -> default value and description."""
PARAMETERS = (*yaml.safe_load(DEFAULT_PARAMS.read_text())['/**']['ros__parameters'],
              'use_sim_time')
SPECIAL = {'cameras': 'namespaces of several cameras, separated by commas',
           'use_sim_time': 'true: time comes from /clock, as of ros2 bag play --clock'}


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    arguments = {**WIRING, **{name: ('', SPECIAL.get(name, 'as in params_file if empty'))
                              for name in PARAMETERS}}
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in arguments.items()),
        OpaqueFunction(function=detector)])


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the node with the arguments that were given."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    params_file = os.path.expanduser(argument('params_file'))
    if not os.path.isfile(params_file):  # launch_ros starts without it
        raise RuntimeError(f'params_file: {params_file}: no such file')
    cameras = [name.strip() for name in argument('cameras').strip('[]').split(',')
               if name.strip()]
    overrides = {name: _value(argument(name)) for name in PARAMETERS
                 if argument(name) and name != 'cameras'}
    if cameras:
        overrides['cameras'] = cameras
    namespace = argument('namespace')
    pushed = context.launch_configurations.get('ros_namespace', '')  # by PushRosNamespace
    name = f'{namespace}/detector' if namespace.startswith('/') else (
        f'{pushed}/{namespace}/detector')
    logger = '.'.join(filter(None, name.split('/')))
    return [Node(
        package='lite_detector', executable='detect_node', name='detector',
        namespace=namespace, output='screen', parameters=[params_file, overrides],
        remappings=_remappings(argument('image'), cameras),
        arguments=['--ros-args', '--log-level', f'{logger}:={argument("log_level")}'],
        respawn=argument('respawn').lower() in ('true', '1'), respawn_delay=1.0,
    )]


def _value(text: str) -> Any:
    """Return the number, truth or list that a text is in YAML; a path stays as it is."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if not isinstance(value, (bool, int, float, list)):
        return text
    if isinstance(value, list) and any(isinstance(each, float) for each in value):
        return [float(each) for each in value]  # ROS wants one type in a list
    return value


def _remappings(image: str, cameras: list[str]) -> list[tuple[str, str]]:
    """Return what connects the cameras with their topics."""
    topics = [topic.strip() for topic in image.split(',') if topic.strip()]
    if not topics or not cameras:
        return [('image', image)] if image else []
    if len(topics) == 1 and not topics[0].startswith('/'):
        topics = [f'{camera}/{topics[0]}' for camera in cameras]
    if len(topics) != len(cameras):
        raise RuntimeError(f'image: got {len(topics)} topics for {len(cameras)} cameras, wanted '
                           'one for each')
    return [(f'{camera}/image', topic) for camera, topic in zip(cameras, topics, strict=True)]
