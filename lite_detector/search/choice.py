# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which networks of a front are handed out: the best whose time keeps the budget when measured."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lite_detector.core.structure import StructureSpec
from lite_detector.core.types import DoubleArray
from lite_detector.search.candidates import Candidates
from lite_detector.search.costs import Costs
import numpy as np

Measure = Callable[[Sequence[int]], list[float]]
"""From places in a front to the milliseconds of these networks, measured whole."""
MAX_TRIES = 8


class MeasuredChoice(NamedTuple):
    """
    Places in a front, the best network first, and what was measured.

    :param places: of the networks that are handed out.
    :param measured_ms: of each of them; None where nothing could be measured.
    :param refused: places and milliseconds of better ones that were over the budget.
    :param fits: whether the best of them keeps the budget, as far as was measured.
    """

    places: tuple[int, ...]
    measured_ms: tuple[float | None, ...]
    refused: tuple[tuple[int, float], ...]
    fits: bool


class FoundNetwork(NamedTuple):
    """
    A network that a search hands out.

    :param name: of the network and of its configuration.
    :param structure: the backbone.
    :param score: its entropy.
    :param costs: predicted.
    :param measured_ms: of the whole network; None where nothing could be measured.
    """

    name: str
    structure: StructureSpec
    score: float
    costs: Costs
    measured_ms: float | None


def choose(front: Candidates, axis: int, keep: int, limit_ms: float | None,
           measure: Measure | None) -> MeasuredChoice:
    """
    Choose the best network whose measured time keeps the budget, and others that cost less.

    :param front: rising, at least one network.
    :param axis: place in ``Costs`` of what it is drawn over.
    :param keep: how many to choose; the cheapest costs about half of the best.
    :param limit_ms: budget; None: any time is right.
    :param measure: None if nothing can be measured here.
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
        # the next one is predicted to be as much faster as this one is too slow
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
    """Return the best place and those nearest to equal steps of the cost, down to half of it."""
    wanted = np.linspace(costs[best], costs[best] / 2, keep)
    nearest = np.abs(costs[:best + 1] - wanted[:, None]).argmin(axis=1)
    return tuple(dict.fromkeys(nearest.tolist()))
