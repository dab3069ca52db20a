# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
ShuffleNetV1 (Zhang et al., 2017, arXiv:1707.01083).

torchvision has no such network, so the parameter names are ours.
"""

from __future__ import annotations

from lite_detector.train.models.backbones.backbone import StagedBackbone
from lite_detector.train.models.blocks import conv_bn, depthwise, RELU, shuffle
import torch
from torch import nn, Tensor
from torch.nn import functional

STEMS = {0.25: 6, 0.5: 12, 1.0: 24, 1.5: 24, 2.0: 48}
"""Width -> channels of the first convolution; in the paper 1.5 has as many as 1.0."""
CHANNELS = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Groups -> channels at stride 8; they double at each further stride (table 1)."""
REPEATS = (4, 8, 4)
NUM_CLASSES = 1000


class GroupUnit(nn.Module):
    """
    A bottleneck of grouped pointwise convolutions with a channel shuffle (figure 2b, 2c).

    :param stride: Stride of the unit. 1 adds the input; 2 concatenates its 3x3 average.
    :param groups: Groups of the pointwise convolutions.
    :param first_groups: Groups of the first one; 1 if the input has too few channels to group.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int, groups: int,
                 first_groups: int) -> None:
        super().__init__()
        self._groups, self._stride = groups, stride
        narrow = groups * max(1, round(out_channels / 4 / groups))
        computed = out_channels - in_channels if stride == 2 else out_channels
        self.narrow = nn.Sequential(*conv_bn(in_channels, narrow, groups=first_groups,
                                             activation=RELU))
        self.filter = nn.Sequential(*depthwise(narrow, 3, stride=stride))
        self.widen = nn.Sequential(*conv_bn(narrow, computed, groups=groups))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        narrow = self.narrow(inputs)
        if self._groups > 1:
            narrow = shuffle(narrow, self._groups)
        computed = self.widen(self.filter(narrow))
        if self._stride == 1:
            return functional.relu(inputs + computed)
        # read the stride from the filter, because the last stage may be dilated instead
        conv = self.filter[0]
        assert isinstance(conv, nn.Conv2d)
        halved = functional.avg_pool2d(inputs, 3, conv.stride, padding=1)
        return functional.relu(torch.cat((halved, computed), dim=1))


class ShuffleNetV1(StagedBackbone):
    """
    The feature extractor.

    :param groups: Number of groups, 1, 2, 3, 4 or 8; more groups allow more channels at equal
        cost.
    :param width: Factor on all channels, one of ``STEMS``; s in the paper.
    """

    classifier_parts = ('fc.',)

    def __init__(self, groups: int, width: float = 1.0) -> None:
        super().__init__()
        stem, base = (groups * round(channels / groups)
                      for channels in (STEMS[width], CHANNELS[groups] * width))
        self.out_channels = (base, 2 * base, 4 * base)
        self.conv1 = nn.Sequential(*conv_bn(3, stem, 3, stride=2, activation=RELU))
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.stage2 = _stage(stem, base, REPEATS[0], groups, first_groups=1)
        self.stage3 = _stage(base, 2 * base, REPEATS[1], groups, first_groups=groups)
        self.stage4 = _stage(2 * base, 4 * base, REPEATS[2], groups, first_groups=groups)


class ShuffleNetV1Classifier(ShuffleNetV1):
    """The published network: the features, their mean, and one linear layer without bias."""

    def __init__(self, groups: int, width: float = 1.0, num_classes: int = NUM_CLASSES) -> None:
        super().__init__(groups, width)
        self.fc = nn.Linear(self.out_channels[-1], num_classes, bias=False)

    def forward(self, images: Tensor) -> Tensor:  # type: ignore[override]  # no feature maps
        """Return logits, shape (n, num_classes)."""
        return self.fc(super().forward(images)[-1].mean((2, 3)))


def _stage(in_channels: int, out_channels: int, repeats: int, groups: int,
           first_groups: int) -> nn.Sequential:
    first = GroupUnit(in_channels, out_channels, 2, groups, first_groups)
    return nn.Sequential(first, *(GroupUnit(out_channels, out_channels, 1, groups, groups)
                                  for _ in range(repeats - 1)))
