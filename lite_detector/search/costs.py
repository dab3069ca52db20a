# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a network costs on a board, and how much of it there is to spend."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

from lite_detector.core.config import Spec
from lite_detector.search.operators import Operator
from msgspec import Meta

NetworkMs = Callable[[Sequence[Operator]], float]
"""From operators to milliseconds, as ``LatencyTable.network_ms``: those of the operators, summed
up, and what a call takes without any."""
FEW_PRODUCTS = 32
"""Export keeps convolutions in single precision whose outputs sum up no more products."""
Amount = Annotated[float, Meta(gt=0)]


class Costs(NamedTuple):
    """
    Of a network or a part of one; those of the parts add up.

    :param latency_ms: predicted; 0 without a latency table.
    :param macs_m: millions of multiply-accumulates.
    :param parameters_m: millions of weights and biases, batch normalisation folded.
    :param layers: convolutions.
    :param file_mb: megabytes of the weights as they are exported.
    """

    latency_ms: float
    macs_m: float
    parameters_m: float
    layers: float
    file_mb: float


class BudgetSpec(Spec):
    """The most that a whole network may cost, neck and head included; see ``Costs``."""

    latency_ms: Amount | None = None
    """Measured by ``profile_latency`` on the board."""
    macs_m: Amount | None = None
    parameters_m: Amount | None = None
    layers: Annotated[int, Meta(ge=1)] | None = None
    file_mb: Amount | None = None

    def __post_init__(self) -> None:
        if all(limit is None for limit in self.limits):
            raise ValueError(f'wanted at least one of {", ".join(Costs._fields)}')

    @property
    def limits(self) -> tuple[float | None, ...]:
        """Return the limits in the order of ``Costs``; None where there is none."""
        return tuple(getattr(self, name) for name in Costs._fields)


def costs_of(operators: Sequence[Operator], network_ms: NetworkMs) -> Costs:
    """Return what operators cost together."""
    convs = [each for each in operators if each.kind in ('conv', 'depthwise')]
    return Costs(float(network_ms(operators)),
                 sum(conv.macs for conv in convs) / 1e6,
                 sum(conv.parameters for conv in convs) / 1e6,
                 len(convs), sum(map(_stored_bytes, convs)) / 1e6)


def _stored_bytes(conv: Operator) -> int:
    """Return the bytes of a convolution in the file of ncnn: a tag, weights and biases."""
    weights = conv.parameters - conv.out_channels
    each = 2 if weights // conv.out_channels > FEW_PRODUCTS else 4
    return 4 + -(-each * weights // 4) * 4 + 4 * conv.out_channels
