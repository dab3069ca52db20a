# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Losses: each is sum(weight * term) / normalizer, with both given by the caller.

An empty input gives 0 that is still connected to the network, so that a batch without objects,
or one process of several without objects, goes backward like any other. A normalizer of 0 counts
as 1. Half precision is computed in float32.
"""

from __future__ import annotations

from lite_detector.train.losses.boxes import aligned_ciou, aligned_giou
import torch
from torch import Tensor
from torch.nn import functional


def soft_targets(labels: Tensor, scores: Tensor, num_classes: int) -> Tensor:
    """
    Return the target of each class: the score in the class of the object, 0 in all others.

    :param labels: class ids, int64, shape (n,); negative (background, ignored) is no class.
    :param scores: such as the IoU with the object, in [0, 1], shape (n,).
    :param num_classes: columns of the result.
    :return: shape (n, num_classes), of the type of the scores.
    """
    targets = scores.new_zeros(len(labels), num_classes)
    rows = (labels >= 0).nonzero()[:, 0]
    targets[rows, labels[rows]] = scores[rows]
    return targets


def quality_focal_loss(logits: Tensor, targets: Tensor, weights: Tensor,
                       normalizer: Tensor | float, beta: float = 2.0) -> Tensor:
    """
    Compute the quality focal loss: |y - p|^beta * BCE(p, y), summed over classes.

    It is 0 for hard labels that are met and smallest at p = y (Li et al., 2020, Generalized
    Focal Loss, arXiv:2006.04388).

    :param logits: class scores before the sigmoid, shape (n, classes).
    :param targets: y in [0, 1], from ``soft_targets``, shape (n, classes).
    :param weights: of each row, shape (n,).
    :param normalizer: usually the number of positives in all processes, at least 1.
    :param beta: how much less the met targets count.
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
    arXiv:1708.02002); between them it goes over from one to the other.

    :param logits: class scores before the sigmoid, shape (n, classes).
    :param targets: y in [0, 1], from ``soft_targets``, shape (n, classes).
    :param weights: of each row, shape (n,).
    :param normalizer: usually the number of positives in all processes.
    :param alpha: what an object counts; nothing counts 1 - alpha.
    :param gamma: how much less the met targets count.
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

    :param logits: of bins 0 .. reg_max, shape (n, reg_max + 1), reg_max at least 1.
    :param targets: distance y in bins, shape (n,); held in [0, reg_max].
    :param weights: of each row, shape (n,).
    :param normalizer: usually the sum of the weights in all processes, times the four sides.
    """
    logits = _full(logits)
    reg_max = logits.shape[1] - 1
    targets = targets.to(logits.dtype).clamp(0, reg_max)
    # the last whole bin is the right one of a pair, not the left one of a pair beyond the end
    left = targets.floor().clamp(max=reg_max - 1)
    pair = torch.stack((left, left + 1), dim=1).long()
    logs = logits.log_softmax(dim=1).gather(1, pair)
    share = targets - left
    return _average(-(1 - share) * logs[:, 0] - share * logs[:, 1], weights, normalizer)


def giou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor, weights: Tensor,
              normalizer: Tensor | float) -> Tensor:
    """
    Compute 1 - GIoU (Rezatofighi et al., 2019, arXiv:1902.09630), in [0, 2] per box.

    :param boxes_xyxy: predicted corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param targets_xyxy: of the objects, same unit, shape (n, 4).
    :param weights: of each box, shape (n,).
    :param normalizer: usually the sum of the weights in all processes.
    """
    return _average(1 - aligned_giou(boxes_xyxy, targets_xyxy), weights, normalizer)


def ciou_loss(boxes_xyxy: Tensor, targets_xyxy: Tensor, weights: Tensor,
              normalizer: Tensor | float) -> Tensor:
    """
    Compute 1 - CIoU (Zheng et al., 2020, arXiv:1911.08287), in [0, 3) per box.

    :param boxes_xyxy: predicted corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param targets_xyxy: of the objects, same unit, shape (n, 4).
    :param weights: of each box, shape (n,).
    :param normalizer: usually the number of positives in all processes.
    """
    return _average(1 - aligned_ciou(boxes_xyxy, targets_xyxy), weights, normalizer)


def bce_loss(logits: Tensor, targets: Tensor, weights: Tensor,
             normalizer: Tensor | float) -> Tensor:
    """
    Compute the binary cross entropy of class scores, summed over classes.

    :param logits: before the sigmoid, shape (n, classes).
    :param targets: in [0, 1], shape (n, classes).
    :param weights: of each row, shape (n,).
    :param normalizer: for the mean that YOLOv5 takes: number of positives times classes.
    """
    logits = _full(logits)
    terms = functional.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype),
                                                        reduction='none')
    return _average(terms.sum(dim=1), weights, normalizer)


def objectness_loss(logits: Tensor, ious: Tensor, weights: Tensor,
                    normalizer: Tensor | float) -> Tensor:
    """
    Compute the binary cross entropy of objectness, whose target is the IoU of the predicted box.

    The target is a constant, held in [0, 1] since YOLOv5 hands in a CIoU, which may be negative.

    :param logits: before the sigmoid, shape (n,).
    :param ious: overlap of the predicted box with its object, 0 for background, shape (n,).
    :param weights: of each prior, 0 where ignored, shape (n,).
    :param normalizer: YOLOv5 takes the number of priors of the level.
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
