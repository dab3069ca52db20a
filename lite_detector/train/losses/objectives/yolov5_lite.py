# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The objective of YOLOv5-Lite."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import Yolov5Loss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import objects_of
from lite_detector.train.losses.assign.yolov5 import assign_yolov5
from lite_detector.train.losses.boxes import aligned_ciou, boxes_from_cxcywh, grid_priors
from lite_detector.train.losses.loss_functions import bce_loss, ciou_loss, objectness_loss
from lite_detector.train.losses.objectives.objective import (
    Objective,
    positives_normalizer,
    ReduceMean,
)
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import Tensor
from torch.nn import functional

FULL_AREA = 640 * 640
"""Input pixels for which the weight of the objectness is published."""
FULL_CLASSES = 80
"""Number of classes for which the weight of the class loss is published."""


class AnchorGrid(NamedTuple):
    """
    The anchors of all cells in the order of ``assign_yolov5``: level, anchor, row, column.

    :param centers: Centres of the cells x, y in network pixels, shape (p, 2).
    :param strides: Pixels per cell, shape (p, 1).
    :param anchors: Width and height in network pixels, shape (p, 2).
    :param levels: Index of the level, int64, shape (p,).
    :param shares: Weights of the objectness loss; the sum over a level is its balance, (p,).
    """

    centers: Tensor
    strides: Tensor
    anchors: Tensor
    levels: Tensor
    shares: Tensor


class Yolov5Objective(Objective):
    """
    Matching of anchors by shape; CIoU, objectness and class losses.

    The objectness target of an anchor is the CIoU of its own box times the score of its object.
    The
    same score weights the box and class losses. Losses are means over a batch, while YOLOv5
    multiplies them by the batch size, so learning rates differ: its 0.01 at 64 images is 0.64 here
    for plain SGD, and the same for AdamW, which is independent of the scale. A single class is
    trained too (YOLOv5 leaves it out), because the decoder multiplies by its score.

    :param spec: Settings of the losses.
    :raises ConfigError: if there is not one level_balance per stride.
    """

    def __init__(self, model: PyramidNetwork, card: NetworkCard, spec: Yolov5Loss,
                 reduce_mean: ReduceMean) -> None:
        super().__init__(model, card, reduce_mean)
        if len(spec.level_balance) != len(card.decode.strides):
            raise ConfigError(f'loss.yolov5_lite.level_balance: {len(spec.level_balance)} values; '
                              f'expected {len(card.decode.strides)}, one per stride')
        self.spec = spec
        self._grids: dict[tuple[ImageSize, torch.device], AnchorGrid] = {}

    def losses(self, predictions: Sequence[Tensor], truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the weighted losses ``box``, ``object`` and ``class``."""
        rows = self._flat(predictions)
        images, count, _ = rows.shape
        grid = self._grid(input_size, rows.device)
        decode = self.card.decode
        anchors = torch.tensor(decode.anchors, device=rows.device)
        assignments = [assign_yolov5(input_size, decode.strides, anchors, truth,
                                     self.spec.anchor_ratio) for truth in truths]
        positives = torch.cat([each.gt_indices for each in assignments]).ge(0).nonzero()[:, 0]
        boxes, scores = objects_of(assignments, truths)
        labels = torch.cat([each.labels for each in assignments])[positives]
        not_ignored = torch.cat([each.weights for each in assignments])
        rows = rows.flatten(0, 1)
        found, priors = rows[positives], positives % count
        predicted = _boxes(found, priors, grid)
        weights, images_mean = self._normalizers(grid.levels[priors], scores, images)
        qualities = torch.zeros_like(not_ignored)
        qualities[positives] = aligned_ciou(predicted.detach(), boxes) * scores
        classes = len(self.card.class_names)
        one_hot = functional.one_hot(labels, classes)
        area = input_size.height * input_size.width
        return {
            'box': self.spec.box_weight * ciou_loss(predicted, boxes, weights, 1),
            'object': self.spec.object_weight * area / FULL_AREA * objectness_loss(
                rows[:, 4], qualities, not_ignored * grid.shares.repeat(images), images_mean),
            # the mean over the classes times their number is their sum
            'class': self.spec.class_weight / FULL_CLASSES * bce_loss(
                found[:, 5:], one_hot, weights, 1)}

    def _flat(self, heads: Sequence[Tensor]) -> Tensor:
        """Return the rows of all anchors, float32, shape (n, p, 5 + classes)."""
        values = 5 + len(self.card.class_names)
        return torch.cat([head.unflatten(1, (-1, values)).flatten(3).transpose(2, 3).flatten(1, 2)
                          for head in heads], dim=1).float()

    def _grid(self, input_size: ImageSize, device: torch.device) -> AnchorGrid:
        """Return the anchors of an input size; they are cached."""
        key = (input_size, device)
        if key not in self._grids:
            decode, parts = self.card.decode, []
            assert decode.anchors is not None, 'checked by the card'
            for level, (stride, anchors, balance) in enumerate(zip(
                    decode.strides, decode.anchors, self.spec.level_balance, strict=True)):
                centers = grid_priors(input_size, (stride,), 0.5, device).centers
                sizes = torch.tensor(anchors, device=device).repeat_interleave(len(centers), dim=0)
                column = sizes[:, :1]
                parts.append(AnchorGrid(
                    centers.repeat(len(anchors), 1), torch.full_like(column, stride), sizes,
                    torch.full_like(column[:, 0], level, dtype=torch.int64),
                    torch.full_like(column[:, 0], balance / len(sizes))))
            self._grids[key] = AnchorGrid(*(torch.cat(part) for part in zip(*parts, strict=True)))
        return self._grids[key]

    def _normalizers(self, levels: Tensor, scores: Tensor,
                     images: int) -> tuple[Tensor, Tensor]:
        """Return weights that make the sum of each level a mean, and the images per process."""
        strides = len(self.card.decode.strides)
        counts = torch.bincount(levels, minlength=strides).float()
        score_sums = counts.new_zeros(strides).index_add_(0, levels, scores)
        local = torch.cat((counts, score_sums, counts.new_tensor([images])))
        counts, score_sums, images_mean = self.reduce_mean(local).split((strides, strides, 1))
        normalizers = positives_normalizer(counts, score_sums, images_mean)
        return scores / normalizers[levels], images_mean[0]


def _boxes(rows: Tensor, priors: Tensor, grid: AnchorGrid) -> Tensor:
    """Decode as ``decode_yolov5`` does: the centre of cell i is at i + 0.5."""
    values = rows[:, :4].sigmoid()
    centers = (2 * values[:, :2] - 1) * grid.strides[priors] + grid.centers[priors]
    return boxes_from_cxcywh(torch.cat(
        (centers, (2 * values[:, 2:]).square() * grid.anchors[priors]), dim=1))
