# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Losses between the feature maps of a student and those of a teacher.

Each loss is one module per pair of feature maps. Its convolutions convert the student's map to
the channels of the teacher; they are trained with the student and not exported. Feature maps are
normalised first, so that a weight means the same for any pair of networks.
"""

from __future__ import annotations

from collections.abc import Callable

from lite_detector.train.config.distill import FeatureSpec
import torch
from torch import nn, Tensor
from torch.nn import functional

EPSILON = 1e-5
MGD_SCALE = 2e-5
"""Published scale for a sum over all channels and positions."""


class ChannelWise(nn.Module):
    """
    Channel-wise distillation (Shu et al., 2021, arXiv:2011.13256), as in DAMO-YOLO.

    :param student_channels: Channels of the student's feature map.
    :param teacher_channels: Channels of the teacher's feature map.
    :param spec: Settings of the loss.
    """

    def __init__(self, student_channels: int, teacher_channels: int, spec: FeatureSpec) -> None:
        super().__init__()
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self._temperature = spec.temperature

    def forward(self, student: Tensor, teacher: Tensor, iteration: int) -> Tensor:
        """Return the loss of two feature maps (n, channels, h, w) of one size."""
        return channel_wise_kl(normalized(self.align(student)), normalized(teacher),
                               self._temperature)


class Mimic(nn.Module):
    """The squared difference of feature maps (FitNets, Romero et al., 2015, arXiv:1412.6550)."""

    def __init__(self, student_channels: int, teacher_channels: int, spec: FeatureSpec) -> None:
        super().__init__()
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)

    def forward(self, student: Tensor, teacher: Tensor, iteration: int) -> Tensor:
        """Return the loss of two feature maps (n, channels, h, w) of one size."""
        return functional.mse_loss(normalized(self.align(student)), normalized(teacher))


class MaskedGeneration(nn.Module):
    """
    Masked generative distillation (Yang et al., 2022, arXiv:2205.01529).

    Two convolutions generate the full feature map of the teacher from a masked map of the student,
    both normalised, as in DAMO-YOLO.
    """

    def __init__(self, student_channels: int, teacher_channels: int, spec: FeatureSpec) -> None:
        super().__init__()
        self.align = nn.Conv2d(student_channels, teacher_channels, 1)
        self.generate = nn.Sequential(
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1), nn.ReLU(),
            nn.Conv2d(teacher_channels, teacher_channels, 3, padding=1))
        self._masked = spec.masked

    def forward(self, student: Tensor, teacher: Tensor, iteration: int) -> Tensor:
        """
        Return the loss of two feature maps (n, channels, h, w) of one size.

        :param iteration: Index of the step; it determines the mask, so that a resumed run has the
            same masks.
        """
        images, _, height, width = student.shape
        chance = torch.rand(images, 1, height, width,
                            generator=torch.Generator().manual_seed(iteration))
        seen = (chance >= self._masked).to(student)
        generated = self.generate(normalized(self.align(student)) * seen)
        difference = generated - normalized(teacher)
        return MGD_SCALE * difference.square().sum() / images


FEATURE_LOSSES: dict[str, Callable[[int, int, FeatureSpec], nn.Module]] = {
    'cwd': ChannelWise,
    'mgd': MaskedGeneration,
    'mimic': Mimic,
}


def normalized(maps: Tensor) -> Tensor:
    """
    Return feature maps with mean 0 and variance 1 per channel, over batch and positions.

    This is batch norm without gain, shift and running statistics. A single value becomes 0.

    :param maps: Feature maps, shape (n, channels, h, w).
    """
    variance, mean = torch.var_mean(maps, (0, 2, 3), correction=0, keepdim=True)
    return (maps - mean) * (variance + EPSILON).rsqrt()


def channel_wise_kl(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """
    Compute the divergence of channel attention, as a mean over images and channels.

    The attention of a channel is a softmax over all positions; the loss is
    KL(teacher || student) * temperature^2.

    :param student: Feature map of the student, shape (n, channels, h, w).
    :param teacher: Feature map of the teacher, same shape.
    :return: Scalar, at least 0; 0 if they are equal or have one position.
    """
    logs, wanted = ((maps / temperature).flatten(2).log_softmax(dim=2)
                    for maps in (student, teacher))
    images, channels = logs.shape[:2]
    total = functional.kl_div(logs, wanted, reduction='sum', log_target=True)
    return total * temperature ** 2 / (images * channels)
