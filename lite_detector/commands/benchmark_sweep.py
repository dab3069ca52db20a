# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark`` of several settings: every combination, and the one that fits a budget."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from lite_detector.bench.advice import (
    aps_are_comparable,
    choose,
    node_parameters,
    write_parameters,
)
from lite_detector.bench.compared import ComparedAps
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.speed import sizes_down_from
from lite_detector.bench.sweep import (
    ap_of,
    default_threads,
    PASSIVE,
    Row,
    run_sweep,
    settings_of,
    Sweep,
)
from lite_detector.bench.sweep_process import Setting
from lite_detector.bench.sweep_report import as_json, draw_sweep, heat_lines, table
from lite_detector.commands.compare import fitting_sizes
from lite_detector.commands.options import is_checkpoint, write_json
from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.core.model_card import load_card, ModelCard
from lite_detector.core.types import ImageArray, ImageSize, size_of
from lite_detector.data.pictures import require_matplotlib, save_figure
from lite_detector.zoo import find_model
import msgspec
from tqdm import tqdm

Models = dict[str, tuple[str, Path, ModelCard]]
"""Name of the card -> what the user named, its folder and its card."""


def run(args: argparse.Namespace, image_bgr: ImageArray) -> None:
    """
    Measure in turn, print and write; what was measured is kept if nothing fits.

    :param args: of the command ``benchmark``.
    :param image_bgr: what to measure on, uint8, shape (height, width, 3).
    """
    if args.plot:
        require_matplotlib()
    models = _models(args.model)
    cards = {name: card for name, (_, _, card) in models.items()}
    settings = [setting for card in cards.values() for setting in settings_to_try(card, args)]
    compared = _compared(args, settings)
    known_ap = compared.ap_of if compared else lambda setting: ap_of(cards[setting.model], setting)
    seconds = args.seconds * len(settings) * (2 if args.load else 1)
    print(f'{len(settings)} settings, {seconds / 60:.1f} minutes and the time to load them')
    with tqdm(total=seconds, desc='sweep', leave=False, disable=None,
              bar_format='{desc} {bar} {n:.0f}/{total:.0f} s') as bar:
        sweep = run_sweep(known_ap, {name: folder for name, (_, folder, _) in models.items()},
                          args.runtime, settings, image_bgr, args.load, args.seconds, bar.update)
    chosen, refusal = None, None
    if args.budget_ms is not None:
        if not compared and not aps_are_comparable(cards):
            print('the cards tell AP of different images: nothing is chosen by it')
        try:
            chosen = choose(sweep, cards, args.budget_ms, compared is not None)
        except LiteDetectorError as error:
            refusal = error
    _report(args, sweep, chosen, str(size_of(image_bgr)))
    if refusal:
        raise refusal
    if args.output:
        _write_parameters(args, models, chosen)


def _models(named: list[str]) -> Models:
    models: Models = {}
    for model in named:
        if is_checkpoint(model):
            raise ConfigError('--model: several settings are measured of model folders alone, '
                              f'got the checkpoint {model}')
        folder = find_model(model)
        card = load_card(folder)
        if card.name in models:
            raise ConfigError(f'--model: {models[card.name][1]} and {folder} are both named '
                              f'{card.name!r}; change the name in one card')
        models[card.name] = model, folder, card
    return models


def _compared(args: argparse.Namespace, settings: list[Setting]) -> ComparedAps | None:
    if not args.compared:
        return None
    compared = ComparedAps(args.compared)
    unknown = sum(compared.ap_of(setting) is None for setting in settings)
    if unknown == len(settings):
        raise ConfigError(f'{compared.path}: tells AP of {compared}, and of none of the settings '
                          f'to measure, such as {settings[0]}')
    print(f'AP on {compared.title}, from {compared.path}'
          + (f'; nothing of {unknown} of {len(settings)} settings' if unknown else ''))
    return compared


def settings_to_try(card: ModelCard, args: argparse.Namespace) -> list[Setting]:
    """Return what the options, or where they are silent the defaults, ask of a model."""
    sizes = [card.size]
    if args.size:
        sizes = [ImageSize(side, side) for side in fitting_sizes(card, args.size)]
    elif args.sweep or args.budget_ms is not None:
        sizes = sizes_down_from(card.size, card.grid)
    precisions = ['auto']
    if args.sweep and args.runtime == 'ncnn':
        ncnn = card.runtimes.ncnn
        precisions += ['bf16', 'int8'] if ncnn and ncnn.int8 else ['bf16']
    return settings_of(
        card, sizes, args.resize or [card.preprocess.resize], args.precision or precisions,
        args.threads or (default_threads() if args.sweep else [1]),
        args.wait_policy or [PASSIVE])


def _report(args: argparse.Namespace, sweep: Sweep, chosen: Row | None, image_size: str) -> None:
    lines = [*table(sweep, chosen), '', *heat_lines(sweep)]
    if chosen:
        lines += ['', f'For {args.budget_ms:g} ms: {chosen.setting}, '
                      f'{chosen.decisive.p95_ms:.1f} ms for 19 of 20 images.']
    print('\n'.join(lines))
    if args.json:
        write_json(args.json, {
            'machine': describe_machine(), 'runtime': args.runtime, 'image_size': image_size,
            'seconds': args.seconds, **msgspec.to_builtins(sweep),
            'rows': [as_json(row) for row in sweep.rows],
            'budget_ms': args.budget_ms, 'chosen': chosen and as_json(chosen)})
    if args.plot:
        figure = require_matplotlib().figure.Figure()
        draw_sweep(figure, sweep, args.budget_ms, chosen)
        save_figure(args.plot, figure)
    if args.markdown:
        head = ['# What fits this board\n', f'{describe_machine()} Made by `lite_detector '
                f'benchmark`: images of {image_size}, {args.seconds:g} s for each '
                'setting, all measured in turn; medians, p95 and CPU time in milliseconds.\n']
        if args.plot:
            head.append('![times of every setting]'
                        f'({os.path.relpath(args.plot, args.markdown.parent)})\n')
        args.markdown.write_text('\n'.join(head + lines) + '\n', encoding='utf-8')


def _write_parameters(args: argparse.Namespace, models: Models, chosen: Row) -> None:
    setting = chosen.setting
    named, _, card = models[setting.model]
    write_parameters(
        args.output, node_parameters(named, card, setting.input_size, setting.threads,
                                     args.runtime, setting.precision),
        f'{chosen.decisive.p95_ms:.1f} ms for 19 of 20 images beside {args.load} busy '
        f'processes; the budget was {args.budget_ms:g} ms.')
    print(f'parameters in {args.output}')
