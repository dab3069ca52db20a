# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
ShuffleNetV2, the default backbone of most families here (Ma et al., 2018, arXiv:1807.11164).

Its parameter names are those of torchvision, so torchvision's checkpoints load unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.train.models.backbones.backbone import StagedBackbone
from lite_detector.train.models.blocks import conv_bn, depthwise, MakeActivation, RELU, shuffled
from torch import nn, Tensor

CHANNELS = {
    '0.5x': (24, 48, 96, 192),
    '1.0x': (24, 116, 232, 464),
    '1.5x': (24, 176, 352, 704),
    '2.0x': (24, 244, 488, 976),
}
"""Width -> channels of the stem and of the stages at strides 8, 16 and 32."""
REPEATS = (4, 8, 4)
HEADS = {'0.5x': 1024, '1.0x': 1024, '1.5x': 1024, '2.0x': 2048}
"""Width -> channels of the last convolution of the classifier."""
NUM_CLASSES = 1000


class ShuffleUnit(nn.Module):
    """
    One unit: half of the channels skip it, or both branches halve the size (figure 3c, 3d).

    :param stride: Stride, 1 or 2; at 1 ``in_channels`` equals ``out_channels``.
    :param kernel_size: Kernel size of the depthwise convolutions; 3 in the paper.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int,
                 activation: MakeActivation, kernel_size: int = 3) -> None:
        super().__init__()
        half = self._half = out_channels // 2
        self.branch1 = nn.Sequential()
        if stride == 2:
            self.branch1 = nn.Sequential(*depthwise(in_channels, kernel_size, stride=2),
                                         *conv_bn(in_channels, half, activation=activation))
        self.branch2 = nn.Sequential(
            *conv_bn(in_channels if stride == 2 else half, half, activation=activation),
            *depthwise(half, kernel_size, stride=stride),
            *conv_bn(half, half, activation=activation))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        if len(self.branch1) == 0:
            passed, worked = inputs.split(self._half, dim=1)
            return shuffled(passed, self.branch2(worked))
        return shuffled(self.branch1(inputs), self.branch2(inputs))


class ShuffleNetV2(StagedBackbone):
    """
    The feature extractor, without the classifier.

    :param channels: Channels of the stem and of the three stages, see ``CHANNELS``.
    :param activation: Activation: LeakyReLU in NanoDet, ReLU in YOLOv5-Lite and torchvision.
    :param repeats: Number of units per stage.
    :param coarse: Whether the first convolution has stride 4. All later layers then run at half
        the
        resolution, at a quarter of the cost.
    """

    classifier_parts = ('conv5.', 'fc.')

    def __init__(self, channels: Sequence[int], activation: MakeActivation,
                 repeats: Sequence[int] = REPEATS, *, coarse: bool = False) -> None:
        super().__init__()
        stem, *widths = channels
        self.out_channels = tuple(widths)
        size, stride = (6, 4) if coarse else (3, 2)
        self.conv1 = nn.Sequential(*conv_bn(3, stem, size, stride=stride, activation=activation))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2, self.stage3, self.stage4 = (
            _stage(in_channels, out_channels, units, activation) for in_channels, out_channels,
            units in zip(channels[:-1], widths, repeats, strict=True))


class ShuffleNetV2Classifier(ShuffleNetV2):
    """
    The published network; equal to torchvision's with the same weights.

    :param width: Width, one of ``CHANNELS``.
    """

    def __init__(self, width: str, num_classes: int = NUM_CLASSES) -> None:
        super().__init__(CHANNELS[width], RELU)
        self.conv5 = nn.Sequential(*conv_bn(self.out_channels[-1], HEADS[width],
                                            activation=RELU))
        self.fc = nn.Linear(HEADS[width], num_classes)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # no feature maps
        """Return logits, shape (n, num_classes)."""
        return self.fc(self.conv5(super().forward(images)[-1]).mean((2, 3)))


def init_as_in_nanodet(backbone: nn.Module) -> None:
    """
    Draw the weights as the authors of NanoDet do.

    Weights are normal with a standard deviation of 1 / input channels per group, and the bias of
    batch norm is 0.0001. From random weights, a NanoDet-m has a higher AP than with the default of
    torch (docs/experiments/fine_tuning.md).
    """
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=1 / layer.weight.shape[1])
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.constant_(layer.bias, 0.0001)


def _stage(in_channels: int, out_channels: int, repeats: int,
           activation: MakeActivation) -> nn.Sequential:
    first = ShuffleUnit(in_channels, out_channels, 2, activation)
    return nn.Sequential(first, *(ShuffleUnit(out_channels, out_channels, 1, activation)
                                  for _ in range(repeats - 1)))
