# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
YOLOF: one level of features, widened by dilated convolutions, instead of a pyramid.

You Only Look One-level Feature (Chen et al., 2021, arXiv:2103.09460), with a backbone, an encoder
and a head for robots: separable convolutions where the authors have dense ones. A variant says
the width of its backbone; ``dc5`` is the stride of 16 instead of 32.
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
"""Of the residual blocks, one after another."""
CLASS_CONVS, BOX_CONVS = 2, 4
"""Convolutions before the last one."""
COARSEST = 32
"""Stride of the last map of a backbone."""


class YolofShape(NamedTuple):
    """
    A variant.

    :param width: of the backbone.
    :param channels: of encoder and head.
    :param stride: 32, or 16 with a dilated last stage.
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
    A bottleneck that adds what it sees ``dilation`` cells away.

    :param channels: the bottleneck has a quarter of them.
    """

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        middle = channels // 4
        self.layers = nn.Sequential(*conv_bn(channels, middle, activation=RELU),
                                    *conv_bn(middle, middle, 3, activation=RELU),
                                    *conv_bn(middle, channels, activation=RELU))
        _dilate(self.layers[3], dilation)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the same shape."""
        return inputs + self.layers(inputs)


class DilatedEncoder(nn.Module):
    """
    From the last map of a backbone to one that sees objects of any size.

    :param in_channels: of the backbone.
    :param channels: of what comes out.
    """

    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.lateral = nn.Sequential(*conv_bn(in_channels, channels))
        self.smooth = nn.Sequential(*depthwise(channels, 3), *conv_bn(channels, channels))
        self.blocks = nn.Sequential(*(DilatedBlock(channels, dilation) for dilation in DILATIONS))

    def forward(self, features: Tensor) -> Tensor:
        """Return shape (n, channels, h, w)."""
        return self.blocks(self.smooth(self.lateral(features)))


class YolofHead(nn.Module):
    """
    Two branches: class scores; boxes and how likely there is any object.

    :param channels: of the encoder.
    """

    def __init__(self, channels: int, spec: ModelSpec) -> None:
        super().__init__()
        self.class_tower, self.box_tower = (
            nn.Sequential(*(layer for _ in range(count)
                            for layer in separable(channels, channels, 3, RELU)))
            for count in (CLASS_CONVS, BOX_CONVS))
        rows = {'boxes': spec.num_anchors * 5, 'classes': spec.num_anchors * spec.num_classes}
        self.out_channels = sum(rows.values())
        self.outputs = nn.ModuleDict({name: nn.Conv2d(channels, count, 1)
                                      for name, count in rows.items()})
        for conv in self.outputs.values():
            nn.init.normal_(conv.weight, std=0.01)
        reset_bias(self.outputs['boxes'], 0)
        reset_bias(self.outputs['classes'], rows['classes'])

    def forward(self, features: Tensor) -> Tensor:
        """
        Return the raw head, shape (n, anchors * (5 + num_classes), h, w).

        That is x, y, width, height and objectness of each anchor, then the classes of each.
        """
        return torch.cat((self.outputs['boxes'](self.box_tower(features)),
                          self.outputs['classes'](self.class_tower(features))), dim=1)


class Yolof(PyramidNetwork):
    """
    A backbone, the dilated encoder and its head, at one stride.

    By itself the backbone is ShuffleNetV2 with ReLU.

    :param spec: a variant of ``SHAPES``.
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
        """Return the map of the encoder, from the last one of the backbone."""
        return [self.encoder(features[-1])]

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return what ``forward`` does, from the map of the encoder."""
        return [self.head(level) for level in levels]


def joint_logits(class_logits: Tensor, object_logits: Tensor) -> Tensor:
    """
    Return the logit whose sigmoid is sigmoid(class) * sigmoid(object).

    c + o - log(1 + e^c + e^o), as published, is -log(e^-o + e^-c (1 + e^-o)), which neither
    overflows nor takes the difference of two large numbers.

    :param class_logits: shape (..., classes).
    :param object_logits: of the same anchors, shape (..., 1).
    :return: shape (..., classes).
    """
    return -torch.logaddexp(-object_logits, functional.softplus(-object_logits) - class_logits)


def dilate_last_stage(backbone: nn.Module) -> None:
    """
    Let the last stage keep the stride of 16: what it gave at 32 stays, at every second cell.

    Convolutions that halved the size keep it, and those after them look twice as far. The
    weights are the same, so those of ImageNet fit (DC5; Yu and Koltun, 2016, arXiv:1511.07122).

    :param backbone: any whose last map is at stride 32; changed in place.
    :raises ModelError: if it comes to this stride without such a convolution, as by pooling.
    """
    convs = [conv for conv, shape in
             run_order(backbone, (nn.Conv2d,), ImageSize(2 * COARSEST, 2 * COARSEST))
             if shape[2:] == (2, 2)]
    if not any(conv.stride == (2, 2) for conv in convs):
        raise ModelError('this backbone has no convolution of stride 2 at its last stage; wanted '
                         'another one, or a variant without dc5')
    for conv in convs:
        if conv.stride == (2, 2):
            conv.stride = (1, 1)
        else:
            _dilate(conv, 2)


def _dilate(conv: nn.Conv2d, dilation: int) -> None:
    """Let a convolution that keeps the size look that many times as far, and still keep it."""
    conv.dilation = (dilation, dilation)
    conv.padding = tuple(dilation * (side // 2) for side in conv.kernel_size)
