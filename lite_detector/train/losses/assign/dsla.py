# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The dynamic soft label assigner (DSLA), the assigner of NanoDet-Plus."""

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
"""Constant that is added to an IoU before the logarithm."""


@torch.no_grad()
def assign_dsla(centers: Tensor, logits: Tensor, boxes_xyxy: Tensor, truth: GroundTruth,
                top_k: int = 13, iou_factor: float = 3.0) -> Assignment:
    """
    Assign each object the candidates that predict it best.

    Dynamic soft label assignment (NanoDet-Plus, https://github.com/RangiLyu/nanodet, after OTA,
    arXiv:2103.14259, and SimOTA of YOLOX, arXiv:2107.08430). The candidates of an object are the
    anchor points inside its box. Those inside the box of another object are candidates too if
    their predicted box overlaps the object, because an object between all anchor points has no
    others. An object takes its k cheapest candidates by ``cost_matrix``; k is the sum of its
    ``top_k`` best IoUs, rounded down, and at least 1. If several objects take an anchor point, it
    goes to the one with the lowest cost.

    The authors' code also assigns anchor points whose predicted box does not overlap the object,
    so
    a box without area has a positive. Here neither is a candidate.

    :param centers: Anchor points x, y in network pixels, shape (n, 2).
    :param logits: Predicted class scores before the sigmoid, shape (n, classes).
    :param boxes_xyxy: Predicted boxes in network pixels, shape (n, 4).
    :param truth: Labels of one image.
    :param top_k: Number of best IoUs whose sum is k.
    :param iou_factor: Weight of the IoU in the cost.
    :return: Assignment whose ``ious`` are those of the predicted boxes: the soft labels.
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
    Return the cost of assigning each object to each anchor point.

    With p the predicted scores, s the score of the object, and the target t = IoU * s in its
    class and 0 in all others: sum over the classes of BCE(p, t) * |t - p|^2, plus iou_factor *
    -log(IoU * s). An object of low confidence has a low target and so almost no classification
    cost. The factor s in the logarithm keeps it from taking anchor points of a certain object.

    :param logits: Class scores before the sigmoid, shape (n, classes).
    :param overlaps: IoU of predicted boxes and objects, shape (n, m).
    :param labels: Class ids of the objects, int64, shape (m,).
    :param scores: Soft label weights of the objects, in [0, 1], shape (m,).
    :param iou_factor: Weight of the second term.
    :return: Costs, shape (n, m).
    """
    logits = logits.float()
    probabilities, absent = logits.sigmoid(), functional.softplus(logits)
    # The sum over the classes differs from that of an empty target in one class only. This avoids
    # an array of shape (n, m, classes).
    empty = absent * probabilities.square()
    targets = overlaps * scores
    own = absent[:, labels] - targets * logits[:, labels]
    soft = own * (targets - probabilities[:, labels]).square()
    class_cost = empty.sum(dim=1, keepdim=True) - empty[:, labels] + soft
    return class_cost - iou_factor * (targets + IOU_FLOOR).log()


def cheapest(costs: Tensor, overlaps: Tensor, top_k: int) -> Tensor:
    """
    Return the anchor points that each object takes, bool, shape (n, m).

    :param costs: Costs, shape (n, m); the first of equal costs counts as the lowest.
    :param overlaps: IoU with the objects, 0 for anchor points that are not candidates, shape (n,
        m).
    :param top_k: Number of best IoUs whose sum is the number of anchor points, at least 1.
    """
    top_k = min(top_k, len(overlaps))
    best = overlaps.topk(top_k, dim=0).values
    # the tolerance keeps the sum of ten IoUs of 0.1 from being less than one
    takes = (best.double().sum(dim=0) + 1e-6).long().clamp(1, top_k)
    # topk does not define the order of ties, and a stable sort takes ten times as long
    limits = costs.topk(top_k, dim=0, largest=False).values.gather(0, takes[None] - 1)
    below, equal = costs < limits, costs == limits
    return below | equal & (equal.cumsum(dim=0) <= takes - below.sum(dim=0))
