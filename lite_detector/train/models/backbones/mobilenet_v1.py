# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
MobileNetV1 (Howard et al., 2017, arXiv:1704.04861).

torchvision has no such network, so the parameter names are ours.
"""

from __future__ import annotations

from lite_detector.train.models.backbones.backbone import LayeredBackbone, scaled
from lite_detector.train.models.blocks import conv_bn, RELU, separable
from torch import nn, Tensor

STEM = 32
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2),
          (1024, 1))
"""Channels and stride of each separable convolution (table 1)."""
TAPS = (5, 11, 13)
NUM_CLASSES = 1000


class MobileNetV1(LayeredBackbone):
    """
    The feature extractor: 13 separable convolutions with ReLU.

    :param width: Factor on all channels; alpha in the paper.
    """

    def __init__(self, width: float = 1.0) -> None:
        channels = scaled(STEM * width)
        layers = [nn.Sequential(*conv_bn(3, channels, 3, stride=2, activation=RELU))]
        widths = [channels]
        for out_channels, stride in BLOCKS:
            in_channels, channels = channels, scaled(out_channels * width)
            layers.append(nn.Sequential(*separable(in_channels, channels, 3, RELU, stride)))
            widths.append(channels)
        super().__init__(layers, TAPS, tuple(widths[tap] for tap in TAPS))


class MobileNetV1Classifier(MobileNetV1):
    """The published network: the features, their mean, and one linear layer."""

    def __init__(self, width: float = 1.0, num_classes: int = NUM_CLASSES) -> None:
        super().__init__(width)
        self.classifier = nn.Linear(self.out_channels[-1], num_classes)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # no feature maps
        """Return logits, shape (n, num_classes)."""
        return self.classifier(self.features(images).mean((2, 3)))
