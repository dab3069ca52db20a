# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The objective of YOLOF."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.decode import LARGEST_GROWTH
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import YolofLoss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import objects_of
from lite_detector.train.losses.assign.uniform import assign_uniform, UniformMatch
from lite_detector.train.losses.boxes import boxes_from_cxcywh, grid_priors
from lite_detector.train.losses.loss_functions import focal_loss, giou_loss, soft_targets
from lite_detector.train.losses.objectives.objective import (
    loss_normalizer,
    Objective,
    positives_normalizer,
    ReduceMean,
)
from lite_detector.train.models.pyramid_network import PyramidNetwork
from lite_detector.train.models.yolof import joint_logits
import torch
from torch import Tensor


class Anchors(NamedTuple):
    """
    The anchors of all cells in the order of ``core.decode``: anchor, row, column.

    :param centers: Centres x, y in network pixels, float32, shape (p, 2).
    :param sizes: Width and height in network pixels, float32, shape (p, 2).
    """

    centers: Tensor
    sizes: Tensor

    @property
    def boxes_xyxy(self) -> Tensor:
        """Corners in network pixels, shape (p, 4)."""
        return boxes_from_cxcywh(torch.cat((self.centers, self.sizes), dim=1))

    def moved(self, deltas: Tensor, center_clamp: float) -> Tensor:
        """
        Return the predicted boxes, as ``decode_yolof`` does.

        :param deltas: Raw x, y, width, height of each anchor, shape (..., p, 4).
        :param center_clamp: Limit of the centre shift, from the card.
        :return: Corners x1, y1, x2, y2, shape (..., p, 4).
        """
        shifts = (deltas[..., :2] * self.sizes).clamp(-center_clamp, center_clamp)
        growth = deltas[..., 2:].clamp(max=LARGEST_GROWTH).exp()
        return boxes_from_cxcywh(torch.cat((self.centers + shifts, self.sizes * growth), dim=-1))


class YolofObjective(Objective):
    """
    Uniform matching; focal and GIoU losses.

    The joint score of class and objectness is trained; the objectness has no target of its own.
    The
    soft label weight of an object multiplies its target score and its box loss: at 0.5 both are
    halved.

    :param spec: Settings of losses and matching.
    """

    def __init__(self, model: PyramidNetwork, card: NetworkCard, spec: YolofLoss,
                 reduce_mean: ReduceMean) -> None:
        super().__init__(model, card, reduce_mean)
        self.spec = spec
        decode = card.decode
        assert (decode.anchors is not None and decode.grid_offset is not None
                and decode.center_clamp is not None), 'checked by the card'
        self._sizes, self._grid_offset = decode.anchors[0], decode.grid_offset
        self._center_clamp = decode.center_clamp
        self._anchors: dict[tuple[ImageSize, torch.device], Anchors] = {}

    def losses(self, predictions: Sequence[Tensor], truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the weighted losses ``score`` and ``box``."""
        boxes, logits = self._flat(predictions[0])
        anchors = self._grid(input_size, boxes.device)
        matches = self._match(boxes.detach(), anchors, truths)
        spec, count = self.spec, len(anchors.centers)
        found = torch.cat([index * count + match.positives for index, match in enumerate(matches)])
        targets, weights = _box_targets(matches, truths)
        here = Anchors(*(each[found % count] for each in anchors))
        predicted = here.moved(boxes.flatten(0, 1)[found, :4], self._center_clamp)
        labels, scores, not_ignored = _score_targets(matches, truths)
        score_normalizer, box_normalizer = self._normalizers(scores[labels >= 0], len(boxes))
        logits = logits.flatten(0, 1)
        return {
            'score': spec.score_weight * focal_loss(
                logits, soft_targets(labels, scores, logits.shape[1]), not_ignored,
                score_normalizer, spec.focal_alpha, spec.focal_gamma),
            'box': spec.box_weight * giou_loss(predicted, targets, weights, box_normalizer)}

    def _flat(self, head: Tensor) -> tuple[Tensor, Tensor]:
        """Return the values of boxes and the logits of scores: (n, p, 5), (n, p, classes)."""
        count = len(self._sizes)
        boxes, classes = (part.unflatten(1, (count, -1)).flatten(3).transpose(2, 3).flatten(1, 2)
                          for part in head.float().tensor_split((5 * count,), dim=1))
        return boxes, joint_logits(classes, boxes[..., 4:])

    @torch.no_grad()
    def _match(self, boxes: Tensor, anchors: Anchors,
               truths: Sequence[GroundTruth]) -> list[UniformMatch]:
        spec = self.spec
        predicted = anchors.moved(boxes[..., :4], self._center_clamp)
        return [assign_uniform(anchors.boxes_xyxy, boxes_xyxy, truth, spec.top_k, spec.ignore_iou,
                               spec.min_iou, spec.dedupe)
                for boxes_xyxy, truth in zip(predicted, truths, strict=True)]

    def _grid(self, input_size: ImageSize, device: torch.device) -> Anchors:
        """Return the anchors of an input size; they are cached."""
        key = (input_size, device)
        if key not in self._anchors:
            centers = grid_priors(input_size, self.card.decode.strides, self._grid_offset,
                                  device).centers
            sizes = torch.tensor(self._sizes, device=device)
            self._anchors[key] = Anchors(centers.repeat(len(sizes), 1),
                                         sizes.repeat_interleave(len(centers), dim=0))
        return self._anchors[key]

    def _normalizers(self, scores: Tensor, images: int) -> tuple[Tensor, Tensor]:
        """Return the normalizers of the score loss and of the box loss, over all processes."""
        local = torch.stack((scores.new_tensor(len(scores)), scores.sum(),
                             scores.new_tensor(images)))
        count, score_sum, images_mean = self.reduce_mean(local).unbind()
        return (loss_normalizer(score_sum, images_mean),
                positives_normalizer(count, score_sum, images_mean))


def _box_targets(matches: Sequence[UniformMatch],
                 truths: Sequence[GroundTruth]) -> tuple[Tensor, Tensor]:
    """Return target boxes and their soft label weights: (k, 4) and (k,)."""
    pairs = [(truth, match.objects) for match, truth in zip(matches, truths, strict=True)]
    return (torch.cat([truth.boxes_xyxy[rows] for truth, rows in pairs]),
            torch.cat([truth.scores[rows] for truth, rows in pairs]))


def _score_targets(matches: Sequence[UniformMatch],
                   truths: Sequence[GroundTruth]) -> tuple[Tensor, Tensor, Tensor]:
    """Return class ids, target scores, and 0 for ignored anchors; each (n * p,)."""
    assignments = [match.assignment for match in matches]
    labels = torch.cat([each.labels for each in assignments])
    weights = torch.cat([each.weights for each in assignments])
    scores = torch.zeros_like(weights)
    scores[labels >= 0] = objects_of(assignments, truths)[1]
    return labels, scores, weights
