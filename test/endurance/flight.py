# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A flight: the node as a process of its own, cameras and a listener in this one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import json
import os
from pathlib import Path
import re
import signal
import subprocess
import sys
import tempfile
import time
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray
from figures import at_most, equal, Figure, none_of, told, wrong_boxes
import lite_detector
from lite_detector.core.draw import generated_image
from lite_detector.core.types import ImageSize, size_of
from lite_detector.ros.conversions import bgr_to_image_msg
import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

CONFIG = Path(__file__).resolve().parents[2] / 'config'
"""Beside the scripts: the package may be installed, without a checkout around it."""

PROFILE = CONFIG / 'fastdds_large_images.xml'
SIZE = ImageSize(480, 640)
VIEWS = 8
RATE_HZ = 30.0
START_S = 60.0
SETTLE_S = 10.0
STOP_S = 20.0
SENSOR_QOS = QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
BAD_LINES = re.compile(r'Traceback|Error\b|\[ERROR\]|\[FATAL\]|terminate called|Segmentation')


class NoFlightError(Exception):
    """The node does not begin to detect."""


def environment() -> dict[str, str]:
    """Return the environment of a process that finds this package."""
    package = str(Path(lite_detector.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, [package, os.environ.get('PYTHONPATH')]))
    return {**os.environ, 'PYTHONPATH': path}


class Memory(NamedTuple):
    """Resident memory in MB of 2^20 bytes."""

    own: float
    shared: float
    """Segments in which DDS hands over images; it counts a part of one once that was used."""


class NodeProcess:
    """
    ``detect_node`` while it runs.

    :param folder: for its log.
    :param values: parameters.
    """

    def __init__(self, folder: Path, **values: object) -> None:
        words = [word for name, value in values.items()
                 for word in ('-p', f'{name}:={json.dumps(value)}')]
        self._log = folder / 'node.log'
        with self._log.open('w') as log:
            self._process = subprocess.Popen(
                [sys.executable, '-m', 'lite_detector', 'detect_node', '--ros-args', *words],
                stdout=log, stderr=log,
                env=environment())
        self.pid = self._process.pid

    def is_running(self) -> bool:
        """Return whether it has not ended."""
        return self._process.poll() is None

    def resident_mb(self) -> Memory:
        """Return the memory that it holds now; NaN after its end."""
        try:
            status = Path(f'/proc/{self.pid}/status').read_text()
        except OSError:
            status = ''
        found = [re.search(rf'{name}:\s+(\d+) kB', status) for name in ('VmRSS', 'RssShmem')]
        total, shared = (int(match[1]) / 1024 if match else float('nan') for match in found)
        return Memory(total - shared, shared)

    def send(self, number: int) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def log(self, pattern: str | re.Pattern) -> list[str]:
        """Return the lines of its log that hold a pattern."""
        lines = self._log.read_text(errors='replace').splitlines()
        return [line for line in lines if re.search(pattern, line)]

    def stop(self) -> int | None:
        """Press Ctrl-C and return the exit status; None: it did not end."""
        if self.is_running():
            self._process.send_signal(signal.SIGCONT)
            self._process.send_signal(signal.SIGINT)
        try:
            return self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            return None


class Stream:
    """
    One camera, and what is found in its images.

    :param node: that publishes and listens.
    :param name: namespace of the camera.
    :param images: shown in turn.
    :param first_s: when its first image is due, by ``time.monotonic``.
    :param stamp_ns: the clock that stamps the images.
    """

    def __init__(self, node: Node, name: str, images: list[np.ndarray], first_s: float,
                 stamp_ns: Callable[[], int] = time.time_ns) -> None:
        self.name, self.sent, self.wrong = name, 0, []
        self.ages_s: list[float] = []
        self.arrivals_s: list[float] = []
        self.stamps_ns: list[int] = []
        self.clock_ns, self._due_s = stamp_ns, first_s
        # the header comes back with the detections, so it can tell what they have to fit into
        self._messages = [bgr_to_image_msg(image, Header(frame_id=size_name(*size_of(image))))
                          for image in images]
        self._publisher = node.create_publisher(Image, f'{name}/image', SENSOR_QOS)
        node.create_subscription(Detection2DArray, f'{name}/detections', self._listen, 20)

    def publish_if_due(self) -> None:
        """Publish the next image if it is time; what was missed is left out."""
        now_s = time.monotonic()
        if now_s < self._due_s:
            return
        msg = self._messages[self.sent % len(self._messages)]
        stamp = msg.header.stamp
        stamp.sec, stamp.nanosec = divmod(self.clock_ns(), 10 ** 9)
        self._publisher.publish(msg)
        self.sent += 1
        self._due_s += (1 + int((now_s - self._due_s) * RATE_HZ)) / RATE_HZ

    def wait_s(self) -> float:
        """Return how long until the next image is due."""
        return max(0.0, self._due_s - time.monotonic())

    def restart(self) -> None:
        """Forget what was measured."""
        self.sent = 0
        for values in (self.ages_s, self.arrivals_s, self.stamps_ns):
            values.clear()

    def _listen(self, array: Detection2DArray) -> None:
        stamp_ns = array.header.stamp.sec * 10 ** 9 + array.header.stamp.nanosec
        self.ages_s.append((self.clock_ns() - stamp_ns) / 1e9)
        self.arrivals_s.append(time.monotonic())
        self.stamps_ns.append(stamp_ns)
        size = re.fullmatch(r'(\d+)x(\d+)', array.header.frame_id)
        if size:
            self.wrong += wrong_boxes(array, int(size[1]), int(size[2]))


def size_name(height: int, width: int) -> str:
    """Return what the frame_id of an image says."""
    return f'{width}x{height}'


class Flight:
    """
    A node with two cameras of 640x480 at 30 Hz, half a period apart.

    :param process: the node.
    :param client: this side of the graph.
    """

    def __init__(self, process: NodeProcess, client: Node, executor: SingleThreadedExecutor,
                 stamp_ns: Callable[[], int]) -> None:
        self.process, self.client = process, client
        self.counters: dict[str, dict[str, str]] = {}
        self.diagnosed_s: list[float] = []
        self.memory_mb: list[Memory] = []
        self._executor = executor
        picture = generated_image(SIZE)
        images = [np.roll(picture, 12 * index, axis=1) for index in range(VIEWS)]
        now_s = time.monotonic()
        self.streams = [Stream(client, name, images, now_s + index / 2 / RATE_HZ, stamp_ns)
                        for index, name in enumerate(('front', 'rear'))]
        client.create_subscription(DiagnosticArray, '/diagnostics', self._diagnose, 10)
        self.begin_memory()

    def fly(self, seconds: float, until: Callable[[], object] = lambda: False,
            send: bool = True) -> bool:
        """
        Publish and listen for a while.

        :param until: ends it earlier; asked after every callback.
        :return: whether that was so.
        """
        end_s = time.monotonic() + seconds
        while (now_s := time.monotonic()) < end_s:
            waits = [0.02]
            for stream in self.streams if send else ():
                stream.publish_if_due()
                waits.append(stream.wait_s())
            self._executor.spin_once(timeout_sec=min(waits))
            if len(self.memory_mb) < now_s - self._begin_s:
                self.memory_mb.append(self.process.resident_mb())
            if until():
                return True
        return False

    def begin_memory(self) -> None:
        """Watch the memory of the node from now on."""
        self._begin_s = time.monotonic()
        self.memory_mb.clear()

    def restart(self) -> None:
        """Measure from now on; what the memory was stays."""
        self.diagnosed_s.clear()
        for stream in self.streams:
            stream.restart()

    def answered_s(self, seconds: float) -> float:
        """Fly until each camera has a detection of an image from now on; return how long."""
        begin_s, stamps = time.monotonic(), [stream.clock_ns() for stream in self.streams]
        done = self.fly(seconds, lambda: all(
            stream.stamps_ns and stream.stamps_ns[-1] >= stamp
            for stream, stamp in zip(self.streams, stamps, strict=True)))
        return time.monotonic() - begin_s if done else float('inf')

    def count(self, name: str) -> int:
        """Return a counter of /diagnostics, summed over the cameras."""
        return sum(int(self.counters.get(f'camera {stream.name}', {}).get(name, 0))
                   for stream in self.streams)

    def unaccounted(self) -> int:
        """Return how many messages are neither published nor dropped."""
        return self.count('received') - self.count('published') - self.count(
            'dropped for a newer frame') - self.count('dropped as unusable')

    def health(self, growth_limit_mb: float, unusable: int = 0) -> Iterator[Figure]:
        """
        Stop the cameras and tell what holds for every flight; then end the node.

        :param unusable: how many images were sent that may be dropped as unusable.
        """
        self.fly(SETTLE_S, self._is_settled, send=False)
        settled = self.unaccounted()
        begin = min(60, len(self.memory_mb) // 3)
        later = self.memory_mb[begin:]
        growth_mb = max(memory.own for memory in later) - later[0].own
        yield at_most(f'growth of its own resident memory after the first {begin} s', growth_mb,
                      growth_limit_mb, 'MB')
        yield told('own memory at the end, and what DDS shares between processes',
                   f'{later[-1].own:.0f} MB, {later[0].shared:.0f} MB at first, '
                   f'{later[-1].shared:.0f} MB')
        yield equal('alive', self.process.is_running(), True)
        yield equal('messages that no counter has', settled, 0)
        yield at_most('frames dropped as unusable', self.count('dropped as unusable'), unusable)
        yield none_of('wrong boxes', [text for stream in self.streams for text in stream.wrong])
        yield none_of('errors in the log', self.process.log(BAD_LINES))
        yield equal('exit status after Ctrl-C', self.process.stop(), 0)

    def _is_settled(self) -> bool:
        # two diagnostics without a camera: the first may have been under way
        last_s = max((stream.arrivals_s[-1] for stream in self.streams if stream.arrivals_s),
                     default=0.0)
        late = [moment for moment in self.diagnosed_s if moment > last_s + 1.5]
        return len(late) >= 2 and self.unaccounted() == 0

    def _diagnose(self, array: DiagnosticArray) -> None:
        self.diagnosed_s.append(time.monotonic())
        for status in array.status:
            name = status.name.partition(': ')[2]
            self.counters[name] = {pair.key: pair.value for pair in status.values}


@contextmanager
def flight(model: str, stamp_ns: Callable[[], int] = time.time_ns,
           **values: object) -> Iterator[Flight]:
    """
    Start a node and fly until both cameras have their first detections.

    :param stamp_ns: the clock of the cameras.
    :param values: parameters of the node.
    :raises NoFlightError: if it does not begin to detect.
    """
    os.environ.setdefault('FASTRTPS_DEFAULT_PROFILES_FILE', str(PROFILE))
    context = rclpy.Context()
    rclpy.init(context=context)
    client = rclpy.create_node('pilot', context=context)
    executor = SingleThreadedExecutor(context=context)
    executor.add_node(client)
    with tempfile.TemporaryDirectory() as folder:
        process = NodeProcess(Path(folder), model=model, cameras=['front', 'rear'], **values)
        try:
            flying = Flight(process, client, executor, stamp_ns)
            if flying.answered_s(START_S) > START_S:
                raise NoFlightError('no detections: ' + ' / '.join(process.log('')[-3:]))
            flying.begin_memory()
            flying.restart()
            yield flying
        finally:
            process.stop()
            executor.shutdown()
            client.destroy_node()
            context.try_shutdown()
