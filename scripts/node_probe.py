# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The node under the stop-watch: its work on one message, and its life as a process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import time

import cv2
from lite_detector.core.types import ImageArray
from lite_detector.ros.camera import Camera
from lite_detector.ros.conversions import bgr_to_image_msg
from lite_detector.ros.node import DetectorNode
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

CAMERA_RATE_HZ = 30.0
START_TIMEOUT_S = 20.0
DOMAIN_ID = os.getpid() % 100 + 1


class NodeProbe:
    """
    A configured node whose worker is called by hand.

    :param model: name or folder.
    :param image_bgr: the image in every message, uint8, shape (height, width, 3).
    :param precision: as the parameter of the node.
    """

    def __init__(self, model: str, image_bgr: ImageArray, precision: str) -> None:
        rclpy.init(domain_id=DOMAIN_ID)
        self._node = DetectorNode(parameter_overrides=[
            Parameter('model', value=model), Parameter('precision', value=precision)])
        self._node.trigger_configure()
        self._camera = Camera(self._node, 'probe', self._node.settings, lambda camera, msg: None)
        stamp = self._node.get_clock().now().to_msg()
        self._msg = bgr_to_image_msg(image_bgr, Header(stamp=stamp, frame_id='camera'))

    def __enter__(self) -> NodeProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._camera.destroy()
        self._node.destroy_node()
        rclpy.shutdown()

    def step(self) -> None:
        """Do everything the worker does with one message: convert, detect, publish."""
        self._node.process(self._camera, self._msg)


def process_table(model: str, image_bgr: ImageArray, seconds: float,
                  forward_ms: float) -> Iterator[str]:
    """
    Start the node and a camera as processes, and watch from outside.

    :param model: name or folder.
    :param image_bgr: what the camera shows.
    :param seconds: how long to watch.
    :param forward_ms: wall time of one forward pass in this run, to hold the ages against.
    :return: lines of a Markdown section.
    """
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / 'camera.png'
        cv2.imwrite(str(picture), image_bgr)
        with _reader() as (executor, stamps_and_ages), _started(
                'camera_replay', source=picture, rate_hz=CAMERA_RATE_HZ):
            time.sleep(2)  # the camera is up before the node, as on a robot
            start = time.monotonic()
            with _started('detect_node', model=model) as node:
                _spin(executor, START_TIMEOUT_S, lambda: stamps_and_ages)
                first_s = time.monotonic() - start
                stamps_and_ages.clear()
                _spin(executor, seconds, lambda: False)
                status = Path(f'/proc/{node.pid}/status').read_text()
    peak_mb, now_mb = (int(re.search(rf'{key}:\s+(\d+) kB', status)[1]) / 1024
                       for key in ('VmHWM', 'VmRSS'))
    ages_ms = np.array([age for _, age in stamps_and_ages]) * 1e3
    height, width = image_bgr.shape[:2]
    yield '\n## The node as a process\n'
    yield (f'{model}, one camera of {width}x{height} at {CAMERA_RATE_HZ:.0f} Hz in another '
           f'process, {seconds:.0f} s. Ages from the stamp to the arrival in a third process.\n')
    yield '| figure | value |\n|---|---|'
    yield f'| process start to first detection | {first_s:.2f} s |'
    yield f'| resident memory, now (peak) | {now_mb:.0f} MB ({peak_mb:.0f} MB) |'
    yield f'| detections | {len(ages_ms) / seconds:.1f} Hz |'
    for percent in (50, 95, 99):
        age = np.percentile(ages_ms, percent) if len(ages_ms) else float('nan')
        yield f'| age p{percent} | {age:.1f} ms = {age / forward_ms:.2f} forward passes |'


@contextmanager
def _reader() -> Iterator[tuple[SingleThreadedExecutor, list[tuple[float, float]]]]:
    rclpy.init(domain_id=DOMAIN_ID)
    node = rclpy.create_node('probe')
    found: list[tuple[float, float]] = []

    def on_detections(msg: Detection2DArray) -> None:
        stamp_s = msg.header.stamp.sec + msg.header.stamp.nanosec / 1e9
        found.append((stamp_s, time.time() - stamp_s))

    node.create_subscription(Detection2DArray, 'detections', on_detections, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor, found
    finally:
        node.destroy_node()
        rclpy.shutdown()


def _spin(executor: SingleThreadedExecutor, seconds: float, enough: object) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not enough():
        executor.spin_once(timeout_sec=0.05)


@contextmanager
def _started(command: str, **parameters: object) -> Iterator[subprocess.Popen]:
    ros_args = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    process = subprocess.Popen(
        [sys.executable, '-m', 'lite_detector', command, '--ros-args', *ros_args],
        env={**os.environ, 'ROS_DOMAIN_ID': str(DOMAIN_ID)}, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
