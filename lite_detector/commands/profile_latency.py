# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``profile_latency``: measure the latency of operators on this board, to predict networks."""

from __future__ import annotations

import argparse
from pathlib import Path

from lite_detector.bench.machine import describe_machine
from lite_detector.bench.operator_grid import operator_grid
from lite_detector.bench.operator_speed import (
    BATCH,
    measure_networks,
    measure_operators,
    new_table,
    OperatorRun,
)
from lite_detector.commands.options import check_writable, write_json
from lite_detector.commands.search import load_search
from lite_detector.core.errors import ConfigError
from lite_detector.core.types import MAX_THREADS
from lite_detector.search.candidates import Evaluator, violation
from lite_detector.search.latency import LatencyTable, load_table, save_table
from lite_detector.search.network import network_graph
from lite_detector.search.operators import Graph, Operator
from lite_detector.zoo import list_configs
from msgspec.structs import replace
import numpy as np
from tqdm import tqdm

ROUNDS, QUICK_ROUNDS = 9, 5
NETWORK_ROUNDS = 9
DRAWN = 500
"""Random networks drawn for each measured network, because few keep the budgets."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--output', required=True, type=Path, metavar='FILE',
                        help='latency table to write (.json); an existing table is completed')
    parser.add_argument('--threads', type=int, default=1, help='threads per inference (1)')
    parser.add_argument('--precision', choices=('auto', 'fp32', 'bf16'), default='auto',
                        help='precision of the operators (auto)')
    parser.add_argument('--quick', action='store_true',
                        help='measure fewer operators and repetitions: a less accurate table')
    parser.add_argument('--networks', type=int, default=0, metavar='N',
                        help='then measure N random detectors of each configuration in '
                             'config/search/, and compare them with the prediction (0)')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='file for the predicted and measured latencies of --networks')


def run(args: argparse.Namespace) -> None:
    """Measure the missing operators; compare predictions with measured networks."""
    check_writable(args.output, args.json)
    _check(args)
    groups = _networks(args.networks) if args.networks else []
    table = _complete(args)
    print(f'{args.output}: {len(table.measured)} operators, threads {table.threads}, '
          f'precision {table.precision}\n  {table.machine}')
    if args.networks:
        rows = _compare(table, groups)
        print(_summary(rows))
        if args.json:
            write_json(args.json, rows)


def _check(args: argparse.Namespace) -> None:
    if not 1 <= args.threads <= MAX_THREADS:
        raise ConfigError(f'--threads: {args.threads}; expected 1 to {MAX_THREADS}')
    if args.networks < 0:
        raise ConfigError(f'--networks: {args.networks}; expected 0 or more')
    if args.json and not args.networks:
        raise ConfigError('--json: no --networks; expected --networks, whose latencies it takes')


def _complete(args: argparse.Namespace) -> LatencyTable:
    settings = OperatorRun(args.threads, args.precision, QUICK_ROUNDS if args.quick else ROUNDS)
    if args.output.exists():
        table = load_table(args.output)
        _check_same(table, args)
    else:
        table = new_table(settings)
    done = {operator for operator, _ in table.measured}
    missing = [operator for operator in operator_grid(args.quick) if operator not in done]
    with tqdm(total=len(missing), desc='operators', leave=False, disable=None) as bar:
        for batch in _batches(missing):
            times_ms = measure_operators(batch, settings, table.reference_ms)
            table = replace(table, measured=(*table.measured,
                                             *zip(batch, times_ms, strict=True)))
            save_table(args.output, table)
            bar.update(len(batch))
    return table


def _check_same(table: LatencyTable, args: argparse.Namespace) -> None:
    here = describe_machine()
    # the text after the last semicolon is the date
    for what, found, expected in (('--threads', args.threads, table.threads),
                                  ('--precision', args.precision, table.precision),
                                  ('machine', here.rpartition(';')[0],
                                   table.machine.rpartition(';')[0])):
        if found != expected:
            raise ConfigError(f'{args.output}: {what} {found}; expected {expected}, with which '
                              'this table was measured; name another file')


def _batches(operators: list[Operator]) -> list[list[Operator]]:
    """Return operators in batches of one feature map size, in random order."""
    order = np.random.default_rng(0).permutation(len(operators))
    by_side: dict[tuple[int, int], list[Operator]] = {}
    for index in order:
        operator = operators[index]
        by_side.setdefault((operator.height, operator.width), []).append(operator)
    return [group[first:first + BATCH] for group in by_side.values()
            for first in range(0, len(group), BATCH)]


def _compare(table: LatencyTable, groups: list[list[tuple[str, Graph]]]
             ) -> list[dict[str, float | str]]:
    rows: list[dict[str, float | str]] = []
    with tqdm(total=len(groups), desc='networks', leave=False, disable=None) as bar:
        # small groups, so that the clock rate is the same for the networks and the reference
        for group in groups:
            times_ms = measure_networks([graph for _, graph in group], table, NETWORK_ROUNDS)
            for (kind, graph), measured_ms in zip(group, times_ms, strict=True):
                predicted_ms = table.network_ms(graph.operators)
                rows.append({'kind': kind, 'predicted_ms': round(predicted_ms, 4),
                             'measured_ms': round(measured_ms, 4)})
            bar.update()
    return rows


def _networks(count: int) -> list[list[tuple[str, Graph]]]:
    """Return ``count`` groups of one random detector per search, each within its budgets."""
    kinds = []
    for path in list_configs('search').values():
        spec, _, task = load_search(path)
        evaluate = Evaluator(task)
        drawn = evaluate(evaluate.space.draw(np.random.default_rng(0), DRAWN * count))
        fitting = drawn.genes[violation(drawn.costs, task.limits) == 0][:count]
        if len(fitting) < count:
            raise ConfigError(f'--networks: {len(fitting)} of {DRAWN * count} random networks of '
                              f'{path.stem} keep its budgets; expected {count}')
        kinds.append([(spec.space.block,
                       network_graph(evaluate.space.structure(genes), task.frame))
                      for genes in fitting])
    return [list(group) for group in zip(*kinds, strict=True)]


def _summary(rows: list[dict[str, float | str]]) -> str:
    lines = ['networks, predicted and measured latency (median, ms)',
             f'  {"":10} {"number":>6} {"ms":>15} {"bias":>7} {"median":>7} {"worst":>7}']
    for kind in (*dict.fromkeys(row['kind'] for row in rows), 'all'):
        chosen = [row for row in rows if kind in ('all', row['kind'])]
        measured = np.array([row['measured_ms'] for row in chosen])
        errors = np.array([row['predicted_ms'] for row in chosen]) / measured - 1
        span = f'{measured.min():.1f} to {measured.max():.1f}'
        lines.append(f'  {kind:10} {len(chosen):6} {span:>15} {np.median(errors):+7.1%} '
                     f'{np.median(abs(errors)):7.1%} {abs(errors).max():7.1%}')
    return '\n'.join(lines)
