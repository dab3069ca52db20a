# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
SqueezeNet 1.0 and 1.1 (Iandola et al., 2016, arXiv:1602.07360).

Its parameter names are those of torchvision, so torchvision's checkpoints load unchanged.
"""

from __future__ import annotations

from lite_detector.train.models.backbones.backbone import LayeredBackbone, scaled
from lite_detector.train.models.blocks import bias_of
import torch
from torch import nn, Tensor
from torch.nn import functional

POOL = 0
"""Stands for a pooling layer among the squeeze channels."""
FIRES = {
    '1.0': (POOL, 16, 16, 32, POOL, 32, 48, 48, 64, POOL, 64),
    '1.1': (POOL, 16, 16, POOL, 32, 32, POOL, 48, 48, 64, 64),
}
"""Version -> squeeze channels of its fire modules; each expands them by a factor of eight."""
STEMS = {'1.0': (96, 7), '1.1': (64, 3)}
"""Version -> channels and kernel size of the first convolution."""
EXPAND = 8
NUM_CLASSES = 1000


class Fire(nn.Module):
    """
    A pointwise convolution to few channels, then a pointwise and a 3x3 one in parallel.

    :param squeeze: Channels after the first convolution.
    :param expand: Output channels, half of them from each parallel convolution.
    """

    def __init__(self, in_channels: int, squeeze: int, expand: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(in_channels, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand // 2, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand // 2, 3, padding=1)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, expand, h, w)."""
        squeezed = functional.relu(self.squeeze(inputs))
        return torch.cat((functional.relu(self.expand1x1(squeezed)),
                          functional.relu(self.expand3x3(squeezed))), dim=1)


class SqueezeNet(LayeredBackbone):
    """
    The feature extractor, with one extra fire module at stride 32.

    SqueezeNet ends at stride 16. As in SqueezeDet (Wu et al., 2017, arXiv:1612.01051), a fire
    module follows, for which there are no ImageNet weights. In the published network the first
    convolution has no padding and pooling rounds up. The feature maps of a side of 320 are then 39
    and 19 cells wide, but a detector needs 40 and 20. Here all of these layers pad by half of
    their kernel and round down.

    :param version: Version of the network, 1.0 or 1.1.
    :param width: Factor on all channels.
    """

    fresh_parts = ('extra.',)

    def __init__(self, version: str, width: float = 1.0) -> None:
        layers, widths = _features(version, width, padded=True)
        pools = [index for index, layer in enumerate(layers) if isinstance(layer, nn.MaxPool2d)]
        taps = pools[2] - 1, len(layers) - 1  # the last layers at strides 8 and 16
        squeeze = scaled(FIRES[version][-1] * width)
        super().__init__(layers, taps, (*(widths[tap] for tap in taps), EXPAND * squeeze))
        self.classifier_parts = ('classifier.',)
        self.extra = nn.Sequential(_pool(padded=True),
                                   Fire(widths[-1], squeeze, EXPAND * squeeze))
        _initialise(self)

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at strides 8, 16 and 32."""
        levels = super().forward(images)
        return [*levels, self.extra(levels[-1])]


class SqueezeNetClassifier(nn.Module):
    """
    The published network; equal to torchvision's with the same weights.

    :param version: Version of the network, 1.0 or 1.1.
    :param width: Factor on all channels.
    :param head_padding: Padding of the last, pointwise convolution. The authors use 1, so that a
        border that contains only the bias enters the mean; torchvision uses 0.
    """

    def __init__(self, version: str, width: float = 1.0, num_classes: int = NUM_CLASSES,
                 head_padding: int = 0) -> None:
        super().__init__()
        layers, widths = _features(version, width, padded=False)
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(), nn.Conv2d(widths[-1], num_classes, 1, padding=head_padding),
            nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        _initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, none below zero, shape (n, num_classes)."""
        return self.classifier(self.features(images))


def _features(version: str, width: float, padded: bool) -> tuple[list[nn.Module], list[int]]:
    """Return the layers up to stride 16, and the output channels of each."""
    channels, kernel_size = STEMS[version]
    channels = scaled(channels * width)
    stem = nn.Conv2d(3, channels, kernel_size, 2, kernel_size // 2 if padded else 0)
    layers: list[nn.Module] = [stem, nn.ReLU(inplace=True)]
    widths = [channels, channels]
    for squeeze in FIRES[version]:
        if squeeze == POOL:
            layers.append(_pool(padded))
        else:
            squeeze = scaled(squeeze * width)
            layers.append(Fire(channels, squeeze, EXPAND * squeeze))
            channels = EXPAND * squeeze
        widths.append(channels)
    return layers, widths


def _pool(padded: bool) -> nn.MaxPool2d:
    if padded:
        return nn.MaxPool2d(3, 2, padding=1)
    return nn.MaxPool2d(3, 2, ceil_mode=True)


def _initialise(model: nn.Module) -> None:
    """Initialise weights so that 20 layers without batch norm keep the signal scale."""
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_uniform_(layer.weight, nonlinearity='relu')
            nn.init.zeros_(bias_of(layer))
