# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measurement of the node: its work on one message, and as a process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
import os
from pathlib import Path
import re
import subprocess
import sys
import tempfile
import time
from typing import Any

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from lite_detector import load_model
from lite_detector.core.types import FloatArray, ImageArray
from lite_detector.detector import Detector
from lite_detector.ros.camera import Camera
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.image_input import Received
from lite_detector.ros.message_thread import MessageThread
from lite_detector.ros.node import DetectorNode
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

CAMERA_RATE_HZ = 30.0
START_TIMEOUT_S = 60.0
PASSES_S = 3.0
PROFILE = Path(__file__).resolve().parents[1] / 'config' / 'fastdds_large_images.xml'


class NodeProbe:
    """
    A configured node whose worker is called by hand.

    :param model: Name or folder of a model.
    :param image_bgr: Image in every message, uint8, shape (height, width, 3).
    :param precision: Parameter ``precision`` of the node.
    :param transport: Parameter ``transport`` of the node.
    """

    def __init__(self, model: str, image_bgr: ImageArray, precision: str,
                 transport: str = 'raw') -> None:
        rclpy.init()
        self._node = DetectorNode(parameter_overrides=[
            Parameter('model', value=model), Parameter('precision', value=precision),
            Parameter('transport', value=transport)])
        self._node.trigger_configure()
        self._camera = Camera(self._node, MessageThread(self._node), 'probe', self._node.settings,
                              lambda camera, msg: None)
        stamp = self._node.get_clock().now().to_msg()
        to_message = bgr_to_compressed_msg if transport == 'compressed' else bgr_to_image_msg
        msg = to_message(image_bgr, Header(stamp=stamp, frame_id='camera'))
        self._received = Received(type(msg), serialize_message(msg))

    def __enter__(self) -> NodeProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._camera.destroy()
        self._node.destroy_node()
        rclpy.shutdown()

    def step(self) -> None:
        """Process one message as the worker does: deserialize, detect, publish."""
        self._node.process(self._camera, self._received)

    def listen(self, topic: str, kind: type) -> None:
        """Subscribe to an output of the camera, so that the node publishes it."""
        self._node.create_subscription(kind, f'probe/{topic}', lambda msg: None, 1)
        end = time.monotonic() + START_TIMEOUT_S
        while not self._camera.overlay.has_viewers() and time.monotonic() < end:
            time.sleep(0.05)


def process_table(model: str, image_bgr: ImageArray, seconds: float) -> Iterator[str]:
    """
    Start the node and a camera as processes, and watch from outside.

    :param model: Name or folder of a model.
    :param image_bgr: Image of the camera, uint8, shape (h, w, 3).
    :param seconds: Duration of the measurement in s.
    :return: lines of a Markdown section.
    """
    detector = load_model(model)
    blob = detector.make_blob(image_bgr, detector.fit(image_bgr))
    passes_ms: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / 'camera.png'
        cv2.imwrite(str(picture), image_bgr)
        with reader() as (executor, ages_s, diagnostics), started(
                'camera_replay', source=picture, rate_hz=CAMERA_RATE_HZ):
            time.sleep(2)  # the camera starts before the node, as on a robot
            _time_passes(detector, blob, passes_ms)
            start = time.monotonic()
            with started('detect_node', model=model) as node:
                spin(executor, START_TIMEOUT_S, lambda: ages_s)
                first_s = time.monotonic() - start
                ages_s.clear()
                begin_s = _cpu_s(node.pid)
                spin(executor, seconds, lambda: False)
                cpu_ms = (_cpu_s(node.pid) - begin_s) * 1e3 / max(len(ages_s), 1)
                status = Path(f'/proc/{node.pid}/status').read_text()
            _time_passes(detector, blob, passes_ms)
    peak_mb, now_mb = (int(re.search(rf'{key}:\s+(\d+) kB', status)[1]) / 1024
                       for key in ('VmHWM', 'VmRSS'))
    pass_ms = np.median(passes_ms)
    height, width = image_bgr.shape[:2]
    yield '\n## The node as a process\n'
    yield (f'{model}, one best-effort camera of {width}x{height} at {CAMERA_RATE_HZ:.0f} Hz in '
           f'another process, {seconds:.0f} s, with config/{PROFILE.name}. Ages count from the '
           'stamp to the publication (what /diagnostics says) and to the arrival in a third '
           f'process; one forward pass beside the same camera takes {pass_ms:.1f} ms.\n')
    yield '| figure | value |\n|---|---|'
    yield f'| process start to first detection | {first_s:.2f} s |'
    yield f'| resident memory, now (peak) | {now_mb:.0f} MB ({peak_mb:.0f} MB) |'
    yield f'| detections | {len(ages_s) / seconds:.1f} Hz |'
    yield f'| processor time of the whole node per detection | {cpu_ms:.1f} ms |'
    ages_ms = {f'age at publication, p{percent}': float(diagnostics[f'latency p{percent} (ms)'])
               for percent in (50, 95)}
    ages_ms |= {f'age at arrival, p{percent}': np.percentile(ages_s, percent) * 1e3
                for percent in (50, 95)}
    for name, age_ms in ages_ms.items():
        yield f'| {name} | {age_ms:.1f} ms = {age_ms / pass_ms:.2f} forward passes |'


def _cpu_s(pid: int) -> float:
    user, system = Path(f'/proc/{pid}/stat').read_text().rsplit(') ', 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def _time_passes(detector: Detector, blob: FloatArray, passes_ms: list[float]) -> None:
    end = time.monotonic() + PASSES_S
    while time.monotonic() < end:
        start = time.perf_counter()
        detector.backend.infer(blob)
        passes_ms.append((time.perf_counter() - start) * 1e3)


@contextmanager
def reader(topics: Sequence[str] = ('detections',), pictures: str | None = None) -> Iterator[
        tuple[SingleThreadedExecutor, list[float], dict[str, str]]]:
    """
    Listen: an executor, the ages in seconds of all detections, and what diagnostics say.

    :param topics: Topics of the detections.
    :param pictures: Topic of annotated images to subscribe to.
    """
    rclpy.init()
    node = rclpy.create_node('probe')
    ages_s: list[float] = []
    diagnostics: dict[str, str] = {}

    def on_detections(msg: Detection2DArray) -> None:
        stamp_s = msg.header.stamp.sec + msg.header.stamp.nanosec / 1e9
        ages_s.append(time.time() - stamp_s)

    def on_diagnostics(msg: DiagnosticArray) -> None:
        for status in msg.status:
            diagnostics.update({pair.key: pair.value for pair in status.values})

    for topic in topics:
        node.create_subscription(Detection2DArray, topic, on_detections, 10)
    if pictures:
        node.create_subscription(Image, pictures, lambda data: None, 1, raw=True)
    node.create_subscription(DiagnosticArray, '/diagnostics', on_diagnostics, 10)
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    try:
        yield executor, ages_s, diagnostics
    finally:
        node.destroy_node()
        rclpy.shutdown()


def spin(executor: SingleThreadedExecutor, seconds: float, enough: Callable[[], Any]) -> None:
    """Run an executor for some time, or until a condition is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and not enough():
        executor.spin_once(timeout_sec=0.05)


@contextmanager
def started(command: str | Path, *ros_args: str,
            **parameters: object) -> Iterator[subprocess.Popen]:
    """
    Run a node as a process.

    :param command: Command of the package, or a script.
    :param ros_args: ROS arguments.
    """
    pairs = [word for name, value in parameters.items() for word in ('-p', f'{name}:={value}')]
    words = [command] if isinstance(command, Path) else ['-m', 'lite_detector', command]
    process = subprocess.Popen(
        [sys.executable, *words, '--ros-args', *ros_args, *pairs],
        env={**os.environ, 'FASTRTPS_DEFAULT_PROFILES_FILE': str(PROFILE)},
        stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(10)
