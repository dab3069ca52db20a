# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``check_data``: list the faults of a dataset before training."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from pathlib import Path

from lite_detector.commands.options import (
    add_dataset_options,
    check_writable,
    findings_from,
    make_folder,
    write_json,
)
from lite_detector.core.errors import DataError
from lite_detector.data.check import (
    check_dataset,
    check_leaks,
    FINDINGS,
    INPUT_SIDE,
    SplitReport,
)
from lite_detector.data.dataset import Dataset, ImageLabels
from lite_detector.data.findings import describe
from lite_detector.data.formats import read_annotations
from lite_detector.data.pictures import require_matplotlib, write_histograms, write_sheet
from tqdm import tqdm

EXAMPLES = 3
"""Number of findings printed for each kind; the JSON file has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    add_dataset_options(parser)
    parser.add_argument('--compare', type=Path, metavar='F',
                        help='annotations of another split; images in both splits are reported')
    parser.add_argument('--compare-images', type=Path, metavar='DIR',
                        help='folder of the images of --compare (folder of --images)')
    parser.add_argument('--class-names', nargs='+', metavar='NAME',
                        help='expected classes (classes of --annotations)')
    parser.add_argument('--output', type=Path, metavar='DIR',
                        help='folder for samples.jpg and histograms.png')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='file for the figures and all findings')


def run(args: argparse.Namespace) -> None:
    """Check every image, print a table and the findings, draw pictures."""
    check_writable(args.json)
    if args.output:
        require_matplotlib()
        make_folder(args.output)
    datasets = _open(args)
    class_names = args.class_names or datasets[0].class_names
    reports = [check_dataset(dataset, class_names, _show_progress) for dataset in datasets]
    if len(reports) > 1:
        check_leaks(*reports)
    print('\n\n'.join((*map(_summary, reports), _table(reports), _warnings(reports))))
    if args.json:
        write_json(args.json, [report.figures() for report in reports])
    if args.output:
        write_sheet(args.output / 'samples.jpg', datasets[0],
                    reports[0].images - len(reports[0].prints))
        write_histograms(args.output / 'histograms.png', reports)
        print(f'wrote pictures to {args.output}')
    for report in reports:
        if not len(report.prints):
            raise DataError(f'{report.annotations}: 0 of {report.images} images readable; '
                            'expected at least one')
        if report.refused and (args.strict or args.max_broken is not None):
            raise DataError(report.refused)


def _open(args: argparse.Namespace) -> list[Dataset]:
    datasets = [read_annotations(args.annotations, args.images, args.class_names,
                                 findings_from(args, keep_going=True))]
    if args.compare:
        names = args.class_names or datasets[0].class_names
        datasets.append(read_annotations(args.compare, args.compare_images or args.images, names,
                                         findings_from(args, keep_going=True)))
    elif args.compare_images:
        raise DataError('--compare-images: no --compare; expected both options')
    return datasets


def _show_progress(labels: Sequence[ImageLabels]) -> Iterable[ImageLabels]:
    return tqdm(labels, unit='image', leave=False, disable=None)


def _summary(report: SplitReport) -> str:
    rows = [('images', report.images), ('  without boxes', report.images_without_boxes),
            ('boxes', report.boxes), ('crowd or difficult', report.ignored)]
    if report.soft:
        rows.append(('labelled by a model', report.soft))
    lines = [report.annotations, *(f'  {label:22}{value:8}' for label, value in rows)]
    for label, sizes in (('size in the image', report.sizes),
                         (f'size at {INPUT_SIDE}', report.sizes_at_320)):
        counts = ', '.join(f'{name} {count}' for name, count in sizes.items())
        lines.append(f'  {label:22}  {counts}')
    return '\n'.join(lines)


def _table(reports: Sequence[SplitReport]) -> str:
    names = list(dict.fromkeys(name for report in reports for name in report.classes))
    width = max(map(len, names))
    lines = ['boxes per class' + ('' if len(reports) == 1 else ', in each split')]
    for name in sorted(names, key=lambda name: -reports[0].classes.get(name, 0)):
        counts = ''.join(f'{report.classes.get(name, 0):8}' for report in reports)
        lines.append(f'  {name:{max(22, width)}}{counts}')
    return '\n'.join(lines)


def _warnings(reports: Sequence[SplitReport]) -> str:
    lines = []
    for report in reports:
        for kind, found in report.findings.items():
            what = FINDINGS.get(kind) or describe(kind)
            lines.append(f'warning: {Path(report.annotations).name}: {what}: {len(found)}')
            lines += [f'  {line}' for line in found[:EXAMPLES]]
            if len(found) > EXAMPLES:
                lines.append(f'  and {len(found) - EXAMPLES} more')
        if report.refused:
            lines.append(f'warning: {Path(report.annotations).name}: train refuses this dataset: '
                         f'{report.refused}')
    return '\n'.join(lines) or 'no faults found'
