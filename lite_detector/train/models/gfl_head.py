# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The head of NanoDet and NanoDet-Plus: class scores and distance distributions per cell."""

from __future__ import annotations

from collections.abc import Sequence
import math

from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.blocks import bias_of, LEAKY_RELU, separable
from torch import nn, Tensor

SCORE_PRIOR = 0.01
"""Initial score of every class; low, because most cells are background."""


class GflHead(nn.Module):
    """
    Two separable convolutions per level, then scores and distances from the same features.

    Each level has its own weights (https://github.com/RangiLyu/nanodet).

    :param channels: Channels of the pyramid.
    :param levels: Number of levels of the pyramid.
    :param kernel_size: Kernel size of the convolutions: 3 in NanoDet, 5 in NanoDet-Plus.
    """

    def __init__(self, channels: int, levels: int, kernel_size: int, spec: ModelSpec) -> None:
        super().__init__()
        self.towers = nn.ModuleList(
            nn.Sequential(*separable(channels, channels, kernel_size, LEAKY_RELU),
                          *separable(channels, channels, kernel_size, LEAKY_RELU))
            for _ in range(levels))
        outputs = spec.num_classes + 4 * (spec.reg_max + 1)
        convs = [nn.Conv2d(channels, outputs, 1) for _ in range(levels)]
        self.outputs = nn.ModuleList(convs)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.normal_(module.weight, std=0.01)
        for conv in convs:
            reset_bias(conv, spec.num_classes)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads, one per level, shape (n, num_classes + 4 * (reg_max + 1), h, w)."""
        return [output(tower(level)) for tower, output, level
                in zip(self.towers, self.outputs, levels, strict=True)]


def reset_bias(conv: nn.Conv2d, num_classes: int) -> None:
    """Set the first ``num_classes`` biases to the prior score, and the others to zero."""
    bias = bias_of(conv)
    nn.init.zeros_(bias)
    nn.init.constant_(bias[:num_classes], math.log(SCORE_PRIOR / (1 - SCORE_PRIOR)))
