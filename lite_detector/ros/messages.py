# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Detections and class names as vision_msgs messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builtin_interfaces.msg import Time
from lite_detector.core.model_card import ModelCard
from lite_detector.core.types import Detections
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose, VisionInfo

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # the vision_msgs of early Humble has none
    LabelInfo = VisionClass = None

_VERSION = 1


class DetectionsWriter:
    """
    Turns detections into messages; owned by one thread.

    A Detection2D costs more to construct than to fill (it carries a covariance), so the objects
    are used again for the next image: a message is valid until the next call of ``write``.
    """

    def __init__(self) -> None:
        self._pool: list[Detection2D] = []

    def write(self, header: Header, detections: Detections, class_ids: Sequence[str],
              track_ids: Sequence[int] | None = None) -> Detection2DArray:
        """
        Fill a message.

        :param header: of the image; it is set on the array and on every detection.
        :param detections: boxes in camera pixels.
        :param class_ids: what class_id says, by class index.
        :param track_ids: numbers of the objects; None: id stays empty.
        """
        ids = [''] * len(detections) if track_ids is None else map(str, track_ids)
        while len(self._pool) < len(detections):
            self._pool.append(Detection2D(results=[ObjectHypothesisWithPose()]))
        items = self._pool[:len(detections)]
        columns = zip(items, detections.boxes_xyxy.tolist(), detections.scores.tolist(),
                      detections.class_ids.tolist(), ids, strict=True)
        for item, (left, top, right, bottom), score, class_id, track_id in columns:
            item.header, item.id = header, track_id
            hypothesis = item.results[0].hypothesis
            hypothesis.class_id = class_ids[class_id]
            hypothesis.score = score
            box = item.bbox
            box.center.position.x = (left + right) / 2
            box.center.position.y = (top + bottom) / 2
            box.size_x = right - left
            box.size_y = bottom - top
        return Detection2DArray(header=header, detections=items)


def nanoseconds_of(stamp: Time) -> int:
    """Return the time of a stamp; an ``rclpy.time.Time`` takes ten times as long to make."""
    return stamp.sec * 10 ** 9 + stamp.nanosec


def class_id_strings(card: ModelCard, class_id_format: str) -> list[str]:
    """
    Return what class_id says, by class index.

    :param class_id_format: name or index.
    """
    if class_id_format == 'index':
        return [str(index) for index in range(len(card.class_names))]
    return list(card.class_names)


def label_info(header: Header, card: ModelCard, score_threshold: float) -> LabelInfo:
    """Return the map from class index to class name."""
    return LabelInfo(
        header=header, threshold=score_threshold,
        class_map=[VisionClass(class_id=index, class_name=name)
                   for index, name in enumerate(card.class_names)])


def vision_info(header: Header, card: ModelCard, folder: Path) -> VisionInfo:
    """Return what finds the objects, and where its class names stand."""
    return VisionInfo(header=header, method=f'{card.name}: {card.description}',
                      database_location=str(folder), database_version=_VERSION)
