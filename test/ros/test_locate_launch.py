# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``detect.launch.py locate:=true``: image, depth and calibration in, 3D boxes in a map out."""

from collections.abc import Callable
import math
from pathlib import Path
import tempfile
import time
from typing import Any
import unittest

import cv2
from geometry_msgs.msg import TransformStamped, Vector3Stamped
from launch import LaunchDescription
from launch.actions import IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
import launch_testing
from launch_testing.actions import ReadyToTest
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import DurabilityPolicy, QoSProfile
from sensor_msgs.msg import CameraInfo, Image
from tf2_msgs.msg import TFMessage
from tiny_models import square_image, write_tiny_nanodet
from vision_msgs.msg import Detection3DArray

LAUNCH = Path(__file__).resolve().parents[2] / 'launch' / 'detect.launch.py'
TIMEOUT_S = 80.0
HEIGHT, WIDTH, FOCAL = 128, 192, 150.0
LEFT, TOP, SIDE = 128, 64, 64
OBJECT_M, WALL_M = 3.0, 8.0
CAMERA_M = (1.0, 2.0, 0.5)
"""Where the camera is in the map; it looks along x."""


@pytest.mark.launch_test
def generate_test_description():
    folder = Path(tempfile.mkdtemp(prefix='locate_launch_'))
    model = write_tiny_nanodet(folder / 'model')
    picture = square_image(HEIGHT, WIDTH, top=TOP, left=LEFT, color=(255, 0, 0), side=SIDE)
    cv2.imwrite(str(folder / 'object.png'), picture)
    arguments = {
        'model': str(model), 'namespace': 'rover', 'image': '/rover/color/image_raw',
        'depth': '/rover/aligned/image', 'locate': 'true', 'target_frame': 'map',
        'tracking': 'true', 'follow': 'object0'}
    return LaunchDescription([
        Node(package='lite_detector', executable='camera_replay', namespace='rover/color',
             output='screen', remappings=[('image', 'image_raw')],
             parameters=[{'source': str(folder / 'object.png'), 'rate_hz': 10.0,
                          'frame_id': 'lens'}]),
        IncludeLaunchDescription(PythonLaunchDescriptionSource(str(LAUNCH)),
                                 launch_arguments=arguments.items()),
        ReadyToTest(),
    ])


class TestLocateLaunch(unittest.TestCase):
    """Plays the depth camera and TF beside the launched graph."""

    def setUp(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('depth_camera', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)
        self.depth = self.node.create_publisher(Image, '/rover/aligned/image', 5)
        self.info = self.node.create_publisher(CameraInfo, '/rover/color/camera_info', 5)
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self.static = self.node.create_publisher(TFMessage, '/tf_static', latched)
        self.static.publish(map_to_lens())
        self.node.create_subscription(Image, '/rover/color/image_raw', self.on_image,
                                      rclpy.qos.qos_profile_sensor_data)
        self.sent: list = []

    def tearDown(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def on_image(self, image: Image) -> None:
        """Publish what a depth camera would have seen with this image."""
        millimetres = np.full((HEIGHT // 2, WIDTH // 2), WALL_M * 1000, np.uint16)
        millimetres[TOP // 2:(TOP + SIDE) // 2, LEFT // 2:(LEFT + SIDE) // 2] = OBJECT_M * 1000
        millimetres[::5, ::7] = 0
        height, width = millimetres.shape
        self.depth.publish(Image(header=image.header, height=height, width=width, step=2 * width,
                                 encoding='16UC1', data=millimetres.tobytes()))
        self.info.publish(CameraInfo(
            header=image.header, height=HEIGHT, width=WIDTH, distortion_model='plumb_bob',
            d=[0.0] * 5, k=[FOCAL, 0.0, WIDTH / 2 - 0.5, 0.0, FOCAL, HEIGHT / 2 - 0.5, 0.0, 0.0,
                            1.0]))
        self.sent.append(image.header.stamp)

    def collect(self, topic: str, kind: type, count: int,
                wanted: Callable[[Any], bool] = lambda msg: True) -> list:
        """Return the next messages of a topic that meet a condition."""
        messages: list = []
        self.node.create_subscription(
            kind, topic, lambda msg: messages.append(msg) if wanted(msg) else None, 10)
        end = time.monotonic() + TIMEOUT_S
        while len(messages) < count:
            self.assertLess(time.monotonic(), end, f'{topic}: {len(messages)} of {count}')
            self.executor.spin_once(timeout_sec=0.1)
        return messages

    def test_objects_are_located_in_the_map_field_by_field(self) -> None:
        x = (LEFT + SIDE / 2 - WIDTH / 2) / FOCAL * OBJECT_M
        y = (TOP + SIDE / 2 - HEIGHT / 2) / FOCAL * OBJECT_M
        expected = np.array(CAMERA_M) + (OBJECT_M, -x, -y)
        messages = self.collect('/rover/detections_3d', Detection3DArray, 5)
        for msg in messages:
            self.assertEqual(msg.header.frame_id, 'map')
            self.assertIn(msg.header.stamp, self.sent)
            self.assertEqual(len(msg.detections), 1)
            detection = msg.detections[0]
            self.assertEqual(detection.header, msg.header)
            self.assertEqual(detection.id, messages[0].detections[0].id)
            self.assertGreater(int(detection.id), 0)
            result, = detection.results
            self.assertEqual(result.hypothesis.class_id, 'object0')
            self.assertGreater(result.hypothesis.score, 0.9)
            point = result.pose.pose.position
            np.testing.assert_allclose((point.x, point.y, point.z), expected, atol=0.01)
            self.assertEqual(detection.bbox.center, result.pose.pose)
            q, size = detection.bbox.center.orientation, detection.bbox.size
            self.assertAlmostEqual(abs(np.dot((q.x, q.y, q.z, q.w), (-.5, .5, -.5, .5))), 1)
            metres = SIDE / FOCAL * OBJECT_M
            np.testing.assert_allclose((size.x, size.y, size.z), (metres, metres, 0), atol=0.01)
            covariance = result.pose.covariance.reshape(6, 6)
            # x of the map is the depth of the camera: 1 %; y is across: 5 % of the width
            self.assertAlmostEqual(covariance[0, 0], 0.03 ** 2, delta=1e-5)
            across = (0.05 * metres) ** 2 + (x / OBJECT_M * 0.03) ** 2
            self.assertAlmostEqual(covariance[1, 1], across, delta=1e-4)

    def test_target_is_the_bearing_and_the_distance(self) -> None:
        x = (LEFT + SIDE / 2 - WIDTH / 2) / FOCAL
        y = (TOP + SIDE / 2 - HEIGHT / 2) / FOCAL
        # the first ones come before this node's depth, and have no distance
        target, *_ = self.collect('/rover/target', Vector3Stamped, 1,
                                  lambda msg: not math.isnan(msg.vector.z))
        self.assertEqual(target.header.frame_id, 'lens')
        self.assertAlmostEqual(target.vector.x, math.atan(x), places=2)
        self.assertAlmostEqual(target.vector.y, math.atan2(-y, math.hypot(x, 1)), places=2)
        self.assertAlmostEqual(target.vector.z, OBJECT_M * math.hypot(x, y, 1), delta=0.02)


def map_to_lens() -> TFMessage:
    """Return the pose of a camera that looks along x of the map, with z of the map upwards."""
    msg = TransformStamped(child_frame_id='lens')
    msg.header.frame_id = 'map'
    translation, rotation = msg.transform.translation, msg.transform.rotation
    translation.x, translation.y, translation.z = CAMERA_M
    rotation.x, rotation.y, rotation.z, rotation.w = -0.5, 0.5, -0.5, 0.5
    return TFMessage(transforms=[msg])


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """After Ctrl-C (SIGINT to every process)."""

    def test_every_process_ended_cleanly(self, proc_info) -> None:
        codes = {name: proc_info[name].returncode for name in proc_info.process_names()}
        self.assertEqual(len(codes), 3)
        self.assertEqual(set(codes.values()), {0}, codes)
