# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Select networks of a front for output: the best whose measured latency is in the budget."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lite_detector.core.structure import StructureSpec
from lite_detector.core.types import DoubleArray
from lite_detector.search.candidates import Candidates
from lite_detector.search.costs import Costs
import numpy as np

Measure = Callable[[Sequence[int]], list[float]]
"""Function from indices in a front to measured latencies of the full networks in ms."""
MAX_TRIES = 8


class MeasuredChoice(NamedTuple):
    """
    Selected networks of a front, best first, with measurements.

    :param places: Indices of the selected networks in the front.
    :param measured_ms: Measured latency of each network in ms; None: not measured.
    :param refused: Index and latency of better networks that exceed the budget.
    :param fits: True if the measured latency of the best network is in the budget.
    """

    places: tuple[int, ...]
    measured_ms: tuple[float | None, ...]
    refused: tuple[tuple[int, float], ...]
    fits: bool


class FoundNetwork(NamedTuple):
    """
    A network in the result of a search.

    :param name: Name of the network and of its configuration.
    :param structure: Structure of the backbone.
    :param score: Entropy score.
    :param costs: Predicted costs.
    :param measured_ms: Measured latency of the full network in ms; None: not measured.
    """

    name: str
    structure: StructureSpec
    score: float
    costs: Costs
    measured_ms: float | None


def choose(front: Candidates, axis: int, keep: int, limit_ms: float | None,
           measure: Measure | None) -> MeasuredChoice:
    """
    Select the best network whose measured latency is in the budget, and cheaper networks.

    :param front: Pareto front by rising cost, at least one network.
    :param axis: Index in ``Costs`` of the cost axis.
    :param keep: Number of networks to select; the cheapest one costs about half of the best.
    :param limit_ms: Latency budget in ms; None: no limit.
    :param measure: Function that measures latencies; None: no measurement possible.
    """
    best, refused = len(front.scores) - 1, []
    if measure is None:
        places = _spread(front.costs[:, axis], best, keep)
        return MeasuredChoice(places, (None,) * len(places), (), True)
    while True:
        measured, = measure([best])
        if limit_ms is None or measured <= limit_ms:
            break
        refused.append((best, measured))
        # reduce the predicted latency by the factor by which the measured one is too high
        wanted = front.costs[best, 0] * limit_ms / measured
        below = np.flatnonzero(front.costs[:best, 0] <= wanted)
        if len(refused) == MAX_TRIES or len(below) == 0:
            break
        best = int(below[-1])
    places = _spread(front.costs[:, axis], best, keep)
    measured_ms = measure(places)
    fits = limit_ms is None or measured <= limit_ms
    return MeasuredChoice(places, (measured, *measured_ms[1:]), tuple(refused), fits)


def _spread(costs: DoubleArray, best: int, keep: int) -> tuple[int, ...]:
    """Return the best index, and those nearest to equal cost steps down to half of its cost."""
    wanted = np.linspace(costs[best], costs[best] / 2, keep)
    nearest = np.abs(costs[:best + 1] - wanted[:, None]).argmin(axis=1)
    return tuple(dict.fromkeys(nearest.tolist()))
