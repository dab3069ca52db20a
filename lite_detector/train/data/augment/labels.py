# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Labels that follow their image into the network input.

Boxes, class ids and scores travel in one object that refuses to hold unequal numbers of them, and
are chosen by one mask; nothing else touches them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lite_detector.core.geometry import clip_boxes
from lite_detector.core.types import FloatArray, IntArray, size_of
from lite_detector.data.dataset import Sample
from lite_detector.train.data.augment.geometry import GeometryStep
import numpy as np


@dataclass(frozen=True, eq=False)
class Labels:
    """
    What there is in a network input.

    :param boxes_xyxy: objects, in network pixels, float32, shape (n, 4).
    :param class_ids: int64, shape (n,).
    :param scores: confidence of each object, in [0, 1], float32, shape (n,).
    :param ignored_xyxy: where nobody says what there is, float32, shape (k, 4).
    :raises ValueError: if the shapes do not fit each other.
    """

    boxes_xyxy: FloatArray
    class_ids: IntArray
    scores: FloatArray
    ignored_xyxy: FloatArray

    def __post_init__(self) -> None:
        count = len(self.class_ids)
        for name, wanted in (('boxes_xyxy', (count, 4)), ('class_ids', (count,)),
                             ('scores', (count,)),
                             ('ignored_xyxy', (len(self.ignored_xyxy), 4))):
            got = getattr(self, name).shape
            if got != wanted:
                raise ValueError(f'Labels.{name}: got shape {got}, wanted {wanted}')


def join(parts: Sequence[Labels]) -> Labels:
    """Return the labels of all parts of one network input; at least one part."""
    return Labels(np.concatenate([part.boxes_xyxy for part in parts]),
                  np.concatenate([part.class_ids for part in parts]),
                  np.concatenate([part.scores for part in parts]),
                  np.concatenate([part.ignored_xyxy for part in parts]))


def labels_in_view(sample: Sample, step: GeometryStep, min_visible: float, min_side: float
                   ) -> Labels:
    """
    Move the labels of an image along with its pixels, and cut them at the edge of its window.

    An object of which next to nothing is left is neither an object nor background: nobody could
    say from those pixels what it is, and yet they belong to it. So it is ignored, as are crowds.

    :param sample: boxes may reach beyond their image; they are cut at its border first.
    :param step: what was done to the pixels.
    :param min_visible: share of the area of a box that must be left, else it is ignored.
    :param min_side: shortest side in network pixels, else it is ignored.
    """
    inside = clip_boxes(sample.boxes_xyxy, size_of(sample.image_bgr))
    whole = step.apply_boxes(inside)
    left, top, right, bottom = step.window
    cut = np.clip(whole, np.array((left, top, left, top), np.float32),
                  np.array((right, bottom, right, bottom), np.float32))
    sides = cut[:, 2:] - cut[:, :2]
    there = (sides > 0).all(axis=1)
    share = sides.prod(axis=1) / np.maximum((whole[:, 2:] - whole[:, :2]).prod(axis=1), 1e-9)
    known = (~sample.ignore & (share >= min_visible) & (sides >= min_side).all(axis=1))
    known &= there
    return Labels(cut[known], sample.class_ids[known], sample.scores[known], cut[there & ~known])
