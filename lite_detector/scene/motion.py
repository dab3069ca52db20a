# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Estimate velocities of tracked objects with constant-velocity Kalman filters in 3D."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.scene.tracking import MEMORY_S
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

START_SPEED_M_S = 5.0
"""Standard deviation of the initial speed along each axis in m/s."""
ACCELERATION = 1.0
"""Standard deviation of the speed change within one second, in m/s."""
GATE = 25.0
"""Maximum squared Mahalanobis distance; beyond it the filter is reset."""


class PositionFilter:
    """
    Kalman filters of positions and velocities of many objects, by track id.

    The process noise is white acceleration. All objects are advanced and corrected together.
    Objects that are not detected for ``MEMORY_S`` are removed. A clock jump of more than that
    clears the filter.
    """

    def __init__(self) -> None:
        self._stamp_s = 0.0
        self.clear()

    def clear(self) -> None:
        """Remove all objects."""
        self._ids: list[str] = []
        self._seen_s = np.zeros(0)
        self._place, self._speed = np.zeros((0, 3)), np.zeros((0, 3))
        self._covariance = np.zeros((3, 0, 3, 3))
        """Covariances of position, of position and speed, and of speed; shape (3, n, 3, 3)."""

    def update(self, ids: Sequence[str], positions: npt.ArrayLike, covariances: npt.ArrayLike,
               stamp_s: float) -> tuple[Array, Array]:
        """
        Process the next image.

        :param ids: Track ids of the detected objects, unique.
        :param positions: Positions in metres in a fixed frame, shape (n, 3).
        :param covariances: Covariances of the positions in m^2, shape (n, 3, 3).
        :param stamp_s: Time of the image in seconds.
        :return: Velocities in m/s, shape (n, 3), and the largest standard deviation of their
            components in m/s, shape (n,).
        """
        positions, covariances = np.asarray(positions, float), np.asarray(covariances, float)
        self._advance(stamp_s)
        rows = {id_: row for row, id_ in enumerate(self._ids)}
        places = np.array([rows.get(id_, -1) for id_ in ids], np.intp)
        known = np.flatnonzero(places >= 0)
        self._correct(places[known], positions[known], covariances[known])
        new = np.flatnonzero(places < 0)
        places[new] = self._add([ids[index] for index in new.tolist()], positions[new],
                                covariances[new])
        self._seen_s[places] = stamp_s
        deviation = self._covariance[2][places].diagonal(axis1=1, axis2=2).max(axis=1, initial=0)
        return self._speed[places], np.sqrt(deviation)

    def _advance(self, stamp_s: float) -> None:
        step_s = stamp_s - self._stamp_s
        self._stamp_s = stamp_s
        if abs(step_s) > MEMORY_S:
            self.clear()
        kept = stamp_s - self._seen_s <= MEMORY_S
        if not kept.all():
            self._ids = [id_ for id_, keep in zip(self._ids, kept, strict=True) if keep]
            self._seen_s, self._place, self._speed = (
                each[kept] for each in (self._seen_s, self._place, self._speed))
            self._covariance = self._covariance[:, kept]
        step_s = max(step_s, 0.0)
        place, mixed, speed = self._covariance
        noise = ACCELERATION ** 2 * np.eye(3)
        place += step_s * (mixed + mixed.transpose(0, 2, 1)) + step_s ** 2 * speed
        place += noise * step_s ** 3 / 3
        mixed += step_s * speed + noise * step_s ** 2 / 2
        speed += noise * step_s
        self._place += step_s * self._speed

    def _correct(self, rows: npt.NDArray[np.intp], positions: Array, covariances: Array) -> None:
        if not len(rows):
            return
        place, mixed, speed = self._covariance[:, rows]
        surprise = positions - self._place[rows]
        inverse = np.linalg.inv(place + covariances)
        far = np.einsum('ni,nij,nj->n', surprise, inverse, surprise) > GATE
        gain, speed_gain = place @ inverse, mixed.transpose(0, 2, 1) @ inverse
        self._place[rows] += np.einsum('nij,nj->ni', gain, surprise)
        self._speed[rows] += np.einsum('nij,nj->ni', speed_gain, surprise)
        self._covariance[:, rows] = (place - gain @ place, mixed - gain @ mixed,
                                     speed - speed_gain @ mixed)
        if far.any():
            far_rows = rows[far]
            self._place[far_rows], self._speed[far_rows] = positions[far], 0
            self._covariance[:, far_rows] = _start(covariances[far])

    def _add(self, ids: Sequence[str], positions: Array,
             covariances: Array) -> npt.NDArray[np.intp]:
        """Add objects with unknown speed, and return their row indices."""
        first = len(self._ids)
        self._ids += ids
        self._seen_s = np.concatenate((self._seen_s, np.zeros(len(ids))))
        self._place = np.concatenate((self._place, positions))
        self._speed = np.concatenate((self._speed, np.zeros_like(positions)))
        self._covariance = np.concatenate((self._covariance, _start(covariances)), axis=1)
        return np.arange(first, first + len(ids))


def _start(covariances: Array) -> Array:
    speed = np.broadcast_to(START_SPEED_M_S ** 2 * np.eye(3), covariances.shape)
    return np.stack((covariances, np.zeros_like(covariances), speed))
