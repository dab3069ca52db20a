# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Options that several commands share, and their conversion to objects."""

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
from lite_detector.core.model_card import RESIZES
from lite_detector.core.selection import parse_class_thresholds
from lite_detector.core.tiling import grid_of, View
from lite_detector.core.types import DEVICES, ImageSize, MAX_SIDE, MIN_SIDE
from lite_detector.data.findings import Findings, Reading, reading_from
from lite_detector.detector import Detector, Selection
from lite_detector.zoo import find_model

CHECKPOINT_SUFFIX = '.pt'
PICTURE_SUFFIXES = ('.png', '.svg', '.pdf', '.jpg')


class RenamedOption(argparse.Action):
    """Deprecated name of an option, hidden from the help."""

    def __init__(self, *args: Any, **options: Any) -> None:
        options.update(help=argparse.SUPPRESS, default=argparse.SUPPRESS)
        super().__init__(*args, **options)

    def __call__(self, parser: argparse.ArgumentParser, namespace: argparse.Namespace,
                 values: Any, option_string: str | None = None) -> None:
        """Store the values under the new name and print a warning."""
        print(f'warning: {option_string}: deprecated; use --{self.dest}', file=sys.stderr)
        setattr(namespace, self.dest, values)


def add_model_options(parser: argparse.ArgumentParser, required: bool = True,
                      default: str | None = None) -> None:
    """
    Add the options that choose a model and how it runs.

    :param required: True: ``--model`` is mandatory, unless there is a default.
    :param default: Name of the default model; None: no default.
    """
    parser.add_argument('--model', required=required and default is None, default=default,
                        help='name or folder of a model, or a checkpoint (.pt)'
                        + (f' ({default})' if default else ''))
    add_runtime_options(parser)
    parser.add_argument('--threads', type=int, default=1, help='threads per inference (1)')
    parser.add_argument('--precision', choices=PRECISIONS, default='auto',
                        help='precision of the network (auto)')
    parser.add_argument('--size', type=int, metavar='N',
                        help='side of the square network input in pixels, a multiple of 32 (size '
                             'of the model card)')
    parser.add_argument('--resize', choices=RESIZES,
                        help='method of fitting images to the input (method of the model card)')


def add_runtime_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of runtime and device."""
    parser.add_argument('--runtime', choices=sorted(BACKENDS), default='ncnn',
                        help='library that runs the network (ncnn)')
    parser.add_argument('--device', default='cpu', metavar='D',
                        help=f'device that runs the network, one of {DEVICES} (cpu)')


def add_selection_options(parser: argparse.ArgumentParser,
                          score_threshold: float = Selection().score_threshold) -> None:
    """Add the options that select boxes."""
    parser.add_argument('--score-threshold', type=float, default=score_threshold, metavar='X',
                        help=f'minimum score of a box, 0 to 1 ({score_threshold})')
    parser.add_argument('--nms-iou-threshold', type=float, metavar='X',
                        default=Selection().nms_iou_threshold,
                        help='IoU threshold of the per-class NMS, 0 to 1 '
                             f'({Selection().nms_iou_threshold})')
    parser.add_argument('--max-detections', type=int, default=Selection().max_detections,
                        metavar='N', help='maximum number of boxes per image '
                                          f'({Selection().max_detections})')


def add_class_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that select boxes by class."""
    parser.add_argument('--class-threshold', action='append', default=[], metavar='NAME:X',
                        help='minimum score of one class, e.g. person:0.5; repeat for more')
    parser.add_argument('--class-agnostic-nms', action='store_true',
                        help='apply NMS across classes instead of per class')


def add_view_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of tiled inference."""
    parser.add_argument('--tiles', default='1x1', metavar='CxR',
                        help='columns x rows of overlapping tiles, detected in addition to the '
                             'full image, for small objects (1x1: only the full image)')
    parser.add_argument('--tile-overlap', type=float, default=View().overlap, metavar='X',
                        help='overlap of adjacent tiles as a fraction of the tile side, 0.05 to '
                             f'0.5 ({View().overlap})')


def add_dataset_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose labelled images of any format."""
    parser.add_argument('--annotations', required=True, type=Path, metavar='F',
                        help='COCO JSON file, folder of Pascal VOC XML files, YOLO data.yaml, or '
                             'folder of YOLO text files')
    parser.add_argument('--images', required=True, type=Path, metavar='DIR',
                        help='folder of the images')
    add_reading_options(parser)


def add_reading_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for faults in labelled images."""
    parser.add_argument('--strict', action='store_true',
                        help='stop with an error at the first malformed box, image or label file')
    parser.add_argument('--max-broken', type=float, metavar='X',
                        help='maximum share of malformed boxes, and of malformed images, that is '
                             f'skipped, 0 to 1 ({Reading().max_broken})')
    parser.add_argument('--crowds', choices=('ignore', 'objects'),
                        help='meaning of COCO boxes with iscrowd: ignored regions or objects '
                             '(ignore)')


def findings_from(args: argparse.Namespace, keep_going: bool = False) -> Findings:
    """
    Return a collector for the findings of a dataset.

    :param args: Options of :func:`add_reading_options`.
    :param keep_going: True: collect all malformed items; there is no limit.
    :raises DataError: if an option is out of range.
    """
    return Findings(reading_from({'strict': args.strict, 'max_broken': args.max_broken,
                                  'crowds': args.crowds}), keep_going)


def print_findings(findings: Findings, annotations: Path) -> None:
    """Print the skipped and corrected items, one line for each kind."""
    for line in findings.warnings():
        print(f'warning: {annotations.name}: {line}', file=sys.stderr)


def selection_from(args: argparse.Namespace) -> Selection:
    """
    Return the selection of boxes from the options.

    :param args: Options of :func:`add_selection_options`; :func:`add_class_options` is optional.
    :raises ConfigError: if an option is out of range.
    """
    return from_mapping({
        'score_threshold': args.score_threshold, 'nms_iou_threshold': args.nms_iou_threshold,
        'max_detections': args.max_detections,
        'class_thresholds': parse_class_thresholds(getattr(args, 'class_threshold', ())),
        'class_agnostic_nms': getattr(args, 'class_agnostic_nms', False)}, Selection, 'options')


def view_from(args: argparse.Namespace) -> View:
    """
    Return the tiling from the options.

    :raises ConfigError: if an option is out of range.
    """
    columns, rows = grid_of(args.tiles)
    return from_mapping({'columns': columns, 'rows': rows, 'overlap': args.tile_overlap}, View,
                        'tiles')


def is_checkpoint(model: str) -> bool:
    """Return whether ``--model`` names a checkpoint instead of a model folder."""
    return model.endswith(CHECKPOINT_SUFFIX)


def detector_from(args: argparse.Namespace, selection: Selection = Selection(),
                  view: View = View()) -> Detector:
    """
    Load and warm up the model that the options name.

    :raises LiteDetectorError: if the model cannot be found, loaded or run.
    """
    size = ImageSize(args.size, args.size) if args.size is not None else None
    if is_checkpoint(args.model):
        if args.precision not in ('auto', 'fp32'):
            raise ConfigError(f'--precision: {args.precision}; expected auto or fp32 for the '
                              f'checkpoint {args.model}; export it first')
        if args.runtime == 'onnx':
            raise ConfigError('--runtime: onnx; expected no runtime for the checkpoint '
                              f'{args.model}, which runs in torch; export it first')
        if args.device != 'cpu':
            raise ConfigError(f'--device: {args.device}; expected cpu for the checkpoint '
                              f'{args.model}; export it first')
        # imported here, because only checkpoints need torch
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
    Parse the size of an image, such as 640x480; a ``type`` of argparse.

    :raises argparse.ArgumentTypeError: if the text is not a size, or a side is out of range.
    """
    match = re.fullmatch(r'(\d{1,5})x(\d{1,5})', text)
    if not match:
        raise argparse.ArgumentTypeError(f'{text!r}; expected WIDTHxHEIGHT, e.g. 640x480')
    size = ImageSize(int(match[2]), int(match[1]))
    if not MIN_SIDE <= min(size) <= max(size) <= MAX_SIDE:
        raise argparse.ArgumentTypeError(f'{text!r}; expected sides of {MIN_SIDE} to {MAX_SIDE} '
                                         'pixels')
    return size


def check_writable(*paths: Path | None) -> None:
    """
    Check before long work that its results can be written.

    :param paths: Files to write; None is ignored.
    :raises ConfigError: if one cannot be written.
    """
    for path in filter(None, paths):
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise ConfigError(f'{path}: cannot write; expected a file in an existing, writable '
                              'folder')


def picture_file(text: str) -> Path:
    """
    Parse the name of a picture to write; a ``type`` of argparse.

    :raises argparse.ArgumentTypeError: if the suffix is not a known format.
    """
    path = Path(text)
    if path.suffix not in PICTURE_SUFFIXES:
        raise argparse.ArgumentTypeError(
            f'{text!r}; expected a file with suffix {", ".join(PICTURE_SUFFIXES)}')
    return path


def make_folder(path: Path, option: str = '--output') -> None:
    """
    Create the folder that an option names, if it does not exist.

    :raises ConfigError: if the folder cannot be created or is not writable.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f'{option} {path}: {error.strerror}') from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise ConfigError(f'{option} {path}: not writable; expected a writable folder')


def write_json(path: Path, figures: Any) -> None:
    """
    Write figures to a JSON file, complete or not at all.

    A link or a device such as /dev/stdout is written to directly.

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
