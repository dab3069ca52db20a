# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Scenes whose tracks are known, and how well a tracker does in them: MOTA and IDF1."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import Detections, FloatArray
import numpy as np

WIDTH, HEIGHT = 640, 480
MIN_IOU = 0.5


class Frame(NamedTuple):
    """What is to be seen at a time, and what a detector makes of it."""

    stamp_s: float
    boxes_xyxy: FloatArray
    """Of all objects, seen or not, shape (objects, 4)."""
    found: Detections


def wandering(objects: int, frames: int, seed: int = 0) -> Iterator[Frame]:
    """
    Let objects wander over a picture of a camera with an irregular rate.

    Boxes are off by 3 % of their side; each object scores low for a while now and then, is missed
    for a while, and is missed where another hides it; now and then there is nothing where a box
    is found.
    """
    random = np.random.default_rng(seed)
    sides = random.uniform((25, 40), (60, 120), (objects, 2))
    centers = random.uniform((60, 60), (WIDTH - 60, HEIGHT - 60), (objects, 2))
    speeds = random.normal(0, 60, (objects, 2))
    class_ids = np.arange(objects) % 2
    dim, gone = np.zeros(objects), np.zeros(objects)
    stamp_s = 1000.0
    for _ in range(frames):
        step_s = random.uniform(0.03, 0.12)
        stamp_s += step_s
        speeds += random.normal(0, 60, (objects, 2)) * np.sqrt(step_s)
        speeds *= np.exp(-step_s / 4)
        centers += speeds * step_s
        outside = (centers < 30) | (centers > (WIDTH - 30, HEIGHT - 30))
        speeds[outside] = -speeds[outside]
        centers = centers.clip(30, (WIDTH - 30, HEIGHT - 30))
        boxes = np.concatenate((centers - sides / 2, centers + sides / 2), axis=1)
        dim, gone = dim - step_s, gone - step_s
        dim[random.random(objects) < 0.3 * step_s] = random.uniform(0.2, 1)
        gone[random.random(objects) < 0.2 * step_s] = random.uniform(0.1, 0.6)
        # the later object stands before the earlier one
        hidden = np.triu(iou_matrix(*[boxes.astype(np.float32)] * 2) > 0.4, 1).any(axis=1)
        seen = (gone <= 0) & ~hidden & (random.random(objects) > 0.02)
        noisy = boxes + random.normal(0, 0.03, (objects, 4)) * np.tile(sides, 2)
        scores = np.where(dim > 0, random.uniform(0.2, 0.34, objects),
                          random.uniform(0.4, 0.9, objects))
        false = int(random.random() < 0.05)
        corner = random.uniform(0, 400, (false, 2))
        found = Detections(
            np.concatenate((noisy[seen], np.tile(corner, 2) + (0, 0, 40, 60))).astype(np.float32),
            np.concatenate((scores[seen], np.full(false, 0.5))).astype(np.float32),
            np.concatenate((class_ids[seen], np.zeros(false))).astype(np.int64))
        found = found.select(np.argsort(-found.scores, kind='stable'))
        yield Frame(stamp_s, boxes.astype(np.float32), found)


@dataclass
class TrackScore:
    """
    Counts, image by image; the known objects have the numbers of their rows.

    MOTA: CLEAR MOT (Bernardin and Stiefelhagen, 2008). IDF1: Ristani et al., 2016,
    arXiv:1609.01775. A box and an object can be one where they overlap by half.
    """

    objects: int = 0
    boxes: int = 0
    missed: int = 0
    false: int = 0
    switches: int = 0
    together: dict[tuple[int, int], int] = field(default_factory=dict)
    """(object, track) -> in how many images they overlap by half."""
    last: dict[int, int] = field(default_factory=dict)
    """Object -> the track that it had last."""

    def add(self, truth_xyxy: FloatArray, boxes_xyxy: FloatArray, track_ids: list[int]) -> None:
        """Count one image; the truth has one row per object."""
        overlaps = iou_matrix(truth_xyxy, boxes_xyxy)
        pairs = [(overlaps[row, column], int(row), track_ids[column])
                 for row, column in np.argwhere(overlaps >= MIN_IOU)]
        for _, row, track in pairs:
            self.together[row, track] = self.together.get((row, track), 0) + 1
        # what went together goes on together, then the nearest
        pairs.sort(key=lambda pair: (self.last.get(pair[1]) != pair[2], -pair[0]))
        matched: dict[int, int] = {}
        for _, row, track in pairs:
            if row not in matched and track not in matched.values():
                matched[row] = track
        self.switches += sum(self.last.get(row, track) != track
                             for row, track in matched.items())
        self.last |= matched
        self.objects += len(truth_xyxy)
        self.boxes += len(track_ids)
        self.missed += len(truth_xyxy) - len(matched)
        self.false += len(track_ids) - len(matched)

    @property
    def mota(self) -> float:
        """Return 1 - mistakes per object; at most 1."""
        return 1 - (self.missed + self.false + self.switches) / self.objects

    @property
    def idf1(self) -> float:
        """Return the F1 of boxes under the best one-to-one naming of tracks as objects."""
        tracks = sorted({track for _, track in self.together})
        rows = sorted({row for row, _ in self.together})

        @cache
        def best(index: int, free: int) -> int:
            if index == len(tracks):
                return 0
            return max([best(index + 1, free)] + [
                self.together[row, tracks[index]] + best(index + 1, free & ~(1 << place))
                for place, row in enumerate(rows)
                if free >> place & 1 and (row, tracks[index]) in self.together])
        return 2 * best(0, (1 << len(rows)) - 1) / (self.objects + self.boxes)
