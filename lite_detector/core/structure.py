# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Structure of a backbone, written by the search and read by the training."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from msgspec import Meta

Kernel = Literal[3, 5]
Stride = Literal[1, 2]
BlockKind = Literal['mobile', 'shuffle', 'residual', 'csp']
Channels = Annotated[int, Meta(ge=8, le=32768, multiple_of=2)]
COARSEST = 32
"""Stride of the last feature map."""


class StageSpec(Spec):
    """A stage: blocks of one width, the first of which may halve the resolution."""

    block: BlockKind
    """Type of the blocks. mobile: inverted bottleneck with a depthwise convolution (MobileNetV2,
    MobileNetV3). shuffle: half of the channels bypass the block (ShuffleNetV2). residual: 1x1 and
    3x3 convolution with a skip connection. csp: 3x3 convolution with stride 2, then half of the
    channels bypass residual blocks."""
    channels: Channels
    """Number of output channels."""
    blocks: Annotated[int, Meta(ge=1, le=32)]
    inner: Channels | None = None
    """Number of channels inside of each block; shuffle has none and uses half of the channels."""
    kernel: Kernel = 3
    """Kernel size of the depthwise convolutions; always 3 for residual and csp."""
    stride: Stride = 2

    @property
    def inner_channels(self) -> int:
        """Value of ``inner`` for blocks other than shuffle."""
        assert self.inner is not None, 'shuffle blocks have no inner'
        return self.inner

    def __post_init__(self) -> None:
        if (self.inner is None) != (self.block == 'shuffle'):
            verb = 'has no' if self.block == 'shuffle' else 'needs'
            raise ValueError(f'block {self.block} {verb} inner (channels inside of the block)')
        if self.kernel != 3 and self.block in ('residual', 'csp'):
            raise ValueError(f'block {self.block}: kernel {self.kernel}; expected 3')
        if self.stride != 2 and self.block == 'csp':
            raise ValueError('block csp: stride 1; expected 2')


class StructureSpec(Spec):
    """Structure of a backbone: a convolution with stride 2, and stages down to stride 32."""

    stem: Channels
    """Number of channels of the first convolution."""
    stages: Annotated[tuple[StageSpec, ...], Meta(min_length=2, max_length=16)]
    pool: bool = False
    """True: 3x3 max pooling with stride 2 follows the stem, as in ShuffleNetV2."""

    def __post_init__(self) -> None:
        if self.strides[-1] != COARSEST:
            raise ValueError(f'stages: last stride {self.strides[-1]}; expected {COARSEST}: '
                             f'{4 - self.pool} stages with stride 2')
        widths = (self.stem, *(stage.channels for stage in self.stages))
        for before, stage in zip(widths, self.stages, strict=False):
            if stage.block == 'shuffle' and stage.stride == 1 and before != stage.channels:
                raise ValueError(f'stages: shuffle with stride 1 has {stage.channels} channels; '
                                 f'expected {before} as in the stage before')

    def __str__(self) -> str:
        parts = '-'.join(f'{stage.channels}x{stage.blocks}' for stage in self.stages)
        return f'{self.stages[0].block} {self.stem}-{parts}'

    @property
    def strides(self) -> tuple[int, ...]:
        """Return the stride of the feature map of each stage."""
        strides = [4 if self.pool else 2]
        for stage in self.stages:
            strides.append(strides[-1] * stage.stride)
        return tuple(strides[1:])

    @property
    def taps(self) -> tuple[int, int, int]:
        """Return the indices of the last stages at strides 8, 16 and 32, inputs of the neck."""
        third, fourth, fifth = (
            max(index for index, stride in enumerate(self.strides) if stride == wanted)
            for wanted in (8, 16, 32))
        return third, fourth, fifth

    @property
    def out_channels(self) -> tuple[int, int, int]:
        """Return the number of channels of the feature maps that are neck inputs."""
        third, fourth, fifth = (self.stages[tap].channels for tap in self.taps)
        return third, fourth, fifth
