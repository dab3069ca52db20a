# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AlignedOTA, the assigner of DAMO-YOLO."""

from __future__ import annotations

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import (
    Assignment,
    assignment_from,
    BACKGROUND,
    centers_in,
)
from lite_detector.train.losses.assign.dsla import cheapest, cost_matrix
from lite_detector.train.losses.boxes import inside_distances, pairwise_iou, Priors
import torch
from torch import Tensor

OUTSIDE_COST = 1e5
"""Extra cost of a candidate that is not both inside the box and near its centre."""


@torch.no_grad()
def assign_aligned_ota(priors: Priors, logits: Tensor, boxes_xyxy: Tensor, truth: GroundTruth,
                       top_k: int = 10, iou_factor: float = 3.0,
                       center_radius: float = 2.5) -> Assignment:
    """
    Assign each object the candidates near its centre that predict it best.

    AlignedOTA (DAMO-YOLO, Xu et al., 2022, arXiv:2211.15444, section 2.3, after SimOTA of YOLOX,
    arXiv:2107.08430). The candidates of an object are the anchor points inside its box, and those
    nearer to its centre than ``center_radius`` strides. A candidate that does not meet both
    conditions costs far more than one that does. So an object that is smaller than a cell or lies
    between all anchor points has a candidate too, unless it has no area. Costs and number of
    positives are those of ``assign_dsla``.

    In the public code an object with few candidates also takes candidates of other objects,
    however far away. Here it does not.

    :param priors: Priors of the image, n anchor points.
    :param logits: Predicted class scores before the sigmoid, shape (n, classes).
    :param boxes_xyxy: Predicted boxes in network pixels, shape (n, 4).
    :param truth: Labels of one image.
    :param top_k: Number of best IoUs whose sum is the number of positives of an object.
    :param iou_factor: Weight of the IoU in the cost.
    :param center_radius: Radius around the centre, in strides of the level of an anchor point.
    :return: Assignment whose ``ious`` are those of the predicted boxes: the soft labels.
    """
    centers = priors.centers
    in_ignored = centers_in(centers, truth.ignored_xyxy)
    gt_indices = torch.full((len(centers),), BACKGROUND, device=centers.device)
    ious = centers.new_zeros(len(centers), dtype=torch.float32)
    inside = inside_distances(centers, truth.boxes_xyxy) > 0
    has_area = (truth.boxes_xyxy[:, 2:] > truth.boxes_xyxy[:, :2]).all(dim=1)
    near = (_middle_distances(priors, truth.boxes_xyxy) < center_radius) & has_area
    candidates = (inside | near).any(dim=1).nonzero()[:, 0]
    if len(candidates):
        inside, near = inside[candidates], near[candidates]
        may = inside | near
        overlaps = pairwise_iou(boxes_xyxy[candidates].float(), truth.boxes_xyxy)
        costs = cost_matrix(logits[candidates], overlaps, truth.labels, truth.scores, iou_factor)
        costs = torch.where(may, costs + OUTSIDE_COST * ~(inside & near), torch.inf)
        wanted = cheapest(costs, torch.where(may, overlaps, 0), top_k) & may
        best = torch.where(wanted, costs, torch.inf).argmin(dim=1, keepdim=True)
        gt_indices[candidates] = torch.where(wanted.any(dim=1), best[:, 0], BACKGROUND)
        ious[candidates] = overlaps.gather(1, best)[:, 0]
    return assignment_from(gt_indices, ious, truth, in_ignored)


def _middle_distances(priors: Priors, boxes_xyxy: Tensor) -> Tensor:
    """Return the distance of anchor points from box centres, in strides, shape (n, m)."""
    x, y = priors.centers.T.contiguous()[..., None]
    middle_x, middle_y = 0.5 * (boxes_xyxy[:, :2] + boxes_xyxy[:, 2:]).T.contiguous()
    return torch.maximum((x - middle_x).abs(), (y - middle_y).abs()) / priors.strides[:, None]
