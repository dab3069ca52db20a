# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Adaptive training sample selection, with which NanoDet-m is trained."""

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
"""How far inside a box, in pixels, a centre has to lie."""
ROUNDING = 1e-6
"""Slack of the threshold: the mean of nine equal overlaps may come out a rounding above them."""


def assign_atss(priors: Priors, truth: GroundTruth, top_k: int = 9,
                prior_scale: float = 5.0) -> Assignment:
    """
    Give each object the near priors whose overlap stands out among the near priors.

    Adaptive Training Sample Selection (Zhang et al., 2020, arXiv:1912.02424): the candidates of
    an object are the ``top_k`` priors per level nearest to its centre; of these it takes those
    that overlap it by at least mean + standard deviation of the candidates and have their centre
    inside of it. A prior that several objects want goes to the one of the largest overlap times
    score. An object in which no centre lies gets no prior.

    :param priors: n of them; each stands for a square of ``prior_scale`` strides.
    :param truth: the labels of one image.
    :param top_k: candidates per level.
    :param prior_scale: NanoDet calls it octave_base_scale.
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
    # of several objects argmax takes the first of the best
    best = torch.where(wanted, overlaps * truth.scores, -1).argmax(dim=1, keepdim=True)
    gt_indices = torch.where(wanted.any(dim=1), best[:, 0], BACKGROUND)
    return assignment_from(gt_indices, overlaps.gather(1, best)[:, 0], truth, in_ignored)


def _nearest(priors: Priors, boxes_xyxy: Tensor, top_k: int) -> Tensor:
    """Return the numbers of the nearest priors per level, shape (candidates, m)."""
    box_centers = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:])
    x, y = (priors.centers[:, axis] - box_centers[:, axis, None] for axis in (0, 1))
    nearest, first = [], 0
    for level in (x.square() + y.square()).split(priors.level_counts, dim=1):
        # topk says nothing about ties, a stable sort keeps the lowest number first
        nearest.append(level.argsort(dim=1, stable=True)[:, :top_k] + first)
        first += level.shape[1]
    return torch.cat(nearest, dim=1).T


def _thresholds(overlaps: Tensor) -> Tensor:
    """Return mean + standard deviation of each column; a lone candidate deviates by nothing."""
    mean = overlaps.mean(dim=0)
    return mean + overlaps.std(dim=0) if len(overlaps) > 1 else mean
