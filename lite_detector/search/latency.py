# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Predict the latency of a network from a table of operators measured on the board.

The latency of a network is the sum over its operators. For an operator that was not measured, the
logarithm of the time per unit of work is interpolated linearly in the logarithms of its channels
and of the cells of its feature map. This is exact if the time is a product of powers.

ncnn processes 4, 8 or 16 channels at once, so 24 channels can take longer than 32. Multiples of 16
and other multiples of 8 are therefore interpolated separately. Other numbers of channels are
rounded up to a multiple of 8.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from functools import cached_property
from itertools import product
import math
from pathlib import Path
from typing import Annotated, Literal

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.search.operators import Operator
import msgspec
from msgspec import Meta

TablePrecision = Literal['auto', 'fp32', 'bf16']
Milliseconds = Annotated[float, Meta(gt=0)]
Family = tuple[str, int, int, str]
"""Kind, kernel, stride and activation layer of an operator."""
Point = tuple[float, ...]
"""Logarithms of the channels (one or two values) and of the cells of a feature map."""

PACK = 8
BY_HALVES = ('split', 'shuffle', 'concat')
"""Kinds whose cost depends on how the two halves of their channels are packed."""
BEYOND = 2.0
"""Maximum ratio by which channels or sides of a feature map may be outside of the table."""


class LatencyTable(Spec, dict=True):
    """Latencies measured on a board, valid for one number of threads and one precision."""

    format: Literal[1]  # noqa: A003
    machine: str
    """Processor, versions and date."""
    threads: Annotated[int, Meta(ge=1)]
    precision: TablePrecision
    reference_ms: Milliseconds
    """Latency of the reference network, to which all times are normalized, in ms."""
    call_ms: Annotated[float, Meta(ge=0)]
    """Latency of a network without operators in ms."""
    measured: tuple[tuple[Operator, Milliseconds], ...]

    def network_ms(self, operators: Iterable[Operator]) -> float:
        """
        Return the predicted latency of a network in ms.

        :raises ConfigError: if an operator is too far outside of the table.
        """
        return self.call_ms + sum(map(self.operator_ms, operators))

    def operator_ms(self, operator: Operator) -> float:
        """
        Return the predicted latency of an operator inside a network in ms.

        :raises ConfigError: if the operator is too far outside of the table.
        """
        found = self._memory.get(operator)
        if found is None:
            found = self._memory[operator] = self._interpolate(operator)
        return found

    @cached_property
    def _memory(self) -> dict[Operator, float]:
        return {}

    @cached_property
    def _grids(self) -> dict[tuple[Family, tuple[int, ...]], _Grid]:
        rates: dict[tuple[Family, tuple[int, ...]], dict[Point, float]] = {}
        for operator, ms in self.measured:
            packing, point = place(operator)
            group = rates.setdefault((family(operator), packing), {})
            group[point] = math.log(ms / work(operator))
        return {key: _Grid(group) for key, group in rates.items()}

    def _interpolate(self, operator: Operator) -> float:
        packing, point = place(operator)
        grid = self._grids.get((family(operator), packing))
        if grid is None:
            raise ConfigError(f'latency table: {describe(operator)}; expected a measured kind')
        rate = grid.at(point)
        if rate is None:
            raise ConfigError(f'latency table: {describe(operator)}; expected the measured range '
                              f'of {grid.bounds}')
        return math.exp(rate) * work(operator)


class _Grid:
    """
    Logarithms of times per unit of work on a grid.

    Large operators on large feature maps are not measured; the nearest measured value is used.
    """

    def __init__(self, rates: dict[Point, float]) -> None:
        self._rates = rates
        self._measured = list(rates)
        self._axes = [sorted(set(values)) for values in zip(*rates, strict=True)]

    @property
    def bounds(self) -> str:
        *channels, cells = ([math.exp(value) for value in axis] for axis in self._axes)
        limits = ' to '.join(f'{axis[0]:.0f}..{axis[-1]:.0f}' for axis in channels)
        return f'{limits} channels and {cells[0]:.0f}..{cells[-1]:.0f} cells'

    def at(self, point: Point) -> float | None:
        """Return the interpolated value at a point; None: outside of the grid."""
        brackets = []
        for axis, value in zip(self._axes, point, strict=True):
            # the last axis is an area
            margin = math.log(BEYOND) * (2 if axis is self._axes[-1] else 1) + 1e-9
            if not axis[0] - margin <= value <= axis[-1] + margin:
                return None
            brackets.append(_bracket(axis, value))
        return sum(math.prod(share for _, share in corner)
                   * self._rate(tuple(value for value, _ in corner))
                   for corner in product(*brackets))

    def _rate(self, point: Point) -> float:
        rate = self._rates.get(point)
        if rate is None:
            nearest = min(self._measured, key=lambda other: math.dist(other, point))
            rate = self._rates[point] = self._rates[nearest]
        return rate


def family(operator: Operator) -> Family:
    """Return the key of the operators that an operator is interpolated among."""
    activation = ''
    if operator.kind == 'activation':
        # all others are one comparison or product per value
        activation = 'swish' if operator.activation == 'swish' else 'relu'
    return operator.kind, operator.kernel, operator.stride, activation


def place(operator: Operator) -> tuple[tuple[int, ...], Point]:
    """Return the packing of the channels of an operator, and its point in the grid."""
    if operator.kind == 'conv':
        channels = [operator.in_channels, operator.out_channels]
    elif operator.kind in BY_HALVES:
        channels = [-(-operator.in_channels // 2)]
    else:
        channels = [operator.in_channels]
    # an image is not packed
    is_image = operator.kind == 'conv' and operator.in_channels < PACK
    rounded = [number if is_image and index == 0 else -(-number // PACK) * PACK
               for index, number in enumerate(channels)]
    packing = tuple(math.gcd(number, 2 * PACK) for number in rounded)
    cells = operator.height * operator.width
    return packing, tuple(math.log(number) for number in (*rounded, cells))


def work(operator: Operator) -> int:
    """Return the amount of work that the latency of an operator is proportional to."""
    if operator.kind in ('conv', 'depthwise'):
        return operator.macs
    height, width = operator.out_size
    return operator.in_channels * height * width


def describe(operator: Operator) -> str:
    """Return the description of an operator for messages."""
    return (f'{operator.kind} {operator.kernel}x{operator.kernel} stride {operator.stride}, '
            f'{operator.in_channels} to {operator.out_channels} channels at '
            f'{operator.width}x{operator.height}')


def load_table(path: Path) -> LatencyTable:
    """
    Read a latency table.

    :raises ConfigError: if the file is absent or malformed.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=LatencyTable)
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}') from None
    except msgspec.DecodeError as error:
        raise ConfigError(f'{path}: not a latency table: {error}') from None


def save_table(path: Path, table: LatencyTable) -> None:
    """
    Write a latency table atomically, one operator per line.

    :raises OSError: if the file cannot be written.
    """
    text = msgspec.json.encode(table).decode()
    with atomic_file(path) as scratch:
        scratch.write_text(text.replace('],[[', '],\n[[') + '\n', encoding='utf-8')


def _bracket(axis: Sequence[float], value: float) -> list[tuple[float, float]]:
    """Return the adjacent values of an axis with their weights; beyond the axis, its end."""
    after = bisect_right(axis, value)
    if after == 0 or after == len(axis):
        return [(axis[min(after, len(axis) - 1)], 1.0)]
    low, high = axis[after - 1], axis[after]
    share = (value - low) / (high - low)
    return [(low, 1 - share), (high, share)] if share else [(low, 1.0)]
