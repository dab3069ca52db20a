# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A backbone from a list of stages, as the search writes it into a configuration."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lite_detector.core.structure import BlockKind, StageSpec, StructureSpec
from lite_detector.train.models.backbones.backbone import Backbone, tapped
from lite_detector.train.models.backbones.shufflenet_v2 import ShuffleUnit
from lite_detector.train.models.blocks import conv_bn, MakeActivation
from lite_detector.train.models.tinynas import CspStage, InvertedBlock, ResidualBlock, Stage
from torch import nn, Tensor


class SearchedBackbone(Backbone):
    """
    A stem and stages with one activation.

    :param structure: Stem, stages and pooling.
    :param activation: Activation of the family.
    """

    classifier_parts = ()

    def __init__(self, structure: StructureSpec, activation: MakeActivation) -> None:
        super().__init__()
        stem = conv_bn(3, structure.stem, 3, stride=2, activation=activation)
        self.stem = nn.Sequential(*stem, *([nn.MaxPool2d(3, 2, 1)] if structure.pool else []))
        widths = (structure.stem, *(stage.channels for stage in structure.stages[:-1]))
        self.stages = nn.ModuleList(
            STAGES[stage.block](width, stage, activation)
            for width, stage in zip(widths, structure.stages, strict=True))
        self.out_channels = structure.out_channels
        self._taps = structure.taps

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at strides 8, 16 and 32."""
        return tapped(self.stem(images), self.stages, self._taps)


MakeBlock = Callable[[int, StageSpec, int, MakeActivation], nn.Module]
"""Function of input channels, stage, stride of this block, and activation."""


def _mobile(width: int, stage: StageSpec, stride: int, activation: MakeActivation) -> nn.Module:
    return InvertedBlock(width, stage.inner_channels, stage.channels, stride, stage.kernel,
                         activation)


def _shuffle(width: int, stage: StageSpec, stride: int, activation: MakeActivation) -> nn.Module:
    return ShuffleUnit(width, stage.channels, stride, activation, stage.kernel)


def _residual(width: int, stage: StageSpec, stride: int, activation: MakeActivation) -> nn.Module:
    return ResidualBlock(width, stage.inner_channels, stage.channels, stride, 1, activation)


def _in_a_row(block: MakeBlock, width: int, stage: StageSpec,
              activation: MakeActivation) -> nn.Module:
    first = block(width, stage, stage.stride, activation)
    return nn.Sequential(first, *(block(stage.channels, stage, 1, activation)
                                  for _ in range(stage.blocks - 1)))


def _csp(width: int, stage: StageSpec, activation: MakeActivation) -> nn.Module:
    inside = Stage(stage.channels, stage.inner_channels, stage.blocks)
    return CspStage(width, inside, pooling=False, activation=activation, inside=activation)


STAGES: dict[BlockKind, Callable[[int, StageSpec, MakeActivation], nn.Module]] = {
    'mobile': partial(_in_a_row, _mobile),
    'shuffle': partial(_in_a_row, _shuffle),
    'residual': partial(_in_a_row, _residual),
    'csp': _csp,
}
