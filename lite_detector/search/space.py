# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Search space of backbones: genes, and the structures that they encode.

A gene is an index into a rising list of choices. A step of a gene is thus a step of the network,
and thousands of networks are one array.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, cast, NamedTuple

from lite_detector.core.config import Spec
from lite_detector.core.structure import BlockKind, Kernel, StageSpec, Stride, StructureSpec
from msgspec import Meta
import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
Genes = npt.NDArray[np.int16]
"""Networks as arrays of shape (n, genes)."""

STEP = 8
"""Multiple of all widths."""
Width = Annotated[int, Meta(ge=STEP, le=2048, multiple_of=STEP)]
Widths = tuple[Width, Width]
"""Minimum and maximum."""
Depth = Annotated[int, Meta(ge=1, le=32)]
Factor = Annotated[float, Meta(gt=0, le=16)]
MAX_MUTATIONS = 3


class StageRange(Spec):
    """Choices for a stage."""

    channels: Widths
    blocks: tuple[Depth, Depth]
    """Minimum and maximum number of blocks."""
    expansions: tuple[Factor, ...] = ()
    """Channels inside of a block, relative to ``channels``, rounded to multiples of 8; not for
    shuffle."""
    kernels: Annotated[tuple[Kernel, ...], Meta(min_length=1)] = (3,)
    """Kernel sizes of the depthwise convolutions."""
    stride: Stride = 2

    def __post_init__(self) -> None:
        for name in ('channels', 'blocks', 'expansions', 'kernels'):
            _check_rising(name, getattr(self, name))


class SpaceSpec(Spec, kw_only=True):
    """Space of backbones with one type of blocks; channels never decrease between stages."""

    block: BlockKind
    """Type of the blocks, see ``lite_detector.core.structure.StageSpec``."""
    stem: Widths
    pool: bool = False
    """True: 3x3 max pooling with stride 2 follows the stem."""
    stages: Annotated[tuple[StageRange, ...], Meta(min_length=2, max_length=16)]

    def __post_init__(self) -> None:
        _check_rising('stem', self.stem)
        for before, stage in zip(self.stages, self.stages[1:], strict=False):
            if stage.channels[1] < before.channels[1]:
                raise ValueError(f'stages: at most {stage.channels[1]} channels; expected at '
                                 f'least {before.channels[1]} as in the stage before')
            if self.block == 'shuffle' and stage.stride == 1 and not (
                    before.channels == stage.channels
                    and stage.channels[0] == stage.channels[1]):
                raise ValueError('stages: shuffle with stride 1 cannot change its channels; '
                                 'expected one width for it and the stage before')
        space = Space(self)
        for genes in (space.smallest()[0], space.largest()[0]):
            space.structure(genes)


class StageArrays(NamedTuple):
    """One stage of many networks; the arrays have shape (n,)."""

    block: BlockKind
    stride: Stride
    channels: IntArray
    blocks: IntArray
    inner: IntArray
    """Channels inside of the blocks; 0 for shuffle."""
    kernel: IntArray

    def spec(self, index: int) -> StageSpec:
        """Return this stage of one network."""
        inner = int(self.inner[index])
        return StageSpec(self.block, int(self.channels[index]), int(self.blocks[index]),
                         inner or None, cast(Kernel, int(self.kernel[index])), self.stride)


class Structures(NamedTuple):
    """Structures of many networks as arrays; the stem has shape (n,)."""

    stem: IntArray
    pool: bool
    stages: tuple[StageArrays, ...]


class Space:
    """
    A space of backbones that draws, varies and decodes genes.

    ``sizes`` is the number of choices of each gene, shape (genes,).

    :param spec: Choices for the backbones.
    """

    def __init__(self, spec: SpaceSpec) -> None:
        self.spec = spec
        self._choices = [_widths(spec.stem)]
        for stage in spec.stages:
            self._choices += [_widths(stage.channels),
                              np.arange(stage.blocks[0], stage.blocks[1] + 1),
                              np.array(stage.expansions or (0.0,)), np.array(stage.kernels)]
        self.sizes = np.array([len(choices) for choices in self._choices])
        self._open = np.flatnonzero(self.sizes > 1)

    def smallest(self) -> Genes:
        """Return the network of the first choices, shape (1, genes)."""
        return np.zeros((1, len(self.sizes)), np.int16)

    def largest(self) -> Genes:
        """Return the network of the last choices, shape (1, genes)."""
        return (self.sizes[None] - 1).astype(np.int16)

    def draw(self, rng: np.random.Generator, count: int) -> Genes:
        """Return random networks, shape (count, genes)."""
        return rng.integers(0, self.sizes, (count, len(self.sizes))).astype(np.int16)

    def children(self, rng: np.random.Generator, parents: Genes, count: int) -> Genes:
        """
        Return children of networks: half of them are crossed with another parent, all are mutated.

        :param rng: Random number generator.
        :param parents: Genes of the parents, shape (n, genes), n > 0.
        :param count: Number of children.
        :return: Genes of the children, shape (count, genes).
        """
        mothers, fathers = parents[rng.integers(0, len(parents), (2, count))]
        crossed = rng.random((count, 1)) < 0.5
        from_father = crossed & (rng.random(mothers.shape) < 0.5)
        children = np.where(from_father, fathers, mothers).astype(np.int64)
        if len(self._open) == 0:
            return children.astype(np.int16)
        rows = np.arange(count)
        times = rng.integers(1, MAX_MUTATIONS + 1, count)
        for turn in range(MAX_MUTATIONS):
            genes = rng.choice(self._open, count)
            reach = np.maximum(1, self.sizes[genes] // 3)
            steps = rng.integers(1, reach + 1) * rng.choice((-1, 1), count)
            children[rows, genes] += np.where(turn < times, steps, 0)
        return np.clip(children, 0, self.sizes - 1).astype(np.int16)

    def decode(self, genes: Genes) -> Structures:
        """Return the structures of genes, shape (n, genes)."""
        values = [choices[genes[:, index]] for index, choices in enumerate(self._choices)]
        stem, widest, stages = values[0], np.zeros(len(genes), np.int64), []
        for index, stage in enumerate(self.spec.stages):
            channels, blocks, expansions, kernels = values[1 + 4 * index:5 + 4 * index]
            widest = np.maximum(widest, channels)
            inner = (np.maximum(1, np.floor(widest * expansions / STEP + 0.5)) * STEP
                     if stage.expansions else np.zeros(len(genes)))
            stages.append(StageArrays(self.spec.block, stage.stride, widest, blocks,
                                      inner.astype(np.int64), kernels))
        return Structures(stem, self.spec.pool, tuple(stages))

    def structure(self, genes: Genes) -> StructureSpec:
        """Return the structure of one network, shape (genes,)."""
        decoded = self.decode(genes[None])
        return StructureSpec(int(decoded.stem[0]), tuple(stage.spec(0) for stage in
                                                         decoded.stages), decoded.pool)


def arrays_of(structures: Sequence[StructureSpec]) -> Structures:
    """
    Return networks as arrays.

    :param structures: Networks with the same blocks and strides in each stage, at least one.
    """
    def column(index: int, name: str) -> IntArray:
        return np.array([getattr(each.stages[index], name) or 0 for each in structures])

    first = structures[0]
    return Structures(np.array([each.stem for each in structures]), first.pool, tuple(
        StageArrays(stage.block, stage.stride, *(column(index, name) for name in (
            'channels', 'blocks', 'inner', 'kernel')))
        for index, stage in enumerate(first.stages)))


def _widths(widths: Widths) -> IntArray:
    return np.arange(widths[0], widths[1] + 1, STEP)


def _check_rising(name: str, values: Sequence[float]) -> None:
    if list(values) != sorted(values):
        raise ValueError(f'{name}: {list(values)}; expected values that do not fall')
