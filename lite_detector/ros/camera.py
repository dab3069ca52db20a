# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""One camera of the node: its subscription, its publishers and its health."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
import time
from typing import NamedTuple

from lite_detector.core.encodings import compressed_to_reduced, lost_colour
from lite_detector.core.errors import ImageError
from lite_detector.core.reduction import Reduced
from lite_detector.core.types import Detections, FloatArray, ImageArray, size_of
from lite_detector.detector import Detector
from lite_detector.ros.camera_stats import CameraStats
from lite_detector.ros.conversions import (
    compressed_msg_to_bgr,
    image_msg_to_bgr,
    KNOWN_ENCODINGS,
)
from lite_detector.ros.image_input import ImageInput, Received, TYPE_NAMES
from lite_detector.ros.message_thread import MessageThread
from lite_detector.ros.messages import detection_array, nanoseconds_of
from lite_detector.ros.overlay import Overlay
from lite_detector.ros.serialized import read_in_place, SerializedImage
from lite_detector.ros.settings import Settings
from lite_detector.scene.tracking import Tracked, Tracker
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2DArray

try:
    from rclpy.event_handler import PublisherEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import PublisherEventCallbacks

SILENCE_S = 3.0
OUTPUT_DEPTH = 5
# By default rclpy waits for two QoS events of each topic, and makes ready for it anew with every
# image. `silence` says what is wrong with a camera; who listens with another QoS hears it there.
NO_EVENTS = PublisherEventCallbacks(use_default_callbacks=False)


class Serving(NamedTuple):
    """Immutable state that the worker uses for one frame; replaced between two frames."""

    detector: Detector
    class_ids: list[str]
    folder: Path
    track_thresholds: FloatArray | None
    """Minimum scores of a new track, by class index, shape (classes,); None: tracking is off."""


class Served(NamedTuple):
    """Result of one frame."""

    stamp_ns: int
    image: Reduced
    found: Detections
    """Boxes in pixels of the full image."""
    tracked: Tracked
    """Detections with track ids; without tracking, all detections."""


class Camera:
    """
    One camera: its image subscription and its publishers.

    :param node: Node of the publishers.
    :param messages: Thread that receives the images.
    :param name: Namespace of the camera; empty: namespace of the node.
    :param settings: Parameters of the node.
    :param on_frame: Function called with the camera and each serialized message.
    :param track_ids: Iterator over unused track ids, shared by all cameras.
    """

    def __init__(self, node: Node, messages: MessageThread, name: str, settings: Settings,
                 on_frame: Callable[[Camera, Received], None],
                 track_ids: Iterator[int] | None = None) -> None:
        self.name = name
        self.stats = CameraStats()
        self._node = node
        self._track_ids = track_ids
        self._tracker: Tracker | None = None
        self._turns = count()
        self._warns_of_lost_colour = True
        prefix = f'{name}/' if name else ''
        self._input = ImageInput(node, messages, prefix, settings.transport,
                                 settings.reliability, self.stats,
                                 lambda received: on_frame(self, received))
        self.label = name or self.topic
        """Name of the camera in log and diagnostics; constant if the topic changes."""
        self._detections = node.create_publisher(Detection2DArray, f'{prefix}detections',
                                                 OUTPUT_DEPTH, event_callbacks=NO_EVENTS)
        self.overlay = Overlay(node, prefix, OUTPUT_DEPTH, NO_EVENTS)

    @property
    def topic(self) -> str:
        """Return the current image topic."""
        return self._input.source.topic

    @property
    def transport(self) -> str:
        """Return the current transport: raw or compressed."""
        return self._input.transport

    def serve(self, received: Received, serving: Serving, full: bool, draw: bool) -> Served:
        """
        Detect in a frame and publish the result.

        :param received: Serialized image message.
        :param serving: Model and its settings.
        :param full: True: the caller needs the image at full size.
        :param draw: True: publish the annotated image, if it has a subscriber.
        :raises LiteDetectorError: if the frame is unusable.
        """
        begin_s = time.monotonic()
        msg = self.unpack(received)
        draw = draw and self.overlay.has_viewers()
        image = self.read_for(msg, serving.detector, draw or full)
        # each camera has its own round-robin index of tiles
        found = image.to_full(serving.detector.detect(image.image_bgr, next(self._turns)))
        tracked = self.track(msg, found, serving)
        self.publish(msg, image.image_bgr if draw else None, tracked, serving)
        self.stats.on_worked(time.monotonic() - begin_s)
        return Served(nanoseconds_of(msg.header.stamp), image, found, tracked)

    def unpack(self, received: Received) -> Image | CompressedImage:
        """
        Deserialize an image message.

        :raises ImageError: if it is damaged.
        """
        try:
            msg = read_in_place(received.data, received.message_type)
            if isinstance(msg, SerializedImage) and msg.encoding not in KNOWN_ENCODINGS:
                return deserialize_message(received.data, received.message_type)  # for cv_bridge
            return msg
        except Exception:  # RMWError has no public name
            raise ImageError('malformed message; expected a serialized '
                             f'{TYPE_NAMES[received.message_type]}') from None

    def read(self, msg: Image | CompressedImage) -> ImageArray:
        """
        Convert a message to an image, uint8 BGR, shape (height, width, 3).

        :raises ImageError: if it cannot be read or has no stamp.
        """
        _check_stamp(msg)
        if not hasattr(msg, 'format'):  # an Image of rclpy or read_in_place
            return image_msg_to_bgr(msg)
        self._warn_of_lost_colour(msg)
        return compressed_msg_to_bgr(msg)

    def _warn_of_lost_colour(self, msg: CompressedImage) -> None:
        """Log once that the transport of a colour camera sends grey images, and how to fix it."""
        encoding = lost_colour(msg) if self._warns_of_lost_colour else ''
        if encoding:
            self._warns_of_lost_colour = False
            self._node.get_logger().warning(
                f'camera {self.label}: no colour in {self.topic}: the compressed transport of the '
                f'camera converts {encoding} to grey (format {msg.format!r}), which lowers the '
                'scores of a colour model; configure the driver to publish rgb8 or bgr8, or set '
                'transport to raw')

    def read_for(self, msg: Image | CompressedImage, detector: Detector, full: bool) -> Reduced:
        """
        Convert a message for a detector; a JPEG is decoded at the smallest sufficient size.

        :param msg: Image message.
        :param detector: Detector that receives the image.
        :param full: True: the full image is needed.
        :raises ImageError: as :meth:`read`.
        """
        if full or not hasattr(msg, 'format'):
            image_bgr = self.read(msg)
            return Reduced(image_bgr, 1, size_of(image_bgr))
        _check_stamp(msg)
        self._warn_of_lost_colour(msg)
        return compressed_to_reduced(msg, detector.least_size)

    def track(self, msg: Image | CompressedImage, found: Detections,
              serving: Serving) -> Tracked:
        """
        Assign track ids to the objects, if tracking is on.

        :param msg: Image of the detections.
        :param found: Detections in pixels of the full image.
        :param serving: Model and its settings.
        """
        if serving.track_thresholds is None:
            self._tracker = None
            return Tracked(found, None)
        if self._tracker is None:
            self._tracker = Tracker(self._track_ids)
        stamp = msg.header.stamp
        return self._tracker.update(found, stamp.sec + stamp.nanosec / 1e9,
                                    serving.track_thresholds, serving.detector.card.class_names)

    def publish(self, msg: Image | CompressedImage, image_bgr: ImageArray | None,
                tracked: Tracked, serving: Serving) -> None:
        """
        Publish detections, and their overlays if they have subscribers.

        :param msg: Image of the detections.
        :param image_bgr: Full image to annotate, uint8, shape (h, w, 3); None: no annotation.
        :param tracked: Detections with track ids.
        :param serving: Model and its settings.
        """
        self._detections.publish(detection_array(msg.header, tracked.detections,
                                                 serving.class_ids, tracked.track_ids))
        now_ns = self._node.get_clock().now().nanoseconds
        self.stats.on_published((now_ns - nanoseconds_of(msg.header.stamp)) / 1e9)
        self.overlay.update(msg.header, tracked, serving.detector.card.class_names)
        if image_bgr is not None:
            self.overlay.draw(msg.header, image_bgr)

    def subscribe(self) -> None:
        """Create the image subscription."""
        self._input.subscribe()

    def unsubscribe(self) -> None:
        """Destroy the image subscription, so that messages cost no CPU time."""
        self._input.unsubscribe()

    def destroy(self) -> None:
        """Destroy the subscription and the publishers."""
        self.unsubscribe()
        self._node.destroy_publisher(self._detections)
        self.overlay.destroy()

    def follow_publishers(self) -> None:
        """Adapt the subscription to the publishers: type, and reliability with ``auto``."""
        self._input.follow()

    def silence(self) -> str | None:
        """Return the reason why no image arrives; None: images arrive."""
        silent_s = self.stats.silent_s()
        if not self._input.is_listening or silent_s < SILENCE_S:
            return None
        return self._input.reason(silent_s)


def _check_stamp(msg: Image | CompressedImage) -> None:
    if msg.header.stamp.sec < 0:
        raise ImageError(f'header.stamp: {msg.header.stamp.sec} s; expected a time after 1970')
    if msg.header.stamp.sec == 0 and msg.header.stamp.nanosec == 0:
        raise ImageError('header.stamp: 0; expected the capture time of the image; configure the '
                         'driver to stamp its images')
