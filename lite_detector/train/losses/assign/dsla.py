# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The dynamic soft label assigner, with which NanoDet-Plus is trained."""

from __future__ import annotations

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import (
    Assignment,
    assignment_from,
    BACKGROUND,
    centers_in,
)
from lite_detector.train.losses.boxes import inside_distances, pairwise_iou
import torch
from torch import Tensor
from torch.nn import functional

IOU_FLOOR = 1e-7
"""Added to an overlap before its logarithm is taken."""


@torch.no_grad()
def assign_dsla(centers: Tensor, logits: Tensor, boxes_xyxy: Tensor, truth: GroundTruth,
                top_k: int = 13, iou_factor: float = 3.0) -> Assignment:
    """
    Give each object the priors that already predict it best.

    Dynamic soft label assignment (NanoDet-Plus, https://github.com/RangiLyu/nanodet, after OTA,
    arXiv:2103.14259, and SimOTA of YOLOX, arXiv:2107.08430). The candidates of an object are the
    priors inside its box, and the priors inside the box of another object whose predicted box
    overlaps it: an object between or beside the centres of all cells often has no other ones. The
    cost of a candidate is ``cost_matrix``; an object takes its k cheapest, k being the sum of its
    ``top_k`` best overlaps, rounded down, and at least 1. A prior that several objects take goes
    to the one for which it is cheapest.

    The authors' code also gives an object a prior whose predicted box does not overlap it, and
    so a box without area has a positive. Here neither is a candidate.

    :param centers: x, y of the priors in network pixels, shape (n, 2).
    :param logits: predicted class scores before the sigmoid, shape (n, classes).
    :param boxes_xyxy: predicted boxes in network pixels, shape (n, 4).
    :param truth: the labels of one image.
    :param top_k: overlaps that are summed up to k.
    :param iou_factor: weight of the overlap in the cost.
    :return: ``ious`` are those of the predicted boxes: the soft labels.
    """
    count, objects = len(centers), len(truth.boxes_xyxy)
    in_ignored = centers_in(centers, truth.ignored_xyxy)
    gt_indices = torch.full((count,), BACKGROUND, device=centers.device)
    ious = centers.new_zeros(count, dtype=torch.float32)
    inside = inside_distances(centers, truth.boxes_xyxy) > 0
    near = inside.any(dim=1).nonzero()[:, 0]
    if objects and len(near):
        overlaps = pairwise_iou(boxes_xyxy[near].float(), truth.boxes_xyxy)
        candidates = inside[near] | (overlaps > 0)
        costs = cost_matrix(logits[near], overlaps, truth.labels, truth.scores, iou_factor)
        costs = torch.where(candidates, costs, torch.inf)
        wanted = cheapest(costs, overlaps, top_k) & candidates
        best = torch.where(wanted, costs, torch.inf).argmin(dim=1, keepdim=True)
        gt_indices[near] = torch.where(wanted.any(dim=1), best[:, 0], BACKGROUND)
        ious[near] = overlaps.gather(1, best)[:, 0]
    return assignment_from(gt_indices, ious, truth, in_ignored)


def cost_matrix(logits: Tensor, overlaps: Tensor, labels: Tensor, scores: Tensor,
                iou_factor: float = 3.0) -> Tensor:
    """
    Return what it costs to let a prior learn an object.

    With p the predicted scores, s the score of the object, and the target t = IoU * s in its
    class and 0 in all others: sum over the classes of BCE(p, t) * |t - p|^2, plus iou_factor *
    -log(IoU * s). The low target of an object of low confidence costs a prior next to
    nothing; were it not for s in the logarithm, it would take the priors of a certain one.

    :param logits: before the sigmoid, shape (n, classes).
    :param overlaps: IoU of predicted boxes and objects, shape (n, m).
    :param labels: class ids of the objects, int64, shape (m,).
    :param scores: confidence of the objects, in [0, 1], shape (m,).
    :param iou_factor: weight of the second term.
    :return: shape (n, m).
    """
    logits = logits.float()
    probabilities, absent = logits.sigmoid(), functional.softplus(logits)
    # The sum over the classes differs from that for an empty target in one class only, which
    # spares an array of shape (n, m, classes).
    empty = absent * probabilities.square()
    targets = overlaps * scores
    own = absent[:, labels] - targets * logits[:, labels]
    soft = own * (targets - probabilities[:, labels]).square()
    class_cost = empty.sum(dim=1, keepdim=True) - empty[:, labels] + soft
    return class_cost - iou_factor * (targets + IOU_FLOOR).log()


def cheapest(costs: Tensor, overlaps: Tensor, top_k: int) -> Tensor:
    """
    Return which priors each object takes, bool, shape (n, m).

    :param costs: shape (n, m); of equal ones the first is the cheapest.
    :param overlaps: with the objects, 0 where one may not take a prior, shape (n, m).
    :param top_k: an object takes as many as its best overlaps add up to, and at least 1.
    """
    top_k = min(top_k, len(overlaps))
    best = overlaps.topk(top_k, dim=0).values
    # the slack keeps ten overlaps of 0.1 from adding up to less than one
    takes = (best.double().sum(dim=0) + 1e-6).long().clamp(1, top_k)
    # topk says nothing about ties, and a stable sort takes ten times as long
    limits = costs.topk(top_k, dim=0, largest=False).values.gather(0, takes[None] - 1)
    below, equal = costs < limits, costs == limits
    return below | equal & (equal.cumsum(dim=0) <= takes - below.sum(dim=0))
