# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What every objective is: a network, and the losses that it is trained by."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
import torch
from torch import nn, Tensor

ReduceMean = Callable[[Tensor], Tensor]
"""
Averages a tensor over all processes, element by element.

What is divided by, such as the number of positives, goes through it, in every process and step.
So the mean of the gradients of several processes is the gradient of their batches as one.
"""


def identity(values: Tensor) -> Tensor:
    """Average over the only process there is."""
    return values


def loss_normalizer(score_sum: Tensor, images: Tensor) -> Tensor:
    """
    Return what a loss over positives and background is divided by.

    It is the sum of the scores of the positives (their number, if all labels are certain), and at
    least one for each image. Without that minimum the background of a batch with a single
    positive, or with many positives of low scores, would count several times as much as that of
    a batch without any object.

    :param score_sum: scores of the objects of all positives, mean over processes.
    :param images: number of images, likewise.
    """
    return torch.maximum(score_sum, images)


def positives_normalizer(count: Tensor, score_sum: Tensor, images: Tensor) -> Tensor:
    """
    Return what a loss over positives alone, such as that of boxes, is divided by.

    It is the sum of their scores, so a single object in a batch trains at full weight. Many
    positives of low scores count at least as one for each image.

    :param count: number of positives, mean over processes.
    :param score_sum: scores of their objects, likewise; ``count`` if all labels are certain.
    :param images: number of images, likewise.
    """
    return torch.maximum(score_sum, torch.minimum(count, images))


class Objective(nn.Module, ABC):
    """
    A network and its losses.

    It is what ``DistributedDataParallel`` wraps and whose parameters the optimiser gets. Every
    parameter gets a gradient in every step, also where no image has an object.

    :param model: the network that is served; ``objective.model.state_dict()`` is what is saved.
    :param card: strides, decoding and class names of the network.
    :param reduce_mean: averages over processes.
    """

    def __init__(self, model: nn.Module, card: NetworkCard, reduce_mean: ReduceMean) -> None:
        super().__init__()
        self.model = model
        self.card = card
        self.reduce_mean = reduce_mean
        self.distillation: nn.Module | None = None
        """A ``lite_detector.train.distill.Distillation``, whose losses are added."""

    def forward(self, images: Tensor, truths: Sequence[GroundTruth]) -> dict[str, Tensor]:
        """
        Return name -> weighted loss, scalars in float32 whose sum is to be minimised.

        :param images: normalised pixels, shape (n, 3, h, w), sides on the grid of 32; for a
            teacher that sees them larger, as large as it does.
        :param truths: the labels of each image, on the same device.
        """
        for_teacher = images
        if self.distillation is not None:
            images, truths = self.distillation.for_student(images, truths)
        features, levels = self.model.pyramids(images)
        predictions = self.predict(features, levels)
        with torch.autocast(images.device.type, enabled=False):
            terms = self.losses(predictions, truths, ImageSize(*images.shape[-2:]))
        if self.distillation is not None:
            terms |= self.distillation(for_teacher, levels, self.raw_heads(predictions))
        return terms

    def predict(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> Any:
        """
        Return what ``losses`` wants to see: the raw heads of the network, at least.

        :param features: maps of the backbone.
        :param levels: maps of the neck.
        """
        return self.model.raw_heads(levels)

    def raw_heads(self, predictions: Any) -> Sequence[Tensor]:
        """Return the raw heads of the network among what ``predict`` returned."""
        return predictions

    @abstractmethod
    def losses(self, predictions: Any, truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """
        Return name -> weighted loss.

        :param predictions: from ``predict``.
        :param truths: one per image.
        :param input_size: of the images, in pixels.
        """

    def start_epoch(self, epoch: int) -> None:  # noqa: B027 most objectives have nothing to do
        """Let the objective know how far the training is; the first epoch is 0."""

    def start_step(self, iteration: int, total: int) -> None:
        """Let it know the step too: the first is 0, the last ``total - 1``."""
        if self.distillation is not None:
            self.distillation.start_step(iteration, total)
