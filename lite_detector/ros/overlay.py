# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Visualization of the boxes of one camera: annotated images and image markers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from geometry_msgs.msg import Point
from lite_detector.core.draw import class_color, draw_detections
from lite_detector.core.types import Detections, ImageArray
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.messages import nanoseconds_of
from lite_detector.scene.tracking import Tracked
from rclpy.node import Node
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import ColorRGBA, Header

try:
    from visualization_msgs.msg import ImageMarker
except ImportError:  # it is part of RViz and Foxglove, which a robot does not need
    ImageMarker = None

MAX_AGE_S = 2.0
"""Maximum time between boxes and the image on which they are drawn."""
LINE_PX = 2.0


class _Boxes(NamedTuple):
    stamp_ns: int
    tracked: Tracked
    class_names: Sequence[str]


class Overlay:
    """
    Publishes ``annotated``, ``annotated/compressed`` and ``image_markers`` of one camera.

    A message is created only while its topic has a subscriber.

    :param node: Node of the publishers.
    :param prefix: Prefix of the topic names.
    :param depth: Queue depth of the publishers.
    :param event_callbacks: Event callbacks of the publishers.
    """

    def __init__(self, node: Node, prefix: str, depth: int,
                 event_callbacks: Any) -> None:
        self._node = node
        self._boxes: _Boxes | None = None
        kinds = {'annotated': Image, 'annotated/compressed': CompressedImage}
        if ImageMarker is not None:
            kinds['image_markers'] = ImageMarker
        image, compressed, *markers = (
            node.create_publisher(kind, f'{prefix}{topic}', depth, event_callbacks=event_callbacks)
            for topic, kind in kinds.items())
        self._pictures = ((image, bgr_to_image_msg), (compressed, bgr_to_compressed_msg))
        self._markers = markers

    def has_viewers(self) -> bool:
        """Return whether an annotated image has a subscriber."""
        return any(publisher.get_subscription_count() for publisher, _ in self._pictures)

    def update(self, header: Header, tracked: Tracked, class_names: Sequence[str]) -> None:
        """
        Take the newest boxes, and publish them as markers.

        :param header: Header of the image of the detections.
        :param tracked: Detections with track ids.
        :param class_names: Class names by index.
        """
        # one assignment: another thread may draw
        self._boxes = _Boxes(nanoseconds_of(header.stamp), tracked, class_names)
        for publisher in self._markers:
            if publisher.get_subscription_count():
                publisher.publish(image_marker(header, tracked.detections))

    def draw(self, header: Header, image_bgr: ImageArray) -> None:
        """
        Publish an image with the newest boxes, if they are not too old for it.

        :param header: Header of the image.
        :param image_bgr: Image, uint8, shape (height, width, 3).
        """
        listeners = [(publisher, to_message) for publisher, to_message in self._pictures
                     if publisher.get_subscription_count()]
        if not listeners:
            return
        boxes = self._boxes
        stamp_ns = nanoseconds_of(header.stamp)
        if boxes and abs(stamp_ns - boxes.stamp_ns) <= MAX_AGE_S * 1e9:
            image_bgr = draw_detections(image_bgr, boxes.tracked.detections, boxes.class_names,
                                        boxes.tracked.track_ids)
        for publisher, to_message in listeners:
            publisher.publish(to_message(image_bgr, header))

    def destroy(self) -> None:
        """Destroy the publishers."""
        for publisher in (*(each for each, _ in self._pictures), *self._markers):
            self._node.destroy_publisher(publisher)


def image_marker(header: Header, detections: Detections) -> ImageMarker:
    """
    Create one message of line segments for all boxes, which replaces the previous message.

    Foxglove draws it over the camera image.

    :param header: Header of the image.
    :param detections: Detections in pixels of the image.
    """
    points: list[Point] = []
    colors = []
    for (left, top, right, bottom), class_id in zip(
            detections.boxes_xyxy.tolist(), detections.class_ids.tolist(), strict=True):
        blue, green, red = (channel / 255 for channel in class_color(class_id))
        corners = [Point(x=x, y=y) for x, y in ((left, top), (right, top), (right, bottom),
                                                (left, bottom))]
        for first, second in zip(corners, (*corners[1:], corners[0]), strict=True):
            points += (first, second)
            colors.append(ColorRGBA(r=red, g=green, b=blue, a=1.0))
    return ImageMarker(header=header, ns='detections', type=ImageMarker.LINE_LIST,
                       action=ImageMarker.ADD, scale=LINE_PX, points=points,
                       outline_colors=colors,
                       outline_color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0))
