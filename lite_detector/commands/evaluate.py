# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``evaluate``: COCO AP of a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
import sys

from lite_detector.commands.options import (
    add_model_options,
    add_selection_options,
    check_writable,
    detector_from,
    selection_from,
    write_json,
)
from lite_detector.core.types import ImageSize
from lite_detector.data.coco import CocoDataset, CocoImage, load_coco
from lite_detector.detector import Detector
from lite_detector.evaluation.coco_metrics import CocoMetrics, evaluate, shared_categories
import msgspec
from tqdm import tqdm

SCORE_THRESHOLD = 0.05
"""Low, as AP asks for the whole curve; below it the curve hardly changes any more."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--annotations', required=True, type=Path, metavar='FILE',
                        help='labelled boxes, COCO json; its categories are measured whose '
                             'names the model has')
    parser.add_argument('--images', required=True, type=Path, metavar='DIR',
                        help='folder of the images that the annotations name')
    add_model_options(parser)
    add_selection_options(parser, SCORE_THRESHOLD)
    parser.add_argument('--json', type=Path, metavar='FILE', help='write the figures')


def run(args: argparse.Namespace) -> None:
    """Measure, print a table and write the figures."""
    check_writable(args.json)
    dataset = load_coco(args.annotations)
    detector = detector_from(args, selection_from(args))
    _tell_unknown(dataset, detector)
    metrics = evaluate(detector, dataset, args.images, _show_progress)
    print(_table(metrics, detector.card.name, detector.input_size))
    if args.json:
        write_json(args.json, msgspec.to_builtins(metrics))


def _show_progress(images: Sequence[CocoImage]) -> Iterable[CocoImage]:
    return tqdm(images, unit='image', disable=None)


def _tell_unknown(dataset: CocoDataset, detector: Detector) -> None:
    shared = shared_categories(dataset, detector.card.class_names)
    unknown = [category.name for category in dataset.categories
               if category not in shared.values()]
    if unknown:
        print(f'warning: not measured, since {detector.card.name} has no such class: '
              + ', '.join(unknown), file=sys.stderr)


def _table(metrics: CocoMetrics, name: str, input_size: ImageSize) -> str:
    rows = (('AP', metrics.ap), ('AP50', metrics.ap50), ('AP75', metrics.ap75),
            ('AP small', metrics.ap_small), ('AP medium', metrics.ap_medium),
            ('AP large', metrics.ap_large))
    lines = [f'{name} at {input_size} on {metrics.images} images, percent']
    lines += [f'  {label:22} {"-" if ap is None else format(ap, ".1f"):>5}' for label, ap in rows]
    if len(metrics.per_class) > 1:
        lines.append('AP per class')
        lines += [f'  {label:22} {ap:5.1f}' for label, ap in
                  sorted(metrics.per_class.items(), key=lambda item: -item[1])]
    return '\n'.join(lines)
