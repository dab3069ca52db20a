# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Serialization of detections as arrays of numbers; rclpy would process each field separately.

rclpy needs 2 ms to serialize and 2 ms to deserialize 20 detections on x86-64, because each has a
pose with a covariance. A detection of vision_msgs 4 consists of a header, one result (class name,
then a row of numbers that continues with the box) and an id. This module checks once that the
installed vision_msgs has this format; if not, it uses rclpy.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
import struct
from typing import Any, NamedTuple

from lite_detector.ros.serialized import CdrReader, PLAIN_CDR
import numpy as np
import numpy.typing as npt
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3D,
    Detection3DArray,
    ObjectHypothesisWithPose,
)

Array = npt.NDArray[np.float64]
Kind = type[Detection2DArray] | type[Detection3DArray]

ITEMS = {Detection2DArray: Detection2D, Detection3DArray: Detection3D}
RESULT = 44
"""Count of numbers in a result: score, position, orientation (x, y, z, w), covariance."""
BOX = {Detection2DArray: 5, Detection3DArray: 10}
"""Count of numbers in a box: 2D: centre (x, y, theta) and sides; 3D: centre (pose) and sides."""
ORIENTATION_W = 7
"""Index of w of the orientation of a result; w is 1 without rotation."""
PREFIX = b'\0\1\0\0'
ONE = struct.pack('<I', 1)
PADDING = tuple(bytes(count) for count in range(8))


class FoundObjects(NamedTuple):
    """The detections of a message that have a class."""

    header: Header
    boxes: Array
    """Centre x and y, width, height in pixels, shape (n, 4)."""
    class_names: list[str]
    scores: list[float]
    ids: list[str]


def empty_rows(kind: Kind, count: int) -> Array:
    """Return rows for ``write_detections`` with the default pose of rclpy."""
    rows = np.zeros((count, RESULT + BOX[kind]))
    rows[:, ORIENTATION_W] = 1
    return rows


def write_detections(kind: Kind, header: Header, class_names: Sequence[str], rows: Array,
                     ids: Sequence[str]) -> bytes:
    """
    Create a serialized array of detections with one result each.

    :param kind: Type of the message.
    :param header: Header of the array and of each detection.
    :param class_names: Texts of class_id by detection.
    :param rows: Numbers of the result and of the box, shape (n, 44 + numbers of the box).
    :param ids: Texts of id by detection.
    """
    # mypy assumes that a class of unknown type is not hashable
    if not _is_known(kind):  # type: ignore[arg-type]
        return serialize_message(_message(kind, header, class_names, rows, ids))
    return _written(header, class_names, rows, ids)


def read_detections(data: bytes) -> FoundObjects:
    """
    Read a serialized Detection2DArray, using the first result of each detection.

    :param data: Serialized message.
    :raises Exception: if the message is malformed.
    """
    order = PLAIN_CDR.get(data[:2])
    if order is None or not _is_known(Detection2DArray):
        return _read_by_rclpy(data)
    reader = CdrReader(data, order)
    header = reader.header()
    boxes, names, scores, ids = [], [], [], []
    for _ in range(reader.number()):
        reader.skip_header()
        results = [(reader.text(), reader.numbers(RESULT)[0]) for _ in range(reader.number())]
        x, y, _, width, height = reader.numbers(5)
        track_id = reader.text()
        if results:
            names.append(results[0][0])
            scores.append(results[0][1])
            boxes.append((x, y, width, height))
            ids.append(track_id)
    return FoundObjects(header, np.array(boxes, float).reshape(-1, 4), names, scores, ids)


def _read_by_rclpy(data: bytes) -> FoundObjects:
    msg = deserialize_message(data, Detection2DArray)
    found = [each for each in msg.detections if each.results]
    boxes = [(each.bbox.center.position.x, each.bbox.center.position.y, each.bbox.size_x,
              each.bbox.size_y) for each in found]
    hypotheses = [each.results[0].hypothesis for each in found]
    return FoundObjects(msg.header, np.array(boxes, float).reshape(-1, 4),
                        [each.class_id for each in hypotheses],
                        [each.score for each in hypotheses], [each.id for each in found])


def _written(header: Header, class_names: Sequence[str], rows: Array,
             ids: Sequence[str]) -> bytes:
    begin = (struct.pack('<iI', header.stamp.sec, header.stamp.nanosec)
             + _text(header.frame_id))
    numbers = memoryview(rows.astype('<f8').tobytes())
    size = 8 * rows.shape[1]
    out = bytearray(PREFIX + begin)
    out += PADDING[-len(out) % 4] + struct.pack('<I', len(rows))
    for index, (class_name, track_id) in enumerate(zip(class_names, ids, strict=True)):
        out += PADDING[-len(out) % 4]
        out += begin
        out += PADDING[-len(out) % 4]
        out += ONE
        out += _text(class_name)
        out += PADDING[(4 - len(out)) % 8]  # the alignment does not include the prefix
        out += numbers[index * size:(index + 1) * size]
        out += _text(track_id)
    return bytes(out)


@lru_cache(1000)
def _text(text: str) -> bytes:
    data = text.encode() + b'\0'
    return struct.pack('<I', len(data)) + data


@cache
def _is_known(kind: Kind) -> bool:
    """Return whether the installed vision_msgs reads the format of this module correctly."""
    rows = np.arange(2.0 * (RESULT + BOX[kind])).reshape(2, -1)
    sample = Header(frame_id='lens'), ['a', 'name'], rows, ['', '12']
    try:
        return deserialize_message(_written(*sample), kind) == _message(kind, *sample)
    except Exception:  # a field differs; RMWError has no public name
        return False


def _message(kind: Kind, header: Header, class_names: Sequence[str], rows: Array,
             ids: Sequence[str]) -> Detection2DArray | Detection3DArray:
    items = []
    for class_name, row, track_id in zip(class_names, rows.tolist(), ids, strict=True):
        result = ObjectHypothesisWithPose()
        result.hypothesis.class_id, result.hypothesis.score = class_name, row[0]
        _fill_pose(result.pose.pose, row[1:8])
        result.pose.covariance = row[8:RESULT]
        item = ITEMS[kind](header=header, results=[result], id=track_id)
        center, box = item.bbox.center, row[RESULT:]
        if kind is Detection2DArray:
            (center.position.x, center.position.y, center.theta, item.bbox.size_x,
             item.bbox.size_y) = box
        else:
            _fill_pose(center, box[:7])
            item.bbox.size.x, item.bbox.size.y, item.bbox.size.z = box[7:]
        items.append(item)
    return kind(header=header, detections=items)


def _fill_pose(pose: Any, numbers: Sequence[float]) -> None:
    position, orientation = pose.position, pose.orientation
    position.x, position.y, position.z = numbers[:3]
    orientation.x, orientation.y, orientation.z, orientation.w = numbers[3:]
