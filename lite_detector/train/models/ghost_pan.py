# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Ghost-PAN, the neck of NanoDet-Plus.

It is built of ghost modules (GhostNet, Han et al., 2020, arXiv:1911.11907): a pointwise
convolution computes half of the channels, a cheap depthwise convolution derives the other half.
"""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.train.models.blocks import (
    conv_bn,
    depthwise,
    LEAKY_RELU,
    MakeActivation,
    separable,
)
import torch
from torch import nn, Tensor
from torch.nn import functional

KERNEL_SIZE = 5


class GhostModule(nn.Module):
    """A pointwise convolution to half of the channels, and a depthwise one for the rest."""

    def __init__(self, in_channels: int, out_channels: int,
                 activation: MakeActivation | None) -> None:
        super().__init__()
        half = out_channels // 2
        self.primary = nn.Sequential(*conv_bn(in_channels, half, activation=activation))
        self.cheap = nn.Sequential(*depthwise(half, 3, activation=activation))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h, w)."""
        primary = self.primary(inputs)
        return torch.cat((primary, self.cheap(primary)), dim=1)


class GhostBottleneck(nn.Module):
    """Two ghost modules and a separable shortcut."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.ghosts = nn.Sequential(GhostModule(in_channels, out_channels, LEAKY_RELU),
                                    GhostModule(out_channels, out_channels, None))
        self.shortcut = nn.Sequential(*depthwise(in_channels, KERNEL_SIZE),
                                      *conv_bn(in_channels, out_channels))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h, w)."""
        return self.ghosts(inputs) + self.shortcut(inputs)


class GhostPan(nn.Module):
    """
    Top-down and bottom-up fusion by ghost bottlenecks, and an optional coarser level.

    :param in_channels: Channels of the backbone's feature maps, fine to coarse.
    :param channels: Channels of every output level.
    :param extra: Whether to add one coarser level.
    """

    def __init__(self, in_channels: Sequence[int], channels: int, *,
                 extra: bool = True) -> None:
        super().__init__()
        self.channels = channels
        steps = len(in_channels) - 1
        self.laterals = nn.ModuleList(
            nn.Sequential(*conv_bn(width, channels, activation=LEAKY_RELU))
            for width in in_channels)
        self.top_down = nn.ModuleList(
            GhostBottleneck(2 * channels, channels) for _ in range(steps))
        self.downs = nn.ModuleList(_halving(channels) for _ in range(steps))
        self.bottom_up = nn.ModuleList(
            GhostBottleneck(2 * channels, channels) for _ in range(steps))
        self.extra_in = _halving(channels) if extra else None
        self.extra_out = _halving(channels) if extra else None
        for name, layer in self.named_modules():
            # as the authors do; ghost bottlenecks keep the default of torch
            if isinstance(layer, nn.Conv2d) and not name.startswith(('top_down', 'bottom_up')):
                nn.init.kaiming_normal_(layer.weight, mode='fan_out', nonlinearity='relu')

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one map per feature map, and the optional one of half the coarsest size."""
        levels = [lateral(feature) for lateral, feature
                  in zip(self.laterals, features, strict=True)]
        coarsest = levels[-1]
        for fine, fuse in zip(reversed(range(len(levels) - 1)), self.top_down, strict=True):
            coarse = functional.interpolate(levels[fine + 1], scale_factor=2.0, mode='bilinear')
            levels[fine] = fuse(torch.cat((coarse, levels[fine]), dim=1))
        for index, down, fuse in zip(range(1, len(levels)), self.downs, self.bottom_up,
                                     strict=True):
            halved = down(levels[index - 1])
            levels[index] = fuse(torch.cat((halved, levels[index]), dim=1))
        if self.extra_in is None or self.extra_out is None:
            return levels
        return [*levels, self.extra_in(coarsest) + self.extra_out(levels[-1])]


def _halving(channels: int) -> nn.Sequential:
    return nn.Sequential(*separable(channels, channels, KERNEL_SIZE, LEAKY_RELU, stride=2))
