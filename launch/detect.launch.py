# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Start the detector on a camera.

Wiring only: every default value of a parameter stands in config/detect.yaml. An argument that is
not given changes nothing.
"""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration, PathJoinSubstitution
from launch_ros.actions import Node
from launch_ros.substitutions import FindPackageShare

DEFAULT_PARAMS = PathJoinSubstitution([FindPackageShare('lite_detector'), 'config', 'detect.yaml'])


def generate_launch_description() -> LaunchDescription:
    """Declare the arguments and start the node."""
    return LaunchDescription([
        DeclareLaunchArgument('params_file', default_value=DEFAULT_PARAMS,
                              description='parameter file'),
        DeclareLaunchArgument('model', default_value='',
                              description='name or folder of a model; empty: as in params_file'),
        DeclareLaunchArgument('image', default_value='',
                              description='image topic of the camera, e.g. /camera/image_raw'),
        DeclareLaunchArgument('transport', default_value='',
                              description='raw or compressed; empty: as in params_file'),
        DeclareLaunchArgument('cameras', default_value='',
                              description='namespaces of several cameras, separated by commas'),
        DeclareLaunchArgument('namespace', default_value='', description='namespace of the node'),
        DeclareLaunchArgument('log_level', default_value='info', description='of the node'),
        DeclareLaunchArgument('respawn', default_value='false',
                              description='start the node again if it dies'),
        OpaqueFunction(function=detector),
    ])


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Return the node with the arguments that were given."""
    def argument(name: str) -> str:
        return LaunchConfiguration(name).perform(context)

    overrides = {name: argument(name) for name in ('model', 'transport') if argument(name)}
    cameras = [name.strip() for name in argument('cameras').split(',') if name.strip()]
    if cameras:
        overrides['cameras'] = cameras
    logger = '.'.join(filter(None, (*argument('namespace').split('/'), 'detector')))
    return [Node(
        package='lite_detector', executable='detect_node', name='detector',
        namespace=argument('namespace'), output='screen',
        parameters=[argument('params_file'), overrides],
        remappings=[('image', argument('image'))] if argument('image') else [],
        arguments=['--ros-args', '--log-level', f'{logger}:={argument("log_level")}'],
        respawn=argument('respawn').lower() in ('true', '1'), respawn_delay=1.0,
    )]
