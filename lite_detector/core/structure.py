# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The structure of a backbone written out: what a search finds and a training builds."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from msgspec import Meta

Kernel = Literal[3, 5]
Stride = Literal[1, 2]
BlockKind = Literal['mobile', 'shuffle', 'residual', 'csp']
Channels = Annotated[int, Meta(ge=8, le=32768, multiple_of=2)]
COARSEST = 32
"""Stride of the last map."""


class StageSpec(Spec):
    """Some blocks of one size, the first of which may halve the map."""

    block: BlockKind
    """mobile: wide inside, a depthwise convolution, narrow (MobileNetV2, MobileNetV3).
    shuffle: half of the channels pass by (ShuffleNetV2). residual: 1x1, then 3x3, and the input
    added. csp: 3x3 to half the size, then half of the channels pass by residual blocks."""
    channels: Channels
    """That come out."""
    blocks: Annotated[int, Meta(ge=1, le=32)]
    inner: Channels | None = None
    """Inside of each block; a shuffle has none: there it is half of the channels."""
    kernel: Kernel = 3
    """Side of the depthwise convolutions; residual and csp have none, and always 3."""
    stride: Stride = 2

    @property
    def inner_channels(self) -> int:
        """Return ``inner`` of a block that is no shuffle."""
        assert self.inner is not None, 'a shuffle has none'
        return self.inner

    def __post_init__(self) -> None:
        if (self.inner is None) != (self.block == 'shuffle'):
            verb = 'has no' if self.block == 'shuffle' else 'needs'
            raise ValueError(f'block {self.block} {verb} inner, its channels inside')
        if self.kernel != 3 and self.block in ('residual', 'csp'):
            raise ValueError(f'block {self.block}: got kernel {self.kernel}, wanted 3')
        if self.stride != 2 and self.block == 'csp':
            raise ValueError('block csp: got stride 1, wanted 2')


class StructureSpec(Spec):
    """A convolution at stride 2, and stages down to stride 32."""

    stem: Channels
    """Channels of the first convolution."""
    stages: Annotated[tuple[StageSpec, ...], Meta(min_length=2, max_length=16)]
    pool: bool = False
    """Whether the maximum over 3x3 pixels halves the map behind the stem, as in ShuffleNetV2."""

    def __post_init__(self) -> None:
        if self.strides[-1] != COARSEST:
            raise ValueError(f'stages: they end at stride {self.strides[-1]}, wanted {COARSEST}: '
                             f'{4 - self.pool} of them with stride 2')
        widths = (self.stem, *(stage.channels for stage in self.stages))
        for before, stage in zip(widths, self.stages, strict=False):
            if stage.block == 'shuffle' and stage.stride == 1 and before != stage.channels:
                raise ValueError(f'stages: shuffle with stride 1 keeps its {before} channels, got '
                                 f'{stage.channels}')

    def __str__(self) -> str:
        parts = '-'.join(f'{stage.channels}x{stage.blocks}' for stage in self.stages)
        return f'{self.stages[0].block} {self.stem}-{parts}'

    @property
    def strides(self) -> tuple[int, ...]:
        """Return the stride of each stage's map."""
        strides = [4 if self.pool else 2]
        for stage in self.stages:
            strides.append(strides[-1] * stage.stride)
        return tuple(strides[1:])

    @property
    def taps(self) -> tuple[int, int, int]:
        """Return the last stages at strides 8, 16 and 32: their maps go to the neck."""
        third, fourth, fifth = (
            max(index for index, stride in enumerate(self.strides) if stride == wanted)
            for wanted in (8, 16, 32))
        return third, fourth, fifth

    @property
    def out_channels(self) -> tuple[int, int, int]:
        """Return the channels of the maps that go to the neck."""
        third, fourth, fifth = (self.stages[tap].channels for tap in self.taps)
        return third, fourth, fifth
