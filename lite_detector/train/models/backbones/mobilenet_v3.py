# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
MobileNetV3 small and large (Howard et al., 2019, arXiv:1905.02244).

Its parameter names are those of torchvision, so torchvision's checkpoints load unchanged.
"""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.train.models.backbones.backbone import LayeredBackbone, scaled
from lite_detector.train.models.blocks import conv_bn, depthwise, HARD_SWISH, MakeActivation, RELU
from torch import nn, Tensor

STEM = 16
NORM_EPS = 1e-3
NUM_CLASSES = 1000


class Block(NamedTuple):
    """A row of tables 1 and 2."""

    kernel_size: int
    wide: int
    channels: int
    gated: bool
    activation: MakeActivation
    stride: int


BLOCKS = {
    'small': (
        Block(3, 16, 16, True, RELU, 2),
        Block(3, 72, 24, False, RELU, 2),
        Block(3, 88, 24, False, RELU, 1),
        Block(5, 96, 40, True, HARD_SWISH, 2),
        Block(5, 240, 40, True, HARD_SWISH, 1),
        Block(5, 240, 40, True, HARD_SWISH, 1),
        Block(5, 120, 48, True, HARD_SWISH, 1),
        Block(5, 144, 48, True, HARD_SWISH, 1),
        Block(5, 288, 96, True, HARD_SWISH, 2),
        Block(5, 576, 96, True, HARD_SWISH, 1),
        Block(5, 576, 96, True, HARD_SWISH, 1),
    ),
    'large': (
        Block(3, 16, 16, False, RELU, 1),
        Block(3, 64, 24, False, RELU, 2),
        Block(3, 72, 24, False, RELU, 1),
        Block(5, 72, 40, True, RELU, 2),
        Block(5, 120, 40, True, RELU, 1),
        Block(5, 120, 40, True, RELU, 1),
        Block(3, 240, 80, False, HARD_SWISH, 2),
        Block(3, 200, 80, False, HARD_SWISH, 1),
        Block(3, 184, 80, False, HARD_SWISH, 1),
        Block(3, 184, 80, False, HARD_SWISH, 1),
        Block(3, 480, 112, True, HARD_SWISH, 1),
        Block(3, 672, 112, True, HARD_SWISH, 1),
        Block(5, 672, 160, True, HARD_SWISH, 2),
        Block(5, 960, 160, True, HARD_SWISH, 1),
        Block(5, 960, 160, True, HARD_SWISH, 1),
    ),
}
TAPS = {'small': (3, 8, 11), 'large': (6, 12, 15)}
HEADS = {'small': 1024, 'large': 1280}
"""Size -> width of the hidden layer of the classifier."""


class SqueezeExcite(nn.Module):
    """
    Weight each channel by a function of all channel means (Hu et al., 2017, arXiv:1709.01507).

    :param channels: Input and output channels; a quarter of them in between.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = scaled(channels // 4)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(channels, squeezed, 1)
        self.activation = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(squeezed, channels, 1)
        self.gate = nn.Hardsigmoid()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map of the same shape."""
        return inputs * self.gate(self.fc2(self.activation(self.fc1(self.avgpool(inputs)))))


class GatedResidual(nn.Module):
    """
    An inverted residual with one of two activations and optional squeeze and excite.

    :param block: Row of the table of the paper.
    :param width: Factor on the channels.
    """

    def __init__(self, in_channels: int, block: Block, width: float) -> None:
        super().__init__()
        wide, out_channels = scaled(block.wide * width), scaled(block.channels * width)
        layers: list[nn.Module] = []
        if wide != in_channels:
            layers.append(nn.Sequential(*conv_bn(in_channels, wide,
                                                 activation=block.activation)))
        layers.append(nn.Sequential(*depthwise(wide, block.kernel_size, stride=block.stride,
                                               activation=block.activation)))
        if block.gated:
            layers.append(SqueezeExcite(wide))
        self.block = nn.Sequential(*layers, nn.Sequential(*conv_bn(wide, out_channels)))
        self.out_channels = out_channels
        self._adds = block.stride == 1 and in_channels == out_channels

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        return inputs + self.block(inputs) if self._adds else self.block(inputs)


class MobileNetV3(LayeredBackbone):
    """
    The feature extractor: all blocks, without the last pointwise convolution.

    :param size: Size of the network: small or large.
    :param width: Factor on all channels.
    """

    def __init__(self, size: str, width: float = 1.0) -> None:
        channels = scaled(STEM * width)
        layers: list[nn.Module] = [
            nn.Sequential(*conv_bn(3, channels, 3, stride=2, activation=HARD_SWISH))]
        widths = [channels]
        for block in BLOCKS[size]:
            residual = GatedResidual(widths[-1], block, width)
            layers.append(residual)
            widths.append(residual.out_channels)
        super().__init__(layers, TAPS[size], tuple(widths[tap] for tap in TAPS[size]))
        _set_eps(self)


class MobileNetV3Classifier(MobileNetV3):
    """The published network; equal to torchvision's with the same weights."""

    def __init__(self, size: str, width: float = 1.0, num_classes: int = NUM_CLASSES) -> None:
        super().__init__(size, width)
        wide, head = 6 * self.out_channels[-1], scaled(HEADS[size] * width)
        self.features.append(nn.Sequential(*conv_bn(self.out_channels[-1], wide,
                                                    activation=HARD_SWISH)))
        self.classifier = nn.Sequential(nn.Linear(wide, head), HARD_SWISH(), nn.Dropout(0.2),
                                        nn.Linear(head, num_classes))
        _set_eps(self)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # no feature maps
        """Return logits, shape (n, num_classes)."""
        return self.classifier(self.features(images).mean((2, 3)))


def _set_eps(model: nn.Module) -> None:
    """Set the batch norm epsilon that the published weights were trained with."""
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.eps = NORM_EPS
