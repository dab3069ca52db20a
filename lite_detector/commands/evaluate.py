# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``evaluate``: measure the COCO AP of a model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path
import sys

from lite_detector.commands.options import (
    add_dataset_options,
    add_model_options,
    add_selection_options,
    add_view_options,
    check_writable,
    detector_from,
    findings_from,
    is_checkpoint,
    make_folder,
    print_findings,
    selection_from,
    view_from,
    write_json,
)
from lite_detector.data.coco import CocoDataset, CocoImage, find_images
from lite_detector.data.formats import open_as_coco
from lite_detector.data.pictures import require_matplotlib
from lite_detector.detector import Detector
from lite_detector.evaluation.bootstrap import ap_interval, Interval
from lite_detector.evaluation.coco_metrics import (
    AP_SELECTION,
    CocoMetrics,
    detect_dataset,
    measure,
    shared_categories,
)
from lite_detector.evaluation.curves import class_curves, overall_curve, Suggestion
from lite_detector.evaluation.matching import match_dataset, Matches
from lite_detector.evaluation.report import working_threshold, write_report, write_thresholds
from lite_detector.evaluation.worst import worst_and_best_images
import msgspec
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_dataset_options(parser)
    add_model_options(parser)
    add_selection_options(parser, AP_SELECTION.score_threshold)
    add_view_options(parser)
    parser.add_argument('--plots', type=Path, metavar='DIR',
                        help='folder for curves, a confusion matrix, the worst errors, a ROS '
                             'parameter file of score thresholds and, for a checkpoint, heat maps')
    parser.add_argument('--json', type=Path, metavar='FILE', help='file for the figures')


def run(args: argparse.Namespace) -> None:
    """Measure, print a table and write the figures."""
    check_writable(args.json)
    if args.plots:
        require_matplotlib()
        make_folder(args.plots, '--plots')
    detector = detector_from(args, selection_from(args), view_from(args))
    names = detector.card.class_names
    findings = findings_from(args)
    dataset = open_as_coco(args.annotations, args.images, names, findings)
    print_findings(findings, args.annotations)
    _warn_of_soft(dataset)
    _warn_of_unknown(dataset, detector)
    found = detect_dataset(detector, dataset, args.images, _show_progress)
    metrics = measure(dataset, found, names)
    matches = match_dataset(dataset, found, names)
    best = overall_curve(matches).suggest()
    spread = ap_interval(dataset, found, names)
    if args.json:
        suggested = {name: each.threshold for name, curve in class_curves(matches, names).items()
                     if (each := curve.suggest())}
        write_json(args.json, {**msgspec.to_builtins(metrics), 'ap_interval': spread,
                               'suggested_threshold': best.threshold if best else None,
                               'suggested_thresholds': suggested})
    if args.plots:
        write_report(args.plots, detector, dataset, args.images, matches)
        thresholds = args.plots / 'thresholds.yaml'
        has_thresholds = write_thresholds(thresholds, detector, matches)
        if is_checkpoint(args.model):
            _write_heat_maps(args, detector, dataset, matches)
    # print after all files are written: the reader of a pipe may stop early, as `... | head -1`
    print(_table(metrics, detector, spread))
    print(_describe(best))
    if args.plots:
        if has_thresholds:
            print(f'wrote score thresholds for the node to {thresholds}')
        if not is_checkpoint(args.model):
            print('no heat maps: expected a checkpoint (.pt) as --model')
        print(f'wrote plots to {args.plots}')


def _write_heat_maps(args: argparse.Namespace, detector: Detector, dataset: CocoDataset,
                     matches: Matches) -> None:
    # imported here, because only heat maps need torch
    from lite_detector.train.heatmap import HEAT_MAPS, write_heat_maps
    threshold = working_threshold(matches, detector)
    paths = find_images(dataset, args.images)
    worst, best = ([paths[image_id] for image_id in image_ids] for image_ids
                   in worst_and_best_images(matches.above(threshold), HEAT_MAPS))
    write_heat_maps(args.plots / 'heatmaps.jpg', detector, worst, best, threshold)


def _describe(best: Suggestion | None) -> str:
    if best is None:
        return 'suggested score threshold: none, because the model detected nothing'
    return (f'suggested score threshold: {best.threshold:.3f} (best F1: precision '
            f'{100 * best.precision:.0f} %, recall {100 * best.recall:.0f} %)')


def _show_progress(images: Sequence[CocoImage]) -> Iterable[CocoImage]:
    return tqdm(images, unit='image', disable=None)


def _warn_of_unknown(dataset: CocoDataset, detector: Detector) -> None:
    shared = shared_categories(dataset, detector.card.class_names)
    unknown = [category.name for category in dataset.categories
               if category not in shared.values()]
    if unknown:
        print(f'warning: classes not measured, because {detector.card.name} does not have them: '
              + ', '.join(unknown), file=sys.stderr)


def _warn_of_soft(dataset: CocoDataset) -> None:
    soft = sum(annotation.score is not None for annotation in dataset.annotations)
    if soft:
        print(f'warning: {soft} of {len(dataset.annotations)} boxes have a score: they are soft '
              'labels of a model, so AP measures the agreement of two models', file=sys.stderr)


def _table(metrics: CocoMetrics, detector: Detector, spread: Interval | None) -> str:
    rows = (('AP', metrics.ap), ('AP50', metrics.ap50), ('AP75', metrics.ap75),
            ('AP small', metrics.ap_small), ('AP medium', metrics.ap_medium),
            ('AP large', metrics.ap_large))
    view = detector.view
    tiles = f', tiles {view.columns}x{view.rows},' if view.columns * view.rows > 1 else ''
    lines = [f'{detector.card.name} at {detector.input_size}{tiles} on {metrics.images} images, '
             'percent']
    lines += [f'  {label:22} {"-" if ap is None else format(ap, ".1f"):>5}' for label, ap in rows]
    if spread is not None and metrics.images > 1:
        lines[1] += f'  (95 % interval over images: {spread.low:.1f} to {spread.high:.1f})'
    if len(metrics.per_class) > 1:
        lines.append('AP per class')
        lines += [f'  {label:22} {ap:5.1f}' for label, ap in
                  sorted(metrics.per_class.items(), key=lambda item: -item[1])]
    return '\n'.join(lines)
