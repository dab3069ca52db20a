# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""TF transforms between two frames at a time; imported only if another frame is needed."""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.errors import LocateError
import numpy as np
import numpy.typing as npt
from rclpy.node import Node
from rclpy.time import Time
from tf2_ros import (
    Buffer,
    ExtrapolationException,
    TransformException,
    TransformListener,
)


class Transform(NamedTuple):
    """Transform of points between two frames: rotation @ point + translation."""

    rotation: npt.NDArray[np.float64]
    translation: npt.NDArray[np.float64]
    quaternion: tuple[float, float, float, float]
    """Rotation as a quaternion x, y, z, w."""


class Transforms:
    """
    TF listener of a node.

    :param node: Node of the subscriptions.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._begin()

    def _begin(self) -> None:
        self._buffer = Buffer()
        self._listener = TransformListener(self._buffer, self._node, spin_thread=False)

    def restart(self) -> None:
        """Clear the buffer after a time jump, because TF refuses older transforms."""
        self.destroy()
        self._begin()

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self._listener.unregister()

    def lookup(self, target: str, source: str, stamp: Time, tolerance_s: float) -> Transform:
        """
        Return the transform of points from one frame to another.

        :param target: Frame of the result.
        :param source: Frame of the points.
        :param stamp: Time of the transform; TF interpolates. If it is newer than the newest
            transform, the newest one is used, if it is not older than the tolerance.
        :param tolerance_s: Maximum age of the newest transform relative to ``stamp`` in s.
        :raises LocateError: if there is no transform.
        """
        try:
            try:
                found = self._buffer.lookup_transform(target, source, stamp)
            except ExtrapolationException:
                found = self._buffer.lookup_transform(target, source, Time())
                newest = Time.from_msg(found.header.stamp)
                older_s = (stamp.nanoseconds - newest.nanoseconds) / 1e9
                if not 0 <= older_s <= tolerance_s:
                    raise LocateError(
                        f'no transform from {source} to {target} at the time of the detections: '
                        f'the newest is {-older_s:+.3f} s from it; expected -{tolerance_s:g} to 0 '
                        's (sync_tolerance_s)') from None
        except (TransformException, ValueError) as error:  # ValueError: an invalid name
            reason = ' '.join(str(error).split())
            raise LocateError(f'no transform from {source} to {target}: {reason}') from None
        q, t = found.transform.rotation, found.transform.translation
        quaternion = (q.x, q.y, q.z, q.w)
        return Transform(rotation_of(quaternion), np.array((t.x, t.y, t.z)), quaternion)


def rotation_of(quaternion: tuple[float, float, float, float]) -> npt.NDArray[np.float64]:
    """Return the rotation matrix of a unit quaternion x, y, z, w."""
    x, y, z, w = quaternion
    return np.array((
        (1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)),
        (2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)),
        (2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y))))
