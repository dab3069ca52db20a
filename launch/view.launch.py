# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The detector with the arguments of detect.launch.py, and RViz to look at its output."""

import os
from pathlib import Path

from ament_index_python.packages import (
    get_package_prefix,
    get_package_share_directory,
    PackageNotFoundError,
)
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    IncludeLaunchDescription,
    LogInfo,
    OpaqueFunction,
)
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir
from launch_ros.actions import Node

DEFAULT_CONFIG = Path(get_package_share_directory('lite_detector')) / 'config' / 'view.rviz'
ARGUMENTS = {
    'rviz_config': (str(DEFAULT_CONFIG), 'configuration of RViz'),
    'fixed_frame': ('', 'frame of the 3D view, e.g. map; as in rviz_config if empty'),
    'annotated': ('', "topic of the annotated images; the first camera's if empty"),
    'markers': ('', "topic of the 3D markers; the first camera's if empty"),
}
"""Argument -> default value and description."""
TOPICS = ('annotated', 'markers')
"""Topics of config/view.rviz."""


def generate_launch_description() -> LaunchDescription:
    """Start the detector and RViz."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        OpaqueFunction(function=viewer),  # first: an error must leave no detector behind
        OpaqueFunction(function=detector)])


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Include the detector with all arguments that this file was given."""
    return [IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), '/detect.launch.py']),
        launch_arguments=list(context.launch_configurations.items()))]


def viewer(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return RViz on the topics of the detector, or a warning where it is not installed."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name, default='').perform(context)

    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        return [LogInfo(msg='warning: rviz2 is not installed (sudo apt install '
                            f'ros-{distro}-rviz2): the detector runs without a view')]
    config = os.path.expanduser(argument('rviz_config'))
    if not os.path.isfile(config):  # RViz starts with an empty view
        raise RuntimeError(f'rviz_config: {config}: no such file')
    frame = argument('fixed_frame')
    return [Node(
        package='rviz2', executable='rviz2', name='rviz2', namespace=argument('namespace'),
        output='screen', arguments=['-d', config, *(('-f', frame) if frame else ())],
        remappings=[(f'/{topic}', argument(topic) or _of_first_camera(topic, argument('cameras')))
                    for topic in TOPICS])]


def _of_first_camera(topic: str, cameras: str) -> str:
    first = cameras.strip('[]').split(',')[0].strip()
    return f'{first}/{topic}' if first else topic
