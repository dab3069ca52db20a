# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The boxes of one camera for people to look at: as annotated images, and as image markers."""

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
except ImportError:  # it comes with RViz and Foxglove, and a robot needs neither
    ImageMarker = None

MAX_AGE_S = 2.0
"""Boxes further in time from an image are not drawn on it."""
LINE_PX = 2.0


class _Boxes(NamedTuple):
    stamp_ns: int
    tracked: Tracked
    class_names: Sequence[str]


class Overlay:
    """
    Publishes ``annotated``, ``annotated/compressed`` and ``image_markers`` of one camera.

    Each message is only made while somebody subscribes to its topic.

    :param node: owner of the publishers.
    :param prefix: of the names of the topics.
    :param depth: of the queues.
    :param event_callbacks: of the publishers.
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
        """Tell whether somebody subscribes to an annotated image."""
        return any(publisher.get_subscription_count() for publisher, _ in self._pictures)

    def update(self, header: Header, tracked: Tracked, class_names: Sequence[str]) -> None:
        """
        Take the newest boxes, and publish them as markers.

        :param header: of the image they were found in.
        :param tracked: detections, and ids where there are any.
        :param class_names: names by class index.
        """
        # one assignment: another thread may draw
        self._boxes = _Boxes(nanoseconds_of(header.stamp), tracked, class_names)
        for publisher in self._markers:
            if publisher.get_subscription_count():
                publisher.publish(image_marker(header, tracked.detections))

    def draw(self, header: Header, image_bgr: ImageArray) -> None:
        """
        Publish an image with the newest boxes, if they are not too old for it.

        :param header: of the image.
        :param image_bgr: uint8, shape (height, width, 3).
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
        """Give the publishers back."""
        for publisher in (*(each for each, _ in self._pictures), *self._markers):
            self._node.destroy_publisher(publisher)


def image_marker(header: Header, detections: Detections) -> ImageMarker:
    """
    Return boxes as one message of line segments, which replaces the message before.

    Foxglove draws it over the camera image.

    :param header: of the image.
    :param detections: boxes in pixels of the image.
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
