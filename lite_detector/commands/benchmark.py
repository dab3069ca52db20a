# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark``: speed of a model on this board, and the settings that keep a time budget."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import math
from pathlib import Path

import cv2
from lite_detector.bench.speed import (
    busy_processes,
    fit_budget,
    measure_speed,
    Speed,
)
from lite_detector.commands.options import (
    add_model_options,
    check_writable,
    CHECKPOINT_SUFFIX,
    detector_from,
    image_size,
    write_json,
)
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.detector import Detector
import msgspec
from tqdm import tqdm
import yaml

DEFAULT_SIZE = ImageSize(480, 640)
MAX_LOAD = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_model_options(parser)
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='measure on this image: what the camera will see, since boxes cost '
                             'time too (a generated picture)')
    parser.add_argument('--image-size', type=image_size, metavar='WxH',
                        help=f'scale the source to this ({DEFAULT_SIZE}, or as --image is)')
    parser.add_argument('--seconds', type=float, default=5.0, metavar='S',
                        help='time for each input size measured (5)')
    parser.add_argument('--load', type=int, default=0, metavar='N',
                        help='meanwhile keep N other processes busy (0)')
    parser.add_argument('--budget-ms', type=float, metavar='X',
                        help="find the largest input, from the card's or --size down to 160, "
                             'that takes at most X ms from image to detections')
    parser.add_argument('--output', type=Path, metavar='FILE',
                        help='write the settings measured as ROS parameters, for '
                             '`ros2 launch lite_detector detect.launch.py params_file:=FILE`')
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')


def run(args: argparse.Namespace) -> None:
    """Measure, print a table, write figures and parameters."""
    check_writable(args.json, args.output)
    _check(args)
    detector = detector_from(args)
    measure = _measurement(_image(args), args.threads, args.seconds)
    with busy_processes(args.load):
        if args.budget_ms is None:
            speed = measure(detector)
        else:
            detector, speed = fit_budget(detector, measure, args.budget_ms)
    print(_table(speed, detector, args.load))
    if args.json:
        write_json(args.json, msgspec.to_builtins(speed))
    if args.output:
        _write_parameters(args, detector, speed)
        print(f'parameters in {args.output}')


def _check(args: argparse.Namespace) -> None:
    for option, value in (('--seconds', args.seconds), ('--budget-ms', args.budget_ms)):
        if value is not None and not 0 < value < math.inf:
            raise ConfigError(f'{option}: got {value:g}, wanted more than 0')
    if not 0 <= args.load <= MAX_LOAD:
        raise ConfigError(f'--load: got {args.load}, wanted 0 to {MAX_LOAD}')
    if args.output and args.model.endswith(CHECKPOINT_SUFFIX):
        raise ConfigError(f'--output: the node cannot run a checkpoint: {args.model}')
    if args.output and args.resize:
        raise ConfigError('--resize goes into no parameter file: the node fits images as the '
                          'model card says')


def _measurement(image_bgr: ImageArray, num_threads: int,
                 seconds: float) -> Callable[[Detector], Speed]:
    def measure(detector: Detector) -> Speed:
        with tqdm(total=seconds, desc=f'input {detector.input_size}', leave=False, disable=None,
                  bar_format='{desc} {bar} {n:.1f}/{total:.1f} s') as bar:
            return measure_speed(detector, image_bgr, num_threads, seconds, bar.update)
    return measure


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
        f'  {speed.overhead_ratio:.3f} times the CPU time of the network alone, '
        f'{speed.fps:.1f} images/s{memory}'))


def _write_parameters(args: argparse.Namespace, detector: Detector, speed: Speed) -> None:
    # The node may start in another folder; a name is looked up anew there.
    folder = Path(args.model).expanduser()
    model = str(folder.resolve()) if folder.is_dir() else args.model
    size = detector.input_size
    parameters = {'/**/detector': {'ros__parameters': {
        'model': model, 'num_threads': args.threads,
        # 0 is the card's own size, the only one that need not be square
        'input_size': 0 if size == detector.card.size else size.width,
        'runtime': args.runtime, 'precision': args.precision}}}
    try:
        args.output.write_text(
            f'# Measured by `lite_detector benchmark`: {speed.end_to_end_ms:.1f} ms per image '
            f'of {speed.image_size}, beside {args.load} busy processes.\n'
            + yaml.safe_dump(parameters, sort_keys=False), encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'{args.output}: cannot write: {error.strerror}') from None
