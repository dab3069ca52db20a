# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Small search spaces, one of each kind of blocks, and a latency that can be worked out."""

from collections.abc import Sequence

from lite_detector.core.config import from_mapping
from lite_detector.core.structure import BlockKind, StageSpec, StructureSpec
from lite_detector.search.operators import Operator
from lite_detector.search.space import SpaceSpec

KINDS: tuple[BlockKind, ...] = ('mobile', 'shuffle', 'residual', 'csp')
EXPANSIONS = {'mobile': [1, 2, 4], 'shuffle': [], 'residual': [0.5, 1], 'csp': [0.5, 1]}


def space_data(block: BlockKind) -> dict:
    """Return a space as plain data; shuffles pool, mobile blocks have a stage of stride 1."""
    widths = [(8, 24), (16, 48), (24, 64), (32, 96), (48, 128)]
    strides = {'mobile': [2, 2, 2, 1, 2], 'shuffle': [2, 2, 2]}.get(block, [2, 2, 2, 2])
    stages = [{'channels': list(width), 'blocks': [1, 3], 'expansions': EXPANSIONS[block],
               'kernels': [3, 5] if block in ('mobile', 'shuffle') else [3], 'stride': stride}
              for width, stride in zip(widths[-len(strides):], strides, strict=True)]
    return {'block': block, 'stem': [8, 16], 'pool': block == 'shuffle', 'stages': stages}


def tiny_space(block: BlockKind) -> SpaceSpec:
    """Return the same as a search takes it."""
    return from_mapping(space_data(block), SpaceSpec, 'test')


def tiny_structure(block: BlockKind, channels: int = 16, blocks: int = 2) -> StructureSpec:
    """Return a backbone whose stages are alike."""
    inner = None if block == 'shuffle' else 24
    pool = block == 'shuffle'
    stage = StageSpec(block, channels, blocks, inner)
    return StructureSpec(8, (stage,) * (4 - pool), pool)


def milliseconds(operators: Sequence[Operator]) -> float:
    """Return 0.1 and the times of the operators: 10 per billion and 0.01 each."""
    return 0.1 + sum(1e-8 * operator.macs + 0.01 for operator in operators)
