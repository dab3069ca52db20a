# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Track objects: associate the boxes of an image with the objects of earlier images.

Two-stage association by score follows ByteTrack (Zhang et al., 2022, arXiv:2110.06864), with
these differences. All limits are times instead of numbers of images, so slow or irregular cameras
work. A box without overlap can continue a lost object if the filter's uncertainty allows it.
Pairs are assigned greedily, because optimal assignment is slow in Python and differs only in
dense crowds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.selection import margins
from lite_detector.core.types import Detections, FloatArray, IntArray
import numpy as np
import numpy.typing as npt

MEMORY_S = 2.0
"""Time in seconds after which an undetected object is removed."""
FOLLOW_SHARE = 0.5
"""Minimum score to continue a track, relative to the score threshold of a new track."""
MIN_IOU = (0.1, 0.3)
"""Minimum IoU with the prediction, for boxes above and below the score threshold."""
MEASURED = 0.05
"""Standard deviation of a detected side or centre, in sides of the box."""
NEAR = 18.5
"""Maximum squared Mahalanobis distance to the prediction: 99.9 % for four dimensions."""
START_SPEED = 1.0
"""Standard deviation of the initial speed, in sides of the box per second."""
ACCELERATION = 2.0
"""Standard deviation of the speed change within one second, in sides of the box per second."""


class Tracked(NamedTuple):
    """Tracked objects of one image."""

    detections: Detections
    """Detections, best score first; boxes are as detected, not predicted."""
    track_ids: IntArray | None
    """Track ids from 1, int64, shape (n,); None: no tracking."""
    lost: Detections = Detections.empty()
    """Predicted boxes of confirmed objects that were in the last image and are missing in this
    one, with the scores of the last image."""


class Tracker:
    """
    A tracker for the objects of one camera; it must be used by one thread only.

    :param ids: Source of track ids; trackers that share it have unique ids. None: count from 1.
    """

    def __init__(self, ids: Iterator[int] | None = None) -> None:
        self._ids = ids or count(1)
        self._class_names: Sequence[str] = ()
        self._stamp_s = 0.0
        self._motion = BoxFilter()
        self._clear()

    def _clear(self) -> None:
        self._motion.select(np.zeros(0, np.int64))
        self._track_ids = np.zeros(0, np.int64)
        self._class_ids = np.zeros(0, np.int64)
        self._scores = np.zeros(0, np.float32)
        self._unseen_s = np.zeros(0)
        self._in_last = np.zeros(0, bool)
        self._confirmed = np.zeros(0, bool)

    @property
    def remembered(self) -> int:
        """Return the number of tracked objects, detected or not."""
        return len(self._track_ids)

    def update(self, found: Detections, stamp_s: float, score_threshold: float | FloatArray,
               class_names: Sequence[str]) -> Tracked:
        """
        Process the next image, also one without detections.

        A clock jump of more than ``MEMORY_S`` in either direction removes all tracks. After a
        smaller jump back, no time passes.

        :param found: Detections down to ``FOLLOW_SHARE`` times the threshold, best score first.
        :param stamp_s: Time of the image in seconds.
        :param score_threshold: Minimum score of a new track, one for all classes or by class
            index, shape (classes,). Boxes below it only continue confirmed tracks.
        :param class_names: Names of the class ids; tracks survive a change of the model by name.
        """
        self._advance(stamp_s)
        if class_names != self._class_names:
            self._rename(class_names)
        likely = margins(found, score_threshold, class_names) >= 0
        tracks = self._associate(found, likely)
        old = np.flatnonzero(tracks >= 0)
        lost = self._see(tracks[old], found.select(old), likely[old])
        tracks[likely & (tracks < 0)] = self._begin(found.select(likely & (tracks < 0)))
        shown = np.flatnonzero(tracks >= 0)
        return Tracked(found.select(shown), self._track_ids[tracks[shown]], lost)

    def _advance(self, stamp_s: float) -> None:
        step_s = stamp_s - self._stamp_s
        self._stamp_s = stamp_s
        if abs(step_s) > MEMORY_S:
            self._clear()
        if not self.remembered:
            return
        step_s = max(step_s, 0.0)
        self._unseen_s += step_s
        self._keep(self._unseen_s <= MEMORY_S)
        self._motion.advance(step_s)

    def _keep(self, which: npt.NDArray[np.bool_]) -> None:
        if which.all():
            return
        self._motion.select(which)
        self._track_ids, self._class_ids = self._track_ids[which], self._class_ids[which]
        self._unseen_s, self._scores = self._unseen_s[which], self._scores[which]
        self._in_last, self._confirmed = self._in_last[which], self._confirmed[which]

    def _rename(self, class_names: Sequence[str]) -> None:
        new_ids = {name: index for index, name in enumerate(class_names)}
        table = np.array([new_ids.get(name, -1) for name in self._class_names], np.int64)
        if self.remembered:
            self._class_ids = table[self._class_ids]
            self._keep(self._class_ids >= 0)
        self._class_names = class_names

    def _associate(self, found: Detections,
                   likely: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
        """Return the index of the track that each box continues; -1: none."""
        tracks = np.full(len(found), -1)
        if not len(found) or not self.remembered:
            return tracks
        overlaps = iou_matrix(found.boxes_xyxy, self._motion.boxes_xyxy())
        overlaps *= found.class_ids[:, None] == self._class_ids
        first, second = np.flatnonzero(likely), np.flatnonzero(~likely)
        _pair(overlaps[first], first, MIN_IOU[0], tracks)
        lost = np.flatnonzero(likely & (tracks < 0))
        if len(lost):
            nearness = 1 - self._motion.distances(found.boxes_xyxy[lost]) / NEAR
            nearness *= found.class_ids[lost, None] == self._class_ids
            _pair(nearness, lost, 0, tracks)
        if len(second):
            _pair(overlaps[second] * self._confirmed, second, MIN_IOU[1], tracks)
        return tracks

    def _see(self, tracks: IntArray, found: Detections,
             likely: npt.NDArray[np.bool_]) -> Detections:
        """Update tracks with their detections, and return the lost objects."""
        missed = self._in_last & self._confirmed
        missed[tracks] = False
        lost = self._expected(np.flatnonzero(missed))
        self._in_last[:] = False
        if len(tracks):
            self._motion.correct(tracks, found.boxes_xyxy)
            self._scores[tracks] = found.scores
            self._unseen_s[tracks] = 0
            self._in_last[tracks] = True
            self._confirmed[tracks[likely]] = True
        return lost

    def _expected(self, tracks: IntArray) -> Detections:
        if not len(tracks):
            return Detections.empty()
        tracks = tracks[np.argsort(-self._scores[tracks], kind='stable')]
        return Detections(self._motion.boxes_xyxy()[tracks], self._scores[tracks],
                          self._class_ids[tracks])

    def _begin(self, fresh: Detections) -> IntArray:
        """Add tracks and return their indices."""
        number = len(fresh)
        if number:
            ids = np.array([next(self._ids) for _ in range(number)], np.int64)
            self._motion.add(fresh.boxes_xyxy)
            self._track_ids = np.concatenate((self._track_ids, ids))
            self._class_ids = np.concatenate((self._class_ids, fresh.class_ids))
            self._scores = np.concatenate((self._scores, fresh.scores))
            self._unseen_s = np.concatenate((self._unseen_s, np.zeros(number)))
            self._in_last = np.concatenate((self._in_last, np.ones(number, bool)))
            self._confirmed = np.concatenate((self._confirmed, np.zeros(number, bool)))
        return np.arange(self.remembered - number, self.remembered)


def _pair(likeness: FloatArray, boxes: IntArray, least: float, tracks: IntArray) -> None:
    """
    Assign free tracks to boxes without a track, best pair first.

    :param likeness: Similarity of each box (row) and each track (column).
    :param boxes: Box index of each row.
    :param least: Threshold of the similarity, exclusive.
    :param tracks: Track of each box, -1 for none; modified in place.
    """
    rows, columns = np.nonzero(likeness > least)
    order = np.argsort(-likeness[rows, columns], kind='stable')
    taken, done = set(tracks.tolist()), set()
    for box, track in zip(boxes[rows[order]].tolist(), columns[order].tolist(), strict=True):
        if box not in done and track not in taken:
            tracks[box] = track
            done.add(box)
            taken.add(track)


class BoxFilter:
    """
    Kalman filters of many boxes: centre, width and height, each with its speed.

    The four coordinates are independent, so each filter has two states, and all filters advance in
    a few array operations. The process noise is white acceleration relative to the box sides.
    """

    def __init__(self) -> None:
        self._place = np.zeros((0, 4))
        """Centre x, centre y, width, height in pixels."""
        self._speed = np.zeros((0, 4))
        self._covariance = np.zeros((3, 0, 4))
        """Variances of position, of position and speed, and of speed."""

    def boxes_xyxy(self) -> FloatArray:
        """Return the predicted boxes; float32, shape (n, 4)."""
        half = self._place[:, 2:] / 2
        centers = self._place[:, :2]
        return np.concatenate((centers - half, centers + half), axis=1).astype(np.float32)

    def add(self, boxes_xyxy: FloatArray) -> None:
        """Add boxes with unknown speed."""
        place = _to_center(boxes_xyxy)
        sides = _sides(place)
        covariance = np.zeros((3, *place.shape))
        covariance[0], covariance[2] = (MEASURED * sides) ** 2, (START_SPEED * sides) ** 2
        self._place = np.concatenate((self._place, place))
        self._speed = np.concatenate((self._speed, np.zeros_like(place)))
        self._covariance = np.concatenate((self._covariance, covariance), axis=1)

    def select(self, which: npt.NDArray[np.generic]) -> None:
        """Keep the boxes selected by an index or a mask."""
        self._place, self._speed = self._place[which], self._speed[which]
        self._covariance = self._covariance[:, which]

    def advance(self, step_s: float) -> None:
        """Predict all boxes for a later time."""
        place, mixed, speed = self._covariance
        noise = (ACCELERATION * _sides(self._place)) ** 2
        place += step_s * (2 * mixed + step_s * speed) + noise * step_s ** 3 / 3
        mixed += step_s * speed + noise * step_s ** 2 / 2
        speed += noise * step_s
        self._place += step_s * self._speed
        np.maximum(self._place[:, 2:], 1, out=self._place[:, 2:])

    def distances(self, boxes_xyxy: FloatArray) -> FloatArray:
        """Return squared Mahalanobis distances of boxes to all filters; shape (boxes, n)."""
        measured = _to_center(boxes_xyxy)
        total = self._covariance[0] + (MEASURED * _sides(self._place)) ** 2
        surprise = measured[:, None] - self._place
        return np.einsum('bnk,bnk,nk->bn', surprise, surprise, 1 / total)

    def correct(self, which: IntArray, boxes_xyxy: FloatArray) -> None:
        """
        Update filters with detections.

        :param which: Indices of the filters, unique.
        :param boxes_xyxy: Detected box of each filter.
        """
        measured = _to_center(boxes_xyxy)
        place, mixed, speed = self._covariance[:, which]
        total = place + (MEASURED * _sides(measured)) ** 2
        surprise = measured - self._place[which]
        place_gain, speed_gain = place / total, mixed / total
        self._place[which] += place_gain * surprise
        self._speed[which] += speed_gain * surprise
        self._covariance[:, which] = ((1 - place_gain) * place, (1 - place_gain) * mixed,
                                      speed - speed_gain * mixed)


def _to_center(boxes_xyxy: FloatArray) -> npt.NDArray[np.float64]:
    corners = boxes_xyxy.astype(np.float64)
    sides = np.maximum(corners[:, 2:] - corners[:, :2], 1)
    return np.concatenate(((corners[:, :2] + corners[:, 2:]) / 2, sides), axis=1)


def _sides(place: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the scale of the noise of each box: its mean side; shape (n, 1)."""
    return (place[:, 2:3] + place[:, 3:]) / 2
