# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Start the detector on a camera, and with locate:=true the node that locates the objects in 3D.

Every parameter of config/detect.yaml and config/locate.yaml is an argument; its default value is
in these files. An argument that is not given changes nothing. A launch file that includes this one
gives arguments by ``launch_arguments``; its own arguments of the same names have no effect here.
"""

from collections.abc import Callable, Mapping, Sequence
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
DEFAULT_PARAMS, LOCATE_PARAMS = CONFIG / 'detect.yaml', CONFIG / 'locate.yaml'
LARGE_IMAGES = CONFIG / 'fastdds_large_images.xml'
PROFILES = ('FASTRTPS_DEFAULT_PROFILES_FILE', 'FASTDDS_DEFAULT_PROFILES_FILE')
"""Environment variables of Fast DDS 2 and of Fast DDS 3."""
TRANSPORTS = (*PROFILES, 'FASTDDS_BUILTIN_TRANSPORTS', 'ROS_LOCALHOST_ONLY')
"""Environment variables by which the user chooses the transport of Fast DDS."""
WIRING = {
    'params_file': (str(DEFAULT_PARAMS), 'parameter file of the detector'),
    'image': ('', 'image topic of the camera, e.g. /camera/image_raw; with several cameras one '
                  'topic for each, separated by commas, or a relative topic: image_raw stands for '
                  'front/image_raw and rear/image_raw'),
    'namespace': ('', 'namespace of the nodes'),
    'log_level': ('info', 'log level of the nodes: debug, info, warn, error or fatal'),
    'respawn': ('false', 'true: restart a node that exits'),
    'large_images': ('true', 'Fast DDS profile for raw images over 0.5 MB, which its defaults '
                     'lose; false: do not set it; a profile in the environment is kept'),
    'locate': ('false', 'true: also start a locate_node for each camera'),
    'locate_params_file': (str(LOCATE_PARAMS), 'parameter file of locate_node'),
    'camera_info': ('', 'topic of the camera calibration; empty: camera_info in the namespace of '
                        'the image topic'),
    'depth': ('', 'topic of the depth image, registered to the camera image'),
    'points': ('', 'topic of the point cloud, used with range_from:=points'),
}
"""Argument -> default value and description."""
PARAMETERS = (*yaml.safe_load(DEFAULT_PARAMS.read_text())['/**']['ros__parameters'],
              'use_sim_time')
LOCATE_PARAMETERS = tuple(
    yaml.safe_load(LOCATE_PARAMS.read_text())['/**']['ros__parameters'])
SPECIAL = {'cameras': 'namespaces of several cameras, separated by commas, e.g. front,rear',
           'use_sim_time': 'true: use the time of /clock, e.g. from ros2 bag play --clock'}
SHARED = ('use_sim_time',)
"""Arguments with one meaning in every launch file; included launch files inherit them."""


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the nodes, in a separate scope."""
    arguments = {**WIRING, **{name: ('', SPECIAL.get(name, 'parameter; empty: value in the '
                                                           'parameter file'))
                              for name in (*PARAMETERS, *LOCATE_PARAMETERS)}}
    given = given_arguments()
    foreign = [] if given is None else [name for name in arguments if name not in given + SHARED]
    return LaunchDescription([
        PushLaunchConfigurations(),
        *map(UnsetLaunchConfiguration, foreign),
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in arguments.items()),
        OpaqueFunction(function=detector), OpaqueFunction(function=locators),
        PopLaunchConfigurations()])


def given_arguments() -> tuple[str, ...] | None:
    """
    Return the names of the arguments that an including launch file gives; None: not included.

    launch passes all arguments of the parent to an included file, so the argument `model` of a
    robot would become the model of the detector (ros2/launch#313). Only the action that includes
    this file knows which arguments it gives.
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
    """Return the detector node with the given arguments."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    cameras = _names(argument('cameras'))
    overrides = _overrides(argument, PARAMETERS)
    if cameras:
        overrides['cameras'] = cameras
    namespace = argument('namespace')
    return [_node(context, 'detect_node', 'detector', namespace, argument('params_file'),
                  overrides, _remappings('image', argument('image'), cameras))]


def locators(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return a locate node for each camera, if locate is true."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    if not _is_true(argument('locate')):
        return []
    cameras = _names(argument('cameras'))
    overrides = _overrides(argument, (*LOCATE_PARAMETERS, 'use_sim_time'))
    return [_node(context, 'locate_node', 'locate',
                  '/'.join(filter(None, (argument('namespace').rstrip('/'), camera))),
                  argument('locate_params_file'), overrides,
                  locate_topics(argument, camera, cameras))
            for camera in cameras or ('',)]


def locate_topics(argument: Callable[[str], str], camera: str,
                  cameras: list[str]) -> list[tuple[str, str]]:
    """
    Return the remappings of the locate node of a camera.

    The default topic of the calibration is camera_info in the namespace of the image. A relative
    topic is relative to the namespace of the detector; the node is in the namespace of the camera.
    """
    prefix = f'{camera}/' if camera else ''
    found = {}
    for name in ('image', 'camera_info', 'depth', 'points'):
        topic = dict(_remappings(name, argument(name), cameras)).get(prefix + name, '')
        if name == 'camera_info' and not topic and '/' in found.get('image', ''):
            topic = f'{found["image"].rpartition("/")[0]}/camera_info'
        if topic:
            found[name] = topic
    return [(name, _up(topic, camera)) for name, topic in found.items()]


def _up(topic: str, camera: str) -> str:
    """Convert a topic relative to the detector into a topic relative to a camera."""
    if topic.startswith('/') or not camera:
        return topic
    if topic.startswith(f'{camera}/'):
        return topic.removeprefix(f'{camera}/')
    raise RuntimeError(f'{topic}: not in {camera}/; expected an absolute topic or a topic in '
                       f'{camera}/ with several cameras')


def _node(context: LaunchContext, executable: str, name: str, namespace: str, params_file: str,
          overrides: dict[str, Any], remappings: list[tuple[str, str]]) -> Node:
    """Return the launch action of a node."""
    defaults = {'detector': DEFAULT_PARAMS, 'locate': LOCATE_PARAMS}
    params_file = os.path.expanduser(params_file or str(defaults[name]))
    if not os.path.isfile(params_file):  # launch_ros would start the node without parameters
        raise RuntimeError(f'params_file: {params_file}: no such file; expected a parameter file')
    pushed = context.launch_configurations.get('ros_namespace', '')  # from PushRosNamespace
    whole = f'{namespace}/{name}' if namespace.startswith('/') else f'{pushed}/{namespace}/{name}'
    logger = '.'.join(filter(None, whole.split('/')))
    level, respawn, large_images = (LaunchConfiguration(each).perform(context)
                                    for each in ('log_level', 'respawn', 'large_images'))
    return Node(
        package='lite_detector', executable=executable, name=name, namespace=namespace,
        output='screen', parameters=[params_file, overrides], remappings=remappings,
        arguments=['--ros-args', '--log-level', f'{logger}:={level or "info"}'],
        respawn=_is_true(respawn), respawn_delay=1.0,
        additional_env=_large_images(context.environment) if _is_true(large_images) else None)


def _names(text: str) -> list[str]:
    """Return the names in a list separated by commas."""
    return [name.strip() for name in text.strip('[]').split(',') if name.strip()]


def _overrides(argument: Callable[[str], str], names: Sequence[str]) -> dict[str, Any]:
    """Return the parameters that are given as arguments."""
    return {name: _value(argument(name)) for name in names
            if argument(name) and name != 'cameras'}


def _is_true(text: str) -> bool:
    return text.strip().lower() in ('true', '1', 'yes', 'on')


def _large_images(environment: Mapping[str, str]) -> dict[str, str] | None:
    """Return the environment for large images in Fast DDS, unless the user has set another."""
    middleware = environment.get('RMW_IMPLEMENTATION') or 'rmw_fastrtps_cpp'  # the default
    if 'fastrtps' not in middleware or any(environment.get(name) for name in TRANSPORTS):
        return None
    return dict.fromkeys(PROFILES, str(LARGE_IMAGES))


def _value(text: str) -> Any:
    """Convert a text to a number, boolean or list as YAML does; keep any other text unchanged."""
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        return text
    if not isinstance(value, (bool, int, float, list)):
        return text
    if isinstance(value, list) and any(isinstance(each, float) for each in value):
        return [float(each) for each in value]  # ROS requires one type in a list
    return value


def _remappings(name: str, topic: str, cameras: list[str]) -> list[tuple[str, str]]:
    """Return the remappings of an input for all cameras."""
    topics = _names(topic)
    if not topics or not cameras:
        return [(name, topic)] if topic else []
    if len(topics) == 1 and not topics[0].startswith('/'):
        topics = [f'{camera}/{topics[0]}' for camera in cameras]
    if len(topics) != len(cameras):
        raise RuntimeError(f'{name}: {len(topics)} topics for {len(cameras)} cameras; expected '
                           'one for each')
    return [(f'{camera}/{name}', each) for camera, each in zip(cameras, topics, strict=True)]
