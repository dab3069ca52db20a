# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Confusion matrix of the classes."""

from __future__ import annotations

from lite_detector.core.types import IntArray
from lite_detector.evaluation.matching import (
    match_greedily,
    Matches,
    NO_ROWS,
    NOBODY,
    rows_by_image,
)
import numpy as np


def confusion_matrix(matches: Matches, score_threshold: float, num_classes: int) -> IntArray:
    """
    Count labelled objects by the class of their detection.

    Correct detections are matched first. The remaining objects and detections are then matched
    regardless of class. An entry off the diagonal is therefore an object without any correct
    detection.

    :param matches: Matches of all detections.
    :param score_threshold: Minimum score of the detections, 0 to 1.
    :param num_classes: Number of classes of the model.
    :return: Counts, int64, shape (num_classes + 1, num_classes + 1); row: labelled class, column:
        detected class. The last row counts false positives without an object, the last column
        missed objects.
    """
    matches = matches.above(score_threshold)
    objects, detections = matches.objects, matches.detections
    counts = np.zeros((num_classes + 1, num_classes + 1), np.int64)
    right = detections.class_ids[matches.right]
    np.add.at(counts, (right, right), 1)
    missed, wrong = np.flatnonzero(matches.missed), np.flatnonzero(matches.wrong)
    missed_in, wrong_in = (rows_by_image(objects.image_ids[missed]),
                           rows_by_image(matches.image_ids[wrong]))
    for image_id in missed_in.keys() | wrong_in.keys():
        theirs = missed[missed_in.get(image_id, NO_ROWS)]
        mine = wrong[wrong_in.get(image_id, NO_ROWS)]
        found, _ = match_greedily(detections.boxes_xyxy[mine], objects.boxes_xyxy[theirs],
                                  np.zeros(len(theirs), bool))
        for row, column in zip(found, detections.class_ids[mine], strict=True):
            counts[num_classes if row == NOBODY else objects.class_ids[theirs[row]], column] += 1
        unseen = np.delete(theirs, found[found != NOBODY])
        np.add.at(counts[:, num_classes], objects.class_ids[unseen], 1)
    return counts
