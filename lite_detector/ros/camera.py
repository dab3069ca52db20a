# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: its subscription, its publishers, and why nothing arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
import re

from lite_detector.core.encodings import compressed_to_reduced
from lite_detector.core.errors import ImageError
from lite_detector.core.reduction import Reduced
from lite_detector.core.tracking import Tracked, Tracker
from lite_detector.core.types import Detections, FloatArray, ImageArray, size_of
from lite_detector.detector import Detector
from lite_detector.ros.camera_stats import CameraStats
from lite_detector.ros.conversions import (
    compressed_msg_to_bgr,
    image_msg_to_bgr,
    KNOWN_ENCODINGS,
)
from lite_detector.ros.messages import DetectionsWriter, nanoseconds_of
from lite_detector.ros.overlay import Overlay
from lite_detector.ros.serialized import read_in_place, SerializedImage
from lite_detector.ros.settings import Settings
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

try:
    from rclpy.event_handler import PublisherEventCallbacks, SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks, SubscriptionEventCallbacks

SILENCE_S = 3.0
NO_COLOUR = re.compile('depth|infra|disparity|mask')
"""Image topics that are hardly meant."""
OUTPUT_DEPTH = 5
# By default rclpy waits for two QoS events of each topic, and makes ready for it anew with every
# image. `silence` says what is wrong with a camera; who listens with another QoS hears it there.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)
NO_SUBSCRIPTION_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
TRANSPORTS = {
    'raw': (Image, 'sensor_msgs/msg/Image', image_msg_to_bgr),
    'compressed': (CompressedImage, 'sensor_msgs/msg/CompressedImage', compressed_msg_to_bgr),
}


class Camera:
    """
    One camera: its subscription and what is published about it.

    :param node: owner of the subscription and the publishers.
    :param name: namespace of the camera; empty: the node's own.
    :param settings: transport and reliability.
    :param on_frame: called with the camera and each message as it came, serialized.
    :param track_ids: where the numbers of its objects come from.
    """

    def __init__(self, node: Node, name: str, settings: Settings,
                 on_frame: Callable[[Camera, bytes], None],
                 track_ids: Iterator[int] | None = None) -> None:
        self.name = name
        self.stats = CameraStats()
        self._node = node
        self._settings = settings
        self._on_frame = on_frame
        self._subscription = None
        self._track_ids = track_ids
        self._tracker: Tracker | None = None
        self._turns = count()
        self._reliability = ReliabilityPolicy.BEST_EFFORT
        if settings.reliability == 'reliable':
            self._reliability = ReliabilityPolicy.RELIABLE
        self._message_type, self._type_name, self._to_bgr = TRANSPORTS[settings.transport]
        self._writer = DetectionsWriter()
        self._prefix = prefix = f'{name}/' if name else ''
        # Resolved first, so that a remapping of `image` moves `image/compressed` along with it.
        self.topic = node.resolve_topic_name(f'{prefix}image')
        if settings.transport == 'compressed':
            self.topic += '/compressed'
        self._detections = node.create_publisher(Detection2DArray, f'{prefix}detections',
                                                 OUTPUT_DEPTH, event_callbacks=NO_EVENTS)
        self.overlay = Overlay(node, prefix, OUTPUT_DEPTH, NO_EVENTS)

    @property
    def label(self) -> str:
        """How messages name it."""
        return self.name or self.topic

    def unpack(self, data: bytes) -> Image | CompressedImage:
        """
        Return the message that was serialized.

        :raises ImageError: if it is damaged.
        """
        try:
            msg = read_in_place(data, self._message_type)
            if isinstance(msg, SerializedImage) and msg.encoding not in KNOWN_ENCODINGS:
                return deserialize_message(data, self._message_type)  # for cv_bridge
            return msg
        except Exception:  # RMWError has no public name
            raise ImageError(f'damaged message: it does not hold a {self._type_name}') from None

    def read(self, msg: Image | CompressedImage) -> ImageArray:
        """
        Convert a message; uint8 BGR, shape (height, width, 3).

        :raises ImageError: if it cannot be read or has no stamp.
        """
        _check_stamp(msg)
        return self._to_bgr(msg)

    def read_for(self, msg: Image | CompressedImage, detector: Detector, full: bool) -> Reduced:
        """
        Convert a message for a detector; a JPEG is decoded no larger than that needs it.

        :param full: whether somebody else needs the full image.
        :raises ImageError: as :meth:`read`.
        """
        if full or self._settings.transport != 'compressed':
            image_bgr = self.read(msg)
            return Reduced(image_bgr, 1, size_of(image_bgr))
        _check_stamp(msg)
        return compressed_to_reduced(msg, detector.least_size)

    def detect(self, image_bgr: ImageArray, detector: Detector) -> Detections:
        """Find objects in its next image; tiles that take turns do so for each camera."""
        return detector.detect(image_bgr, next(self._turns))

    def track(self, msg: Image | CompressedImage, found: Detections, detector: Detector,
              score_thresholds: FloatArray | None) -> Tracked:
        """
        Give the objects their numbers.

        :param msg: the image they were found in.
        :param score_thresholds: what makes a new object, by class index; None: tracking is off.
        """
        if score_thresholds is None:
            self._tracker = None
            return Tracked(found, None)
        if self._tracker is None:
            self._tracker = Tracker(self._track_ids)
        stamp = msg.header.stamp
        return self._tracker.update(found, stamp.sec + stamp.nanosec / 1e9, score_thresholds,
                                    detector.card.class_names)

    def publish(self, msg: Image | CompressedImage, image_bgr: ImageArray | None,
                tracked: Tracked, class_ids: list[str], detector: Detector) -> None:
        """
        Publish detections, and what shows them where somebody listens.

        :param msg: the image they were found in.
        :param image_bgr: the full image, to be annotated; None: it is not.
        :param tracked: detections, and ids where there are any.
        :param class_ids: what class_id says, by class index.
        """
        self._detections.publish(self._writer.write(msg.header, tracked.detections, class_ids,
                                                    tracked.track_ids))
        now_ns = self._node.get_clock().now().nanoseconds
        self.stats.on_published((now_ns - nanoseconds_of(msg.header.stamp)) / 1e9)
        self.overlay.update(msg.header, tracked, detector.card.class_names)
        if image_bgr is not None:
            self.overlay.draw(msg.header, image_bgr)

    def subscribe(self) -> None:
        """Begin to listen."""
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         durability=DurabilityPolicy.VOLATILE, reliability=self._reliability)
        # Raw, for the worker to unpack: a message that is replaced costs nothing, and one that is
        # damaged is a dropped frame, where Fast DDS 2.14 tries to unpack it without an end.
        self._subscription = self._node.create_subscription(
            self._message_type, self.topic, lambda data: self._on_frame(self, data), qos,
            event_callbacks=NO_SUBSCRIPTION_EVENTS, raw=True)
        self.stats.restart()

    def unsubscribe(self) -> None:
        """Stop listening, which also takes the messages' cost off the processor."""
        if self._subscription:
            self._node.destroy_subscription(self._subscription)
            self._subscription = None

    def destroy(self) -> None:
        """Give everything back."""
        self.unsubscribe()
        self._node.destroy_publisher(self._detections)
        self.overlay.destroy()

    def follow_publishers(self) -> None:
        """With ``reliability: auto``, ask for what every publisher offers, and no more."""
        if self._settings.reliability != 'auto' or self._subscription is None:
            return
        offers = {info.qos_profile.reliability for info in self._publishers()}
        if not offers:
            return
        wanted = ReliabilityPolicy.BEST_EFFORT
        if offers == {ReliabilityPolicy.RELIABLE}:
            wanted = ReliabilityPolicy.RELIABLE
        if wanted != self._reliability:
            self._reliability = wanted
            self.unsubscribe()
            self.subscribe()

    def silence(self) -> str | None:
        """Return why no image arrives, or None while they do."""
        silent_s = self.stats.silent_s()
        if self._subscription is None or silent_s < SILENCE_S:
            return None
        every = self._node.get_publishers_info_by_topic(self.topic)
        if not every:
            return f'no publisher on {self.topic}{self._other_transport() or self._other_topics()}'
        typed = self._publishers()
        if not typed:
            return (f'{self.topic} carries {every[0].topic_type}, wanted {self._type_name} '
                    f'(transport: {self._settings.transport})')
        if self._reliability == ReliabilityPolicy.RELIABLE and not any(
                info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in typed):
            return (f'QoS mismatch: the publishers of {self.topic} offer best effort, '
                    'reliability: reliable asks for more; set reliability to auto')
        what = 'went silent' if self.stats.ever_received() else 'sends nothing'
        lost, best_effort = '', self._reliability == ReliabilityPolicy.BEST_EFFORT
        if self._settings.transport == 'raw' and best_effort:
            lost = (', or its images are too large for DDS (transport: compressed, or '
                    'config/fastdds_large_images.xml)')
        return (f'publisher {typed[0].node_name} of {self.topic} {what} for {silent_s:.0f} s'
                f'{lost}')

    def _publishers(self) -> list:
        return [info for info in self._node.get_publishers_info_by_topic(self.topic)
                if info.topic_type == self._type_name]

    def _other_transport(self) -> str:
        """Say so where the camera publishes, but in the other way."""
        compressed = self._settings.transport == 'compressed'
        topic = (self.topic.removesuffix('/compressed') if compressed
                 else f'{self.topic}/compressed')
        if not self._node.count_publishers(topic):
            return ''
        return f'; there is {topic}: set transport: {"raw" if compressed else "compressed"}'

    def _other_topics(self) -> str:
        """Name image topics of the graph that the user may have meant."""
        suffix = '/compressed' if self._settings.transport == 'compressed' else ''
        bases = sorted(topic.removesuffix(suffix)
                       for topic, types in self._node.get_topic_names_and_types()
                       if self._type_name in types and topic.endswith(suffix)
                       and self._node.count_publishers(topic))
        others = [base for base in bases if not base.endswith('/annotated')]
        if not others:
            return ''
        # those of this camera first, depth and infrared last
        others.sort(key=lambda base: (self._prefix not in base, bool(NO_COLOUR.search(base))))
        remap = f'{self._prefix}image:={others[0]}'
        how = f'-r {remap}' if self._prefix else f'-r {remap}, for the launch file {remap}'
        return f'; images are on {", ".join(others[:3])}: remap with {how}'


def _check_stamp(msg: Image | CompressedImage) -> None:
    if msg.header.stamp.sec < 0:
        raise ImageError(f'header.stamp is {msg.header.stamp.sec} s, wanted a time since 1970')
    if msg.header.stamp.sec == 0 and msg.header.stamp.nanosec == 0:
        raise ImageError('header.stamp is zero; its driver must stamp the image, or nobody '
                         'can tell when the objects were there')
