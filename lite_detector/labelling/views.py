# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Test-time augmentation: detect in an image and in its mirror image, and average both."""

from __future__ import annotations

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import Detections, ImageArray
from lite_detector.detector import Detector
import numpy as np

MATCH_IOU = 0.6
"""Minimum IoU of boxes that count as one object; NMS leaves no such pair of a class in a view."""


def detect_both_ways(detector: Detector, image_bgr: ImageArray) -> Detections:
    """
    Find objects in an image and in its mirror image.

    :param detector: Detector to run.
    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    :return: Averaged detections, best score first, boxes in pixels of the image. They may be below
        the score threshold of the detector; see :func:`average_views`.
    :raises LiteDetectorError: if ``Detector.detect`` raises it.
    """
    found = detector.detect(image_bgr)
    turned = detector.detect(np.ascontiguousarray(image_bgr[:, ::-1]))
    return average_views(found, mirrored(turned, image_bgr.shape[1]))


def mirrored(detections: Detections, width: int) -> Detections:
    """
    Return the detections mirrored horizontally.

    :param detections: Detections in the image.
    :param width: Width of the image in pixels.
    """
    left, top, right, bottom = detections.boxes_xyxy.T
    return detections.with_boxes(np.stack((width - right, top, width - left, bottom), axis=1))


def average_views(first: Detections, second: Detections) -> Detections:
    """
    Average the detections of two views of an image.

    An object in both views gets the mean of both scores, and the mean of both boxes weighted by
    the scores. An object in one view gets half of its score. Boxes of the first view are matched
    in the order of their scores.

    :param first: Detections, best score first; no two boxes of a class overlap by MATCH_IOU.
    :param second: Detections of the other view, in the same pixels.
    :return: Averaged detections, best score first.
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
