# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Endurance and fault tests of the node, each with figures.

docs/experiments/endurance.md explains them.
Exit status 1 where a condition is broken.
"""

from __future__ import annotations

import argparse
import sys
import time

from churn import churn
from faults import clock, full_disk, pause, swap
from figures import Figure, none_of, table
from flight import NoFlightError
from fuzz import fuzz
from lite_detector.ros.domain import enter_own_domain
from soak import soak, under_load

MODEL = 'person_tiny_320'
SHORT_MINUTES = 0.5
SCENARIOS = {
    'soak': (soak, 'two cameras, nothing else: memory, drops, ages'),
    'busy': (under_load, 'like soak, with two busy processes'),
    'swap': (swap, 'another model every second, with tiles and tracks'),
    'churn': (churn, 'publishers, subscribers and DDS participants come and go'),
    'pause': (pause, 'SIGSTOP and SIGCONT'),
    'clock': (clock, 'simulated time jumps and stands still'),
    'full_disk': (full_disk, 'captures into a full disk'),
    'fuzz': (fuzz, 'malformed messages, cards and parameters'),
}
LENGTHS = {
    'soak': ('--minutes', 1.0, 'duration in minutes (1; 30 for a long run)'),
    'busy': ('--minutes', SHORT_MINUTES, 'duration in minutes (0.5)'),
    'swap': ('--minutes', SHORT_MINUTES, 'duration in minutes (0.5)'),
    'churn': ('--minutes', SHORT_MINUTES, 'duration in minutes (0.5)'),
    'fuzz': ('--messages', 10_000, 'number of messages (10000; 100000 for a long run)'),
}


def main() -> int:
    """Run one scenario, or the short form of all."""
    args = _parser().parse_args()
    enter_own_domain()
    names = list(SCENARIOS) if args.scenario == 'all' else [args.scenario]
    results: dict[str, list[Figure]] = {}
    for name in names:
        lengths = {} if name not in LENGTHS else {
            'length': getattr(args, LENGTHS[name][0][2:], LENGTHS[name][1])}
        begin_s = time.monotonic()
        print(f'{name} ...', file=sys.stderr, flush=True)
        try:
            results[name] = list(SCENARIOS[name][0](args.model, **lengths))
        except NoFlightError as error:
            results[name] = [none_of('begins to detect', [str(error)])]
        print(f'{name}: {time.monotonic() - begin_s:.0f} s', file=sys.stderr, flush=True)
    print(table(results))
    broken = [name for name, figures in results.items()
              if not all(figure.holds for figure in figures)]
    print(f'\nBROKEN: {", ".join(broken)}' if broken else '\nEverything holds.')
    return 1 if broken else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog='endurance', description=__doc__)
    commands = parser.add_subparsers(dest='scenario', required=True)
    every = {name: description for name, (_, description) in SCENARIOS.items()}
    for name, description in {**every, 'all': 'the short form of each, in one table'}.items():
        command = commands.add_parser(name, help=description, description=description)
        command.add_argument('--model', default=MODEL, help=f'name or folder ({MODEL})')
        if name in LENGTHS:
            option, default, text = LENGTHS[name]
            command.add_argument(option, type=type(default), default=default, metavar='N',
                                 help=text)
    return parser


if __name__ == '__main__':
    sys.exit(main())
