# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The base class of objectives: a network and its losses."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import nn, Tensor

ReduceMean = Callable[[Tensor], Tensor]
"""
Function that averages a tensor over all processes, element by element.

Each loss normalizer, such as the number of positives, is averaged in every process and step. So
the mean of the gradients of several processes equals the gradient of one joint batch.
"""


def identity(values: Tensor) -> Tensor:
    """Average over a single process: return the values."""
    return values


def loss_normalizer(score_sum: Tensor, images: Tensor) -> Tensor:
    """
    Return the normalizer of a loss over positives and background.

    It is the sum of the scores of the positives (their number, if all labels are certain), and at
    least one per image. Without that minimum, the background of a batch with few or uncertain
    positives would count several times as much as that of a batch without any object.

    :param score_sum: Sum of the object scores of all positives, mean over processes.
    :param images: Number of images, mean over processes.
    """
    return torch.maximum(score_sum, images)


def positives_normalizer(count: Tensor, score_sum: Tensor, images: Tensor) -> Tensor:
    """
    Return the normalizer of a loss over positives only, such as the box loss.

    It is the sum of their scores, so a single object in a batch trains at full weight. Many
    positives of low scores count as at least one per image.

    :param count: Number of positives, mean over processes.
    :param score_sum: Sum of their object scores, mean over processes; ``count`` if all labels are
        certain.
    :param images: Number of images, mean over processes.
    """
    return torch.maximum(score_sum, torch.minimum(count, images))


class AddedLosses(Protocol):
    """The losses that ``lite_detector.train.distill.Distillation`` adds to an objective."""

    def for_student(self, images: Tensor, truths: Sequence[GroundTruth]
                    ) -> tuple[Tensor, Sequence[GroundTruth]]:
        """Return images and labels in the size of the network's input."""

    def start_step(self, iteration: int, total: int) -> None:
        """Set the step; the first is 0, the last ``total - 1``."""

    def describe(self) -> str:
        """Return one line of text on the losses."""

    def __call__(self, images: Tensor, levels: Sequence[Tensor],
                 heads: Sequence[Tensor]) -> dict[str, Tensor]:
        """Return name -> weighted loss."""


class Objective(nn.Module, ABC):
    """
    A network and its losses.

    ``DistributedDataParallel`` wraps it, and the optimizer gets its parameters. Every parameter
    gets a gradient in every step, also if no image has an object.

    :param model: Network to train and export; ``objective.model.state_dict()`` is saved.
    :param card: Model card with strides, decoding and class names of the network.
    :param reduce_mean: Function that averages over processes.
    """

    def __init__(self, model: PyramidNetwork, card: NetworkCard,
                 reduce_mean: ReduceMean) -> None:
        super().__init__()
        self.model = model
        self.card = card
        self.reduce_mean = reduce_mean
        self.distillation: AddedLosses | None = None

    def forward(self, images: Tensor, truths: Sequence[GroundTruth]) -> dict[str, Tensor]:
        """
        Return name -> weighted loss, float32 scalars; training minimises their sum.

        :param images: Normalised pixels, shape (n, 3, h, w), sides multiples of 32; with
            distillation, in the size of the teacher's input.
        :param truths: Labels of each image, on the same device.
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
        Return the input of ``losses``: at least the raw heads of the network.

        :param features: Feature maps of the backbone.
        :param levels: Feature maps of the neck.
        """
        return self.model.raw_heads(levels)

    def raw_heads(self, predictions: Any) -> Sequence[Tensor]:
        """Return the raw heads of the network among the outputs of ``predict``."""
        return predictions

    @abstractmethod
    def losses(self, predictions: Any, truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """
        Return name -> weighted loss.

        :param predictions: Outputs of ``predict``.
        :param truths: Labels, one per image.
        :param input_size: Size of the images in pixels.
        """

    def start_epoch(self, epoch: int) -> None:  # noqa: B027 most objectives need no epoch
        """Set the epoch; the first is 0."""

    def start_step(self, iteration: int, total: int) -> None:
        """Set the step; the first is 0, the last ``total - 1``."""
        if self.distillation is not None:
            self.distillation.start_step(iteration, total)
