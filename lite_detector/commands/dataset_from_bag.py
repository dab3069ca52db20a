# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``dataset_from_bag``: extract images and COCO labels from a recording."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
import math
from pathlib import Path
import sys
from typing import NamedTuple

from lite_detector.commands.label import label_info, SCORE_THRESHOLD
from lite_detector.commands.options import (
    add_model_options,
    add_selection_options,
    detector_from,
    selection_from,
)
from lite_detector.core.atomic_files import atomic_folder
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, DataError
from lite_detector.data.bag_dataset import (
    read_recorded_labels,
    RecordedLabels,
    survey,
    write_images,
    WrittenImage,
)
from lite_detector.data.bags import Bag, BagFrame, COMPRESSED, DETECTIONS, IMAGE
from lite_detector.data.extraction import choose_frames, FrameChoice, TRAIN, VAL
from lite_detector.labelling.label_file import LabelledImage, RecordingInfo, write_labels
from lite_detector.labelling.labeller import Labeller, labels_of_people
import msgspec
from tqdm import tqdm

IMAGES = 'images'
"""Folder of the images, in which `train` searches by default."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    choice = FrameChoice()
    parser.add_argument('bag', type=Path, metavar='BAG',
                        help='folder of a recording, or its .mcap or .db3 file')
    parser.add_argument('--topic', help='topic of raw or compressed images (the only image topic '
                                        'of the recording)')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='new folder: images/, instances_train.json, instances_val.json')
    parser.add_argument('--start', type=float, default=0.0, metavar='S',
                        help='start in s after the first image (0)')
    parser.add_argument('--end', type=float, default=math.inf, metavar='S',
                        help='end in s after the first image (end of the recording)')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='use only every Nth image (1)')
    parser.add_argument('--min-difference', type=int, default=choice.min_difference, metavar='N',
                        help='minimum difference of the perceptual hash to every kept image, in '
                             f'bits of 256; 0: keep all ({choice.min_difference})')
    parser.add_argument('--blur', type=float, default=choice.blur, metavar='X',
                        help='minimum sharpness of an image relative to the images around it; 0: '
                             f'keep all ({choice.blur})')
    parser.add_argument('--val-fraction', type=float, default=choice.val_fraction, metavar='X',
                        help='share of each minute for the validation set '
                             f'({choice.val_fraction})')
    parser.add_argument('--labels-topic', metavar='TOPIC',
                        help='topic of recorded Detection2DArray messages to use as labels, '
                             'matched by stamp')
    add_model_options(parser, required=False)
    add_selection_options(parser, SCORE_THRESHOLD)
    parser.add_argument('--classes', nargs='+', metavar='NAME', default=(),
                        help='classes that --model labels (all classes of the model)')
    parser.set_defaults(flip=False)


class Split(NamedTuple):
    """Training or validation part of the written dataset."""

    name: str
    images: Sequence[WrittenImage]
    boxes: int


def run(args: argparse.Namespace) -> None:
    """Choose frames, write and label them, and report the frames left out."""
    choice = _choice(args)
    if not args.model and (args.classes or args.score_threshold != SCORE_THRESHOLD):
        raise ConfigError('--classes, --score-threshold: no --model; expected --model, whose '
                          'detections they select')
    _check_new(args.output)
    selection = msgspec.structs.replace(selection_from(args), classes=tuple(args.classes))
    detector = detector_from(args, selection) if args.model else None
    with Bag(args.bag) as bag:
        topic = bag.find_topic(args.topic, (IMAGE, COMPRESSED), '--topic')
        recorded = None
        if args.labels_topic:
            name = bag.find_topic(args.labels_topic, (DETECTIONS,), '--labels-topic')
            recorded = read_recorded_labels(bag, name)
        labeller = None
        if detector:
            labeller = Labeller(detector, recorded.class_names if recorded else ())
        found = survey(_frames(bag, topic, args), recorded and recorded.boxes)
        chosen, left_out = choose_frames(found.frames, choice)
        left_out += found.left_out
        if not chosen:
            raise DataError(f'{args.bag}: 0 images of {topic} left; expected at least one'
                            f'{_reasons(left_out)}'
                            f'{_in_brackets(found.problem)}{_in_brackets(bag.damage)}')
        splits = {found.numbers[index]: split for index, split in chosen.items()}
        with atomic_folder(args.output) as folder:
            written = write_images(_frames(bag, topic, args), splits, folder / IMAGES, recorded)
            done = [_label(args, folder, topic, split, written.get(split, []), recorded, labeller)
                    for split in (TRAIN, VAL)]
        print(_summary(args, done, left_out, bool(recorded or labeller)))
        if found.problem:
            print(f'warning: first unreadable image: {found.problem}', file=sys.stderr)
        if bag.other_topics:
            name, encoding = next(iter(bag.other_topics.items()))
            print(f'warning: {len(bag.other_topics)} topics without ROS messages skipped, e.g. '
                  f'{name} ({encoding})', file=sys.stderr)
        if bag.damage:
            print(f'warning: {args.bag}: damaged: {bag.damage}; {len(found.frames)} images read',
                  file=sys.stderr)


def _choice(args: argparse.Namespace) -> FrameChoice:
    for option, is_right, expected in (
            ('--every', args.every >= 1, '1 or more'), ('--start', args.start >= 0, '0 or more'),
            ('--end', args.end > args.start, 'more than --start')):
        if not is_right:
            raise ConfigError(f'{option}: {getattr(args, option[2:]):g}; expected {expected}')
    return from_mapping({'min_difference': args.min_difference, 'blur': args.blur,
                         'val_fraction': args.val_fraction}, FrameChoice, 'options')


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'--output {folder}: exists; expected a new or empty folder')


def _frames(bag: Bag, topic: str, args: argparse.Namespace) -> Iterator[BagFrame]:
    frames = bag.frames(topic, args.start, args.end, args.every)
    return iter(tqdm(frames, unit='image', leave=False, disable=None))


def _label(args: argparse.Namespace, folder: Path, topic: str, split: str,
           images: Sequence[WrittenImage], recorded: RecordedLabels | None,
           labeller: Labeller | None) -> Split:
    """Label the images of a split and write the labels, if there is a model or recorded labels."""
    labelled: dict[str, LabelledImage] = {}
    for name, size, labels in tqdm(images, unit='image', leave=False, disable=None):
        if labeller:
            labelled[name] = labeller.label(folder / IMAGES / name, labels)
        elif recorded:
            labelled[name] = LabelledImage(
                size, tuple(labels_of_people(labels, recorded.class_names, size)))
    if labelled:
        info = label_info(args, labeller) if labeller else RecordingInfo(
            recording=args.bag.name, topic=topic, labels_topic=args.labels_topic,
            class_names=recorded.class_names if recorded else ())
        write_labels(folder / f'instances_{split}.json', info, labelled.items())
    return Split(split, images, sum(len(each.labels) for each in labelled.values()))


def _summary(args: argparse.Namespace, splits: Sequence[Split], left_out: Counter[str],
             is_labelled: bool) -> str:
    lines = [f'{args.output}:']
    for name, images, boxes in splits:
        counted = f', {boxes} boxes' if is_labelled else ''
        lines.append(f'  {name:5} {len(images):6} images{counted}')
    lines += [f'  {count:12} left out: {reason}' for reason, count in left_out.items() if count]
    if not is_labelled:
        lines.append('no labels; label the images with a model: lite_detector label --images '
                     f'{args.output / IMAGES / TRAIN} --model M --output labels.json')
    return '\n'.join(lines)


def _reasons(left_out: Counter[str]) -> str:
    said = ', '.join(f'{count} {reason}' for reason, count in left_out.items() if count)
    return f': {said}' if said else ''


def _in_brackets(text: str) -> str:
    return f' ({text})' if text else ''
