# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``search``: the backbone that makes the most of a board's milliseconds, without training."""

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
"""Changes may stand before, between and after the options."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--config', required=True, metavar='FILE',
                        help='what to search: a YAML file, or the name of one of config/search/')
    parser.add_argument('changes', nargs='*', metavar='dotted.key=value',
                        help='change the configuration: budget.latency_ms=20 num_classes=3')
    parser.add_argument('--table', type=Path, metavar='FILE',
                        help='latency table of the board, as profile_latency wrote it')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='folder for training configurations and the report')
    parser.add_argument('--resume', action='store_true',
                        help='go on with the search in --output; a larger evolution.candidates '
                             'makes it longer')
    parser.add_argument('--processes', type=int, metavar='N',
                        default=len(os.sched_getaffinity(0)), help='processes (one per core)')


def run(args: argparse.Namespace) -> None:
    """Search, measure what was found, and write training configurations and the report."""
    if args.processes < 1:
        raise ConfigError(f'--processes: got {args.processes}, wanted 1 or more')
    path = find_config(args.config, 'search')
    name = from_mapping(path.stem, Name, f'{path}: its name, which the networks get')
    table = None if args.table is None else load_table(args.table)
    spec, config, task = load_search(path, args.changes, table)
    if table is None and spec.budget.latency_ms is not None:
        raise ConfigError('budget.latency_ms: needs --table, which profile_latency writes on the '
                          'board')
    evaluate = Evaluator(task)
    state_path = args.output / STATE_FILE
    digest = _digest(spec, task.frame, table)
    state = (_resumed(state_path, digest, evaluate) if args.resume
             else _started(state_path, evaluate, spec))
    make_folder(args.output)
    state, speed = _search(task, spec, state, args.processes, state_path, digest)
    choice = _choose(evaluate, state, spec, table)
    for old in args.output.glob(f'{name}_*.yaml'):  # of the search that goes on
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
    Read a search.

    :param changes: of its keys, as ``dotted.key=value``.
    :param table: predicts milliseconds; None: networks have none.
    :return: the search, the training that it is made for, and what is searched for.
    :raises ConfigError: naming the key that is wrong.
    """
    spec = from_mapping(load_changed(path, changes), SearchSpec, str(path))
    config = load_config(find_config(spec.train))
    return spec, config, Task(spec.space, frame_of(config, spec),
                              table.network_ms if table else None, spec.budget.limits,
                              spec.entropy_weights)


def frame_of(config: TrainConfig, spec: SearchSpec) -> NetworkFrame:
    """
    Return what a search leaves as it is of the detector that a configuration trains.

    :raises ConfigError: if the family has no backbone to search for.
    """
    network = config.network
    if network.family not in PAN_CHANNELS or network.variant in OWN_BACKBONE:
        raise ConfigError(f'train: {spec.train} is a {network.family} {network.variant}, wanted a '
                          f'{" or ".join(PAN_CHANNELS)} without {", ".join(OWN_BACKBONE)}')
    assert network.decode.reg_max is not None, 'these families have it'
    outputs = spec.num_classes + 4 * (network.decode.reg_max + 1)
    size = ImageSize(network.input_size.height, network.input_size.width)
    return NetworkFrame(network.family, PAN_CHANNELS[network.family][network.variant], outputs,
                        size)


def _digest(spec: SearchSpec, frame: NetworkFrame, table: LatencyTable | None) -> str:
    """Return what two searches share of which one may go on with the other."""
    data = msgspec.to_builtins(spec)
    del data['keep'], data['evolution']['candidates']
    return hashlib.sha256(msgspec.json.encode((data, frame, table))).hexdigest()


def _started(path: Path, evaluate: Evaluator, spec: SearchSpec) -> State:
    if path.exists():
        raise ConfigError(f'--output {path.parent}: there is a search here already; go on with '
                          '--resume, or name another folder')
    return first_state(evaluate, spec.evolution)


def _resumed(path: Path, digest: str, evaluate: Evaluator) -> State:
    try:
        saved = json.loads(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}; there is no search to go on with') from None
    except ValueError:
        raise ConfigError(f'{path}: damaged; name another folder') from None
    if not isinstance(saved, dict) or saved.get('digest') != digest:
        raise ConfigError(f'{path}: another search: the configuration or the latency table is '
                          'not that of the folder; only evolution.candidates and keep may differ')
    return load_state(saved.get('state'), evaluate, str(path))


def _search(task: Task, spec: SearchSpec, start: State, processes: int, path: Path,
            digest: str) -> tuple[State, float | None]:
    """Return the end of the search, and candidates per second."""
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
    """Return whether this is the machine of the table."""
    return _processor(table.machine) == _processor(describe_machine())


def _processor(machine: str) -> str:
    return machine.partition(';')[0]


def _measure(evaluate: Evaluator, state: State, table: LatencyTable) -> Measure:
    # here, because a search without a table needs no ncnn
    from lite_detector.bench.operator_speed import measure_networks

    def measure(places: Sequence[int]) -> list[float]:
        graphs = [network_graph(evaluate.space.structure(state.front.genes[place]),
                                evaluate.task.frame) for place in places]
        return measure_networks(graphs, table)
    return measure


def write_configs(folder: Path, name: str, space: Space, networks: Candidates,
                  choice: MeasuredChoice, config: TrainConfig) -> list[FoundNetwork]:
    """
    Write a training configuration for each network that was chosen.

    :param name: of the files, which are numbered.
    :param networks: of ``space``; ``choice`` tells the places in them.
    :param config: what it is made of; backbone, names and description change.
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
    """Return one line on a network."""
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
            facts.append('nothing was measured: this is another machine than that of the table; '
                         'on that one, --resume measures')
    return facts


def _lines(found: Sequence[FoundNetwork], choice: MeasuredChoice, state: State,
           spec: SearchSpec) -> list[str]:
    limit = spec.budget.latency_ms
    lines = [f'passed over: predicted {state.front.costs[place, 0]:.2f} ms, measured '
             f'{measured:.2f} ms, budget {limit:g} ms' for place, measured in choice.refused]
    if not choice.fits:
        lines.append('warning: no network keeps the budget when measured; search again with a '
                     f'budget.latency_ms of less than {limit:g}')
    return lines + list(map(figures, found))
