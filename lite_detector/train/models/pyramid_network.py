# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The base class of all networks: a backbone, a neck, and one raw head per stride."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn, Tensor


class PyramidNetwork(nn.Module, ABC):
    """
    A network with separate access to feature maps and heads, so that training runs it once.

    A subclass sets ``strides``, ``level_channels`` (channels of the neck's feature maps) and
    ``backbone``.
    """

    strides: tuple[int, ...]
    level_channels: tuple[int, ...]
    backbone: nn.Module

    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return raw heads, one per stride, shape (n, channels, h, w), for the decoders of ``core``.

        :param images: Normalised pixels, shape (n, 3, height, width), sides multiples of 32.
        """
        return self.raw_heads(self.pyramids(images)[1])

    def pyramids(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the feature maps of the backbone, and those of the neck: one per stride."""
        features = self.backbone(images)
        return features, self.neck_levels(features)

    @abstractmethod
    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the feature maps of the neck, one per stride, from those of the backbone."""

    @abstractmethod
    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return raw heads from the feature maps of the neck."""
