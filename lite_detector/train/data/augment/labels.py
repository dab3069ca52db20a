# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Labels that are transformed with their image.

One object holds boxes, class ids and scores and checks that their numbers are equal. A single mask
selects from all of them.
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
    Labels of a network input.

    :param boxes_xyxy: Boxes of the objects in network pixels, float32, shape (n, 4).
    :param class_ids: Class ids, int64, shape (n,).
    :param scores: Soft label weights, in [0, 1], float32, shape (n,).
    :param ignored_xyxy: Ignore regions in network pixels, float32, shape (k, 4).
    :raises ValueError: if the shapes do not match.
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
                raise ValueError(f'Labels.{name}: shape {got}; expected {wanted}')


def join(parts: Sequence[Labels]) -> Labels:
    """Return the labels of all parts of one network input; at least one part."""
    return Labels(np.concatenate([part.boxes_xyxy for part in parts]),
                  np.concatenate([part.class_ids for part in parts]),
                  np.concatenate([part.scores for part in parts]),
                  np.concatenate([part.ignored_xyxy for part in parts]))


def labels_in_view(sample: Sample, step: GeometryStep, min_visible: float, min_side: float
                   ) -> Labels:
    """
    Transform the labels of an image like its pixels, and clip them to its window.

    An object that is almost fully clipped is neither an object nor background, because its visible
    pixels do not show its class. It becomes an ignore region, as do crowds.

    :param sample: Image and labels; boxes are clipped to the image first.
    :param step: Geometry step of the pixels.
    :param min_visible: Minimum visible share of the area of a box; a box with less is ignored.
    :param min_side: Minimum side in network pixels; a smaller box is ignored.
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
