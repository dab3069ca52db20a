# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""NanoDet-m (https://github.com/RangiLyu/nanodet), an anchor-free network with three strides."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.train.config.model import ModelSpec, PAN_CHANNELS
from lite_detector.train.models.backbones.build import build_backbone
from lite_detector.train.models.backbones.shufflenet_v2 import init_as_in_nanodet, ShuffleNetV2
from lite_detector.train.models.blocks import bias_of, LEAKY_RELU
from lite_detector.train.models.gfl_head import GflHead
from lite_detector.train.models.pyramid_network import PyramidNetwork
from torch import nn, Tensor
from torch.nn import functional


class Pan(nn.Module):
    """
    A path aggregation network without convolutions on its paths (arXiv:1803.01534).

    :param in_channels: Channels of the backbone's feature maps, fine to coarse.
    :param channels: Channels of every output level.
    """

    def __init__(self, in_channels: Sequence[int], channels: int) -> None:
        super().__init__()
        laterals = [nn.Conv2d(width, channels, 1) for width in in_channels]
        self.laterals = nn.ModuleList(laterals)
        for conv in laterals:
            nn.init.xavier_uniform_(conv.weight)
            nn.init.zeros_(bias_of(conv))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return one map per feature map, of the same size and with ``channels`` channels."""
        levels = [lateral(feature) for lateral, feature
                  in zip(self.laterals, features, strict=True)]
        for fine in reversed(range(len(levels) - 1)):
            coarse = functional.interpolate(levels[fine + 1], scale_factor=2.0, mode='bilinear')
            levels[fine] = levels[fine] + coarse
        for index in range(1, len(levels)):
            # Bilinear downsampling by 2 equals the mean of four pixels; pooling is faster.
            levels[index] = levels[index] + functional.avg_pool2d(levels[index - 1], 2)
        return levels


class NanoDet(PyramidNetwork):
    """
    A backbone, PAN, and a head of 3x3 separable convolutions.

    The default backbone is ShuffleNetV2 with LeakyReLU.

    :param spec: Structure of the network; variant 0.5x, 1.0x or 1.5x.
    """

    strides = (8, 16, 32)

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        channels = PAN_CHANNELS[spec.family][spec.variant]
        self.level_channels = (channels,) * len(self.strides)
        self.backbone = build_backbone(spec.backbone, f'shufflenet_v2_{spec.variant}', LEAKY_RELU)
        if isinstance(self.backbone, ShuffleNetV2):
            init_as_in_nanodet(self.backbone)
        self.pan = Pan(self.backbone.out_channels, channels)
        self.head = GflHead(channels, len(self.strides), 3, spec)

    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature maps of the neck, one per stride."""
        return self.pan(features)

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature maps of the neck."""
        return self.head(levels)
