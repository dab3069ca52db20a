# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Does a higher entropy mean a higher AP? Ask networks that take equally long and train alike.

``draw`` writes training configurations of networks from a low to a high score; train each of them
alike, for as long as you can afford; ``tell`` compares their scores with the AP in their cards.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import json
from pathlib import Path
import sys

from lite_detector.bench.operator_speed import measure_networks
from lite_detector.commands.options import make_folder, write_json
from lite_detector.commands.search import figures, load_search, write_configs
from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.core.model_card import load_card
from lite_detector.search.candidates import Candidates, Evaluator, join, Task, violation
from lite_detector.search.choice import MeasuredChoice
from lite_detector.search.entropy import kendall_tau
from lite_detector.search.evolution import first_state, search
from lite_detector.search.latency import load_table
from lite_detector.search.network import network_graph
from lite_detector.zoo import find_config
import numpy as np

DRAWN = 100_000
"""Networks of which random ones are taken; the best come from a search."""
EQUAL = 0.03
"""Times that differ by no more than this part count as equal."""
FILE = 'networks.json'


def draw(args: argparse.Namespace) -> None:
    """Write configurations of networks that take equally long, the highest score first."""
    changes = [*args.changes, f'budget.latency_ms={args.ms * (1 + EQUAL)}']
    table = load_table(args.table)
    spec, config, task = load_search(find_config(args.config, 'search'), changes, table)
    evaluate = Evaluator(task)
    *_, state = search(task, spec.evolution, first_state(evaluate, spec.evolution), processes=2)
    drawn = evaluate(evaluate.space.draw(np.random.default_rng(spec.evolution.seed), DRAWN))
    chosen = _from_low_to_high(join(drawn, state.front), args.ms, task, args.networks)
    times = measure_networks([network_graph(evaluate.space.structure(genes), task.frame)
                              for genes in chosen.genes], table)
    make_folder(args.output)
    choice = MeasuredChoice(tuple(range(len(times))), tuple(times), (), True)
    found = write_configs(args.output, Path(args.config).stem, evaluate.space, chosen, choice,
                          config)
    write_json(args.output / FILE, [{
        'name': each.name, 'entropy': each.score, 'predicted_ms': each.costs.latency_ms,
        'measured_ms': each.measured_ms, 'macs_m': each.costs.macs_m,
        'parameters_m': each.costs.parameters_m, 'layers': each.costs.layers} for each in found])
    print('\n'.join(map(figures, found)))


def _from_low_to_high(networks: Candidates, ms: float, task: Task, count: int) -> Candidates:
    """Return networks of a given time, spread evenly over their scores, the highest first."""
    equal = ((abs(networks.costs[:, 0] / ms - 1) <= EQUAL)
             & (violation(networks.costs, task.limits) == 0))
    networks = networks.take(np.flatnonzero(equal))
    if len(networks.scores) < count:
        raise ConfigError(f'--ms {ms:g}: {len(networks.scores)} networks take as long, wanted '
                          f'{count}')
    wanted = np.linspace(networks.scores.max(), networks.scores.min(), count)
    nearest = abs(networks.scores - wanted[:, None]).argmin(axis=1)
    return networks.take(np.array(list(dict.fromkeys(nearest.tolist()))))


def tell(args: argparse.Namespace) -> None:
    """Print scores and AP as a Markdown table, and how alike they rank the networks."""
    try:
        rows = {row['name']: row for row in json.loads((args.output / FILE).read_text())}
    except (OSError, ValueError) as error:
        raise ConfigError(f'{args.output / FILE}: {error}; expected the file that draw '
                          'writes') from None
    for folder in args.models:
        card = load_card(folder)
        if card.name not in rows or 'ap' not in card.metrics:
            raise ConfigError(f'{folder}: card of {card.name} '
                              f'{"with" if "ap" in card.metrics else "without"} an AP; '
                              f'expected one with an AP of {", ".join(rows)}')
        rows[card.name]['ap'] = card.metrics['ap']
    trained = [row for row in rows.values() if 'ap' in row]
    if len(trained) < 2:
        raise ConfigError('one network; expected two or more')
    print('| network | entropy | ms predicted | ms measured | MACs, M | layers | AP |\n'
          '|---|---|---|---|---|---|---|')
    for row in trained:
        print(f'| {row["name"]} | {row["entropy"]:.0f} | {row["predicted_ms"]:.1f} | '
              f'{row["measured_ms"]:.1f} | {row["macs_m"]:.0f} | {row["layers"]:.0f} | '
              f'{row["ap"]:.2f} |')
    tau = kendall_tau([row['entropy'] for row in trained], [row['ap'] for row in trained])
    print(f"\nKendall's tau between entropy and AP: {tau:+.2f} ({len(trained)} networks)")


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``draw`` or ``tell``."""
    parser = argparse.ArgumentParser(description=__doc__)
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser('draw', help='write training configurations')
    step.add_argument('--config', default='nanodet_plus_shuffle_320', help='of config/search')
    step.add_argument('--table', type=Path, required=True, help='of this board')
    step.add_argument('--ms', type=float, required=True, help='that each is to take')
    step.add_argument('--networks', type=int, default=8)
    step.add_argument('--output', type=Path, required=True)
    step.add_argument('changes', nargs='*', metavar='dotted.key=value')
    step.set_defaults(run=draw)
    step = steps.add_parser('tell', help='compare scores with AP')
    step.add_argument('--output', type=Path, required=True, help='of draw')
    step.add_argument('models', nargs='+', type=Path, help='exported model folders')
    step.set_defaults(run=tell)
    args = parser.parse_args(argv)
    try:
        args.run(args)
    except LiteDetectorError as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


if __name__ == '__main__':
    sys.exit(main())
