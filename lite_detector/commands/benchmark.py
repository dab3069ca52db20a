# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark``: speed of a model on this board, and the settings that keep a time budget."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

import cv2
from lite_detector.backends.base import PRECISIONS
from lite_detector.bench.advice import node_parameters, write_parameters
from lite_detector.bench.load import busy_processes
from lite_detector.bench.speed import measure_speed, Speed
from lite_detector.bench.sweep import WAIT_POLICIES
from lite_detector.commands.options import (
    add_runtime_options,
    check_writable,
    detector_from,
    image_size,
    is_checkpoint,
    picture_file,
    RESIZES,
    write_json,
)
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.detector import Detector
from lite_detector.zoo import DEFAULT_MODEL
import msgspec
from tqdm import tqdm

DEFAULT_SIZE = ImageSize(480, 640)
MAX_LOAD = 64
DEFAULTS = {'model': None, 'size': None, 'resize': None, 'threads': 1, 'precision': 'auto'}
"""Options with several values, and what holds where one setting is measured."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    _add_setting_options(parser)
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='measure on this image: what the camera will see, since boxes cost '
                             'time too (a generated picture)')
    parser.add_argument('--image-size', type=image_size, metavar='WxH',
                        help=f'scale the source to this ({DEFAULT_SIZE}, or as --image is)')
    parser.add_argument('--seconds', type=float, default=5.0, metavar='S',
                        help='time for each setting measured (5); in minutes a board gets hot')
    parser.add_argument('--load', type=int, default=0, metavar='N',
                        help='meanwhile keep N other processes busy; several settings are '
                             'measured idle too (0)')
    parser.add_argument('--budget-ms', type=float, metavar='X',
                        help='choose the best setting that takes at most X ms for 19 of 20 '
                             'images, with a quarter of it left to the rest of the node')
    parser.add_argument('--compared', type=Path, metavar='FILE',
                        help='take AP from what `compare --json` wrote, at every size and '
                             'precision (from the cards: of their own size)')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='write the settings measured as ROS parameters, for '
                             '`ros2 launch lite_detector detect.launch.py params_file:=FILE`')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')
    parser.add_argument('--markdown', type=Path, metavar='FILE',
                        help='write a table of several settings')
    parser.add_argument('--plot', type=picture_file, metavar='FILE',
                        help='draw several settings')


def _add_setting_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--sweep', action='store_true',
                        help='of what is not given, measure all that is worth a try; every '
                             'combination is measured in turn')
    parser.add_argument('--model', nargs='+', metavar='M', default=[DEFAULT_MODEL],
                        help='names or folders of models, or a checkpoint (.pt) '
                             f'({DEFAULT_MODEL})')
    parser.add_argument('--size', type=int, nargs='+', metavar='N',
                        help="square network inputs, multiples of 32 (the card's; --sweep and "
                             '--budget-ms: also smaller ones)')
    parser.add_argument('--resize', choices=RESIZES, nargs='+', metavar='R',
                        help=f"how images are fitted: {', '.join(RESIZES)} (the card's)")
    parser.add_argument('--threads', type=int, nargs='+', metavar='N',
                        help='threads per inference (1; --sweep: 1, 2 and 4)')
    parser.add_argument('--precision', choices=PRECISIONS, nargs='+', metavar='P',
                        help=f"{', '.join(PRECISIONS)} (auto; --sweep: auto, bf16, and int8 "
                             'if the folder has it)')
    parser.add_argument('--wait-policy', choices=WAIT_POLICIES, nargs='+', metavar='P',
                        help='how threads wait for each other, if several settings are '
                             f"measured: {', '.join(WAIT_POLICIES)} (passive)")
    add_runtime_options(parser)


def run(args: argparse.Namespace) -> None:
    """Measure, print a table, write figures and parameters."""
    check_writable(args.json, args.output, args.markdown, args.plot)
    _check(args)
    image_bgr = _image(args)
    if _are_several(args):
        # here, because it brings what only several settings need
        from lite_detector.commands import benchmark_sweep
        if args.device != 'cpu':
            raise ConfigError(f'--device: {args.device}; several settings are measured on the cpu '
                              'only; name one setting')
        benchmark_sweep.run(args, image_bgr)
        return
    for option in ('markdown', 'plot', 'wait_policy', 'compared'):
        if getattr(args, option):
            raise ConfigError(f'--{option.replace("_", "-")}: belongs to several settings; name '
                              'some, or give --sweep or --budget-ms')
    _measure_one(_with_one_value_each(args), image_bgr)


def _measure_one(args: argparse.Namespace, image_bgr: ImageArray) -> None:
    if args.output and is_checkpoint(args.model):
        raise ConfigError(f'--output: the node cannot run a checkpoint: {args.model}')
    if args.output and args.resize:
        raise ConfigError('--resize goes into no parameter file: the node fits images as the '
                          'model card says')
    detector = detector_from(args)
    with (busy_processes(args.load),
          tqdm(total=args.seconds, desc=f'input {detector.input_size}', leave=False, disable=None,
               bar_format='{desc} {bar} {n:.1f}/{total:.1f} s') as bar):
        speed = measure_speed(detector, image_bgr, args.threads, args.seconds, bar.update)
    print(_table(speed, detector, args.load))
    if args.json:
        write_json(args.json, msgspec.to_builtins(speed))
    if args.output:
        write_parameters(
            args.output, node_parameters(args.model, detector.card, detector.input_size,
                                         args.threads, args.runtime, args.precision, args.device),
            f'{speed.end_to_end_ms:.1f} ms per image of {speed.image_size}, '
            f'{speed.end_to_end_p95_ms:.1f} ms for 19 of 20, beside {args.load} busy processes.')
        print(f'parameters in {args.output}')


def _check(args: argparse.Namespace) -> None:
    for option, value in (('--seconds', args.seconds), ('--budget-ms', args.budget_ms)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f'{option}: got {value:g}, wanted more than 0')
    if not 0 <= args.load <= MAX_LOAD:
        raise ConfigError(f'--load: got {args.load}, wanted 0 to {MAX_LOAD}')
    if args.output and args.budget_ms is None and _are_several(args):
        raise ConfigError('--output: of several settings, the one is written that fits a budget; '
                          'wanted --budget-ms too')


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
    neighbours = f', beside {load} busy processes' if load else ''
    memory = '' if speed.peak_rss_mb is None else f', peak memory {speed.peak_rss_mb:.0f} MB'
    return '\n'.join((
        f'{speed.model} at {detector.input_size}, image {speed.image_size}, '
        f'threads {speed.threads}{neighbours}; medians',
        f'  {"":12} {"wall ms":>9} {"CPU ms":>9}',
        f'  {"forward":12} {speed.forward_ms:9.2f} {speed.forward_cpu_ms:9.2f}',
        f'  {"end to end":12} {speed.end_to_end_ms:9.2f} {speed.end_to_end_cpu_ms:9.2f}',
        f'  19 of 20 images take at most {speed.end_to_end_p95_ms:.2f} ms',
        f'  {speed.overhead_ratio:.3f} times the CPU time of the network alone, '
        f'{speed.fps:.1f} images/s{memory}'))
