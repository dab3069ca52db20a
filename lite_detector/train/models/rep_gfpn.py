# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The efficient RepGFPN, the neck of DAMO-YOLO.

DAMO-YOLO has a heavy neck and a minimal head (Xu et al., 2022, arXiv:2211.15444, table 4). The
neck is the generalized FPN of GiraffeDet (Jiang et al., 2022, arXiv:2202.04256) without its extra
upsampling.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from lite_detector.train.models.blocks import conv_bn, MakeActivation, RELU, separable, SILU
from lite_detector.train.models.rep_conv import RepConv
from lite_detector.train.models.tinynas import InvertedBlock
import torch
from torch import nn, Tensor
from torch.nn import functional

MakeFusion = Callable[[int], nn.Module]
"""Function that creates a block with the same number of input and output channels."""


class RepBlock(nn.Module):
    """
    A RepConv and a 3x3 convolution with a residual connection.

    :param hidden: Channels between the two, as a share of those of the block.
    """

    def __init__(self, channels: int, hidden: float, activation: MakeActivation) -> None:
        super().__init__()
        inner = int(channels * hidden)
        self.layers = nn.Sequential(RepConv(channels, inner, activation=activation),
                                    *conv_bn(inner, channels, 3, activation=activation))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map of the same shape."""
        return inputs + self.layers(inputs)


def light_block(channels: int) -> nn.Module:
    """Return the block of the nano networks: three times as wide inside, rounded to 8."""
    return InvertedBlock(channels, int(3 * channels + 4) // 8 * 8, channels)


class FusionStage(nn.Module):
    """
    Fuse feature maps: half of the channels skip the blocks, the outputs of all blocks are kept.

    :param in_channels: Channels of all input feature maps together.
    :param blocks: Number of blocks.
    """

    def __init__(self, in_channels: int, out_channels: int, blocks: int, make_block: MakeFusion,
                 activation: MakeActivation) -> None:
        super().__init__()
        half = out_channels // 2
        self.passed = nn.Sequential(*conv_bn(in_channels, half, activation=activation))
        self.worked = nn.Sequential(*conv_bn(in_channels, out_channels - half,
                                             activation=activation))
        self.blocks = nn.ModuleList(make_block(out_channels - half) for _ in range(blocks))
        self.fuse = nn.Sequential(*conv_bn(half + blocks * (out_channels - half), out_channels,
                                           activation=activation))

    def forward(self, *maps: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h, w), from inputs of one size."""
        inputs = torch.cat(maps, dim=1)
        kept, worked = [self.passed(inputs)], self.worked(inputs)
        for block in self.blocks:
            worked = block(worked)
            kept.append(worked)
        return self.fuse(torch.cat(kept, dim=1))


class RepGfpn(nn.Module):
    """
    Top-down fusion that also uses the next finer map, and bottom-up fusion of three maps.

    :param in_channels: Channels of the backbone's feature maps, fine to coarse.
    :param out_channels: Channels of the output levels.
    :param blocks: Number of blocks per fusion.
    :param hidden: Share of the channels inside a block; None: inverted blocks and depthwise
        downsampling, as in the nano networks.
    :param activation: Activation of all layers.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: Sequence[int], blocks: int,
                 hidden: float | None, activation: MakeActivation) -> None:
        super().__init__()
        self.out_channels = tuple(out_channels)
        fine, middle, coarse = in_channels
        fine_out, middle_out, coarse_out = out_channels
        make_block, halve = light_block, _light_halving
        if hidden is not None:
            make_block, halve = partial(RepBlock, hidden=hidden, activation=activation), _halving

        def fusion(width: int, out: int) -> FusionStage:
            return FusionStage(width, out, blocks, make_block, activation)

        self.middle_to_coarse = halve(middle, activation)
        self.fuse5 = fusion(middle + coarse, coarse)
        self.fine_to_middle = halve(fine, activation)
        self.fuse4 = fusion(fine + middle + coarse, middle)
        self.fuse3 = fusion(fine + middle, fine_out)
        self.down3 = halve(fine_out, activation)
        self.fuse4_up = fusion(fine_out + middle, middle_out)
        self.down4 = halve(middle, activation)
        self.down4_up = halve(middle_out, activation)
        self.fuse5_up = fusion(middle + middle_out + coarse, coarse_out)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one map per feature map, with ``out_channels`` channels."""
        fine, middle, coarse = features
        coarse = self.fuse5(coarse, self.middle_to_coarse(middle))
        middle = self.fuse4(middle, self.fine_to_middle(fine), _twice(coarse))
        level3 = self.fuse3(fine, _twice(middle))
        level4 = self.fuse4_up(middle, self.down3(level3))
        level5 = self.fuse5_up(coarse, self.down4(middle), self.down4_up(level4))
        return [level3, level4, level5]


def _halving(channels: int, activation: MakeActivation) -> nn.Sequential:
    return nn.Sequential(*conv_bn(channels, channels, 3, stride=2, activation=activation))


def _light_halving(channels: int, activation: MakeActivation) -> nn.Sequential:
    return nn.Sequential(*separable(channels, channels, 3, activation, stride=2))


def _twice(levels: Tensor) -> Tensor:
    return functional.interpolate(levels, scale_factor=2.0, mode='nearest')


NECKS = {
    'ns': ((40, 80, 160), 2, None, SILU),
    'nm': ((64, 128, 256), 2, None, SILU),
    'nl': ((80, 160, 320), 2, None, SILU),
    't': ((64, 128, 256), 3, 1.0, RELU),
    's': ((128, 256, 512), 3, 0.75, RELU),
    'm': ((128, 256, 512), 4, 1.0, SILU),
}
"""Variant -> the arguments of ``RepGfpn`` after the first; the published heavy-neck ratios."""
