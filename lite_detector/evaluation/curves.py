# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Precision, recall and F1 against the score threshold, and the threshold that they suggest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math
from typing import NamedTuple

from lite_detector.core.types import DoubleArray, FloatArray
from lite_detector.data.dataset import BoolArray
from lite_detector.evaluation.matching import Matches
import numpy as np

RECALL_LEVELS = np.linspace(0, 1, 101)
"""Where COCO reads precision."""
DECIMALS = 3
"""Of a suggested threshold."""


class Suggestion(NamedTuple):
    """The threshold of the best F1, and what it gives."""

    threshold: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class Curve:
    """
    What the detections of one class, or of all, are worth from each of their scores upwards.

    :param thresholds: the distinct scores, falling, shape (k,).
    :param precision: right among the detections kept, shape (k,).
    :param recall: found among the objects, shape (k,); 0 where none is labelled.
    :param labelled: how many objects there are.
    """

    thresholds: DoubleArray
    precision: DoubleArray
    recall: DoubleArray
    labelled: int

    @classmethod
    def of(cls, scores: FloatArray, right: BoolArray, labelled: int) -> Curve:
        """
        Put detections in order.

        :param scores: shape (n,), in any order.
        :param right: whether each found an object, shape (n,).
        :param labelled: objects that there were to find.
        """
        order = np.argsort(-scores, kind='stable')
        scores, found = scores[order].astype(np.float64), np.cumsum(right[order])
        # a threshold keeps all detections of a score or none: the last of them tells
        last = np.append(scores[1:] != scores[:-1], True)[:len(scores)]
        found, kept = found[last], np.flatnonzero(last) + 1
        return cls(scores[last], found / kept, found / max(1, labelled), labelled)

    @property
    def f1(self) -> DoubleArray:
        """Harmonic mean of precision and recall, shape (k,); 0 where both are."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / np.where(total > 0, total, 1)

    @property
    def interpolated(self) -> DoubleArray:
        """Best precision at each of RECALL_LEVELS or beyond, shape (101,); 0 if not reached."""
        best = np.append(np.maximum.accumulate(self.precision[::-1])[::-1], 0)
        return best[np.searchsorted(self.recall, RECALL_LEVELS)]

    @property
    def ap(self) -> float | None:
        """Average precision in [0, 1] at the overlap of the matching; None: nothing labelled."""
        return float(self.interpolated.mean()) if self.labelled else None

    def suggest(self) -> Suggestion | None:
        """Return the threshold of the best F1, rounded down; None if nothing was found."""
        if not self.recall.any():
            return None
        best = int(self.f1.argmax())
        step = 10 ** DECIMALS
        return Suggestion(math.floor(self.thresholds[best] * step) / step, float(self.f1[best]),
                          float(self.precision[best]), float(self.recall[best]))


def overall_curve(matches: Matches) -> Curve:
    """Return the curve of all boxes together, as one threshold for all classes meets them."""
    counted = ~matches.passed_over
    return Curve.of(matches.detections.scores[counted], matches.right[counted],
                    int((~matches.objects.ignore).sum()))


def class_curves(matches: Matches, class_names: Sequence[str]) -> dict[str, Curve]:
    """
    Return class name -> curve of every class with a labelled object, most objects first.

    :param class_names: what the class ids mean.
    """
    objects, detections = matches.objects, matches.detections
    labelled = np.bincount(objects.class_ids[~objects.ignore], minlength=len(class_names))
    curves = {}
    for class_id in np.argsort(-labelled, kind='stable')[:np.count_nonzero(labelled)].tolist():
        mine = (detections.class_ids == class_id) & ~matches.passed_over
        curves[class_names[class_id]] = Curve.of(detections.scores[mine], matches.right[mine],
                                                 int(labelled[class_id]))
    return curves
