# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The common part of the objectives of NanoDet, NanoDet-Plus and DAMO-YOLO."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import DslaLoss, GflLoss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import Assignment, objects_of
from lite_detector.train.losses.assign.dsla import assign_dsla
from lite_detector.train.losses.boxes import (
    aligned_iou,
    boxes_from_distances,
    distances_from_boxes,
    grid_priors,
    Priors,
)
from lite_detector.train.losses.loss_functions import (
    distribution_focal_loss,
    giou_loss,
    quality_focal_loss,
    soft_targets,
)
from lite_detector.train.losses.objectives.objective import loss_normalizer, Objective, ReduceMean
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import Tensor

DISTANCE_MARGIN = 0.1
"""Difference of the largest target distance from reg_max, so that both bins exist."""


class GflHeads(NamedTuple):
    """
    Raw heads of a batch, the cells of all levels concatenated.

    :param logits: Class scores before the sigmoid, float32, shape (n, priors, classes).
    :param bins: Distributions of the distances before the softmax, in the order left, top,
        right, bottom, float32, shape (n, priors, 4, reg_max + 1).
    """

    logits: Tensor
    bins: Tensor


class GflTargets(NamedTuple):
    """
    Training targets of the cells of a batch, all images concatenated.

    :param labels: Class ids or negative numbers, int64, shape (n * priors,).
    :param weights: Weights of the cells, 0 if ignored, otherwise 1, float32, shape (n * priors,).
    :param positives: Indices of the positive samples, int64, shape (k,).
    :param boxes_xyxy: Boxes of their objects in network pixels, shape (k, 4).
    :param scores: Soft label weights of their objects, in [0, 1], shape (k,).
    :param ious: IoU of the matched box with each object, shape (k,).
    """

    labels: Tensor
    weights: Tensor
    positives: Tensor
    boxes_xyxy: Tensor
    scores: Tensor
    ious: Tensor


def targets_of(assignments: Sequence[Assignment], truths: Sequence[GroundTruth]) -> GflTargets:
    """Join the assignments of the images of a batch."""
    gt_indices = torch.cat([each.gt_indices for each in assignments])
    positives = (gt_indices >= 0).nonzero()[:, 0]
    boxes, scores = objects_of(assignments, truths)
    return GflTargets(torch.cat([each.labels for each in assignments]),
                      torch.cat([each.weights for each in assignments]), positives, boxes, scores,
                      torch.cat([each.ious for each in assignments])[positives])


def flat_heads(heads: Sequence[Tensor], classes: int) -> GflHeads:
    """
    Return the cells of all levels concatenated, in the order of the priors.

    :param heads: Raw heads, one per stride, shape (n, classes + 4 * (reg_max + 1), h, w).
    """
    rows = torch.cat([head.flatten(2) for head in heads], dim=2).transpose(1, 2).float()
    return GflHeads(rows[..., :classes], rows[..., classes:].unflatten(2, (4, -1)))


def expected_distances(bins: Tensor) -> Tensor:
    """Return the means of distributions over 0 .. reg_max: (..., reg_max + 1) -> (...)."""
    return bins.softmax(dim=-1) @ torch.arange(bins.shape[-1], dtype=bins.dtype,
                                               device=bins.device)


class GflObjective(Objective):
    """
    The losses of cells that predict class scores and distances.

    Generalized Focal Loss (Li et al., 2020, arXiv:2006.04388) as in NanoDet. The target score of a
    cell is the IoU of a box with its object, and the best score of a cell weights its box loss.
    The
    soft label weight of an object multiplies both: at 0.5 the target score and the weight of the
    box
    are halved.

    :param spec: Settings of the losses.
    """

    def __init__(self, model: PyramidNetwork, card: NetworkCard, spec: GflLoss,
                 reduce_mean: ReduceMean) -> None:
        super().__init__(model, card, reduce_mean)
        self.spec = spec
        self._priors: dict[tuple[ImageSize, torch.device], Priors] = {}

    def priors(self, input_size: ImageSize, device: torch.device) -> Priors:
        """Return the priors of an input size; they are cached."""
        key = (input_size, device)
        if key not in self._priors:
            decode = self.card.decode
            assert decode.grid_offset is not None, 'checked by the card'
            self._priors[key] = grid_priors(input_size, decode.strides, decode.grid_offset, device)
        return self._priors[key]

    def flat(self, heads: Sequence[Tensor]) -> GflHeads:
        """Return the cells of all levels concatenated, in the order of the priors."""
        return flat_heads(heads, len(self.card.class_names))

    @torch.no_grad()
    def assign_by_prediction(self, heads: GflHeads, truths: Sequence[GroundTruth],
                             priors: Priors) -> GflTargets:
        """Assign objects by these predictions."""
        distances = expected_distances(heads.bins) * priors.strides[:, None]
        boxes = boxes_from_distances(priors.centers, distances)
        assignments = [self.assign(priors, logits, boxes_xyxy, truth)
                       for logits, boxes_xyxy, truth
                       in zip(heads.logits, boxes, truths, strict=True)]
        return targets_of(assignments, truths)

    @abstractmethod
    def assign(self, priors: Priors, logits: Tensor, boxes_xyxy: Tensor,
               truth: GroundTruth) -> Assignment:
        """
        Assign objects by the predictions for one image.

        :param logits: Class scores before the sigmoid, shape (priors, classes).
        :param boxes_xyxy: Predicted boxes in network pixels, shape (priors, 4).
        """

    def terms(self, heads: GflHeads, targets: GflTargets, priors: Priors,
              qualities: Tensor | None = None) -> dict[str, Tensor]:
        """
        Return the three weighted losses of a head.

        :param heads: Predictions of the head.
        :param targets: Training targets.
        :param priors: Priors of one image.
        :param qualities: Target scores of the positives for objects with a score of 1, in [0, 1],
            shape (k,); None: the IoUs of their own boxes.
        """
        cells = targets.positives % len(priors.centers)
        centers, strides = priors.centers[cells], priors.strides[cells, None]
        bins = heads.bins.flatten(0, 1)[targets.positives]
        boxes = boxes_from_distances(centers, expected_distances(bins) * strides)
        if qualities is None:
            qualities = aligned_iou(boxes.detach(), targets.boxes_xyxy)
        logits = heads.logits.flatten(0, 1)
        weights = logits.detach()[targets.positives].amax(dim=1).sigmoid() * targets.scores
        normalizer, weight_sum = self._normalizers(weights, targets.scores, len(heads.logits))
        scores = torch.zeros_like(targets.weights)
        scores[targets.positives] = qualities * targets.scores
        distances = distances_from_boxes(centers / strides, targets.boxes_xyxy / strides,
                                         bins.shape[-1] - 1 - DISTANCE_MARGIN)
        spec = self.spec
        return {
            'score': spec.score_weight * quality_focal_loss(
                logits, soft_targets(targets.labels, scores, logits.shape[1]), targets.weights,
                normalizer, spec.score_beta),
            'box': spec.box_weight * giou_loss(boxes, targets.boxes_xyxy, weights, weight_sum),
            'distribution': spec.distribution_weight * distribution_focal_loss(
                bins.flatten(0, 1), distances.flatten(), weights.repeat_interleave(4),
                4 * weight_sum)}

    def _normalizers(self, weights: Tensor, scores: Tensor,
                     images: int) -> tuple[Tensor, Tensor]:
        """
        Return the normalizers of the score loss and of the box losses, over all processes.

        The sum of the box weights has no minimum, so a batch with one object trains its box as
        much as a batch with many. (The authors divide by at least 1.)
        """
        local = torch.stack((scores.sum(), weights.sum(), weights.new_tensor(images)))
        score_sum, weight_sum, images_mean = self.reduce_mean(local).unbind()
        return loss_normalizer(score_sum, images_mean), weight_sum


class DslaObjective(GflObjective):
    """The objective of NanoDet and NanoDet-Plus, which can assign objects by DSLA."""

    spec: DslaLoss

    def assign(self, priors: Priors, logits: Tensor, boxes_xyxy: Tensor,
               truth: GroundTruth) -> Assignment:
        """Assign objects by the predictions for one image (DSLA)."""
        return assign_dsla(priors.centers, logits, boxes_xyxy, truth, self.spec.dsla_top_k,
                           self.spec.dsla_iou_factor)
