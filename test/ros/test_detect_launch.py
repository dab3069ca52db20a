# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``detect.launch.py`` and replayed cameras as a user starts them: processes of their own."""

import os
from pathlib import Path
import signal
import tempfile
import time
import unittest

import cv2
from launch import LaunchDescription
from launch.actions import GroupAction, IncludeLaunchDescription
from launch.launch_description_sources import PythonLaunchDescriptionSource
from launch_ros.actions import Node
import launch_testing
from launch_testing.actions import ReadyToTest
import numpy as np
import pytest
import rclpy
from rclpy.executors import SingleThreadedExecutor
from tiny_models import square_image, write_tiny_nanodet
from vision_msgs.msg import Detection2DArray

LAUNCH = Path(__file__).resolve().parents[2] / 'launch' / 'detect.launch.py'
TIMEOUT_S = 30.0
OBJECT = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
NOTHING = np.zeros_like(OBJECT)


def replay(source: Path, namespace: str, transport: str = 'raw') -> Node:
    return Node(package='lite_detector', executable='camera_replay', namespace=namespace,
                output='screen', parameters=[{'source': str(source), 'rate_hz': 20.0,
                                              'frame_id': '', 'transport': transport}])


def detect(model: Path, **arguments: str) -> GroupAction:
    arguments = {'model': str(model), **arguments}
    # in a scope of its own, or the arguments of one would become the defaults of the next
    return GroupAction([IncludeLaunchDescription(PythonLaunchDescriptionSource(str(LAUNCH)),
                                                 launch_arguments=arguments.items())])


@pytest.mark.launch_test
def generate_test_description():
    folder = Path(tempfile.mkdtemp(prefix='detect_launch_'))
    model = write_tiny_nanodet(folder / 'model')
    source = folder / 'images'
    source.mkdir()
    for name, image in (('object', OBJECT), ('nothing', NOTHING)):
        # PNG: the JPEG transport is the only lossy step
        cv2.imwrite(str(source / f'{name}.png'), image)
    return LaunchDescription([
        replay(source, 'raw'),
        detect(model, namespace='raw', respawn='true'),
        replay(source, 'jpeg', 'compressed'),
        detect(model, namespace='jpeg', transport='compressed'),
        replay(source, 'pair/front'),
        replay(source, 'pair/rear/camera'),
        detect(model, namespace='pair', cameras='front, rear',
               image='front/image, rear/camera/image', score_threshold='0.6',
               classes='[object0, object1]'),
        ReadyToTest(),
    ])


class TestDetectLaunch(unittest.TestCase):
    """Reads what the launched graph publishes."""

    def setUp(self) -> None:
        self.context = rclpy.Context()
        rclpy.init(context=self.context)
        self.node = rclpy.create_node('reader', context=self.context)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.executor.add_node(self.node)

    def tearDown(self) -> None:
        self.executor.shutdown()
        self.node.destroy_node()
        rclpy.shutdown(context=self.context)

    def collect(self, topic: str, count: int = 6) -> list[Detection2DArray]:
        """Return the next messages of a topic."""
        messages: list[Detection2DArray] = []
        subscription = self.node.create_subscription(Detection2DArray, topic, messages.append, 10)
        end = time.monotonic() + TIMEOUT_S
        while len(messages) < count:
            self.assertLess(time.monotonic(), end, f'{topic}: {len(messages)} of {count} messages')
            self.executor.spin_once(timeout_sec=0.1)
        self.node.destroy_subscription(subscription)
        return messages

    def check_fields(self, messages: list[Detection2DArray], tolerance_px: float) -> None:
        """Compare every field with the replayed pictures."""
        now_s = time.time()
        self.assertEqual({msg.header.frame_id for msg in messages}, {'object', 'nothing'})
        stamps = [msg.header.stamp.sec + msg.header.stamp.nanosec / 1e9 for msg in messages]
        self.assertEqual(stamps, sorted(set(stamps)))
        for msg, stamp in zip(messages, stamps, strict=True):
            self.assertLess(abs(now_s - stamp), 60)
            if msg.header.frame_id == 'nothing':
                self.assertEqual(len(msg.detections), 0)
                continue
            self.assertEqual(len(msg.detections), 1)
            detection = msg.detections[0]
            self.assertEqual(detection.header, msg.header)
            self.assertEqual(detection.id, '')
            box = detection.bbox
            for got, wanted in ((box.center.position.x, 160), (box.center.position.y, 96),
                                (box.size_x, 64), (box.size_y, 64)):
                self.assertAlmostEqual(got, wanted, delta=tolerance_px)
            self.assertEqual(len(detection.results), 1)
            self.assertEqual(detection.results[0].hypothesis.class_id, 'object0')
            self.assertGreater(detection.results[0].hypothesis.score, 0.9)

    def test_raw_images_give_detections_field_by_field(self) -> None:
        self.check_fields(self.collect('/raw/detections'), 0.1)

    def test_compressed_images_give_the_same_detections(self) -> None:
        self.check_fields(self.collect('/jpeg/detections'), 1.0)

    def test_two_cameras_on_one_model_answer_apart(self) -> None:
        for camera in ('front', 'rear'):
            self.check_fields(self.collect(f'/pair/{camera}/detections'), 0.1)

    def test_killed_node_comes_back_under_respawn(self) -> None:
        self.collect('/raw/detections', 2)
        pids = pids_of_detector('__ns:=/raw')
        self.assertEqual(len(pids), 1)
        os.kill(pids[0], signal.SIGKILL)
        self.collect('/raw/detections', 6)
        self.assertNotEqual(pids_of_detector('__ns:=/raw'), pids)


def pids_of_detector(argument: str) -> list[int]:
    """Return the detector processes with this argument."""
    found = []
    for path in Path('/proc').glob('[0-9]*/cmdline'):
        try:
            words = path.read_bytes().decode(errors='replace').split('\0')
        except OSError:
            continue
        if argument in words and any(word.endswith('detect_node') for word in words):
            found.append(int(path.parent.name))
    return found


@launch_testing.post_shutdown_test()
class TestShutdown(unittest.TestCase):
    """After Ctrl-C (SIGINT to every process)."""

    def test_every_process_ended_cleanly(self, proc_info) -> None:
        codes = {name: proc_info[name].returncode for name in proc_info.process_names()}
        killed = [name for name, code in codes.items() if code == -signal.SIGKILL]
        # the one that the test killed; its successor ended cleanly under the same name or another
        self.assertLessEqual(len(killed), 1, codes)
        self.assertEqual([name for name, code in codes.items()
                          if code not in (0, -signal.SIGKILL)], [], codes)
