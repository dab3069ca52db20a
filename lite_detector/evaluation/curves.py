# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Precision, recall and F1 as functions of the score threshold, and a suggested threshold."""

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
"""Recall levels at which COCO samples precision."""
DECIMALS = 3
"""Decimal places of a suggested threshold."""


class Suggestion(NamedTuple):
    """The threshold with the best F1, with its metrics."""

    threshold: float
    f1: float
    precision: float
    recall: float


@dataclass(frozen=True, eq=False)
class Curve:
    """
    Precision and recall of one class, or of all, at each score threshold.

    :param thresholds: Distinct scores, falling, shape (k,).
    :param precision: Share of true positives among the kept detections, shape (k,).
    :param recall: Share of the objects that are found, shape (k,); 0 without labelled objects.
    :param labelled: Number of labelled objects.
    """

    thresholds: DoubleArray
    precision: DoubleArray
    recall: DoubleArray
    labelled: int

    @classmethod
    def of(cls, scores: FloatArray, right: BoolArray, labelled: int) -> Curve:
        """
        Build the curve of a set of detections.

        :param scores: Scores in any order, shape (n,).
        :param right: Mask of the true positives, shape (n,).
        :param labelled: Number of labelled objects.
        """
        order = np.argsort(-scores, kind='stable')
        scores, found = scores[order].astype(np.float64), np.cumsum(right[order])
        # a threshold keeps all detections of equal score or none: evaluate at the last of them
        last = np.append(scores[1:] != scores[:-1], True)[:len(scores)]
        found, kept = found[last], np.flatnonzero(last) + 1
        return cls(scores[last], found / kept, found / max(1, labelled), labelled)

    @property
    def f1(self) -> DoubleArray:
        """Harmonic mean of precision and recall, shape (k,); 0 where both are 0."""
        total = self.precision + self.recall
        return 2 * self.precision * self.recall / np.where(total > 0, total, 1)

    @property
    def interpolated(self) -> DoubleArray:
        """Best precision at or above each of RECALL_LEVELS, shape (101,); 0 if not reached."""
        best = np.append(np.maximum.accumulate(self.precision[::-1])[::-1], 0)
        return best[np.searchsorted(self.recall, RECALL_LEVELS)]

    @property
    def ap(self) -> float | None:
        """Average precision in [0, 1] at the IoU of the matching; None: no labelled objects."""
        return float(self.interpolated.mean()) if self.labelled else None

    def suggest(self) -> Suggestion | None:
        """Return the threshold with the best F1, rounded down; None without true positives."""
        if not self.recall.any():
            return None
        best = int(self.f1.argmax())
        step = 10 ** DECIMALS
        return Suggestion(math.floor(self.thresholds[best] * step) / step, float(self.f1[best]),
                          float(self.precision[best]), float(self.recall[best]))


def overall_curve(matches: Matches) -> Curve:
    """Return the curve of all classes together, for a common threshold."""
    counted = ~matches.passed_over
    return Curve.of(matches.detections.scores[counted], matches.right[counted],
                    int((~matches.objects.ignore).sum()))


def class_curves(matches: Matches, class_names: Sequence[str]) -> dict[str, Curve]:
    """
    Return class name -> curve for each class with labelled objects, most objects first.

    :param matches: Matches of all detections.
    :param class_names: Names of the class ids.
    """
    objects, detections = matches.objects, matches.detections
    labelled = np.bincount(objects.class_ids[~objects.ignore], minlength=len(class_names))
    curves = {}
    for class_id in np.argsort(-labelled, kind='stable')[:np.count_nonzero(labelled)].tolist():
        mine = (detections.class_ids == class_id) & ~matches.passed_over
        curves[class_names[class_id]] = Curve.of(detections.scores[mine], matches.right[mine],
                                                 int(labelled[class_id]))
    return curves
