# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A second look at an image, mirrored, and what both looks say together."""

from __future__ import annotations

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import Detections, ImageArray
from lite_detector.detector import Detector
import numpy as np

MATCH_IOU = 0.6
"""Boxes of one class that overlap this much are one object; NMS leaves no two such in a view."""


def detect_both_ways(detector: Detector, image_bgr: ImageArray) -> Detections:
    """
    Find objects in an image and in its mirror image.

    :param image_bgr: uint8, shape (height, width, 3).
    :return: best score first, boxes in pixels of this image; see :func:`average_views`. Boxes
        below the score threshold of the detector are left out, after the average.
    :raises LiteDetectorError: as ``Detector.detect``.
    """
    found = detector.detect(image_bgr)
    turned = detector.detect(np.ascontiguousarray(image_bgr[:, ::-1]))
    return average_views(found, mirrored(turned, image_bgr.shape[1]))


def mirrored(detections: Detections, width: int) -> Detections:
    """
    Return detections as they lie in the mirror image.

    :param width: of the image, pixels.
    """
    left, top, right, bottom = detections.boxes_xyxy.T
    return detections.with_boxes(np.stack((width - right, top, width - left, bottom), axis=1))


def average_views(first: Detections, second: Detections) -> Detections:
    """
    Put together what two looks at one image found.

    An object that both see has the mean of both scores, and of both boxes weighted by them; one
    that only one sees has half of its score, for the other one gave it none. The better boxes of
    the first choose their partners first.

    :param first: best score first; no two boxes of a class overlap by MATCH_IOU.
    :param second: the same, in the same pixels.
    :return: best score first.
    """
    overlaps = iou_matrix(first.boxes_xyxy, second.boxes_xyxy)
    overlaps[first.class_ids[:, None] != second.class_ids[None, :]] = 0
    boxes, scores = first.boxes_xyxy.copy(), first.scores / 2
    is_free = np.ones(len(second), bool)
    for row in range(len(first) if len(second) else 0):
        column = np.where(is_free, overlaps[row], 0).argmax()
        if is_free[column] and overlaps[row, column] >= MATCH_IOU:
            is_free[column] = False
            share = first.scores[row] / (first.scores[row] + second.scores[column])
            boxes[row] = share * boxes[row] + (1 - share) * second.boxes_xyxy[column]
            scores[row] += second.scores[column] / 2
    rest = second.select(is_free)
    both = Detections(np.concatenate((boxes, rest.boxes_xyxy)),
                      np.concatenate((scores, rest.scores / 2)),
                      np.concatenate((first.class_ids, rest.class_ids)))
    return both.select(np.argsort(-both.scores, kind='stable'))
