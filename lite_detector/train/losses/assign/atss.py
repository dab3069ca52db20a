# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Adaptive training sample selection (ATSS), the assigner of NanoDet-m."""

from __future__ import annotations

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import (
    Assignment,
    assignment_from,
    BACKGROUND,
    centers_in,
)
from lite_detector.train.losses.boxes import inside_distances, pairwise_iou, Priors, square_boxes
import torch
from torch import Tensor

MIN_DEPTH = 0.01
"""Minimum distance in pixels from a centre to the sides of its box."""
ROUNDING = 1e-6
"""Tolerance of the threshold: by rounding, the mean of nine equal IoUs may exceed them."""


def assign_atss(priors: Priors, truth: GroundTruth, top_k: int = 9,
                prior_scale: float = 5.0) -> Assignment:
    """
    Assign each object the near priors whose IoU is high among the near priors.

    Adaptive Training Sample Selection (Zhang et al., 2020, arXiv:1912.02424). The candidates of an
    object are the ``top_k`` priors per level nearest to its centre. Positive are those with an IoU
    of at least mean + standard deviation of the candidates and with their centre inside the box. A
    prior that matches several objects goes to the one with the largest IoU times score. An object
    that contains no centre gets no prior.

    :param priors: Priors of the image, n squares with a side of ``prior_scale`` strides.
    :param truth: Labels of one image.
    :param top_k: Number of candidates per level.
    :param prior_scale: Side of a prior in strides; octave_base_scale in NanoDet.
    """
    count = len(priors.centers)
    in_ignored = centers_in(priors.centers, truth.ignored_xyxy)
    if not count or not len(truth.boxes_xyxy):
        nothing = torch.full((count,), BACKGROUND, device=priors.centers.device)
        return assignment_from(nothing, priors.strides.new_zeros(count), truth, in_ignored)
    overlaps = pairwise_iou(square_boxes(priors, prior_scale), truth.boxes_xyxy)
    candidates = _nearest(priors, truth.boxes_xyxy, top_k)
    threshold = _thresholds(overlaps.gather(0, candidates))
    wanted = torch.zeros_like(overlaps, dtype=torch.bool).scatter_(0, candidates, True)
    wanted &= overlaps >= threshold - ROUNDING
    wanted &= inside_distances(priors.centers, truth.boxes_xyxy) > MIN_DEPTH
    # argmax takes the first of several equal objects
    best = torch.where(wanted, overlaps * truth.scores, -1).argmax(dim=1, keepdim=True)
    gt_indices = torch.where(wanted.any(dim=1), best[:, 0], BACKGROUND)
    return assignment_from(gt_indices, overlaps.gather(1, best)[:, 0], truth, in_ignored)


def _nearest(priors: Priors, boxes_xyxy: Tensor, top_k: int) -> Tensor:
    """Return the indices of the nearest priors per level, shape (candidates, m)."""
    box_centers = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:])
    x, y = (priors.centers[:, axis] - box_centers[:, axis, None] for axis in (0, 1))
    nearest, first = [], 0
    for level in (x.square() + y.square()).split(priors.level_counts, dim=1):
        # topk does not define the order of ties, a stable sort keeps the lowest index first
        nearest.append(level.argsort(dim=1, stable=True)[:, :top_k] + first)
        first += level.shape[1]
    return torch.cat(nearest, dim=1).T


def _thresholds(overlaps: Tensor) -> Tensor:
    """Return mean + standard deviation of each column; the deviation of one candidate is 0."""
    mean = overlaps.mean(dim=0)
    return mean + overlaps.std(dim=0) if len(overlaps) > 1 else mean
