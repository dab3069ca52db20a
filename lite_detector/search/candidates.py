# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Evaluate many networks: score, cost and selection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from lite_detector.core.errors import ConfigError
from lite_detector.core.types import DoubleArray, ImageSize
from lite_detector.search.costs import Costs, costs_of, NetworkMs
from lite_detector.search.entropy import entropy_scores
from lite_detector.search.network import (
    add_neck_and_head,
    add_stage,
    add_stem,
    network_graph,
    NetworkFrame,
)
from lite_detector.search.operators import Graph, MapShape, Operator
from lite_detector.search.space import Genes, IntArray, Space, SpaceSpec, StageArrays
import numpy as np


class Task(NamedTuple):
    """
    Definition of a search.

    :param space: Space of backbones.
    :param frame: Neck, head and input size.
    :param network_ms: Function from operators to milliseconds; None: no latency table.
    :param limits: Maximum of each field of ``Costs``; None: no limit.
    :param weights: Weight of each stride in the score.
    """

    space: SpaceSpec
    frame: NetworkFrame
    network_ms: NetworkMs | None
    limits: tuple[float | None, ...]
    weights: tuple[float, ...]

    @property
    def axis(self) -> int:
        """Index in ``Costs`` of the cost axis of the Pareto front."""
        name = 'macs_m' if self.network_ms is None else 'latency_ms'
        return Costs._fields.index(name)


class Candidates(NamedTuple):
    """
    Networks with their scores and costs.

    :param genes: Genes, int16, shape (n, genes).
    :param scores: Entropy scores, shape (n,).
    :param costs: Fields of ``Costs``, shape (n, 5).
    """

    genes: Genes
    scores: DoubleArray
    costs: DoubleArray

    def take(self, index: IntArray | slice) -> Candidates:
        """Return the networks of an index, in its order."""
        return Candidates(self.genes[index], self.scores[index], self.costs[index])


def join(*parts: Candidates) -> Candidates:
    """Return the concatenation of several sets of networks."""
    return Candidates(*(np.concatenate(arrays) for arrays in zip(*parts, strict=True)))


class Evaluator:
    """
    An evaluator of networks that caches the costs of their parts, because most are shared.

    :param task: Definition of the search.
    """

    def __init__(self, task: Task) -> None:
        self.task = task
        self.space = Space(task.space)
        self._known: dict[str, dict[tuple[int, ...], Costs]] = {}
        # fixed cost of a call, which must not be counted for each part
        self._call_ms = 0.0 if task.network_ms is None else task.network_ms(())

    def __call__(self, genes: Genes) -> Candidates:
        """Return the networks of genes, shape (n, genes), with scores and costs."""
        decoded = self.space.decode(genes)
        structure = self.space.structure(genes[0])  # the strides are the same for all
        pool, size = decoded.pool, self.task.frame.size
        costs = self._costs('stem', [decoded.stem], size, 3,
                            lambda graph, row: add_stem(graph, int(decoded.stem[row]), pool))
        width, stride = decoded.stem, 4 if pool else 2
        for index, stage in enumerate(decoded.stages):
            costs = costs + self._stage_costs(index, width, stride, stage)
            width, stride = stage.channels, structure.strides[index]
        taps = [decoded.stages[tap].channels for tap in structure.taps]
        costs = costs + self._costs(
            'neck', taps, size, 3,
            lambda graph, row: _add_rest(graph, [int(tap[row]) for tap in taps], self.task.frame))
        costs[:, 0] += self._call_ms
        return Candidates(genes, entropy_scores(decoded, self.task.weights), costs)

    def smallest(self) -> Candidates:
        """
        Return the smallest network after checking that it fits the budgets.

        :raises ConfigError: if a budget is too small, or an operator is not in the latency table.
        """
        genes = self.space.smallest()
        if self.task.network_ms is not None:
            structure = self.space.structure(genes[0])
            self.task.network_ms(network_graph(structure, self.task.frame).operators)
        smallest = self(genes)
        for name, cost, limit in zip(Costs._fields, smallest.costs[0], self.task.limits,
                                     strict=True):
            if limit is not None and cost > limit:
                raise ConfigError(f'budget.{name}: {limit:g}; expected at least {cost:.4g} for '
                                  'the smallest network of this space with neck and head')
        return smallest

    def _part_ms(self, operators: Sequence[Operator]) -> float:
        if self.task.network_ms is None:
            return 0.0
        try:
            return self.task.network_ms(operators) - self._call_ms
        except ConfigError:  # larger than all measured operators, so above any budget
            return np.inf

    def _stage_costs(self, index: int, width: IntArray, stride: int,
                     stage: StageArrays) -> DoubleArray:
        size = self.task.frame.size
        reads = ImageSize(-(-size.height // stride), -(-size.width // stride))

        def add(graph: Graph, row: int) -> None:
            # a graph usually starts with an image of 3 channels, here with a feature map
            add_stage(graph, graph.image, stage.spec(row))

        columns = [width, stage.channels, stage.blocks, stage.kernel, stage.inner]
        return self._costs(f'stage{index}', columns, reads, width, add)

    def _costs(self, part: str, columns: list[IntArray], size: ImageSize,
               channels: IntArray | int, add: Callable[[Graph, int], object]) -> DoubleArray:
        """
        Return the costs of a part of each network, shape (n, 5).

        :param part: Name of the part.
        :param columns: Values that determine the part, each of shape (n,).
        :param size: Size of its input feature map.
        :param channels: Number of channels of its input feature map.
        :param add: Function that adds the part of one network to a graph.
        """
        known = self._known.setdefault(part, {})
        unique, rows, inverse = np.unique(np.stack(columns, axis=1), axis=0, return_index=True,
                                          return_inverse=True)
        keys = list(map(tuple, unique.tolist()))
        for key, row in zip(keys, rows.tolist(), strict=True):
            if key not in known:
                graph = Graph(size, channels if isinstance(channels, int) else int(channels[row]))
                add(graph, row)
                known[key] = costs_of(graph.operators, self._part_ms)
        return np.array([known[key] for key in keys])[inverse.reshape(-1)]


def _add_rest(graph: Graph, channels: list[int], frame: NetworkFrame) -> None:
    """Add neck and head to feature maps with these channels, without their backbone."""
    levels = range(len(graph.shapes), len(graph.shapes) + len(channels))
    graph.shapes += [MapShape(width, frame.size.height // stride, frame.size.width // stride)
                     for stride, width in zip((8, 16, 32), channels, strict=True)]
    add_neck_and_head(graph, list(levels), frame)


def violation(costs: DoubleArray, limits: tuple[float | None, ...]) -> DoubleArray:
    """Return the relative excess over the worst budget, shape (n,); 0: within all budgets."""
    # an infinite cost exceeds all of these limits
    most = np.array([np.finfo(float).max if limit is None else limit for limit in limits])
    return np.maximum(costs / most - 1, 0).max(axis=1, initial=0)


def front_of(candidates: Candidates, task: Task) -> IntArray:
    """Return the indices of the Pareto-optimal networks within the budgets, by rising cost."""
    cost = candidates.costs[:, task.axis]
    order = np.lexsort((-candidates.scores, cost))
    order = order[violation(candidates.costs[order], task.limits) == 0]
    scores = candidates.scores[order]
    before = np.maximum.accumulate(np.concatenate(([-np.inf], scores)))[:-1]
    return order[scores > before]


def select(candidates: Candidates, task: Task, size: int) -> Candidates:
    """
    Return the next population: half are the best, half are spread over the front; best first.

    Networks above a budget come last, ordered by their excess.
    """
    _, first = np.unique(candidates.genes, axis=0, return_index=True)
    candidates = candidates.take(first)
    over = violation(candidates.costs, task.limits)
    order = np.lexsort((-candidates.scores, over))
    front = front_of(candidates, task)
    spread = np.unique(np.linspace(0, max(0, len(front) - 1), size // 2).round().astype(int))
    kept = np.zeros(len(first), bool)
    kept[front[spread] if len(front) else []] = True
    # fill up with the best of the other networks
    kept[order[~kept[order]][:size - kept.sum()]] = True
    return candidates.take(order[kept[order]])
