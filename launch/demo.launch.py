# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Start photographs as a camera, the detector, and a node that saves the annotated frames."""

from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    EmitEvent,
    IncludeLaunchDescription,
    OpaqueFunction,
    RegisterEventHandler,
)
from launch.event_handlers import OnProcessExit
from launch.events import Shutdown
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch.substitutions import LaunchConfiguration, ThisLaunchFileDir
from launch_ros.actions import Node


def detector(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Include the detector with all arguments of this launch file."""
    return [IncludeLaunchDescription(
        PythonLaunchDescriptionSource([ThisLaunchFileDir(), '/detect.launch.py']),
        launch_arguments=list(context.launch_configurations.items()))]


def generate_launch_description() -> LaunchDescription:
    """Play the photographs once, then shut down."""
    replay = Node(
        package='lite_detector', executable='camera_replay', output='screen',
        parameters=[{'source': LaunchConfiguration('source'), 'rate_hz': 10.0, 'loop': False,
                     'pan_zoom': 20, 'frame_id': '', 'wait_for_subscriber': True,
                     'reliability': 'reliable'}])
    saver = Node(
        package='lite_detector', executable='frame_saver', output='screen',
        parameters=[{'output_dir': LaunchConfiguration('output_dir')}])
    return LaunchDescription([
        DeclareLaunchArgument('source', default_value='photos',
                              description='image, folder or video file; photos: sample '
                                          'photographs'),
        DeclareLaunchArgument('output_dir', default_value='demo_output',
                              description='directory for the annotated frames'),
        saver,
        OpaqueFunction(function=detector),
        replay,
        RegisterEventHandler(OnProcessExit(
            target_action=replay, on_exit=[EmitEvent(event=Shutdown(reason='end of source'))])),
    ])
