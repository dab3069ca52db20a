# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
YOLOF: one feature map, widened by dilated convolutions, instead of a pyramid.

You Only Look One-level Feature (Chen et al., 2021, arXiv:2103.09460), with a light backbone,
encoder and head: separable convolutions replace the dense ones of the authors. The name of a
variant gives the width of its backbone; ``dc5`` means stride 16 instead of 32.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.backbones.build import build_backbone
from lite_detector.train.models.blocks import conv_bn, depthwise, RELU, separable
from lite_detector.train.models.gfl_head import reset_bias
from lite_detector.train.models.layers import run_order
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import nn, Tensor
from torch.nn import functional

DILATIONS = (2, 4, 6, 8)
"""Dilations of the residual blocks, in order."""
CLASS_CONVS, BOX_CONVS = 2, 4
"""Number of convolutions before the output layer."""
COARSEST = 32
"""Stride of the last feature map of a backbone."""


class YolofShape(NamedTuple):
    """
    The shape of a variant.

    :param width: Width of the backbone.
    :param channels: Channels of encoder and head.
    :param stride: Output stride: 32, or 16 with a dilated last stage.
    """

    width: str
    channels: int
    stride: int


SHAPES = {
    '0.5x': YolofShape('0.5x', 96, 32),
    '0.5x-dc5': YolofShape('0.5x', 96, 16),
    '1.0x': YolofShape('1.0x', 128, 32),
    '1.0x-dc5': YolofShape('1.0x', 128, 16),
    '1.5x-dc5': YolofShape('1.5x', 160, 16),
}


class DilatedBlock(nn.Module):
    """
    A residual bottleneck with a dilated 3x3 convolution.

    :param channels: Channels of input and output; the bottleneck has a quarter of them.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        middle = channels // 4
        self.layers = nn.Sequential(*conv_bn(channels, middle, activation=RELU),
                                    *conv_bn(middle, middle, 3, activation=RELU),
                                    *conv_bn(middle, channels, activation=RELU))
        conv = self.layers[3]
        assert isinstance(conv, nn.Conv2d)
        _dilate(conv, dilation)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map of the same shape."""
        return inputs + self.layers(inputs)


class DilatedEncoder(nn.Module):
    """
    Convert the last map of a backbone to one whose receptive fields cover all object sizes.

    :param in_channels: Channels of the backbone's last map.
    :param channels: Output channels.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(*conv_bn(in_channels, channels))
        self.smooth = nn.Sequential(*depthwise(channels, 3), *conv_bn(channels, channels))
        self.blocks = nn.Sequential(*(DilatedBlock(channels, dilation) for dilation in DILATIONS))

    def forward(self, features: Tensor) -> Tensor:
        """Return a feature map, shape (n, channels, h, w)."""
        return self.blocks(self.smooth(self.lateral(features)))


class YolofHead(nn.Module):
    """
    Two branches: class scores; boxes and objectness.

    :param channels: Channels of the encoder.
    """

    def __init__(self, channels: int, spec: ModelSpec) -> None:
        super().__init__()
        self.class_tower, self.box_tower = (
            nn.Sequential(*(layer for _ in range(count)
                            for layer in separable(channels, channels, 3, RELU)))
            for count in (CLASS_CONVS, BOX_CONVS))
        rows = {'boxes': spec.num_anchors * 5, 'classes': spec.num_anchors * spec.num_classes}
        self.out_channels = sum(rows.values())
        outputs = {name: nn.Conv2d(channels, count, 1) for name, count in rows.items()}
        for conv in outputs.values():
            nn.init.normal_(conv.weight, std=0.01)
        reset_bias(outputs['boxes'], 0)
        reset_bias(outputs['classes'], rows['classes'])
        self.outputs = nn.ModuleDict(outputs)

    def forward(self, features: Tensor) -> Tensor:
        """
        Return the raw head, shape (n, anchors * (5 + num_classes), h, w).

        The channels are x, y, width, height and objectness of each anchor, then the classes of
        each.
        """
        return torch.cat((self.outputs['boxes'](self.box_tower(features)),
                          self.outputs['classes'](self.class_tower(features))), dim=1)


class Yolof(PyramidNetwork):
    """
    A backbone, the dilated encoder and its head, at one stride.

    The default backbone is ShuffleNetV2 with ReLU.

    :param spec: Structure of the network; a variant of ``SHAPES``.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        shape = SHAPES[spec.variant]
        self.strides = (shape.stride,)
        self.level_channels = (shape.channels,)
        self.backbone = build_backbone(spec.backbone, f'shufflenet_v2_{shape.width}')
        if shape.stride < COARSEST:
            dilate_last_stage(self.backbone)
        self.encoder = DilatedEncoder(self.backbone.out_channels[-1], shape.channels)
        self.head = YolofHead(shape.channels, spec)

    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature map of the encoder, from the last one of the backbone."""
        return [self.encoder(features[-1])]

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature map of the encoder."""
        return [self.head(level) for level in levels]


def joint_logits(class_logits: Tensor, object_logits: Tensor) -> Tensor:
    """
    Return the logit whose sigmoid is sigmoid(class) * sigmoid(object).

    The published formula is c + o - log(1 + e^c + e^o). The equivalent form here,
    -log(e^-o + e^-c (1 + e^-o)), neither overflows nor subtracts two large numbers.

    :param class_logits: Class logits, shape (..., classes).
    :param object_logits: Objectness logits of the same anchors, shape (..., 1).
    :return: Joint logits, shape (..., classes).
    """
    return -torch.logaddexp(-object_logits, functional.softplus(-object_logits) - class_logits)


def dilate_last_stage(backbone: nn.Module) -> None:
    """
    Reduce the stride of the last stage from 32 to 16 by dilated convolutions (DC5).

    Convolutions of stride 2 get stride 1, and those after them get dilation 2. The weights stay
    the
    same, so ImageNet weights fit, and every second output equals the output at stride 32 (Yu and
    Koltun, 2016, arXiv:1511.07122).

    :param backbone: Backbone whose last map is at stride 32; changed in place.
    :raises ModelError: if the last stage has no convolution of stride 2, for example with pooling.
    """
    convs = [conv for conv, shape in
             run_order(backbone, (nn.Conv2d,), ImageSize(2 * COARSEST, 2 * COARSEST))
             if isinstance(conv, nn.Conv2d) and shape[2:] == (2, 2)]
    if not any(conv.stride == (2, 2) for conv in convs):
        raise ModelError('this backbone has no convolution of stride 2 in its last stage; '
                         'expected another backbone, or a variant without dc5')
    for conv in convs:
        if conv.stride == (2, 2):
            conv.stride = (1, 1)
        else:
            _dilate(conv, 2)


def _dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Dilate a convolution and adapt its padding, so that the size stays the same."""
    conv.dilation = (dilation, dilation)
    conv.padding = tuple(dilation * (side // 2) for side in conv.kernel_size)
