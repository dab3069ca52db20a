# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What all networks here are: a backbone, a neck, and one raw head per stride."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import nn, Tensor


class PyramidNetwork(nn.Module, ABC):
    """
    A network whose maps and heads can be had apart, so that training runs it once for both.

    A subclass sets ``strides``, ``level_channels`` (of the maps of its neck) and ``backbone``.
    """

    strides: tuple[int, ...]
    level_channels: tuple[int, ...]
    backbone: nn.Module

    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return raw heads, per stride shape (n, channels, h, w), as the decoders of ``core`` read.

        :param images: normalised pixels, shape (n, 3, height, width), sides on the grid of 32.
        """
        return self.raw_heads(self.pyramids(images)[1])

    def pyramids(self, images: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Return the maps of the backbone, and those of the neck: one per stride."""
        features = self.backbone(images)
        return features, self.neck_levels(features)

    @abstractmethod
    def neck_levels(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Return the maps of the neck, one per stride, from those of the backbone."""

    @abstractmethod
    def raw_heads(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """Return what ``forward`` does, from the maps of the neck."""
