# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Non-maximum suppression."""

from __future__ import annotations

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import Detections
import numpy as np

MAX_CANDIDATES = 1000
"""Maximum number of candidates, best first; limits the latency at a low score threshold."""


def nms(candidates: Detections, iou_threshold: float, max_detections: int,
        class_agnostic: bool = False) -> Detections:
    """
    Suppress overlapping boxes of one class (greedy NMS).

    Boxes with equal scores keep their order.

    :param candidates: Candidate boxes in any order.
    :param iou_threshold: IoU above which the box with the lower score is suppressed, 0 to 1.
    :param max_detections: Maximum number of returned boxes.
    :param class_agnostic: True: boxes of different classes suppress each other.
    :return: Remaining boxes, best score first.
    """
    if len(candidates) < 2:
        return candidates
    order = np.argsort(-candidates.scores, kind='stable')[:MAX_CANDIDATES]
    ranked = candidates.select(order)
    overlaps = iou_matrix(ranked.boxes_xyxy, ranked.boxes_xyxy) > iou_threshold
    if not class_agnostic:
        overlaps &= ranked.class_ids[:, None] == ranked.class_ids[None, :]
    suppressed = np.zeros(len(ranked), bool)
    keep: list[int] = []
    for index in range(len(ranked)):
        if suppressed[index]:
            continue
        keep.append(index)
        if len(keep) == max_detections:
            break
        suppressed |= overlaps[index]
    return ranked.select(np.array(keep, np.int64))
