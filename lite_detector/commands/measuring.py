# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parts that ``benchmark`` and ``compare`` share: options, measurement, choice and report."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
import math
import os
from pathlib import Path
from typing import NamedTuple

from lite_detector.backends.base import PRECISIONS
from lite_detector.bench.advice import aps_are_comparable, choose, node_parameters
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.setting import Setting, WAIT_POLICIES
from lite_detector.bench.sweep import Row, run_sweep, Sweep
from lite_detector.bench.sweep_plot import draw_sweep
from lite_detector.bench.sweep_process import Job
from lite_detector.bench.sweep_report import as_json, report
from lite_detector.commands.options import (
    add_runtime_options,
    check_writable,
    image_size,
    is_checkpoint,
    picture_file,
    RESIZES,
    write_json,
)
from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.core.model_card import load_card, ModelCard
from lite_detector.core.parameter_file import write_parameter_file
from lite_detector.core.types import ImageArray
from lite_detector.data.pictures import require_matplotlib, save_figure
from lite_detector.zoo import find_model
from tqdm import tqdm

MAX_LOAD = 64


class NamedModel(NamedTuple):
    """Model with its name or path on the command line."""

    named: str
    folder: Path
    card: ModelCard


Models = Mapping[str, NamedModel]
"""Name in the card -> model."""


def add_measuring_options(parser: argparse.ArgumentParser, unset: Mapping[str, str],
                          seconds: float) -> None:
    """
    Add the options of a measurement: settings, duration and output files.

    :param unset: Option -> description of its default, for the help.
    :param seconds: Default time for each setting in s.
    """
    for option, metavar, choices, text in (
            ('model', 'M', None, 'names or folders of models'),
            ('size', 'N', None, 'sides of the square network input in pixels, multiples of 32'),
            ('resize', 'R', RESIZES, f'methods of fitting images: {", ".join(RESIZES)}'),
            ('threads', 'N', None, 'threads per inference'),
            ('precision', 'P', PRECISIONS, f'precisions: {", ".join(PRECISIONS)}'),
            ('wait-policy', 'P', WAIT_POLICIES, 'wait policies of the OpenMP threads, if several '
             f'settings are measured: {", ".join(WAIT_POLICIES)}')):
        parser.add_argument(f'--{option}', nargs='+', metavar=metavar, choices=choices,
                            type=int if metavar == 'N' else str,
                            help=f'{text} ({unset.get(option, "passive")})')
    add_runtime_options(parser)
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='image to measure on, best from your camera: the time for decoding '
                             f'and NMS depends on its objects ({unset["image"]})')
    parser.add_argument('--image-size', type=image_size, metavar='WxH',
                        help=f'size of the scaled image in pixels ({unset["image-size"]})')
    parser.add_argument('--seconds', type=float, default=seconds, metavar='S',
                        help=f'time per setting in s ({seconds:g}); a board needs minutes to '
                             'heat up')
    parser.add_argument('--load', type=int, default=0, metavar='N',
                        help='number of busy processes during the measurement; several settings '
                             'are also measured without load (0)')
    parser.add_argument('--budget-ms', type=float, metavar='X',
                        help='time budget per image in ms: choose the best setting with a p95 of '
                             'at most 75 %% of it; the node needs the rest')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='ROS parameter file of the chosen setting, for '
                             '`ros2 launch lite_detector detect.launch.py params_file:=FILE`')
    parser.set_defaults(prog=parser.prog)
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for the figures')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='file for the tables')
    parser.add_argument('--plot', type=picture_file, metavar='FILE',
                        help='file for a plot of AP and time of the settings')


def check_measuring_options(args: argparse.Namespace) -> None:
    """
    Check ranges and files before the measurement.

    :raises ConfigError: if an option is out of range or a file cannot be written.
    """
    check_writable(args.json, args.output, args.markdown, args.plot)
    for option, value in (('--seconds', args.seconds), ('--budget-ms', args.budget_ms)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f'{option}: {value:g}; expected more than 0')
    if not 0 <= args.load <= MAX_LOAD:
        raise ConfigError(f'--load: {args.load}; expected 0 to {MAX_LOAD}')
    if args.plot:
        require_matplotlib()


def models_from(named: Sequence[str]) -> Models:
    """
    Find models and read their cards.

    :raises LiteDetectorError: if one is not found, is a checkpoint, or has a duplicate name.
    """
    models: dict[str, NamedModel] = {}
    for model in named:
        if is_checkpoint(model):
            raise ConfigError(f'--model: {model} is a checkpoint; expected a model folder where '
                              'several settings are measured; export it first')
        folder = find_model(model)
        card = load_card(folder)
        if card.name in models:
            raise ConfigError(f'--model: {models[card.name].folder} and {folder} are both named '
                              f'{card.name!r}; expected different names: change one card')
        models[card.name] = NamedModel(model, folder, card)
    return models


def measure_settings(args: argparse.Namespace, models: Models, settings: Sequence[Setting],
                     image_bgr: ImageArray, reference: Setting | None = None) -> Sweep:
    """
    Measure the times of all settings, interleaved, with a progress bar.

    :raises LiteDetectorError: if a setting fails.
    """
    seconds = args.seconds * len(settings) * (2 if args.load else 1)
    print(f'{len(settings)} settings, {seconds / 60:.1f} minutes plus the time to load the models')
    job = Job(args.runtime, args.device,
              {name: str(model.folder.resolve()) for name, model in models.items()},
              list(settings), args.seconds)
    with tqdm(total=seconds, desc='time', leave=False, disable=None,
              bar_format='{desc} {bar} {n:.0f}/{total:.0f} s') as bar:
        return run_sweep(job, image_bgr, args.load, bar.update, reference)


def conclude(args: argparse.Namespace, models: Models, sweep: Sweep, image: str,
             same_images: bool) -> None:
    """
    Choose a setting for the budget, write the report, and write the parameters.

    The report is written also if no setting fits the budget.

    :param image: Size of the measured image, WIDTHxHEIGHT.
    :param same_images: True: all AP are of the same images, also if the cards name different ones.
    :raises LiteDetectorError: if no setting fits the budget.
    """
    cards = {name: model.card for name, model in models.items()}
    chosen, refusal = None, None
    if args.budget_ms is not None:
        if not same_images and not aps_are_comparable(cards):
            print('the cards contain AP on different images: AP is not used for the choice')
        try:
            chosen = choose(sweep, cards, args.budget_ms, same_images)
        except LiteDetectorError as error:
            refusal = error
    write_report(args, sweep, image, chosen)
    if refusal:
        raise refusal
    if args.output and chosen:
        setting = chosen.setting
        named, _, card = models[setting.model]
        write_parameter_file(
            args.output, node_parameters(named, card, setting.input_size, setting.threads,
                                         args.runtime, setting.precision, args.device),
            f'Measured by `{args.prog}` with {args.load} busy processes: p95 '
            f'{chosen.decisive.p95_ms:.1f} ms; budget {args.budget_ms:g} ms.')
        print(f'wrote parameters to {args.output}')


def write_report(args: argparse.Namespace, sweep: Sweep, image: str,
                 chosen: Row | None = None) -> None:
    """Print the tables; write the tables, the figures and the plot if options name files."""
    lines = report(sweep, chosen)
    if chosen:
        lines += ['', f'For a budget of {args.budget_ms:g} ms: {chosen.setting}, p95 '
                      f'{chosen.decisive.p95_ms:.1f} ms.']
    print('\n'.join(lines))
    if args.json:
        write_json(args.json, {
            'machine': describe_machine(), 'runtime': args.runtime, 'device': args.device,
            'image_size': image, 'seconds': args.seconds, 'budget_ms': args.budget_ms,
            **as_json(sweep, chosen)})
    if args.plot:
        figure = require_matplotlib().figure.Figure()
        draw_sweep(figure, sweep, args.budget_ms, chosen)
        save_figure(args.plot, figure)
    if args.markdown:
        head = ['# Settings measured on this board', '',
                f'{describe_machine()} Measured by `{args.prog}`: images of {image}, '
                f'{args.seconds:g} s for each setting, interleaved; medians, p95 and CPU time in '
                'milliseconds.', '']
        if args.plot:
            path = os.path.relpath(args.plot, args.markdown.parent)
            head += [f'![AP and time of the settings]({path})', '']
        args.markdown.write_text('\n'.join(head + lines) + '\n', encoding='utf-8')
