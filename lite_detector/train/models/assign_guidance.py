# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The assign guidance module of NanoDet-Plus: a larger auxiliary head for training.

It assigns objects to anchor points, because its predictions are better than those of the network
early in training. It is not exported (https://github.com/RangiLyu/nanodet).
"""

from __future__ import annotations

from collections.abc import Sequence
import copy

from lite_detector.train.models.blocks import LEAKY_RELU
from lite_detector.train.models.gfl_head import reset_bias
from lite_detector.train.models.ghost_pan import GhostPan
import torch
from torch import nn, Tensor

STACKED_CONVS = 4
NORM_GROUPS = 32


class AssignGuidance(nn.Module):
    """
    A second pyramid, and a convolutional head on the feature maps of both pyramids.

    All levels share the weights of the head, except for one factor per level on the distances.

    :param pan: Pyramid of the network; the second one starts as its copy.
    :param levels: Number of feature maps of a pyramid.
    :param num_classes: Number of classes of the network.
    :param reg_max: Largest distance of the network's head in strides.
    """

    def __init__(self, pan: GhostPan, levels: int, num_classes: int, reg_max: int) -> None:
        super().__init__()
        channels = 2 * pan.channels
        self.pan = copy.deepcopy(pan).requires_grad_(True)  # the original may be frozen
        self.score_tower = _tower(channels)
        self.distance_tower = _tower(channels)
        self.scores = nn.Conv2d(channels, num_classes, 3, padding=1)
        self.distances = nn.Conv2d(channels, 4 * (reg_max + 1), 3, padding=1)
        self.scales = nn.Parameter(torch.ones(levels))
        for conv, num_scores in ((self.scores, num_classes), (self.distances, 0)):
            nn.init.normal_(conv.weight, std=0.01)
            reset_bias(conv, num_scores)

    def forward(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> list[Tensor]:
        """
        Return raw heads in the layout of the network's own head.

        With detached feature maps, the loss trains only this module.

        :param features: Feature maps of the backbone at strides 8, 16 and 32.
        :param levels: Feature maps of the network's own pyramid.
        """
        heads = []
        for own, second, scale in zip(levels, self.pan(features), self.scales, strict=True):
            both = torch.cat((own, second), dim=1)
            distances = self.distances(self.distance_tower(both)) * scale
            heads.append(torch.cat((self.scores(self.score_tower(both)), distances), dim=1))
        return heads


def _tower(channels: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(STACKED_CONVS):
        conv = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        nn.init.normal_(conv.weight, std=0.01)
        layers += [conv, nn.GroupNorm(NORM_GROUPS, channels), LEAKY_RELU()]
    return nn.Sequential(*layers)
