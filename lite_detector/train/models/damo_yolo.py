# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""DAMO-YOLO (Xu et al., 2022, arXiv:2211.15444): a searched backbone and a heavy neck."""

from __future__ import annotations

from collections.abc import Sequence
import copy

from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.gfl_head import reset_bias
from lite_detector.train.models.pyramid_network import PyramidNetwork
from lite_detector.train.models.rep_gfpn import NECKS, RepGfpn
from lite_detector.train.models.tinynas import STRUCTURES, TinyNas
import torch
from torch import nn, Tensor

NORM_EPS = 1e-3
"""
Epsilon of batch norm, as published. The published momentum of 0.03 is not used: it is too slow
for runs of some hundred steps, and in long runs the EMA averages the statistics too.
"""


class ZeroHead(nn.Module):
    """
    One convolution per level, and one factor per level on all distances.

    :param channels: Channels of each level.
    :param kernel_size: Kernel size of the convolutions: 1 in the nano networks, otherwise 3.
    """

    def __init__(self, channels: Sequence[int], kernel_size: int, spec: ModelSpec) -> None:
        super().__init__()
        self._classes = spec.num_classes
        values = spec.num_classes + 4 * (spec.reg_max + 1)
        outputs = [nn.Conv2d(width, values, kernel_size, padding=kernel_size // 2)
                   for width in channels]
        self.outputs = nn.ModuleList(outputs)
        self.scales: nn.Parameter | None = nn.Parameter(torch.ones(len(channels)))
        for conv in outputs:
            nn.init.normal_(conv.weight, std=0.01)
            reset_bias(conv, spec.num_classes)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads, one per level, shape (n, num_classes + 4 * (reg_max + 1), h, w)."""
        heads = [output(level) for output, level in zip(self.outputs, levels, strict=True)]
        if self.scales is None:
            return heads
        return [torch.cat((head[:, :self._classes], head[:, self._classes:] * scale), dim=1)
                for head, scale in zip(heads, self.scales, strict=True)]

    @torch.no_grad()
    def folded(self) -> ZeroHead:
        """Return a head whose convolutions include the factors."""
        head = copy.deepcopy(self)
        assert head.scales is not None, 'not folded yet'
        for conv, scale in zip(head.outputs, head.scales, strict=True):
            for values in conv.parameters():
                values[head._classes:] *= scale
        head.scales = None
        return head


class DamoYolo(PyramidNetwork):
    """
    The network: TinyNAS, RepGFPN and ZeroHead.

    :param spec: Structure of the network; variant ns, nm, nl (nano), t, s or m.
    """

    strides = (8, 16, 32)

    def __init__(self, spec: ModelSpec) -> None:
        super().__init__()
        self.backbone = TinyNas(STRUCTURES[spec.variant])
        self.neck = RepGfpn(self.backbone.out_channels, *NECKS[spec.variant])
        self.level_channels = self.neck.out_channels
        is_nano = STRUCTURES[spec.variant].style == 'mobile'
        self.head = ZeroHead(self.level_channels, 1 if is_nano else 3, spec)
        for module in self.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = NORM_EPS

    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature maps of the neck, one per stride."""
        return self.neck(features)

    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature maps of the neck."""
        return self.head(levels)
