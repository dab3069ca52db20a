# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``train``: train or fine-tune a detector and export it to a model folder."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
import os
from pathlib import Path
from typing import Any, TYPE_CHECKING

from lite_detector.commands.export import check_libraries, export_checkpoint, parity_table
from lite_detector.commands.options import check_writable, make_folder, write_json
from lite_detector.core.errors import ConfigError
from lite_detector.export.model_folder import check_target
from lite_detector.zoo import find_config
import msgspec
from tqdm import tqdm

if TYPE_CHECKING:
    from lite_detector.train.run.throughput import Throughput


INTERMIXED = True
"""The ``key=value`` changes may be before, between and after the options."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--config', metavar='FILE',
                        help='training configuration: a YAML file, or a name in config/train/, '
                             'e.g. nanodet_m_320 (with --resume: configuration of the run)')
    parser.add_argument('changes', nargs='*', metavar='dotted.key=value',
                        help='changes to the configuration, e.g. data.train=train.json '
                             'optimizer.learning_rate=0.002 phases.0.epochs=30')
    parser.add_argument('--output', type=Path, metavar='DIR',
                        help='folder of the run: checkpoints, curves and the exported model')
    parser.add_argument('--resume', action='store_true',
                        help='continue the interrupted run in --output')
    parser.add_argument('--no-export', action='store_true',
                        help='write only the checkpoint; export it later with `export`')
    parser.add_argument('--profile', type=float, metavar='SECONDS',
                        help='only measure the training throughput for this time in s')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='file for the figures of --profile')


def run(args: argparse.Namespace) -> None:
    """Train, then export the best weights."""
    # imported here, because `--help` must work without torch
    from lite_detector.train.config.training import load_config
    from lite_detector.train.run.console import Console
    from lite_detector.train.run.run_folder import config_of
    from lite_detector.train.run.train import profile, train

    check_writable(args.json)
    console = Console(_say, _show_progress)
    if args.config is not None:
        config = load_config(find_config(args.config), args.changes)
    elif args.resume and args.output is not None and not args.changes:
        config = config_of(args.output)
    else:
        raise ConfigError('--config: missing; expected a configuration, e.g. nanodet_m_320')
    if args.json and args.profile is None:
        raise ConfigError('--json: no --profile; expected --profile, whose figures it takes')
    if args.profile is not None:
        figures = profile(config, args.profile, console)
        print(_table(figures))
        if args.json:
            write_json(args.json, msgspec.to_builtins(figures))
        return
    if args.output is None:
        raise ConfigError('--output: missing; expected the folder of the run')
    folder = args.output / config.network.name
    if not args.no_export:
        check_libraries()
        check_target(folder)
    make_folder(args.output)
    best = train(config, args.output, args.resume, console)
    if int(os.environ.get('RANK', 0)):  # with torchrun, only the first process exports
        return
    print(f'wrote weights to {best}')
    if not args.no_export:
        parity = export_checkpoint(best, folder, progress=_show_steps)
        print(f'{parity_table(parity)}\nwrote model to {folder}')


def _table(figures: Throughput) -> str:
    return '\n'.join((
        f'batch of {figures.batch_size} on {figures.device}, {figures.threads} threads',
        f'  training step        {figures.step_images_per_second:8.1f} images/s',
        f'  data loader          {figures.loader_images_per_second:8.1f} images/s, '
        f'{figures.loader_ratio:.1f} times the training step',
        f'  assignment and loss  {figures.loss_share:8.1%} of the step'))


def _say(line: str) -> None:
    tqdm.write(line)


def _show_progress(items: Iterable[Any], name: str) -> Iterable[Any]:
    return tqdm(items, desc=name, disable=None, leave=False)


def _show_steps(name: str, items: Sequence[Any]) -> Iterable[Any]:
    return _show_progress(items, name)
