# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Options that several commands share, and what they mean."""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
import re
import sys
from typing import Any

from lite_detector.backends.base import BACKENDS, PRECISIONS
from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.selection import parse_class_thresholds
from lite_detector.core.tiling import grid_of, View
from lite_detector.core.types import DEVICES, ImageSize, MAX_SIDE, MIN_SIDE
from lite_detector.data.findings import Findings, Reading, reading_from
from lite_detector.detector import Detector, Selection
from lite_detector.zoo import find_model

CHECKPOINT_SUFFIX = '.pt'
PICTURE_SUFFIXES = ('.png', '.svg', '.pdf', '.jpg')
RESIZES = ('letterbox_rect', 'letterbox_square', 'stretch')


class RenamedOption(argparse.Action):
    """An old name of an option, hidden from the help: the plural of what it is called now."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.update(help=argparse.SUPPRESS, default=argparse.SUPPRESS)
        super().__init__(*args, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        """Take the values under the new name."""
        print(f'warning: {option_string}: deprecated; use --{self.dest}', file=sys.stderr)
        setattr(namespace, self.dest, values)


def add_model_options(parser: argparse.ArgumentParser, required: bool = True,
                      default: str | None = None) -> None:
    """
    Add what chooses a model and how it runs.

    :param required: whether a model has to be named where there is no default.
    :param default: name of the model where none is named.
    """
    parser.add_argument('--model', required=required and default is None, default=default,
                        help='name or folder of a model, or a checkpoint (.pt)'
                        + (f' ({default})' if default else ''))
    add_runtime_options(parser)
    parser.add_argument('--threads', type=int, default=1, help='threads per inference (1)')
    parser.add_argument('--precision', choices=PRECISIONS, default='auto')
    parser.add_argument('--size', type=int, metavar='N',
                        help="square network input, a multiple of 32 (the card's)")
    parser.add_argument('--resize', choices=RESIZES, help="how images are fitted (the card's)")


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Add what runs the network, and where."""
    parser.add_argument('--runtime', choices=sorted(BACKENDS), default='ncnn')
    parser.add_argument('--device', default='cpu', metavar='D', help=f'one of {DEVICES} (cpu)')


def add_selection_options(parser: argparse.ArgumentParser,
                          score_threshold: float = Selection().score_threshold) -> None:
    """Add what chooses among the boxes found."""
    parser.add_argument('--score-threshold', type=float, default=score_threshold, metavar='X',
                        help=f'lowest score kept ({score_threshold})')
    parser.add_argument('--nms-iou-threshold', type=float, metavar='X',
                        default=Selection().nms_iou_threshold,
                        help=f'overlap that suppresses ({Selection().nms_iou_threshold})')
    parser.add_argument('--max-detections', type=int, default=Selection().max_detections,
                        metavar='N', help=f'per image ({Selection().max_detections})')


def add_class_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses boxes by their class."""
    parser.add_argument('--class-threshold', action='append', default=[], metavar='NAME:X',
                        help='lowest score of one class, such as person:0.5; may be repeated')
    parser.add_argument('--class-agnostic-nms', action='store_true',
                        help='boxes of different classes suppress each other too')


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how closely the network looks at an image."""
    parser.add_argument('--tiles', default='1x1', metavar='CxR',
                        help='look at columns x rows of overlapping tiles and the whole, for '
                             'small objects (1x1: the whole alone)')
    parser.add_argument('--tile-overlap', type=float, default=View().overlap, metavar='X',
                        help=f"what neighbours share, as part of a tile's side "
                             f'({View().overlap})')


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses labelled images, of any format."""
    parser.add_argument('--annotations', required=True, type=Path, metavar='F',
                        help='COCO json file, folder of Pascal VOC xml files, or YOLO data.yaml '
                             'or folder of txt files')
    parser.add_argument('--images', required=True, type=Path, metavar='DIR',
                        help='folder of the images')
    add_reading_options(parser)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add what says how much may be wrong with labelled images."""
    parser.add_argument('--strict', action='store_true',
                        help='the first broken box, image or label file is an error')
    parser.add_argument('--max-broken', type=float, metavar='X',
                        help='largest share of broken boxes, and of broken images, that is '
                             f'skipped, 0 to 1 ({Reading().max_broken})')
    parser.add_argument('--crowds', choices=('ignore', 'objects'),
                        help='what COCO boxes with iscrowd are (ignore)')


def findings_from(args: argparse.Namespace, keep_going: bool = False) -> Findings:
    """
    Return what takes the findings of a dataset.

    :param keep_going: all broken items are listed, however many there are.
    :raises DataError: if an option is out of range.
    """
    return Findings(reading_from({'strict': args.strict, 'max_broken': args.max_broken,
                                  'crowds': args.crowds}), keep_going)


def print_findings(findings: Findings, annotations: Path) -> None:
    """Print what was skipped or read otherwise than written, a line for each kind."""
    for line in findings.warnings():
        print(f'warning: {annotations.name}: {line}', file=sys.stderr)


def selection_from(args: argparse.Namespace) -> Selection:
    """
    Return the boxes wanted.

    :param args: also of a command without :func:`add_class_options`.
    :raises ConfigError: if an option is out of range.
    """
    return from_mapping({
        'score_threshold': args.score_threshold, 'nms_iou_threshold': args.nms_iou_threshold,
        'max_detections': args.max_detections,
        'class_thresholds': parse_class_thresholds(getattr(args, 'class_threshold', ())),
        'class_agnostic_nms': getattr(args, 'class_agnostic_nms', False)}, Selection, 'options')


def view_from(args: argparse.Namespace) -> View:
    """
    Return how closely to look.

    :raises ConfigError: if an option is out of range.
    """
    columns, rows = grid_of(args.tiles)
    return from_mapping({'columns': columns, 'rows': rows, 'overlap': args.tile_overlap}, View,
                        'tiles')


def is_checkpoint(model: str) -> bool:
    """Tell whether ``--model`` names a checkpoint instead of a model folder."""
    return model.endswith(CHECKPOINT_SUFFIX)


def detector_from(args: argparse.Namespace, selection: Selection = Selection(),
                  view: View = View()) -> Detector:
    """
    Load and warm up the model that the options name.

    :raises LiteDetectorError: if it cannot be had.
    """
    size = ImageSize(args.size, args.size) if args.size is not None else None
    if is_checkpoint(args.model):
        if args.precision not in ('auto', 'fp32'):
            raise ConfigError(f'precision: got {args.precision}, but checkpoints run in fp32: '
                              f'{args.model}')
        if args.runtime == 'onnx':
            raise ConfigError(f'runtime: got onnx, but checkpoints run in torch: {args.model}')
        if args.device != 'cpu':
            raise ConfigError(f'device: got {args.device}, expected cpu for a checkpoint: '
                              f'{args.model}; export it first')
        # here, because only this needs torch
        from lite_detector.train.torch_backend import detector_from_checkpoint
        return detector_from_checkpoint(
            Path(args.model), num_threads=args.threads, input_size=size, resize=args.resize,
            selection=selection).configured(selection, view)
    detector = Detector.from_folder(find_model(args.model), runtime=args.runtime,
                                    num_threads=args.threads, precision=args.precision,
                                    input_size=size, resize=args.resize, selection=selection,
                                    view=view, device=args.device, report=_print_progress)
    if detector.device.report:
        _print_progress(detector.device.report)
    return detector


def _print_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def image_size(text: str) -> ImageSize:
    """
    Read the size of an image from the command line, such as 640x480.

    :raises argparse.ArgumentTypeError: if it is none, or no image that a detector takes.
    """
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not match:
        raise argparse.ArgumentTypeError(f'got {text!r}, wanted WIDTHxHEIGHT such as 640x480')
    size = ImageSize(int(match[2]), int(match[1]))
    if not MIN_SIDE <= min(size) <= max(size) <= MAX_SIDE:
        raise argparse.ArgumentTypeError(f'got {text!r}, wanted sides of {MIN_SIDE} to {MAX_SIDE}')
    return size


def check_writable(*paths: Path | None) -> None:
    """
    Find out before the long work whether its results can be kept.

    :param paths: files to write; None is passed over.
    :raises ConfigError: if one cannot be written.
    """
    for path in filter(None, paths):
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ConfigError(f'{path}: cannot write: wanted a file in a folder that exists and '
                              'is writable')


def picture_file(text: str) -> Path:
    """
    Read the name of a picture to draw; a ``type`` of argparse.

    :raises argparse.ArgumentTypeError: if its ending names no format.
    """
    path = Path(text)
    if path.suffix not in PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(
            f'got {text!r}, wanted a file that ends in {", ".join(PICTURE_SUFFIXES)}')
    return path


def make_folder(path: Path, option: str = '--output') -> None:
    """
    Make the folder that an option names, where it is not there yet.

    :raises ConfigError: if that cannot be done, or nothing can be written there.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'{option} {path}: {error.strerror}') from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f'{option} {path}: wanted a folder that is writable')


def write_json(path: Path, figures: Any) -> None:
    """
    Write figures, whole or not at all; into what is there if it is a link or no file.

    :raises ConfigError: if the file cannot be written.
    """
    text = json.dumps(figures, indent=1) + '\n'
    try:
        if path.is_symlink() or path.exists() and not path.is_file():  # /dev/stdout
            path.write_text(text, encoding='utf-8')
            return
        with atomic_file(path) as scratch:
            scratch.write_text(text, encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'{path}: cannot write: {error.strerror}') from None
