# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``label``: label images with a model; training uses the scores as soft labels."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
import sys
import time

from lite_detector.commands.options import (
    add_model_options,
    add_reading_options,
    add_selection_options,
    check_writable,
    detector_from,
    findings_from,
    is_checkpoint,
    print_findings,
    selection_from,
)
from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.core.model_card import load_card, resolve_file
from lite_detector.data.formats import read_annotations
from lite_detector.labelling.label_file import LabelInfo, LabelledImage, read_labels, write_labels
from lite_detector.labelling.labeller import (
    images_of_dataset,
    images_of_folder,
    known_images,
    Labeller,
    Wanted,
)
from lite_detector.zoo import find_model
import msgspec
from tqdm import tqdm

SCORE_THRESHOLD = 0.1
"""Low default, because the score of a box is its weight in training."""
KEEP_EVERY_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('--images', required=True, type=Path, metavar='DIR',
                        help='folder of the images')
    parser.add_argument('--annotations', type=Path, metavar='F',
                        help='annotations to extend: their images are labelled, their boxes kept, '
                             'and the model adds boxes of other classes')
    parser.add_argument('--unlabelled', action='store_true',
                        help='use only the image names of --annotations, not the boxes')
    parser.add_argument('--output', required=True, type=Path, metavar='F',
                        help='COCO file to write; an existing file of the same options is '
                             'continued')
    add_reading_options(parser)
    add_model_options(parser)
    add_selection_options(parser, SCORE_THRESHOLD)
    parser.add_argument('--classes', nargs='+', metavar='NAME', default=(),
                        help='classes to label (all classes of the model)')
    parser.add_argument('--flip', action='store_true',
                        help='average the predictions of the image and its mirror image: better '
                             'labels in twice the time')


def run(args: argparse.Namespace) -> None:
    """Label the images that have no labels; report and skip an image that cannot be read."""
    check_writable(args.output)
    wanted, labelled = _wanted(args)
    selection = msgspec.structs.replace(selection_from(args), classes=tuple(args.classes))
    detector = detector_from(args, selection)
    labeller = Labeller(detector, labelled, args.flip)
    info = label_info(args, labeller)
    earlier = read_labels(args.output, info)
    images = known_images(labeller, wanted, args.images, earlier)
    known = len(images)
    if len(earlier) > known:
        print(f'{len(earlier) - known} images of {args.output} do not exist: their labels are '
              'removed')
    try:
        failed = _label(args, labeller, wanted, images, info)
    finally:  # also after Ctrl-C
        if images:
            _write(args.output, info, wanted, images)
    if not images:
        raise DataError(f'--images {args.images}: 0 of {failed} images labelled; the warnings '
                        'give the reasons')
    print(_summary(args.output, info, images, known, failed))


def _wanted(args: argparse.Namespace) -> tuple[Wanted, tuple[str, ...]]:
    """Return the images and the classes that are labelled by people."""
    if args.annotations is None:
        return images_of_folder(args.images), ()
    findings = findings_from(args)
    dataset = read_annotations(args.annotations, args.images, findings=findings)
    findings.check()
    print_findings(findings, args.annotations)
    images = images_of_dataset(dataset, args.images)
    return (dict.fromkeys(images), ()) if args.unlabelled else (images, dataset.class_names)


def _label(args: argparse.Namespace, labeller: Labeller, wanted: Wanted,
           images: dict[str, LabelledImage], info: LabelInfo) -> int:
    """Label the images that are missing in ``images``; return the number of unreadable ones."""
    failed, kept_at = 0, time.monotonic()
    new = [name for name in wanted if name not in images]
    with tqdm(new, unit='image', disable=None) as progress:
        for name in progress:
            try:
                images[name] = labeller.label(args.images / name, wanted[name])
            except LiteDetectorError as error:
                failed += 1
                progress.write(f'warning: skipped: {error}', file=sys.stderr)
            if time.monotonic() - kept_at > KEEP_EVERY_S:
                _write(args.output, info, wanted, images)
                kept_at = time.monotonic()
    return failed


def _write(path: Path, info: LabelInfo, wanted: Wanted, images: dict[str, LabelledImage]) -> None:
    write_labels(path, info, ((name, images[name]) for name in wanted if name in images))


def label_info(args: argparse.Namespace, labeller: Labeller) -> LabelInfo:
    """Return the teacher and its settings: model options, ``flip`` and ``score_threshold``."""
    detector = labeller.detector
    checkpoint, card, selection = is_checkpoint(args.model), detector.card, detector.selection
    named = {*labeller.classes, *labeller.labelled}
    class_names = dict.fromkeys(
        name for name in (*card.class_names, *labeller.labelled) if name in named)
    weights = hashlib.sha256(_weights(args).read_bytes()).hexdigest()
    return LabelInfo(
        teacher=card.name, family=card.family, weights_sha256=weights,
        runtime='torch' if checkpoint else args.runtime,
        precision='fp32' if checkpoint else args.precision,
        input_size=str(detector.input_size), resize=card.preprocess.resize, flip=args.flip,
        score_threshold=args.score_threshold, nms_iou_threshold=selection.nms_iou_threshold,
        max_detections=selection.max_detections, classes=labeller.classes,
        labelled_classes=labeller.labelled, class_names=tuple(class_names))


def _weights(args: argparse.Namespace) -> Path:
    if is_checkpoint(args.model):
        return Path(args.model)
    folder = find_model(args.model)
    files = getattr(load_card(folder).runtimes, args.runtime).files().values()
    paths = [resolve_file(folder, name) for name in files]
    return max(paths, key=lambda path: path.stat().st_size)


def _summary(path: Path, info: LabelInfo, images: dict[str, LabelledImage], known: int,
             failed: int) -> str:
    labels = [label for image in images.values() for label in image.labels]
    soft = sum(label.score is not None for label in labels)
    lines = [f'{path}: {len(images)} images, {len(images) - known} of them new',
             f'  {soft} boxes of {info.teacher}, '
             f'{soft / len(images):.1f} per image', f'  {len(labels) - soft} boxes of people']
    if failed:
        lines.append(f'  {failed} images skipped')
    return '\n'.join(lines)
