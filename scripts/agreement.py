#!/usr/bin/env python3
# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""
Compare what a model finds on several processors; arm64.sh calls it.

`plan` lists the runs, `detect` is one of them and runs on its processor, `compare` prints the
table and fails if a processor misses a box or AP differs.
"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path
import sys

from lite_detector.core.agreement import output_error
from lite_detector.core.geometry import iou_matrix
from lite_detector.core.media import read_image
from lite_detector.core.model_card import load_card
from lite_detector.core.types import Detections
from lite_detector.data.coco import CocoDataset, find_images, load_coco
from lite_detector.detector import Detector
from lite_detector.evaluation.bootstrap import draw_images, Interval, interval, rank, resampled_ap
from lite_detector.evaluation.coco_metrics import AP_SELECTION, measure
import msgspec
import numpy as np

REFERENCE = 'x86'
# Of a Pi 4 and a Pi 5. On the former auto is the same code as fp32 (test_precision.py).
PROCESSORS = {REFERENCE: (), 'cortex-a72': ('bf16',), 'cortex-a76': ('bf16', 'auto')}
"""Processor -> precisions to compare with fp32; with int8, precisions of the float layers."""

SCORE_THRESHOLD = 0.4
"""Minimum score of a box that must be found again."""
IOU = 0.5
"""Minimum IoU with a box of the same class, of any score, for a box that is found again."""
LOST_PERCENT, AP_DIFFERENCE = 0.0, 0.5
INT8_LOST_PERCENT, INT8_AP_DIFFERENCE = 5.0, 1.0
"""
Largest share of boxes that may be lost, and limit of the AP difference in percent points.

A run fails if the 95 % interval of its AP difference lies beyond the limit: the AP of twenty
images moves by more than one point when a single box changes its rank.
"""


class Run(msgspec.Struct):
    """Detections of one model on one processor in one precision."""

    processor: str
    folder: str
    precision: str
    output_error: float
    """Output error for the same input blob, in percent of the reference."""
    detections: dict[int, list[list[float]]]
    """Image id -> rows of x1, y1, x2, y2, score, class id."""

    def find(self, image_id: int) -> Detections:
        """Return the detections in an image."""
        rows = np.array(self.detections[image_id], np.float32).reshape(-1, 6)
        return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def first_images(dataset: CocoDataset, names: tuple[str, ...], count: int) -> CocoDataset:
    """Return the first images with a labelled box of a class of the model."""
    known = {each.category_id for each in dataset.categories if each.name in names}
    shown = {box.image_id for box in dataset.annotations if box.category_id in known}
    images = [image for image in dataset.images if image.image_id in shown][:count]
    ids = {image.image_id for image in images}
    boxes = [box for box in dataset.annotations if box.image_id in ids]
    return CocoDataset(tuple(images), tuple(boxes), dataset.categories)


def plan(args: Namespace) -> None:
    """Print processor, folder, precision and the precision to compare with of every run."""
    for folder in args.models:
        files = load_card(folder).runtimes.ncnn
        for processor, others in PROCESSORS.items():
            for precision in ('fp32', *others):
                print(processor, folder, precision, 'fp32')
            for precision in ('int8', *(f'int8_{each}' for each in others)):
                if files and files.int8:
                    print(processor, folder, precision, 'int8')


def detect(args: Namespace) -> None:
    """Run one model in one precision on this processor; the first run writes the reference."""
    detector = Detector.from_folder(args.model, precision=args.precision, selection=AP_SELECTION)
    dataset = first_images(load_coco(args.annotations), detector.card.class_names, args.count)
    images = {image_id: read_image(path) for image_id, path
              in find_images(dataset, args.images).items()}
    if not args.reference.exists():
        image = next(iter(images.values()))
        blob = detector.make_blob(image, detector.fit(image))
        args.reference.parent.mkdir(parents=True, exist_ok=True)
        np.savez(args.reference, blob, *detector.backend.infer(blob))
    with np.load(args.reference) as arrays:
        blob, *wanted = arrays.values()
    error = output_error([wanted], [detector.backend.infer(blob)])
    detections = {}
    for image_id, image in images.items():
        found = detector.detect(image)
        detections[image_id] = np.column_stack(
            (found.boxes_xyxy, found.scores, found.class_ids)).tolist()
    run = Run(args.processor, str(args.model), args.precision, error, detections)
    args.output.parent.mkdir(parents=True, exist_ok=True)
    args.output.write_bytes(msgspec.json.encode(run))


def lost_boxes(wanted: Detections, given: Detections) -> tuple[int, int, float]:
    """
    Look for the confident boxes of one run in another; each box is taken once.

    :return: number of confident boxes, how many of them are lost, and the largest difference of
        scores of the others.
    """
    overlap = iou_matrix(wanted.boxes_xyxy, given.boxes_xyxy)
    overlap[wanted.class_ids[:, None] != given.class_ids[None, :]] = 0
    confident = np.flatnonzero(wanted.scores >= SCORE_THRESHOLD)
    lost, difference = 0, 0.0
    for row in confident:
        column = int(overlap[row].argmax()) if len(given) else -1
        if column < 0 or overlap[row, column] < IOU:
            lost += 1
            continue
        overlap[:, column] = 0
        difference = max(difference, abs(float(wanted.scores[row] - given.scores[column])))
    return len(confident), lost, difference


def ap_difference(dataset: CocoDataset, names: tuple[str, ...], run: Run,
                  reference: Run) -> Interval:
    """Return the paired 95 % interval of AP there minus AP of the reference, over the images."""
    weights = draw_images(len(dataset.images))
    there, here = (resampled_ap(rank(dataset, {image_id: each.find(image_id) for image_id
                                               in each.detections}, names), weights)
                   for each in (run, reference))
    return interval(there - here) or Interval(0.0, 0.0)


def compare(args: Namespace) -> int:
    """Print a row per run; return the number of rows that exceed a limit."""
    runs = [msgspec.json.decode(path.read_bytes(), type=Run) for path in args.runs]
    references = {(run.folder, run.precision): run for run in runs if run.processor == REFERENCE}
    coco, failed = load_coco(args.annotations), 0
    print('| model | processor | precision | outputs off by % | boxes found again '
          '| largest score difference | AP there | AP reference '
          '| 95 % interval of the difference |', '|---' * 9 + '|', sep='\n')
    for run in runs:
        int8 = run.precision.startswith('int8')
        reference = references[run.folder, 'int8' if int8 else 'fp32']
        if run is reference:
            continue
        counts = [lost_boxes(reference.find(image_id), run.find(image_id))
                  for image_id in run.detections]
        boxes, lost = (sum(each[index] for each in counts) for index in (0, 1))
        names = load_card(Path(run.folder)).class_names
        dataset = first_images(coco, names, len(run.detections))
        there, here = (measure(dataset, {image_id: each.find(image_id) for image_id
                                         in each.detections}, names).ap for each
                       in (run, reference))
        low, high = ap_difference(dataset, names, run, reference)
        limit = INT8_AP_DIFFERENCE if int8 else AP_DIFFERENCE
        good = (100 * lost <= (INT8_LOST_PERCENT if int8 else LOST_PERCENT) * boxes
                and low <= limit and high >= -limit)
        failed += not good
        print(f'| {Path(run.folder).name} | {run.processor} | {run.precision} '
              f'| {run.output_error:.2g} | {boxes - lost} of {boxes} '
              f'| {max(each[2] for each in counts):.3f} | {there} | {here} | {low} to {high} |'
              + ('' if good else ' beyond the limit'))
    return failed


def main() -> int:
    """Run the command line."""
    parser = ArgumentParser(description='Compare what models find on several processors.')
    commands = parser.add_subparsers(dest='command', required=True)
    commands.add_parser('plan').add_argument('models', type=Path, nargs='+', metavar='DIR')
    one = commands.add_parser('detect')
    one.add_argument('--processor', required=True, metavar='NAME')
    one.add_argument('--model', type=Path, required=True, metavar='DIR')
    one.add_argument('--precision', required=True)
    one.add_argument('--images', type=Path, required=True, metavar='DIR')
    one.add_argument('--count', type=int, default=20, metavar='N', help='number of images (20)')
    one.add_argument('--reference', type=Path, required=True, metavar='NPZ',
                     help='file of input blob and outputs to compare with; written if absent')
    one.add_argument('--output', type=Path, required=True, metavar='JSON')
    table = commands.add_parser('compare')
    table.add_argument('runs', type=Path, nargs='+', metavar='JSON')
    for each in (one, table):
        each.add_argument('--annotations', type=Path, required=True, metavar='JSON')
    args = parser.parse_args()
    if args.command != 'compare':
        {'plan': plan, 'detect': detect}[args.command](args)
        return 0
    failed = compare(args)
    if failed:
        print(f'error: {failed} rows are beyond the limit: every box of score >= '
              f'{SCORE_THRESHOLD} found again (int8: {100 - INT8_LOST_PERCENT:g} %), interval of '
              f'the AP difference within {AP_DIFFERENCE} (int8: {INT8_AP_DIFFERENCE}) or across '
              'that limit', file=sys.stderr)
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
