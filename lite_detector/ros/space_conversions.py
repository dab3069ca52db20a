# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Conversions of CameraInfo and detections to arrays, and stamps of serialized messages."""

from __future__ import annotations

from struct import unpack_from

from lite_detector.core.errors import LocateError
from lite_detector.core.types import ImageSize
from lite_detector.ros.serialized_detections import FoundObjects
from lite_detector.scene.following import SeenObjects
from lite_detector.scene.projection import Calibration
import numpy as np
from sensor_msgs.msg import CameraInfo


def calibration_of(msg: CameraInfo) -> Calibration:
    """Return the fields of a CameraInfo."""
    roi = msg.roi
    return Calibration(
        ImageSize(msg.height, msg.width), msg.k, msg.d, msg.distortion_model, msg.r, msg.p,
        (msg.binning_x, msg.binning_y), (roi.x_offset, roi.y_offset, roi.width, roi.height))


def seen_of(found: FoundObjects) -> SeenObjects:
    """Convert 2D detections to the input of the follower and the locator."""
    half = found.boxes[:, 2:] / 2
    corners = np.concatenate((found.boxes[:, :2] - half, found.boxes[:, :2] + half), axis=1)
    if not np.isfinite(corners).all():
        raise LocateError('detections have NaN or infinite boxes; expected finite numbers')
    stamp = found.header.stamp
    return SeenObjects(stamp.sec + stamp.nanosec / 1e9, corners.astype(np.float32),
                       found.class_names, found.ids)


def stamp_ns_of(data: bytes) -> int:
    """
    Return the stamp of a serialized message that begins with a header, without deserialization.

    :param data: Serialized message.
    :raises LocateError: if the message is too short for a stamp.
    """
    if len(data) < 12:
        raise LocateError(f'malformed message of {len(data)} bytes; expected a header')
    order = '<' if data[1] & 1 else '>'  # CDR: the second byte is odd for little endian
    seconds, nanoseconds = unpack_from(f'{order}iI', data, 4)
    return seconds * 1_000_000_000 + nanoseconds
