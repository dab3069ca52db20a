# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP and recall as functions of the object size in the network input."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from lite_detector.core.geometry import Letterbox
from lite_detector.core.types import FloatArray, IntArray
from lite_detector.data.coco import CocoDataset
from lite_detector.detector import Detector
from lite_detector.evaluation.curves import Curve
from lite_detector.evaluation.matching import Matches
import numpy as np

EDGES = (0.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, float('inf'))
"""Limits of the bins: square root of the box area in network pixels."""


class SizeBin(NamedTuple):
    """Objects within a range of sizes."""

    low: float
    """Lower limit: square root of the area in network pixels; ``high`` is exclusive."""
    high: float
    objects: int
    ap50: float | None
    """Mean AP50 of the classes with such objects, in [0, 1]; None without objects."""
    recall: float | None
    """Share of the objects that are found at the score threshold, over all classes."""


def input_scales(dataset: CocoDataset, detector: Detector) -> dict[int, float]:
    """Return image id -> network pixels per image pixel, the mean of both axes."""
    card = detector.card
    scales = {}
    for image in dataset.images:
        fit = Letterbox.fit(image.size, detector.input_size, card.preprocess,
                            card.padded_to)
        scales[image.image_id] = float(np.sqrt(fit.scale_x * fit.scale_y))
    return scales


def measure_sizes(matches: Matches, scales: Mapping[int, float],
                  score_threshold: float) -> list[SizeBin]:
    """
    Measure AP50 and recall for every bin of EDGES.

    As in COCO's small, medium and large, a true positive counts in the bin of its object, and a
    false positive in the bin of its own size.

    :param matches: Matches of all detections.
    :param scales: Scale of each image, see :func:`input_scales`.
    :param score_threshold: Score threshold of the recall, 0 to 1.
    """
    objects = matches.objects
    object_bins = _bins(objects.boxes_xyxy, objects.image_ids, scales)
    detection_bins = _bins(matches.detections.boxes_xyxy, matches.image_ids, scales)
    detection_bins[matches.right] = object_bins[matches.found[matches.right]]
    missed = matches.above(score_threshold).missed
    result = []
    for index, (low, high) in enumerate(zip(EDGES, EDGES[1:], strict=False)):
        inside = (object_bins == index) & ~objects.ignore
        candidates = (detection_bins == index) & ~matches.passed_over
        aps = []
        for class_id in np.unique(objects.class_ids[inside]):
            mine = candidates & (matches.detections.class_ids == class_id)
            curve = Curve.of(matches.detections.scores[mine], matches.right[mine],
                             int((objects.class_ids[inside] == class_id).sum()))
            aps.append(curve.ap or 0.0)
        result.append(SizeBin(low, high, int(inside.sum()),
                              float(np.mean(aps)) if aps else None,
                              float((~missed[inside]).mean()) if aps else None))
    return result


def _bins(boxes_xyxy: FloatArray, image_ids: IntArray, scales: Mapping[int, float]) -> IntArray:
    scale = np.array([scales[image_id] for image_id in image_ids.tolist()], np.float64)
    sides = np.sqrt((boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1, dtype=np.float64)) * scale
    return np.searchsorted(EDGES, sides, side='right') - 1
