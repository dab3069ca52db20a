# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Operators of a latency table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

from lite_detector.search.latency import BY_HALVES
from lite_detector.search.operators import Activation, Kind, Operator

SIDES, QUICK_SIDES = (5, 10, 20, 40, 80, 160), (5, 20, 80, 160)
"""Sides of square feature maps; others are interpolated by their area."""
# Multiples of 16 and of 8 alone: see lite_detector.search.latency.
CHANNELS = (8, 16, 24, 48, 72, 128, 200, 256, 504, 512, 1000, 1024)
QUICK_CHANNELS = (8, 16, 72, 128, 504, 512, 1000, 1024)
COARSE, QUICK_COARSE = (8, 16, 24, 48, 72, 128, 200, 256), (8, 16, 72, 128, 200, 256)
"""Channels for larger kernels and strides, which networks use with fewer channels."""
IMAGE_CHANNELS, IMAGE_SIDES, STEM_CHANNELS = 3, (160, 320), (8, 16, 24, 48)

MAX_NUMBERS = 2_600_000
"""Maximum values in the larger feature map: 101 channels at stride 2 of an input of 320."""
MAX_MACS = 100_000_000
MAX_WEIGHTS = 600_000

POINTWISE: tuple[tuple[Kind, int, int], ...] = (('conv', 1, 1),)
OTHERS: tuple[tuple[Kind, int, int], ...] = (('conv', 3, 1), ('conv', 3, 2), ('conv', 1, 2))
"""Kind, kernel and stride of convolutions, measured for pairs of ``CHANNELS`` or ``COARSE``."""
PLAIN: tuple[tuple[Kind, int, int, Activation], ...] = (
    ('depthwise', 3, 1, 'none'), ('depthwise', 3, 2, 'none'), ('depthwise', 5, 1, 'none'),
    ('depthwise', 5, 2, 'none'), ('pool', 3, 2, 'none'), ('resize', 1, 2, 'none'),
    ('shuffle', 1, 1, 'none'), ('split', 1, 1, 'none'), ('concat', 1, 1, 'none'),
    ('add', 1, 1, 'none'), ('se', 1, 1, 'none'), ('activation', 1, 1, 'relu'),
    ('activation', 1, 1, 'swish'))
"""Kind, kernel, stride and activation of operators with one number of channels."""


def operator_grid(quick: bool = False) -> list[Operator]:
    """
    Return the operators to measure.

    :param quick: True: return a subset of the full grid.
    """
    sides, channels, coarse = (QUICK_SIDES, QUICK_CHANNELS, QUICK_COARSE) if quick else (
        SIDES, CHANNELS, COARSE)
    operators = [*_pairs(POINTWISE, sides, channels), *_pairs(OTHERS, sides, coarse),
                 *_plain(sides, channels)]
    stems = [Operator('conv', IMAGE_CHANNELS, out, side, side, 3, 2)
             for side, out in product(IMAGE_SIDES, STEM_CHANNELS)]
    return stems + [operator for operator in operators if _is_small(operator)]


def _pairs(kinds: Sequence[tuple[Kind, int, int]], sides: Sequence[int],
           channels: Sequence[int]) -> Iterator[Operator]:
    for (kind, kernel, stride), side, in_channels, out_channels in product(
            kinds, sides, channels, channels):
        yield Operator(kind, in_channels, out_channels, side, side, kernel, stride)


def _plain(sides: Sequence[int], channels: Sequence[int]) -> Iterator[Operator]:
    for (kind, kernel, stride, activation), side, number in product(PLAIN, sides, channels):
        number *= 2 if kind in BY_HALVES else 1
        out_channels = number // 2 if kind == 'split' else number
        yield Operator(kind, number, out_channels, side, side, kernel, stride, activation)


def _is_small(operator: Operator) -> bool:
    out_height, out_width = operator.out_size
    numbers = max(operator.in_channels * operator.height * operator.width,
                  operator.out_channels * out_height * out_width)
    return (numbers <= MAX_NUMBERS and operator.macs <= MAX_MACS
            and operator.parameters <= MAX_WEIGHTS)
