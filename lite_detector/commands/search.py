# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``search``: search the best backbone for a latency budget on a board, without training."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import hashlib
import json
import os
from pathlib import Path
import time

from lite_detector.bench.machine import describe_machine
from lite_detector.commands.options import make_folder, write_json
from lite_detector.core.config import from_mapping, load_changed
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import Name
from lite_detector.core.types import ImageSize
from lite_detector.search.candidates import Candidates, Evaluator, Task
from lite_detector.search.choice import choose, FoundNetwork, Measure, MeasuredChoice
from lite_detector.search.costs import Costs
from lite_detector.search.evolution import (
    dump_state,
    first_state,
    load_state,
    search,
    State,
)
from lite_detector.search.latency import LatencyTable, load_table
from lite_detector.search.network import network_graph, NetworkFrame
from lite_detector.search.report import html, Page
from lite_detector.search.space import Space
from lite_detector.search.spec import SearchSpec
from lite_detector.train.config.model import OWN_BACKBONE, PAN_CHANNELS
from lite_detector.train.config.training import dump_config, load_config, TrainConfig
from lite_detector.zoo import find_config
import msgspec
from tqdm import tqdm

STATE_FILE, REPORT_FILE = 'search.json', 'report.html'
INTERMIXED = True
"""The ``key=value`` changes may be before, between and after the options."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--config', required=True, metavar='FILE',
                        help='search configuration: a YAML file, or a name in config/search/')
    parser.add_argument('changes', nargs='*', metavar='dotted.key=value',
                        help='changes to the configuration, e.g. budget.latency_ms=20 '
                             'num_classes=3')
    parser.add_argument('--table', type=Path, metavar='FILE',
                        help='latency table of the board from profile_latency')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='folder for training configurations and the report')
    parser.add_argument('--resume', action='store_true',
                        help='continue the search in --output; increase evolution.candidates to '
                             'extend it')
    parser.add_argument('--processes', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)),
                        help='number of processes (one per core)')


def run(args: argparse.Namespace) -> None:
    """Search, measure the found networks, and write training configurations and the report."""
    if args.processes < 1:
        raise ConfigError(f'--processes: {args.processes}; expected 1 or more')
    path = find_config(args.config, 'search')
    name = from_mapping(path.stem, Name, f'{path}: file name, used as name of the networks')
    table = None if args.table is None else load_table(args.table)
    spec, config, task = load_search(path, args.changes, table)
    if table is None and spec.budget.latency_ms is not None:
        raise ConfigError('budget.latency_ms: no --table; expected a latency table; write one '
                          'with `lite_detector profile_latency` on the board')
    evaluate = Evaluator(task)
    state_path = args.output / STATE_FILE
    digest = _digest(spec, task.frame, table)
    state = (_resumed(state_path, digest, evaluate) if args.resume
             else _started(state_path, evaluate, spec))
    make_folder(args.output)
    state, speed = _search(task, spec, state, args.processes, state_path, digest)
    choice = _choose(evaluate, state, spec, table)
    for old in args.output.glob(f'{name}_*.yaml'):  # results of the resumed search
        if old.stem.removeprefix(f'{name}_').isdecimal():
            old.unlink()
    found = write_configs(args.output, name, evaluate.space, state.front, choice, config)
    facts = _facts(spec, config, table, state, speed)
    page = Page(name, facts, task.axis, task.limits[task.axis], state.front, state.seen,
                found)
    (args.output / REPORT_FILE).write_text(html(page), encoding='utf-8')
    print('\n'.join((*facts, *_lines(found, choice, state, spec))))
    print(f'{args.output / REPORT_FILE}\n{args.output / found[0].name}.yaml')


def load_search(path: Path, changes: Sequence[str] = (), table: LatencyTable | None = None
                ) -> tuple[SearchSpec, TrainConfig, Task]:
    """
    Read a search configuration.

    :param path: YAML file of the search.
    :param changes: Changes to its keys, each ``dotted.key=value``.
    :param table: Latency table for predictions; None: no predicted latency.
    :return: Search specification, configuration of the training that it belongs to, and task.
    :raises ConfigError: if a key is invalid; the message names it.
    """
    spec = from_mapping(load_changed(path, changes), SearchSpec, str(path))
    config = load_config(find_config(spec.train))
    return spec, config, Task(spec.space, frame_of(config, spec),
                              table.network_ms if table else None, spec.budget.limits,
                              spec.entropy_weights)


def frame_of(config: TrainConfig, spec: SearchSpec) -> NetworkFrame:
    """
    Return the part of a detector that a search does not change.

    :raises ConfigError: if the family has no backbone to search for.
    """
    network = config.network
    if network.family not in PAN_CHANNELS or network.variant in OWN_BACKBONE:
        raise ConfigError(f'train: {spec.train} is a {network.family} {network.variant}; expected '
                          f'{" or ".join(PAN_CHANNELS)}, except {", ".join(OWN_BACKBONE)}')
    assert network.decode.reg_max is not None, 'families with PAN_CHANNELS have reg_max'
    outputs = spec.num_classes + 4 * (network.decode.reg_max + 1)
    size = ImageSize(network.input_size.height, network.input_size.width)
    return NetworkFrame(network.family, PAN_CHANNELS[network.family][network.variant], outputs,
                        size)


def _digest(spec: SearchSpec, frame: NetworkFrame, table: LatencyTable | None) -> str:
    """Return a digest of everything that must be equal to resume a search."""
    data = msgspec.to_builtins(spec)
    del data['keep'], data['evolution']['candidates']
    return hashlib.sha256(msgspec.json.encode((data, frame, table))).hexdigest()


def _started(path: Path, evaluate: Evaluator, spec: SearchSpec) -> State:
    if path.exists():
        raise ConfigError(f'--output {path.parent}: contains a search; expected a folder without '
                          'one; continue the search with --resume, or name another folder')
    return first_state(evaluate, spec.evolution)


def _resumed(path: Path, digest: str, evaluate: Evaluator) -> State:
    try:
        saved = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}; expected a search to resume') from None
    except ValueError:
        raise ConfigError(f'{path}: damaged; expected JSON; name another folder') from None
    if not isinstance(saved, dict) or saved.get('digest') != digest:
        raise ConfigError(f'{path}: search with another configuration or latency table; expected '
                          'the same, except evolution.candidates and keep')
    return load_state(saved.get('state'), evaluate, str(path))


def _search(task: Task, spec: SearchSpec, start: State, processes: int, path: Path,
            digest: str) -> tuple[State, float | None]:
    """Run the search; return its final state, and candidates per second."""
    state, begin = start, time.monotonic()
    with tqdm(total=spec.evolution.candidates, initial=start.candidates, unit='network',
              disable=None) as progress:
        for state in search(task, spec.evolution, start, processes):
            write_json(path, {'digest': digest, 'state': dump_state(state)})
            progress.update(state.candidates - progress.n)
            progress.set_postfix_str(f'entropy {state.front.scores[-1]:.1f}')
    done = state.candidates - start.candidates
    return state, done / (time.monotonic() - begin) if done else None


def _choose(evaluate: Evaluator, state: State, spec: SearchSpec,
            table: LatencyTable | None) -> MeasuredChoice:
    return choose(state.front, evaluate.task.axis, spec.keep, spec.budget.latency_ms,
                  _measure(evaluate, state, table) if table and _measures_here(table) else None)


def _measures_here(table: LatencyTable) -> bool:
    """Return whether the table was measured on this machine."""
    return _processor(table.machine) == _processor(describe_machine())


def _processor(machine: str) -> str:
    return machine.partition(';')[0]


def _measure(evaluate: Evaluator, state: State, table: LatencyTable) -> Measure:
    # imported here, because a search without a table does not need ncnn
    from lite_detector.bench.operator_speed import measure_networks

    def measure(places: Sequence[int]) -> list[float]:
        graphs = [network_graph(evaluate.space.structure(state.front.genes[place]),
                                evaluate.task.frame) for place in places]
        return measure_networks(graphs, table)
    return measure


def write_configs(folder: Path, name: str, space: Space, networks: Candidates,
                  choice: MeasuredChoice, config: TrainConfig) -> list[FoundNetwork]:
    """
    Write a training configuration for each chosen network.

    :param folder: Folder to write to.
    :param name: Prefix of the file names; a number follows.
    :param space: Search space of the networks.
    :param networks: Found networks.
    :param choice: Indices of the chosen networks and their measured latencies.
    :param config: Training configuration; backbone, names and description are replaced.
    """
    found = []
    for number, (place, measured_ms) in enumerate(
            zip(choice.places, choice.measured_ms, strict=True), start=1):
        structure = space.structure(networks.genes[place])
        costs = Costs(*map(float, networks.costs[place]))
        each = FoundNetwork(f'{name}_{number}', structure, float(networks.scores[place]), costs,
                            measured_ms)
        network = msgspec.structs.replace(
            config.network, name=each.name, backbone=structure,
            description=f'{config.network.family} {config.network.variant} with a searched '
                        f'backbone, {structure}')
        text = dump_config(msgspec.structs.replace(config, network=network, recipe=each.name))
        (folder / f'{each.name}.yaml').write_text(f'# {figures(each)}\n{text}', encoding='utf-8')
        found.append(each)
    return found


def figures(found: FoundNetwork) -> str:
    """Return the figures of a network in one line."""
    costs, measured = found.costs, found.measured_ms
    times = f', predicted {costs.latency_ms:.2f} ms' if costs.latency_ms else ''
    times += '' if measured is None else f', measured {measured:.2f} ms'
    return (f'{found.name}: entropy {found.score:.1f}{times}, {costs.macs_m:.0f} M '
            f'multiply-accumulates, {costs.parameters_m:.2f} M parameters, '
            f'{costs.layers:.0f} layers, {costs.file_mb:.2f} MB')


def _facts(spec: SearchSpec, config: TrainConfig, table: LatencyTable | None, state: State,
           speed: float | None) -> list[str]:
    network = config.network
    size = ImageSize(network.input_size.height, network.input_size.width)
    limits = ', '.join(f'{name} {limit:g}' for name, limit in
                       zip(Costs._fields, spec.budget.limits, strict=True) if limit is not None)
    facts = [f'{network.family} {network.variant} at {size}, {spec.num_classes} classes, '
             f'{spec.space.block} blocks; budget: {limits}',
             f'{state.candidates} candidates, seed {spec.evolution.seed}'
             + ('' if speed is None else f', {speed:.0f} per second')]
    if table is not None:
        threads = f'{table.threads} thread{"s" * (table.threads > 1)}, {table.precision}'
        facts.append(f'latency table: {threads}; {table.machine}')
        if not _measures_here(table):
            facts.append('no latency measured: the latency table is of another machine; run '
                         '--resume on that machine to measure')
    return facts


def _lines(found: Sequence[FoundNetwork], choice: MeasuredChoice, state: State,
           spec: SearchSpec) -> list[str]:
    limit = spec.budget.latency_ms
    lines = [f'discarded: predicted {state.front.costs[place, 0]:.2f} ms, measured '
             f'{measured:.2f} ms, budget {limit:g} ms' for place, measured in choice.refused]
    if not choice.fits:
        lines.append('warning: no measured network keeps the budget; search again with '
                     f'budget.latency_ms less than {limit:g}')
    return lines + list(map(figures, found))
