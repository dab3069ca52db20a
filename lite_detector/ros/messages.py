# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Detections and class names as vision_msgs messages."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from builtin_interfaces.msg import Time
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import Detections, IntArray
from lite_detector.ros.serialized_detections import empty_rows, RESULT, write_detections
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, VisionInfo

try:
    from vision_msgs.msg import LabelInfo, VisionClass
except ImportError:  # vision_msgs of early Humble does not have them
    LabelInfo = VisionClass = None

_VERSION = 1


def detection_array(header: Header, detections: Detections, class_ids: Sequence[str],
                    track_ids: Sequence[int] | IntArray | None = None) -> bytes:
    """
    Create a serialized Detection2DArray.

    :param header: Header of the image, used for the array and for every detection.
    :param detections: Detections in pixels of the camera image.
    :param class_ids: Texts of class_id, by class index.
    :param track_ids: Track ids, shape (n,); None: id stays empty.
    """
    rows = empty_rows(Detection2DArray, len(detections))
    rows[:, 0] = detections.scores
    x, y, _, width, height = rows[:, RESULT:].T
    left, top, right, bottom = detections.boxes_xyxy.T.astype(float)
    x[:], y[:] = (left + right) / 2, (top + bottom) / 2
    width[:], height[:] = right - left, bottom - top
    names = [class_ids[index] for index in detections.class_ids.tolist()]
    ids = [''] * len(detections) if track_ids is None else [str(each) for each in track_ids]
    return write_detections(Detection2DArray, header, names, rows, ids)


def nanoseconds_of(stamp: Time) -> int:
    """Return the time of a stamp in ns; ``rclpy.time.Time`` takes ten times as long."""
    return stamp.sec * 10 ** 9 + stamp.nanosec


def class_id_strings(card: NetworkCard, class_id_format: str) -> list[str]:
    """
    Return the texts of class_id, by class index.

    :param card: Card of the model.
    :param class_id_format: Format: name or index.
    """
    if class_id_format == 'index':
        return [str(index) for index in range(len(card.class_names))]
    return list(card.class_names)


def label_info(header: Header, card: NetworkCard, score_threshold: float) -> LabelInfo:
    """Create the message with the class names by index."""
    return LabelInfo(
        header=header, threshold=score_threshold,
        class_map=[VisionClass(class_id=index, class_name=name)
                   for index, name in enumerate(card.class_names)])


def vision_info(header: Header, card: NetworkCard, folder: Path) -> VisionInfo:
    """Create the message with the model, and the folder of its class names."""
    return VisionInfo(header=header, method=f'{card.name}: {card.description}',
                      database_location=str(folder), database_version=_VERSION)
