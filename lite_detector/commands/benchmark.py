# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark``: measure the speed of a model on this board, and choose settings for a budget."""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
from lite_detector.bench.advice import node_parameters
from lite_detector.bench.known_ap import ap_of_card, ComparedAps
from lite_detector.bench.load import busy_processes
from lite_detector.bench.setting import (
    default_threads,
    fitting_sizes,
    PASSIVE,
    Setting,
    settings_of,
    sizes_down_from,
)
from lite_detector.bench.speed import measure_speed, Speed
from lite_detector.commands.measuring import (
    add_measuring_options,
    check_measuring_options,
    conclude,
    measure_settings,
    models_from,
)
from lite_detector.commands.options import detector_from, is_checkpoint, write_json
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import read_image
from lite_detector.core.model_card import ModelCard
from lite_detector.core.parameter_file import write_parameter_file
from lite_detector.core.types import ImageArray, ImageSize, size_of
from lite_detector.detector import Detector
from lite_detector.zoo import DEFAULT_MODEL
import msgspec
from tqdm import tqdm

DEFAULT_SIZE = ImageSize(480, 640)
DEFAULTS = {'model': DEFAULT_MODEL, 'size': None, 'resize': None, 'threads': 1,
            'precision': 'auto'}
"""Options that take several values -> value for the measurement of one setting."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--sweep', action='store_true',
                        help='measure all combinations of the given values; an option without a '
                             'value takes the range named in its help')
    add_measuring_options(parser, {
        'model': f'{DEFAULT_MODEL}; one setting: also a checkpoint (.pt)',
        'size': 'size of the model card; --sweep and --budget-ms: also smaller ones',
        'resize': 'resize of the model card', 'threads': '1; --sweep: 1, 2 and 4',
        'precision': 'auto; --sweep: auto, bf16, and int8 if the folder has it',
        'image': 'a generated image',
        'image-size': f'size of --image, else {DEFAULT_SIZE}'}, 5.0)
    parser.set_defaults(model=[DEFAULT_MODEL])
    parser.add_argument('--compared', type=Path, metavar='FILE',
                        help='file from `compare --json` with the AP of each size and precision '
                             '(AP of the model cards, valid at the size of the card)')


def run(args: argparse.Namespace) -> None:
    """Measure, print a table, write figures and parameters."""
    check_measuring_options(args)
    several = _are_several(args)
    if args.output and args.budget_ms is None and several:
        raise ConfigError('--output: several settings and no budget; expected --budget-ms, which '
                          'chooses the setting to write')
    image_bgr = _image(args)
    if several:
        _measure_several(args, image_bgr)
        return
    for option in ('markdown', 'plot', 'wait_policy', 'compared'):
        if getattr(args, option):
            raise ConfigError(f'--{option.replace("_", "-")}: one setting; expected several '
                              'settings: give several values, --sweep or --budget-ms')
    _measure_one(_with_one_value_each(args), image_bgr)


def _measure_one(args: argparse.Namespace, image_bgr: ImageArray) -> None:
    if args.output and is_checkpoint(args.model):
        raise ConfigError(f'--output: {args.model} is a checkpoint; expected a model folder, '
                          'because the node cannot run a checkpoint')
    if args.output and args.resize:
        raise ConfigError('--resize: not possible with --output: the node has no such parameter, '
                          'it resizes images according to the model card')
    detector = detector_from(args)
    with (busy_processes(args.load),
          tqdm(total=args.seconds, desc=f'input {detector.input_size}', leave=False, disable=None,
               bar_format='{desc} {bar} {n:.1f}/{total:.1f} s') as bar):
        speed = measure_speed(detector, image_bgr, args.threads, args.seconds, bar.update)
    print(_table(speed, detector, args.load))
    if args.json:
        write_json(args.json, msgspec.to_builtins(speed))
    if args.output:
        write_parameter_file(
            args.output, node_parameters(args.model, detector.card, detector.input_size,
                                         args.threads, args.runtime, args.precision, args.device),
            f'Measured by `{args.prog}` with {args.load} busy processes, images of '
            f'{speed.image_size}: median {speed.end_to_end_ms:.1f} ms, p95 '
            f'{speed.end_to_end_p95_ms:.1f} ms.')
        print(f'wrote parameters to {args.output}')


def _measure_several(args: argparse.Namespace, image_bgr: ImageArray) -> None:
    models = models_from(args.model)
    settings = [setting for model in models.values()
                for setting in settings_to_try(model.card, args)]
    compared = _compared(args.compared, settings) if args.compared else None
    sweep = measure_settings(args, models, settings, image_bgr)
    rows = [msgspec.structs.replace(row, ap=(
        compared.ap_of(row.setting) if compared
        else ap_of_card(models[row.setting.model].card, row.setting))) for row in sweep.rows]
    conclude(args, models, msgspec.structs.replace(sweep, rows=rows), str(size_of(image_bgr)),
             compared is not None)


def settings_to_try(card: ModelCard, args: argparse.Namespace) -> list[Setting]:
    """Return the settings of a model to measure, from the options and their defaults."""
    sizes = [card.size]
    if args.size:
        sizes = fitting_sizes(card, args.size)
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


def _compared(path: Path, settings: list[Setting]) -> ComparedAps:
    compared = ComparedAps(path)
    unknown = sum(compared.ap_of(setting) is None for setting in settings)
    if unknown == len(settings):
        raise ConfigError(f'{path}: AP of {compared}; expected AP of a setting to measure, such '
                          f'as {settings[0]}')
    print(f'AP on {compared.title}, from {path}'
          + (f'; no AP for {unknown} of {len(settings)} settings' if unknown else ''))
    return compared


def _are_several(args: argparse.Namespace) -> bool:
    return args.sweep or args.budget_ms is not None or any(
        len(getattr(args, option) or ()) > 1 for option in (*DEFAULTS, 'wait_policy'))


def _with_one_value_each(args: argparse.Namespace) -> argparse.Namespace:
    values = {option: getattr(args, option) or [default] for option, default in DEFAULTS.items()}
    return argparse.Namespace(**{**vars(args), **{option: value for option, (value,)
                                                  in values.items()}})


def _image(args: argparse.Namespace) -> ImageArray:
    if args.image is None:
        return generated_image(args.image_size or DEFAULT_SIZE)
    image_bgr = read_image(args.image)
    if args.image_size is None:
        return image_bgr
    return cv2.resize(image_bgr, (args.image_size.width, args.image_size.height),
                      interpolation=cv2.INTER_AREA)


def _table(speed: Speed, detector: Detector, load: int) -> str:
    under_load = f', with {load} busy processes' if load else ''
    memory = '' if speed.peak_rss_mb is None else f', peak memory {speed.peak_rss_mb:.0f} MB'
    return '\n'.join((
        f'{speed.model} at {detector.input_size}, image {speed.image_size}, '
        f'threads {speed.threads}{under_load}; medians',
        f'  {"":12} {"wall ms":>9} {"CPU ms":>9}',
        f'  {"forward":12} {speed.forward_ms:9.2f} {speed.forward_cpu_ms:9.2f}',
        f'  {"end to end":12} {speed.end_to_end_ms:9.2f} {speed.end_to_end_cpu_ms:9.2f}',
        f'  p95 end to end {speed.end_to_end_p95_ms:.2f} ms',
        f'  CPU time end to end / forward {speed.overhead_ratio:.3f}, '
        f'{speed.fps:.1f} images/s{memory}'))
