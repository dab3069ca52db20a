# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Start the detector on a camera.

Wiring only: every parameter of config/detect.yaml is an argument, and its default value stands
there. An argument that is not given changes nothing. A launch file that includes this one gives
arguments by ``launch_arguments``; its own arguments of the same names have no effect here.
"""

from collections.abc import Mapping
import inspect
import os
from pathlib import Path
from typing import Any

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    OpaqueFunction,
    PopLaunchConfigurations,
    PushLaunchConfigurations,
    UnsetLaunchConfiguration,
)
from launch.substitutions import LaunchConfiguration
from launch.utilities import normalize_to_list_of_substitutions, perform_substitutions
from launch_ros.actions import Node
import yaml

CONFIG = Path(get_package_share_directory('lite_detector')) / 'config'
DEFAULT_PARAMS = CONFIG / 'detect.yaml'
LARGE_IMAGES = CONFIG / 'fastdds_large_images.xml'
PROFILES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Environment variables of Fast DDS 2 and of Fast DDS 3."""
TRANSPORTS = (*PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS', 'ROS_LOCALHOST_ONLY')
"""With one of these the user has chosen how Fast DDS sends."""
WIRING = {
    'params_file': (str(DEFAULT_PARAMS), 'parameter file'),
    'image': ('', 'image topic of the camera, e.g. /camera/image_raw; of several cameras one for '
                  'each, separated by commas, or image_raw for front/image_raw, rear/image_raw'),
    'namespace': ('', 'namespace of the node'),
    'log_level': ('info', 'of the node'),
    'respawn': ('false', 'start the node again if it dies'),
    'large_images': ('true', 'false: leave Fast DDS at its defaults, which lose raw images over '
                     '0.5 MB; a profile in the environment is never replaced'),
}
"""Argument -> default value and description."""
PARAMETERS = (*yaml.safe_load(DEFAULT_PARAMS.read_text())['/**']['ros__parameters'],
              'use_sim_time')
SPECIAL = {'cameras': 'namespaces of several cameras, separated by commas',
           'use_sim_time': 'true: time comes from /clock, as of ros2 bag play --clock'}
SHARED = ('use_sim_time',)
"""Arguments that mean the same in every launch file, so they hold for included ones too."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node, in a scope of its own."""
    arguments = {**WIRING, **{name: ('', SPECIAL.get(name, 'as in params_file if empty'))
                              for name in PARAMETERS}}
    given = given_arguments()
    foreign = [] if given is None else [name for name in arguments if name not in given + SHARED]
    return LaunchDescription([
        PushLaunchConfigurations(),
        *map(UnsetLaunchConfiguration, foreign),
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in arguments.items()),
        OpaqueFunction(function=detector),
        PopLaunchConfigurations()])


def given_arguments() -> tuple[str, ...] | None:
    """
    Return the names of the arguments that whoever includes this file gives; None: nobody does.

    launch hands an included file all arguments of its parent, so `model` of a robot would become
    that of the detector (ros2/launch#313). Which ones are meant, only the action knows that calls
    this file.
    """
    frame = inspect.currentframe()
    while frame:
        action = frame.f_locals.get('self')
        if isinstance(action, IncludeLaunchDescription):
            return tuple(perform_substitutions(
                LaunchContext(), normalize_to_list_of_substitutions(name))
                for name, _ in action.launch_arguments)
        frame = frame.f_back
    return None


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the node with the arguments that were given."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    params_file = os.path.expanduser(argument('params_file') or str(DEFAULT_PARAMS))
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
        arguments=['--ros-args', '--log-level', f'{logger}:={argument("log_level") or "info"}'],
        respawn=_is_true(argument('respawn')), respawn_delay=1.0,
        additional_env=(_large_images(context.environment) if _is_true(argument('large_images'))
                        else None),
    )]


def _is_true(text: str) -> bool:
    return text.strip().lower() in ('true', '1', 'yes', 'on')


def _large_images(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return what makes room for raw images in Fast DDS, unless the user has chosen otherwise."""
    middleware = environment.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'  # the default
    if 'fastrtps' not in middleware or any(environment.get(name) for name in TRANSPORTS):
        return None
    return dict.fromkeys(PROFILES, str(LARGE_IMAGES))


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
