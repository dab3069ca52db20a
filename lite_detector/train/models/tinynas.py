# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
TinyNAS, the backbones of DAMO-YOLO, whose structures were found by search.

MAE-NAS (arXiv:2111.13336) searched width and depth of each stage. DAMO-YOLO (Xu et al., 2022,
arXiv:2211.15444) builds the stages of three kinds of blocks. Written from the published
structures (https://github.com/tinyvision/DAMO-YOLO, Apache-2.0); none of its code is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from lite_detector.train.models.backbones.backbone import tapped
from lite_detector.train.models.blocks import conv_bn, depthwise, MakeActivation, RELU, SILU
from lite_detector.train.models.rep_conv import RepConv
import torch
from torch import nn, Tensor
from torch.nn import functional


class Stage(NamedTuple):
    """
    A sequence of blocks with the same output shape; the first may halve the size.

    :param channels: Output channels.
    :param inner: Channels inside each block.
    :param blocks: Number of blocks.
    :param stride: Stride of the first block, 1 or 2.
    """

    channels: int
    inner: int
    blocks: int
    stride: int = 2


class Structure(NamedTuple):
    """
    The result of the structure search.

    :param style: Key of ``STYLES``.
    :param stem: Channels at stride 2.
    :param stages: Stages down to stride 32.
    """

    style: str
    stem: int
    stages: tuple[Stage, ...]


STRUCTURES = {
    # inner: 3.5, 4, 4.5, 5 and 5.5 times the channels, rounded to multiples of 8
    'ns': Structure('mobile', 16, (Stage(24, 88, 1), Stage(40, 160, 2), Stage(64, 288, 2),
                                   Stage(80, 400, 2, 1), Stage(160, 880, 2))),
    'nm': Structure('mobile', 16, (Stage(40, 144, 2), Stage(64, 256, 2), Stage(112, 504, 2),
                                   Stage(128, 640, 2, 1), Stage(256, 1408, 1))),
    'nl': Structure('mobile', 24, (Stage(48, 168, 1), Stage(80, 320, 2), Stage(160, 720, 2),
                                   Stage(160, 800, 3, 1), Stage(320, 1760, 2))),
    't': Structure('residual', 24, (Stage(64, 24, 2), Stage(96, 64, 2), Stage(192, 96, 2),
                                    Stage(192, 152, 2, 1), Stage(384, 192, 1))),
    's': Structure('residual', 32, (Stage(128, 24, 1), Stage(128, 88, 5), Stage(256, 128, 3),
                                    Stage(256, 120, 2, 1), Stage(512, 144, 1))),
    # This style halves the map by a separate convolution, so it has one searched block less.
    'm': Structure('csp', 32, (Stage(128, 64, 1), Stage(128, 64, 3), Stage(256, 256, 7),
                               Stage(512, 256, 2))),
}
"""Variant -> structure; the large variant L is left out, because it needs a GPU."""


class InvertedBlock(nn.Module):
    """
    MobileNetV3's block without squeeze and excite: wide inside, a depthwise 5x5 (1905.02244).

    :param stride: Stride, 1 or 2; at 1 and with equal channels the input is added.
    :param kernel_size: Kernel size of the depthwise convolution.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int = 1,
                 kernel_size: int = 5, activation: MakeActivation = SILU) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *conv_bn(in_channels, inner, activation=activation),
            *depthwise(inner, kernel_size, stride=stride, activation=activation),
            *conv_bn(inner, out_channels))
        self._adds = stride == 1 and in_channels == out_channels

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        outputs = self.layers(inputs)
        return inputs + outputs if self._adds else outputs


class ResidualBlock(nn.Module):
    """
    A convolution to ``inner`` channels and a RepConv, with a residual connection at stride 1.

    :param kernel_size: Kernel size of the first convolution: 1, or 3 in the CSP style.
    """

    def __init__(self, in_channels: int, inner: int, out_channels: int, stride: int,
                 kernel_size: int, activation: MakeActivation) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *conv_bn(in_channels, inner, kernel_size, activation=activation),
            RepConv(inner, out_channels, stride=stride))
        self.shortcut = nn.Sequential()
        if stride == 1 and in_channels != out_channels:
            self.shortcut = nn.Sequential(*conv_bn(in_channels, out_channels))
        self.activation = activation()
        self._adds = stride == 1

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        outputs = self.layers(inputs)
        return self.activation(outputs + self.shortcut(inputs) if self._adds else outputs)


class SpatialPyramidPooling(nn.Module):
    """The maxima over 5, 9 and 13 pixels, joined with the input (YOLOv3-SPP, 1406.4729)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.squeeze = nn.Sequential(*conv_bn(channels, half, activation=SILU))
        self.fuse = nn.Sequential(*conv_bn(4 * half, channels, activation=SILU))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map of the same shape."""
        squeezed = self.squeeze(inputs)
        pooled = [functional.max_pool2d(squeezed, side, 1, side // 2) for side in (5, 9, 13)]
        return self.fuse(torch.cat((squeezed, *pooled), dim=1))


class CspStage(nn.Module):
    """
    A downsampling convolution, after which half of the channels skip the blocks.

    This is a cross stage partial network (Wang et al., 2019, arXiv:1911.11929).

    :param activation: Activation outside the blocks; ReLU in DAMO-YOLO.
    :param inside: Activation inside the blocks; SiLU in DAMO-YOLO.
    """

    def __init__(self, in_channels: int, stage: Stage, pooling: bool,
                 activation: MakeActivation = RELU, inside: MakeActivation = SILU) -> None:
        super().__init__()
        width, half = stage.channels, stage.channels // 2
        self.down = nn.Sequential(*conv_bn(in_channels, width, 3, stride=2,
                                           activation=activation))
        if pooling:
            self.down.append(SpatialPyramidPooling(width))
        self.passed = nn.Sequential(*conv_bn(width, half, activation=activation))
        self.worked = nn.Sequential(
            *conv_bn(width, half, activation=activation),
            *(ResidualBlock(half, stage.inner, half, 1, 3, inside) for _ in range(stage.blocks)))
        self.fuse = nn.Sequential(*conv_bn(width, width, activation=activation))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, channels, h / 2, w / 2)."""
        halved = self.down(inputs)
        return self.fuse(torch.cat((self.worked(halved), self.passed(halved)), dim=1))


def _mobile_stage(in_channels: int, stage: Stage, pooling: bool) -> nn.Module:
    widths = [in_channels] + [stage.channels] * (stage.blocks - 1)
    return _with_pooling(stage.channels, pooling, [
        InvertedBlock(width, stage.inner, stage.channels, 1 if index else stage.stride)
        for index, width in enumerate(widths)])


def _residual_stage(in_channels: int, stage: Stage, pooling: bool) -> nn.Module:
    widths = [in_channels] + [stage.channels] * (stage.blocks - 1)
    return _with_pooling(stage.channels, pooling, [
        ResidualBlock(width, stage.inner, stage.channels, 1 if index else stage.stride, 1, RELU)
        for index, width in enumerate(widths)])


def _with_pooling(channels: int, pooling: bool, blocks: list[nn.Module]) -> nn.Sequential:
    first, *others = blocks
    return nn.Sequential(first, *([SpatialPyramidPooling(channels)] if pooling else []), *others)


class Style(NamedTuple):
    """
    Rules that turn a structure into layers.

    :param stage: Function of input channels, stage and whether it pools; returns the layers.
    :param stem_kernel: Kernel size of the stem. 6 replaces a Focus layer (2x2 pixels into
        channels) and a 3x3 convolution, which are equivalent but slow in ncnn.
    :param activation: Activation of the stem.
    """

    stage: Callable[[int, Stage, bool], nn.Module]
    stem_kernel: int
    activation: MakeActivation


STYLES = {
    'mobile': Style(_mobile_stage, 3, SILU),
    'residual': Style(_residual_stage, 6, RELU),
    'csp': Style(CspStage, 6, SILU),
}


class TinyNas(nn.Module):
    """
    A stem, and stages down to stride 32; the last one widens its receptive field by pooling.

    :param structure: One of ``STRUCTURES``.
    """

    def __init__(self, structure: Structure) -> None:
        super().__init__()
        style = STYLES[structure.style]
        self.stem = nn.Sequential(
            nn.Conv2d(3, structure.stem, style.stem_kernel, 2, (style.stem_kernel - 1) // 2,
                      bias=False),
            nn.BatchNorm2d(structure.stem), style.activation())
        stages, width, strides = nn.ModuleList(), structure.stem, [2]
        for stage in structure.stages:
            last = stage is structure.stages[-1]
            stages.append(style.stage(width, stage, last))
            strides.append(strides[-1] * stage.stride)
            width = stage.channels
        self.stages = stages
        # the last stage of a stride has the strongest features
        self._taps = [index for index, (stride, after) in
                      enumerate(zip(strides[1:], [*strides[2:], 64], strict=True))
                      if stride >= 8 and after > stride]
        self.out_channels = tuple(structure.stages[index].channels for index in self._taps)

    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return the feature maps at strides 8, 16 and 32.

        :param images: Pixels, shape (n, 3, h, w), sides multiples of 32.
        """
        return tapped(self.stem(images), self.stages, self._taps)
