# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""NanoDet-Plus (https://github.com/RangiLyu/nanodet): Ghost-PAN and a fourth stride."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.train.config.model import ModelSpec, PAN_CHANNELS
from lite_detector.train.models.backbones.build import build_backbone
from lite_detector.train.models.backbones.shufflenet_v2 import (
    CHANNELS,
    init_as_in_nanodet,
    ShuffleNetV2,
)
from lite_detector.train.models.blocks import LEAKY_RELU
from lite_detector.train.models.gfl_head import GflHead
from lite_detector.train.models.ghost_pan import GhostPan, KERNEL_SIZE
from lite_detector.train.models.pyramid_network import PyramidNetwork
from torch import Tensor

WIDTHS = {'m-coarse': '1.0x', 'm-0.5x': '0.5x', 'm': '1.0x', 'm-1.5x': '1.5x'}


class NanoDetPlus(PyramidNetwork):
    """
    A backbone, Ghost-PAN, and a head of 5x5 separable convolutions.

    The default backbone is ShuffleNetV2 with LeakyReLU.

    The variant m-coarse is m at half the resolution. The first convolution covers every pixel with
    a stride of 4 instead of 2, and the extra coarse level is left out.

    :param spec: Structure of the network; variant m-coarse, m-0.5x, m or m-1.5x.
    """

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        channels = PAN_CHANNELS[spec.family][spec.variant]
        coarse = spec.variant == 'm-coarse'
        self.strides = (16, 32, 64) if coarse else (8, 16, 32, 64)
        self.level_channels = (channels,) * len(self.strides)
        width = WIDTHS[spec.variant]
        self.backbone = (ShuffleNetV2(CHANNELS[width], LEAKY_RELU, coarse=True) if coarse else
                         build_backbone(spec.backbone, f'shufflenet_v2_{width}', LEAKY_RELU))
        if isinstance(self.backbone, ShuffleNetV2):
            init_as_in_nanodet(self.backbone)
        self.pan = GhostPan(self.backbone.out_channels, channels, extra=not coarse)
        self.head = GflHead(channels, len(self.strides), KERNEL_SIZE, spec)

    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature maps of the neck, one per stride."""
        return self.pan(features)

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature maps of the neck."""
        return self.head(levels)
