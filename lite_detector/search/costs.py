# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Costs of a network on a board, and budgets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

from lite_detector.core.config import Spec
from lite_detector.search.operators import Operator
from msgspec import Meta

NetworkMs = Callable[[Sequence[Operator]], float]
"""Function from operators to milliseconds, as ``LatencyTable.network_ms``: the sum over the
operators plus the fixed cost of a call."""
FEW_PRODUCTS = 32
"""Convolutions with at most this many products per output are exported in single precision."""
Amount = Annotated[float, Meta(gt=0)]


class Costs(NamedTuple):
    """
    Costs of a network or a part of it; costs of parts are added.

    :param latency_ms: Predicted latency in ms; 0 without a latency table.
    :param macs_m: Millions of multiply-accumulate operations.
    :param parameters_m: Millions of weights and biases, with folded batch normalization.
    :param layers: Number of convolutions.
    :param file_mb: Size of the exported weights in MB.
    """

    latency_ms: float
    macs_m: float
    parameters_m: float
    layers: float
    file_mb: float


class BudgetSpec(Spec):
    """Maximum costs of a full network with neck and head; see ``Costs``."""

    latency_ms: Amount | None = None
    """Maximum latency in ms, as predicted by the table of ``profile_latency`` for the board."""
    macs_m: Amount | None = None
    parameters_m: Amount | None = None
    layers: Annotated[int, Meta(ge=1)] | None = None
    file_mb: Amount | None = None

    def __post_init__(self) -> None:
        if all(limit is None for limit in self.limits):
            raise ValueError(f'expected at least one of {", ".join(Costs._fields)}')

    @property
    def limits(self) -> tuple[float | None, ...]:
        """Limits in the order of ``Costs``; None: no limit."""
        return tuple(getattr(self, name) for name in Costs._fields)


def costs_of(operators: Sequence[Operator], network_ms: NetworkMs) -> Costs:
    """Return the total costs of operators."""
    convs = [each for each in operators if each.kind in ('conv', 'depthwise')]
    return Costs(float(network_ms(operators)),
                 sum(conv.macs for conv in convs) / 1e6,
                 sum(conv.parameters for conv in convs) / 1e6,
                 len(convs), sum(map(_stored_bytes, convs)) / 1e6)


def _stored_bytes(conv: Operator) -> int:
    """Return the size of a convolution in the ncnn file in bytes: tag, weights and biases."""
    weights = conv.parameters - conv.out_channels
    each = 2 if weights // conv.out_channels > FEW_PRODUCTS else 4
    return 4 + -(-each * weights // 4) * 4 + 4 * conv.out_channels
