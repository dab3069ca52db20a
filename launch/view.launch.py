# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Start the detector with the arguments of detect.launch.py, and RViz with its output."""

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
    'rviz_config': (str(DEFAULT_CONFIG), 'RViz configuration file'),
    'fixed_frame': ('', 'TF frame of the 3D view, e.g. map; empty: frame in rviz_config'),
    'annotated': ('', 'topic of the annotated images; empty: topic of the first camera'),
    'markers': ('', 'topic of the 3D markers; empty: topic of the first camera'),
}
"""Argument -> default value and description."""
TOPICS = ('annotated', 'markers')
"""Topics of config/view.rviz."""


def generate_launch_description() -> LaunchDescription:
    """Start the detector and RViz."""
    return LaunchDescription([
        *(DeclareLaunchArgument(name, default_value=default, description=description)
          for name, (default, description) in ARGUMENTS.items()),
        OpaqueFunction(function=viewer),  # first: after an error no detector keeps running
        OpaqueFunction(function=detector)])


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Include the detector with all arguments of this launch file."""
    return [IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), '/detect.launch.py']),
        launch_arguments=list(context.launch_configurations.items()))]


def viewer(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return RViz with the topics of the detector, or a warning if it is not installed."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name, default='').perform(context)

    try:
        get_package_prefix('rviz2')
    except PackageNotFoundError:
        distro = os.environ.get('ROS_DISTRO', '<distro>')
        return [LogInfo(msg='warning: rviz2 is not installed, the detector runs without a view; '
                            f'install it with `sudo apt install ros-{distro}-rviz2`')]
    config = os.path.expanduser(argument('rviz_config'))
    if not os.path.isfile(config):  # RViz would start with an empty view
        raise RuntimeError(f'rviz_config: {config}: no such file; expected an RViz configuration')
    frame = argument('fixed_frame')
    return [Node(
        package='rviz2', executable='rviz2', name='rviz2', namespace=argument('namespace'),
        output='screen', arguments=['-d', config, *(('-f', frame) if frame else ())],
        remappings=[(f'/{topic}', argument(topic) or _of_first_camera(topic, argument('cameras')))
                    for topic in TOPICS])]


def _of_first_camera(topic: str, cameras: str) -> str:
    first = cameras.strip('[]').split(',')[0].strip()
    return f'{first}/{topic}' if first else topic
