# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure the latency of operators inside a network, and of full networks, with ncnn.

A single operator in a loop is faster than in a network, where its weights are not in the cache.
Therefore several operators form one network. A convolution before each operator converts its input
to the layout and precision of ncnn. The parts of the network are computed one by one, so the
preceding convolution is not part of the time. Several copies of a cheap operator are timed
together, because the call takes longer than the operator.

After each operator, a convolution reads one cell of its output, so that ncnn copies no feature
map. The time of the calls and of this convolution is measured separately and subtracted.
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
"""Number of operators per network; their weights have the size of a small detector."""
COPIES = 4
MAX_COPIED_MACS, MAX_COPIED_PARAMETERS = 20_000_000, 30_000
"""Limits above which an operator is timed alone."""
SHORTEST_MS = 1e-4
"""Minimum time in ms, the resolution of the clock."""


@dataclass(frozen=True)
class OperatorRun:
    """Settings of ncnn and number of rounds."""

    threads: int = 1
    precision: TablePrecision = 'auto'
    rounds: int = 9
    """Number of rounds; results are medians."""

    @property
    def clock(self) -> Clock:
        """
        Clock of the measurement: CPU time of this thread, or wall time for several threads.

        The CPU time of several threads is their sum, which is not the latency.
        """
        return time.thread_time if self.threads == 1 else time.perf_counter


def new_table(settings: OperatorRun) -> LatencyTable:
    """Return a table without operators, with the present speed of the machine."""
    reference = _Whole(_reference(), settings)
    call = _Whole(_one_cell(), settings)
    reference_ms, call_ms = _medians([reference.run, call.run], settings, 3)
    return LatencyTable(1, describe_machine(), settings.threads, settings.precision,
                        reference_ms, call_ms, ())


def measure_operators(operators: Sequence[Operator], settings: OperatorRun,
                      reference_ms: float) -> list[float]:
    """
    Measure operators with feature maps of one size, in turn.

    :param operators: Operators to measure.
    :param settings: Settings of ncnn and number of rounds.
    :param reference_ms: Latency of the reference network in the table, in ms. The reference is
        measured again with the operators, and their times are normalized to the clock rate of
        the table, because a warm board slows down.
    :return: Latencies in ms, in the order of the operators.
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
    Measure full networks in turn, round by round.

    :param graphs: Networks to measure.
    :param table: Latency table; its threads and precision are used. Times are normalized to its
        clock rate with the reference network.
    :param rounds: Number of rounds.
    :return: Latency of one inference in ms, in the order of the graphs.
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
    """Blob names to compute for the time of one operator."""

    feeders: list[str]
    nothing: str
    copies: str
    count: int


class _Batch:
    """A network of independent operators."""

    def __init__(self, operators: Sequence[Operator], settings: OperatorRun) -> None:
        graph = Graph(ImageSize(operators[0].height, operators[0].width), 1)
        self._steps = [_add_step(graph, operator) for operator in operators]
        self._network = _load(graph, settings)
        self._clock = settings.clock

    def run(self, order: Sequence[int]) -> list[float]:
        """Return the time of each operator in seconds, in the order of the constructor."""
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
    # activations work in place, and copy the feature map if it has several consumers
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
    """Return a small network of common operators, to compare clock rates."""
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
