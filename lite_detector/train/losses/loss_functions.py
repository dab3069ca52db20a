# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Loss functions: each is sum(weight * term) / normalizer, with both given by the caller.

An empty input gives 0 with a gradient path to the network. So a batch without objects, or one
process without objects, runs the backward pass like any other. A normalizer of 0 counts as 1.
Half precision is computed in float32.
"""

from __future__ import annotations

from lite_detector.train.losses.boxes import aligned_ciou, aligned_giou
import torch
from torch import Tensor
from torch.nn import functional


def soft_targets(labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    """
    Return the target of each class: the score in the class of the object, 0 in all others.

    :param labels: Class ids, int64, shape (n,); negative for background and ignored.
    :param scores: Target scores such as the IoU with the object, in [0, 1], shape (n,).
    :param num_classes: Number of columns of the result.
    :return: Targets, shape (n, num_classes), with the dtype of the scores.
    """
    targets = scores.new_zeros(len(labels), num_classes)
    rows = (labels >= 0).nonzero()[:, 0]
    targets[rows, labels[rows]] = scores[rows]
    return targets


def quality_focal_loss(logits: Tensor, targets: Tensor, weights: Tensor,
                       normalizer: Tensor | float, beta: float = 2.0) -> Tensor:
    """
    Compute the quality focal loss: |y - p|^beta * BCE(p, y), summed over classes.

    It is smallest at p = y, and 0 there for hard labels (Li et al., 2020, Generalized Focal Loss,
    arXiv:2006.04388).

    :param logits: Class scores before the sigmoid, shape (n, classes).
    :param targets: Targets y in [0, 1], from ``soft_targets``, shape (n, classes).
    :param weights: Weights of the rows, shape (n,).
    :param normalizer: Divisor, usually the number of positives in all processes, at least 1.
    :param beta: Exponent; a higher value reduces the weight of good predictions.
    """
    logits = _full(logits)
    targets = targets.to(logits.dtype)
    terms = functional.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    terms = terms * (targets - logits.sigmoid()).abs().pow(beta)
    return _average(terms.sum(dim=1), weights, normalizer)


def focal_loss(logits: Tensor, targets: Tensor, weights: Tensor, normalizer: Tensor | float,
               alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """
    Compute the focal loss: a |y - p|^gamma BCE(p, y), summed over classes.

    a = alpha * y + (1 - alpha) * (1 - y). For y of 0 or 1 it is that of Lin et al. (2017,
    arXiv:1708.02002); between them it interpolates.

    :param logits: Class scores before the sigmoid, shape (n, classes).
    :param targets: Targets y in [0, 1], from ``soft_targets``, shape (n, classes).
    :param weights: Weights of the rows, shape (n,).
    :param normalizer: Divisor, usually the number of positives in all processes.
    :param alpha: Weight of an object; background has 1 - alpha.
    :param gamma: Exponent; a higher value reduces the weight of good predictions.
    """
    logits = _full(logits)
    targets = targets.to(logits.dtype)
    terms = functional.binary_cross_entropy_with_logits(logits, targets, reduction='none')
    terms = terms * (targets - logits.sigmoid()).abs().pow(gamma)
    terms = terms * (alpha * targets + (1 - alpha) * (1 - targets))
    return _average(terms.sum(dim=1), weights, normalizer)


def distribution_focal_loss(logits: Tensor, targets: Tensor, weights: Tensor,
                            normalizer: Tensor | float) -> Tensor:
    """
    Compute the distribution focal loss of distances: cross entropy with the two bins around them.

    -((right - y) log S_left + (y - left) log S_right), with S the softmax of the bins (Li et
    al., 2020, arXiv:2006.04388).

    :param logits: Logits of bins 0 .. reg_max, shape (n, reg_max + 1), reg_max at least 1.
    :param targets: Distances y in bins, shape (n,); clamped to [0, reg_max].
    :param weights: Weights of the rows, shape (n,).
    :param normalizer: Divisor, usually the sum of the weights in all processes, times four sides.
    """
    logits = _full(logits)
    reg_max = logits.shape[1] - 1
    targets = targets.to(logits.dtype).clamp(0, reg_max)
    # the last bin is the right one of a pair, there is no pair beyond the end
    left = targets.floor().clamp(max=reg_max - 1)
    pair = torch.stack((left, left + 1), dim=1).long()
    logs = logits.log_softmax(dim=1).gather(1, pair)
    share = targets - left
    return _average(-(1 - share) * logs[:, 0] - share * logs[:, 1], weights, normalizer)


def giou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor, weights: Tensor,
              normalizer: Tensor | float) -> Tensor:
    """
    Compute 1 - GIoU (Rezatofighi et al., 2019, arXiv:1902.09630), in [0, 2] per box.

    :param boxes_xyxy: Predicted corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param targets_xyxy: Corners of the objects, same unit, shape (n, 4).
    :param weights: Weights of the boxes, shape (n,).
    :param normalizer: Divisor, usually the sum of the weights in all processes.
    """
    return _average(1 - aligned_giou(boxes_xyxy, targets_xyxy), weights, normalizer)


def ciou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor, weights: Tensor,
              normalizer: Tensor | float) -> Tensor:
    """
    Compute 1 - CIoU (Zheng et al., 2020, arXiv:1911.08287), in [0, 3) per box.

    :param boxes_xyxy: Predicted corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param targets_xyxy: Corners of the objects, same unit, shape (n, 4).
    :param weights: Weights of the boxes, shape (n,).
    :param normalizer: Divisor, usually the number of positives in all processes.
    """
    return _average(1 - aligned_ciou(boxes_xyxy, targets_xyxy), weights, normalizer)


def bce_loss(logits: Tensor, targets: Tensor, weights: Tensor,
             normalizer: Tensor | float) -> Tensor:
    """
    Compute the binary cross entropy of class scores, summed over classes.

    :param logits: Class scores before the sigmoid, shape (n, classes).
    :param targets: Target scores in [0, 1], shape (n, classes).
    :param weights: Weights of the rows, shape (n,).
    :param normalizer: Divisor; for the mean of YOLOv5 the number of positives times classes.
    """
    logits = _full(logits)
    terms = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype),
                                                        reduction='none')
    return _average(terms.sum(dim=1), weights, normalizer)


def objectness_loss(logits: Tensor, ious: Tensor, weights: Tensor,
                    normalizer: Tensor | float) -> Tensor:
    """
    Compute the binary cross entropy of objectness, whose target is the IoU of the predicted box.

    The target is a constant, clamped to [0, 1], because YOLOv5 uses a CIoU, which may be negative.

    :param logits: Objectness before the sigmoid, shape (n,).
    :param ious: IoU of the predicted box with its object, 0 for background, shape (n,).
    :param weights: Weights of the anchors, 0 for ignored ones, shape (n,).
    :param normalizer: Divisor; in YOLOv5 the number of anchors of the level.
    """
    targets = ious.detach().clamp(0, 1)
    return bce_loss(logits[:, None], targets[:, None], weights, normalizer)


def _full(values: Tensor) -> Tensor:
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def _average(terms: Tensor, weights: Tensor, normalizer: Tensor | float) -> Tensor:
    total = (terms * weights.detach()).sum()
    if isinstance(normalizer, Tensor):
        normalizer = normalizer.detach()
        return total / torch.where(normalizer > 0, normalizer, torch.ones_like(normalizer))
    return total / (normalizer if normalizer > 0 else 1)
