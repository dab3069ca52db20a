# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
MobileNetV2 (Sandler et al., 2018, arXiv:1801.04381).

Its parameter names are those of torchvision, so torchvision's checkpoints load unchanged.
"""

from __future__ import annotations

from lite_detector.train.models.backbones.backbone import LayeredBackbone, scaled
from lite_detector.train.models.blocks import conv_bn, depthwise, RELU6
from torch import nn, Tensor

STEM, HEAD = 32, 1280
STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1),
          (6, 160, 3, 2), (6, 320, 1, 1))
"""Expansion, channels, number of blocks, and stride of the first one (table 2)."""
TAPS = (6, 13, 17)
NUM_CLASSES = 1000


class InvertedResidual(nn.Module):
    """
    Expand, apply a depthwise convolution, project without activation, and add the input.

    :param stride: Stride of the depthwise convolution, 1 or 2.
    :param expansion: Factor on the channels inside; at 1 the first convolution is left out.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = in_channels * expansion
        layers = []
        if expansion > 1:
            layers.append(nn.Sequential(*conv_bn(in_channels, wide, activation=RELU6)))
        layers.append(nn.Sequential(*depthwise(wide, 3, stride=stride, activation=RELU6)))
        self.conv = nn.Sequential(*layers, *conv_bn(wide, out_channels))
        self._adds = stride == 1 and in_channels == out_channels

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        return inputs + self.conv(inputs) if self._adds else self.conv(inputs)


class MobileNetV2(LayeredBackbone):
    """
    The feature extractor: all blocks, without the last pointwise convolution.

    :param width: Factor on all channels.
    """

    def __init__(self, width: float = 1.0) -> None:
        channels = scaled(STEM * width)
        layers: list[nn.Module] = [
            nn.Sequential(*conv_bn(3, channels, 3, stride=2, activation=RELU6))]
        widths = [channels]
        for expansion, out_channels, repeats, first_stride in STAGES:
            for stride in (first_stride, *[1] * (repeats - 1)):
                in_channels, channels = channels, scaled(out_channels * width)
                layers.append(InvertedResidual(in_channels, channels, stride, expansion))
                widths.append(channels)
        super().__init__(layers, TAPS, tuple(widths[tap] for tap in TAPS))


class MobileNetV2Classifier(MobileNetV2):
    """The published network; equal to torchvision's with the same weights."""

    def __init__(self, width: float = 1.0, num_classes: int = NUM_CLASSES) -> None:
        super().__init__(width)
        head = scaled(HEAD * max(1.0, width))
        self.features.append(nn.Sequential(*conv_bn(self.out_channels[-1], head,
                                                    activation=RELU6)))
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(head, num_classes))

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # no feature maps
        """Return logits, shape (n, num_classes)."""
        return self.classifier(self.features(images).mean((2, 3)))
