# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
YOLOv5-Lite e and s: ShuffleNetV2 without a Focus layer, and two kinds of neck.

Written from the shapes of the published networks (https://github.com/ppogg/YOLOv5-Lite, GPL-3.0);
none of its code is used.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import math

from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.backbones.shufflenet_v2 import ShuffleNetV2
from lite_detector.train.models.blocks import bias_of, conv_bn, RELU, separable, SILU
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import nn, Tensor
from torch.nn import functional

CHANNELS = (32, 120, 232, 464)
"""Channels of stem and stages: those of ShuffleNetV2 1.0x rounded up to multiples of 8, and a
wider stem."""
REPEATS = {'e': (4, 8, 2), 's': (4, 8, 4)}


class AddNeck(nn.Module):
    """
    The neck of e: separable convolutions, top-down concatenation, bottom-up addition.

    :param in_channels: Channels of the backbone's feature maps, fine to coarse.
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = in_channels
        width = 96
        self.out_channels = (width, width, width)
        self.lateral5 = nn.Sequential(*conv_bn(coarse, width, activation=SILU))
        self.up4 = nn.Sequential(*separable(width + middle, width, 3, RELU))
        self.lateral4 = nn.Sequential(*conv_bn(width, width, activation=SILU))
        self.up3 = nn.Sequential(*separable(width + fine, width, 3, RELU))
        self.down3 = nn.Sequential(*separable(width, width, 3, RELU, stride=2))
        self.fuse4 = nn.Sequential(*separable(width, width, 3, RELU))
        self.down4 = nn.Sequential(*separable(width, width, 3, RELU, stride=2))
        self.fuse5 = nn.Sequential(*separable(width, width, 3, RELU))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one map per feature map, with ``out_channels`` channels."""
        fine, middle, coarse = features
        lateral5 = self.lateral5(coarse)
        lateral4 = self.lateral4(self.up4(torch.cat((_twice(lateral5), middle), dim=1)))
        level3 = self.up3(torch.cat((_twice(lateral4), fine), dim=1))
        level4 = self.fuse4(self.down3(level3) + lateral4)
        level5 = self.fuse5(self.down4(level4) + lateral5)
        return [level3, level4, level5]


class Csp(nn.Module):
    """
    Cross stage partial block with one bottleneck (Wang et al., 2019, arXiv:1911.11929).

    :param out_channels: Output channels; each of the two branches has half of them.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        half = out_channels // 2
        self.worked = nn.Sequential(*conv_bn(in_channels, half, activation=SILU),
                                    *conv_bn(half, half, activation=SILU),
                                    *conv_bn(half, half, 3, activation=SILU))
        self.passed = nn.Sequential(*conv_bn(in_channels, half, activation=SILU))
        self.fuse = nn.Sequential(*conv_bn(2 * half, out_channels, activation=SILU))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h, w)."""
        return self.fuse(torch.cat((self.worked(inputs), self.passed(inputs)), dim=1))


class CspNeck(nn.Module):
    """
    The neck of s: cross stage partial blocks, concatenation in both directions.

    :param in_channels: Channels of the backbone's feature maps, fine to coarse.
    """

    def __init__(self, in_channels: Sequence[int]) -> None:
        super().__init__()
        fine, middle, coarse = in_channels
        self.out_channels = (64, 128, 256)
        self.lateral5 = nn.Sequential(*conv_bn(coarse, 128, activation=SILU))
        self.up4 = Csp(128 + middle, 128)
        self.lateral4 = nn.Sequential(*conv_bn(128, 64, activation=SILU))
        self.up3 = Csp(64 + fine, 64)
        self.down3 = nn.Sequential(*conv_bn(64, 64, 3, stride=2, activation=SILU))
        self.fuse4 = Csp(128, 128)
        self.down4 = nn.Sequential(*conv_bn(128, 128, 3, stride=2, activation=SILU))
        self.fuse5 = Csp(256, 256)

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one map per feature map, with ``out_channels`` channels."""
        fine, middle, coarse = features
        lateral5 = self.lateral5(coarse)
        lateral4 = self.lateral4(self.up4(torch.cat((_twice(lateral5), middle), dim=1)))
        level3 = self.up3(torch.cat((_twice(lateral4), fine), dim=1))
        level4 = self.fuse4(torch.cat((self.down3(level3), lateral4), dim=1))
        level5 = self.fuse5(torch.cat((self.down4(level4), lateral5), dim=1))
        return [level3, level4, level5]


NECKS: dict[str, Callable[[Sequence[int]], AddNeck | CspNeck]] = {'e': AddNeck, 's': CspNeck}


class Yolov5Lite(PyramidNetwork):
    """
    ShuffleNetV2 with ReLU, a neck, and one 1x1 convolution per stride.

    :param spec: Structure of the network; variant e or s.
    """

    strides = (8, 16, 32)

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = ShuffleNetV2(CHANNELS, RELU, REPEATS[spec.variant])
        self.neck = NECKS[spec.variant](self.backbone.out_channels)
        self.level_channels = self.neck.out_channels
        outputs = [nn.Conv2d(channels, spec.num_anchors * (5 + spec.num_classes), 1)
                   for channels in self.level_channels]
        self.outputs = nn.ModuleList(outputs)
        for conv, stride in zip(outputs, self.strides, strict=True):
            _reset_bias(conv, stride, spec)

    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature maps of the neck, one per stride."""
        return self.neck(features)

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature maps of the neck."""
        return [output(level) for output, level in zip(self.outputs, levels, strict=True)]


def _twice(levels: Tensor) -> Tensor:
    return functional.interpolate(levels, scale_factor=2.0, mode='nearest')


@torch.no_grad()
def _reset_bias(conv: nn.Conv2d, stride: int, spec: ModelSpec) -> None:
    """Set the initial output to 8 objects per image of 640 pixels, with equal class scores."""
    bias = bias_of(conv).view(spec.num_anchors, 5 + spec.num_classes)
    bias[:, 4] += math.log(8 / (640 / stride) ** 2)
    bias[:, 5:] += math.log(0.6 / (spec.num_classes - 0.99))
