# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Messages that no driver should send, through the node's own subscription callback and worker."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
import os
import tempfile
import threading
import time

from builtin_interfaces.msg import Time
from figures import at_least, at_most, equal, Figure, none_of, told, wrong_boxes
from lite_detector.core.reduction import Reduced
from lite_detector.core.types import Detections, ImageArray, ImageSize
from lite_detector.ros.camera import Camera, Serving
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.image_input import Received
from lite_detector.ros.messages import detection_array
from lite_detector.ros.node import DetectorNode
from messages import random_compressed, random_image, random_transport
import numpy as np
import rclpy
from rclpy.parameter import Parameter
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray

INPUT_SIZE = 64
"""Of the network: a hundred thousand passes have to fit into minutes."""
SCORE_THRESHOLD = 0.02
"""So low that most pictures of noise have boxes."""
PHASE = 1000
"""Messages between two changes of the settings."""
PATIENCE_S = 300.0
SLOWEST_S = 5.0
"""A JPEG of 100 bytes may still claim 67 million pixels."""
LONGEST_REASON = 700
"""Characters of a log line."""
SETTINGS = (
    {'tracking': True}, {'tiles': '2x2'}, {'tiles': '3x1', 'tile_mode': 'in_turn'},
    {'tiles': '1x2', 'tile_mode': 'tiles_only', 'tracking': True},
    {'region': [0.1, 0.5, 0.7, 1.0]}, {'region': [0.0, 0.0, 100.0, 60.0], 'tracking': True},
    {'score_threshold': 0.0, 'max_detections': 1000}, {'nms_iou_threshold': 1.0},
    {'class_id_format': 'index', 'max_detections': 1},
)
Message = Image | CompressedImage


class WatchedNode(DetectorNode):
    """The node with eyes on what its worker publishes and why it drops frames."""

    def __init__(self, **values: object) -> None:
        super().__init__(parameter_overrides=[Parameter(name, value=value)
                                              for name, value in values.items()])
        self.wrong: list[str] = []
        self.crude: list[str] = []
        self.boxes = 0
        self.slowest_s = 0.0
        self.last: Detections | None = None
        self._size = ImageSize(0, 0)  # of the frame in work
        self._stirred = threading.Event()

    def is_active(self) -> bool:
        """Return whether it detects."""
        return self._state == 'active'

    def unclear_state(self) -> list[str]:
        """Return what keeps it from being configured, unless that is one clear line."""
        if self.is_active() or (self._problem and '\n' not in self._problem):
            return []
        return [f'{self._state}: {self._problem!r}']

    def watch(self) -> None:
        """Begin to detect."""
        self.autostart()
        for camera in self._cameras:
            camera.read_for = self._noted(camera.read_for)
            camera.publish = self._watched(camera.publish)

    def feed(self, camera: int, messages: list[bytes]) -> bool:
        """Hand over what has just arrived, and wait for the worker; False: it hangs."""
        source = self._cameras[camera]
        kind = Image if source.transport == 'raw' else CompressedImage
        for data in messages:
            self._on_image(source, Received(kind, data))
        end_s = time.monotonic() + PATIENCE_S
        while unaccounted(source) > 0:
            self._stirred.wait(0.1)
            self._stirred.clear()
            if time.monotonic() > end_s:
                return False
        return True

    def process(self, camera: Camera, received: Received) -> None:
        begin_s = time.thread_time()  # other processes do not count
        try:
            super().process(camera, received)
        finally:
            self.slowest_s = max(self.slowest_s, time.thread_time() - begin_s)
            self._stirred.set()

    def total(self, counter: str) -> int:
        """Return a counter, summed over the cameras."""
        return sum(getattr(camera.stats, counter) for camera in self._cameras)

    def _noted(self, read_for: Callable[..., Reduced]) -> Callable[..., Reduced]:
        def read(msg: Message, detector: object, full: bool) -> Reduced:
            image = read_for(msg, detector, full)
            self._size = image.full_size
            return image
        return read

    def _watched(self, publish: Callable[..., None]) -> Callable[..., None]:
        def check(msg: Message, image_bgr: ImageArray | None, tracked: object,
                  serving: Serving) -> None:
            publish(msg, image_bgr, tracked, serving)
            data = detection_array(msg.header, tracked.detections, serving.class_ids)
            array = deserialize_message(data, Detection2DArray)
            self.wrong += wrong_boxes(array, self._size.width, self._size.height)
            self.boxes += len(array.detections)
            self.last = tracked.detections
        return check

    def _drop(self, camera: Camera, reason: str) -> None:
        super()._drop(camera, reason)
        # an exception that nobody thought of comes with the name of its type
        said = camera.stats.last_drop
        if '\n' in said or len(said) > LONGEST_REASON or said.split(':')[0].endswith('Error'):
            self.crude.append(said)
        self._stirred.set()


def unaccounted(camera: Camera) -> int:
    """Return how many messages of a camera are neither published nor dropped."""
    stats = camera.stats
    return stats.received - stats.published - stats.dropped_newer - stats.dropped_bad


def fuzz_messages(model: str, messages: int, seed: int) -> Iterator[Figure]:
    """
    Send messages to two cameras of a node in this process, half raw and half compressed.

    :param messages: how many.
    """
    for transport in ('raw', 'compressed'):
        rclpy.init()
        node = WatchedNode(model=model, transport=transport, cameras=['front', 'rear'],
                           input_size=INPUT_SIZE, score_threshold=SCORE_THRESHOLD)
        try:
            node.watch()
            with quiet_stderr():
                yield from _storm(node, transport, messages // 2, seed)
        finally:
            node.destroy_node()
            rclpy.shutdown()


def _storm(node: WatchedNode, transport: str, messages: int, seed: int) -> Iterator[Figure]:
    random = np.random.default_rng(seed)
    make = random_image if transport == 'raw' else random_compressed
    picture = random.integers(0, 256, (90, 130, 3)).astype(np.uint8)
    sent, hangs, different, seconds, first = 0, [], [], 0, None
    begin_s = time.monotonic()
    while sent < messages and not hangs:
        change = SETTINGS[random.integers(len(SETTINGS))] if first is not None else {}
        usual = _set(node, change)
        for _ in range(0, min(PHASE, messages - sent), 2):
            seconds += 1
            stamp = Time(sec=seconds // 30, nanosec=1 + seconds % 30 * 33_000_000)
            pair = [random_transport(random, make(random, Header(stamp=stamp, frame_id='lens')))
                    for _ in range(2)]
            # two at once: the first is often replaced before the worker takes it
            parts = [pair] if random.random() < 0.1 else [pair[:1], pair[1:]]
            hangs += [repr(part)[:200] for part in parts
                      if not node.feed(int(random.integers(2)), part)]
            sent += 2
        _set(node, usual)
        found = _ask(node, transport, picture, seconds)
        first = found if first is None else first
        if not np.array_equal(found, first):
            different.append(f'after {sent} messages with {change}')
    yield from _judged(node, transport, sent, time.monotonic() - begin_s)
    yield none_of(f'{transport}: frames without an end', hangs)
    yield none_of(f'{transport}: known picture with other boxes', different)


def _judged(node: WatchedNode, transport: str, sent: int, took_s: float) -> Iterator[Figure]:
    received, published = node.total('received'), node.total('published')
    bad, newer = node.total('dropped_bad'), node.total('dropped_newer')
    yield told(f'{transport}: messages', f'{sent} in {took_s:.0f} s')
    yield at_least(f'{transport}: messages that were detected in', published, sent // 5)
    yield told(f'{transport}: dropped as unusable, for a newer one', f'{bad}, {newer}')
    yield equal(f'{transport}: published + dropped', published + bad + newer, received)
    yield told(f'{transport}: boxes', node.boxes)
    yield none_of(f'{transport}: wrong boxes', node.wrong)
    yield none_of(f'{transport}: drops without a clear reason', node.crude)
    yield at_most(f'{transport}: slowest frame', node.slowest_s, SLOWEST_S, 's of CPU')


def _set(node: WatchedNode, values: dict[str, object]) -> dict[str, object]:
    """Set parameters, and return what they were."""
    before = {name: node.get_parameter(name).value for name in values}
    result = node.set_parameters_atomically(
        [Parameter(name, value=value) for name, value in values.items()])
    if not result.successful:
        raise RuntimeError(result.reason)
    return before


def _ask(node: WatchedNode, transport: str, picture: ImageArray, seconds: int) -> np.ndarray:
    header = Header(stamp=Time(sec=10 ** 6 + seconds), frame_id='lens')
    to_message = bgr_to_image_msg if transport == 'raw' else bgr_to_compressed_msg
    node.feed(0, [serialize_message(to_message(picture, header))])
    found = node.last
    return np.concatenate((found.boxes_xyxy, found.scores[:, None]), axis=1)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep the remarks of the image libraries and the node's warnings off the terminal."""
    with tempfile.TemporaryFile() as scratch:
        keep = os.dup(2)
        os.dup2(scratch.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(keep, 2)
            os.close(keep)
