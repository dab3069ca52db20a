# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From CameraInfo and detections to arrays, and stamps of serialized messages."""

from __future__ import annotations

from collections.abc import Sequence
from struct import unpack_from

from lite_detector.core.errors import LocateError
from lite_detector.core.following import Seen
from lite_detector.core.projection import Calibration
from lite_detector.core.types import ImageSize
import numpy as np
from sensor_msgs.msg import CameraInfo
from std_msgs.msg import Header
from vision_msgs.msg import Detection2D


def calibration_of(msg: CameraInfo) -> Calibration:
    """Return the fields of a CameraInfo."""
    roi = msg.roi
    return Calibration(
        ImageSize(msg.height, msg.width), msg.k, msg.d, msg.distortion_model, msg.r, msg.p,
        (msg.binning_x, msg.binning_y), (roi.x_offset, roi.y_offset, roi.width, roi.height))


def seen_of(header: Header, found: Sequence[Detection2D]) -> Seen:
    """Return the boxes, names and ids of 2D detections."""
    boxes = np.array([(box.center.position.x, box.center.position.y, box.size_x, box.size_y)
                      for box in (each.bbox for each in found)], float).reshape(-1, 4)
    half = boxes[:, 2:] / 2
    corners = np.concatenate((boxes[:, :2] - half, boxes[:, :2] + half), axis=1)
    if not np.isfinite(corners).all():
        raise LocateError('detections have boxes that are no numbers')
    return Seen(header.stamp.sec + header.stamp.nanosec / 1e9, corners.astype(np.float32),
                [each.results[0].hypothesis.class_id for each in found],
                [each.id for each in found])


def stamp_ns_of(data: bytes) -> int:
    """
    Return the stamp of a serialized message that begins with a header, without unpacking it.

    :raises LocateError: if it is too short for one.
    """
    if len(data) < 12:
        raise LocateError(f'damaged message of {len(data)} bytes')
    order = '<' if data[1] & 1 else '>'  # CDR: the second byte is odd for little endian
    seconds, nanoseconds = unpack_from(f'{order}iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds
