# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
How long operators take inside a network, and whole networks, both through ncnn.

An operator alone in a loop is faster than in a network, where its weights have left the cache
since the last image. So a few operators make up one network, each fed by a convolution, which
also brings the numbers into the layout and precision that ncnn computes in. An inference is asked
for the parts of that network one by one: what feeds an operator is not timed. Cheap operators are
timed several at once, since to ask takes longer than they do.

Behind each operator a convolution reads one cell of what it gave, so that ncnn copies no map for
us. What asking and reading take is measured beside and subtracted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
import time
from typing import TYPE_CHECKING

from lite_detector.bench.machine import describe_machine
from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
from lite_detector.search.latency import LatencyTable, TablePrecision
from lite_detector.search.ncnn_text import write_ncnn
from lite_detector.search.operators import Graph, MapShape, Operator
import numpy as np

if TYPE_CHECKING:
    from lite_detector.backends.ncnn_backend import NetworkInMemory

Clock = Callable[[], float]

BATCH = 10
"""Operators of one network; together their weights are those of a small detector."""
COPIES = 4
MAX_COPIED_MACS, MAX_COPIED_PARAMETERS = 20_000_000, 30_000
"""Operators with more are timed one at a time."""
SHORTEST_MS = 1e-4
"""A time below what the clock can tell counts as this."""


@dataclass(frozen=True)
class OperatorRun:
    """How ncnn runs."""

    threads: int = 1
    precision: TablePrecision = 'auto'
    rounds: int = 9
    """Of which medians are taken."""

    @property
    def clock(self) -> Clock:
        """
        Return CPU time of this thread, or wall time where there are several.

        The CPU time of several threads is their sum, which nobody waits for.
        """
        return time.thread_time if self.threads == 1 else time.perf_counter


def new_table(settings: OperatorRun) -> LatencyTable:
    """Return a table without operators: how fast this machine is now."""
    reference = _Whole(_reference(), settings)
    call = _Whole(_one_cell(), settings)
    reference_ms, call_ms = _medians([reference.run, call.run], settings, 3)
    return LatencyTable(1, describe_machine(), settings.threads, settings.precision,
                        reference_ms, call_ms, ())


def measure_operators(operators: Sequence[Operator], settings: OperatorRun,
                      reference_ms: float) -> list[float]:
    """
    Measure operators whose maps have one size, in turn.

    :param reference_ms: of the table. The reference network is measured with them, and their
        times are given for the clock rate at which it took that long: a board that gets warm
        slows down in the middle of a table.
    :return: milliseconds, in their order.
    """
    batch = _Batch(operators, settings)
    reference = _Whole(_reference(), settings)
    seconds, references = [], []
    for index in range(settings.rounds + 1):
        row = batch.run(np.random.default_rng(index).permutation(len(operators)).tolist())
        reference_s = reference.run()
        if index:  # the first round warms up
            seconds.append(row)
            references.append(reference_s)
    rate = reference_ms / (1000 * float(np.median(references)))
    return [max(SHORTEST_MS, 1000 * rate * float(each)) for each in np.median(seconds, axis=0)]


def measure_networks(graphs: Sequence[Graph], table: LatencyTable,
                     rounds: int = OperatorRun.rounds) -> list[float]:
    """
    Measure whole networks, round by round in turn.

    :param table: its threads and precision are used, and its reference network is measured too:
        the times are given for the clock rate of the table, so that they can be compared.
    :return: milliseconds of one inference, in the order of the graphs.
    """
    settings = OperatorRun(table.threads, table.precision, rounds)
    runs = [_Whole(graph, settings).run for graph in (_reference(), *graphs)]
    reference_ms, *times_ms = _medians(runs, settings)
    return [time_ms * table.reference_ms / reference_ms for time_ms in times_ms]


class _Whole:
    """A network that is timed from its input to its last output."""

    def __init__(self, graph: Graph, settings: OperatorRun) -> None:
        self._network = _load(graph, settings)
        self._outputs = [str(number) for number in graph.outputs]
        self._clock = settings.clock

    def run(self) -> float:
        begin = self._clock()
        compute = self._network.start()
        for name in self._outputs:
            compute(name)
        return self._clock() - begin


@dataclass(frozen=True)
class _Step:
    """Names of what is asked for to time one operator."""

    feeders: list[str]
    nothing: str
    copies: str
    count: int


class _Batch:
    """A network of operators that have nothing to do with each other."""

    def __init__(self, operators: Sequence[Operator], settings: OperatorRun) -> None:
        graph = Graph(ImageSize(operators[0].height, operators[0].width), 1)
        self._steps = [_add_step(graph, operator) for operator in operators]
        self._network = _load(graph, settings)
        self._clock = settings.clock

    def run(self, order: Sequence[int]) -> list[float]:
        """Return the seconds of each operator, in the order of the constructor."""
        compute = self._network.start()
        clock = self._clock
        seconds = [0.0] * len(self._steps)
        for index in order:
            step = self._steps[index]
            for name in step.feeders:
                compute(name)
            begin = clock()
            compute(step.nothing)
            middle = clock()
            compute(step.copies)
            end = clock()
            seconds[index] = ((end - middle) - (middle - begin)) / step.count
        return seconds


def _add_step(graph: Graph, operator: Operator) -> _Step:
    count = COPIES
    if operator.macs > MAX_COPIED_MACS or operator.parameters > MAX_COPIED_PARAMETERS:
        count = 1
    inputs = {'concat': [operator.in_channels // 2, (operator.in_channels + 1) // 2],
              'add': [operator.in_channels] * 2}.get(operator.kind, [operator.in_channels])
    # activations work in place, and on a copy where somebody else reads the same map
    shared = operator.kind != 'activation'
    feeders = [[graph.conv(graph.image, channels) for channels in inputs]
               for _ in range(1 if shared else count)]
    fed = [_read_cell(graph, feeder) for group in feeders for feeder in group]
    nothing = _join(graph, [_read_cell(graph, feeders[0][0]) for _ in range(count)])
    shape = MapShape(operator.out_channels, *operator.out_size)
    shapes = [shape] * (2 if operator.kind == 'split' else 1)
    copies = []
    for index in range(count):
        source = feeders[0 if shared else index]
        copies.append(_read_cell(graph, graph.append(operator, tuple(source), shapes)[0]))
    return _Step([str(number) for number in fed], str(nothing), str(_join(graph, copies)), count)


def _read_cell(graph: Graph, source: int) -> int:
    shape = graph.shapes[source]
    return graph.conv(source, 1, stride=max(shape.height, shape.width))


def _join(graph: Graph, sources: list[int]) -> int:
    return graph.concat(sources) if len(sources) > 1 else sources[0]


def _one_cell() -> Graph:
    graph = Graph(ImageSize(320, 320))
    _read_cell(graph, graph.image)
    return graph


def _reference() -> Graph:
    """Return a small network of the commonest operators, to compare clock rates by."""
    graph = Graph(ImageSize(80, 80))
    stem = graph.conv(graph.image, 32, kernel=3, stride=2, activation='relu')
    wide = graph.conv(stem, 96, activation='relu')
    wide = graph.depthwise(wide, kernel=5, activation='relu')
    narrow = graph.add(stem, graph.conv(wide, 32))
    graph.conv(graph.concat([narrow, graph.conv(narrow, 32, kernel=3)]), 64, activation='swish')
    return graph


def _load(graph: Graph, settings: OperatorRun) -> NetworkInMemory:
    try:
        from lite_detector.backends.ncnn_backend import NetworkInMemory
    except ImportError as error:
        raise ModelError(f'{error}; install it with `python3 -m pip install ncnn`') from None
    blob = np.ones(graph.shapes[graph.image], np.float32)
    return NetworkInMemory(*write_ncnn(graph), blob, settings.threads, settings.precision)


def _medians(runs: Sequence[Callable[[], float]], settings: OperatorRun,
             times: int = 1) -> list[float]:
    for run in runs:
        run()
    seconds = [[run() for run in runs] for _ in range(times * settings.rounds)]
    return [1000 * float(median) for median in np.median(seconds, axis=0)]
