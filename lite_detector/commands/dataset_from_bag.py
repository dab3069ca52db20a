# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``dataset_from_bag``: a recording -> images and COCO labels to train on."""

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
"""Where `train` looks beside the labels."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    choice = FrameChoice()
    parser.add_argument('bag', type=Path, metavar='BAG',
                        help='folder of a recording, or its .mcap or .db3 file')
    parser.add_argument('--topic', help='of the images, raw or compressed (the only one)')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='new folder: images/, instances_train.json, instances_val.json')
    parser.add_argument('--start', type=float, default=0.0, metavar='S',
                        help='seconds after the first image (0)')
    parser.add_argument('--end', type=float, default=math.inf, metavar='S',
                        help='the same (its end)')
    parser.add_argument('--every', type=int, default=1, metavar='N',
                        help='look at one image of N only (1)')
    parser.add_argument('--min-difference', type=int, default=choice.min_difference, metavar='N',
                        help='drop an image whose look differs in fewer bits of 256 from one that '
                             f'is kept ({choice.min_difference}; 0: keep all)')
    parser.add_argument('--blur', type=float, default=choice.blur, metavar='X',
                        help='drop an image less than X times as sharp as its neighbours '
                             f'({choice.blur}; 0: keep all)')
    parser.add_argument('--val-fraction', type=float, default=choice.val_fraction, metavar='X',
                        help=f'part of each minute that is for validation ({choice.val_fraction})')
    parser.add_argument('--labels-topic', metavar='TOPIC',
                        help='recorded Detection2DArray that become labels, by the stamps')
    add_model_options(parser, required=False)
    add_selection_options(parser, SCORE_THRESHOLD)
    parser.add_argument('--classes', nargs='+', metavar='NAME', default=(),
                        help='what --model looks for (all that it knows)')
    parser.set_defaults(flip=False)


class Split(NamedTuple):
    """One of the two parts of a dataset, as it is written."""

    name: str
    images: Sequence[WrittenImage]
    boxes: int


def run(args: argparse.Namespace) -> None:
    """Choose frames, write them, label them, and say what became of the others."""
    choice = _choice(args)
    if not args.model and (args.classes or args.score_threshold != SCORE_THRESHOLD):
        raise ConfigError('--classes, --score-threshold: they choose what --model finds; wanted '
                          '--model too')
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
            raise DataError(f'{args.bag}: no image of {topic} is left{_reasons(left_out)}'
                            f'{_in_brackets(found.problem)}{_in_brackets(bag.damage)}')
        splits = {found.numbers[index]: split for index, split in chosen.items()}
        with atomic_folder(args.output) as folder:
            written = write_images(_frames(bag, topic, args), splits, folder / IMAGES, recorded)
            done = [_label(args, folder, topic, split, written.get(split, []), recorded, labeller)
                    for split in (TRAIN, VAL)]
        print(_summary(args, done, left_out, bool(recorded or labeller)))
        if found.problem:
            print(f'warning: the first that cannot be read: {found.problem}', file=sys.stderr)
        if bag.other_topics:
            name, encoding = next(iter(bag.other_topics.items()))
            print(f'warning: {len(bag.other_topics)} topics skipped: no ROS messages, first '
                  f'{name} ({encoding})', file=sys.stderr)
        if bag.damage:
            print(f'warning: damaged: {bag.damage}; {len(found.frames)} images could be read',
                  file=sys.stderr)


def _choice(args: argparse.Namespace) -> FrameChoice:
    for option, is_right, wanted in (
            ('--every', args.every >= 1, '1 or more'), ('--start', args.start >= 0, '0 or more'),
            ('--end', args.end > args.start, 'more than --start')):
        if not is_right:
            got = getattr(args, option[2:])
            raise ConfigError(f'{option}: got {got:g}, wanted {wanted}')
    return from_mapping({'min_difference': args.min_difference, 'blur': args.blur,
                         'val_fraction': args.val_fraction}, FrameChoice, 'options')


def _check_new(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f'--output {folder}: exists; wanted a new folder')


def _frames(bag: Bag, topic: str, args: argparse.Namespace) -> Iterator[BagFrame]:
    frames = bag.frames(topic, args.start, args.end, args.every)
    return iter(tqdm(frames, unit='image', leave=False, disable=None))


def _label(args: argparse.Namespace, folder: Path, topic: str, split: str,
           images: Sequence[WrittenImage], recorded: RecordedLabels | None,
           labeller: Labeller | None) -> Split:
    """Label the images of a split and write them down, where there is anybody to label them."""
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
        lines.append(f'no labels yet; a model gives some: lite_detector label --images '
                     f'{args.output / IMAGES / TRAIN} --model M --output labels.json')
    return '\n'.join(lines)


def _reasons(left_out: Counter[str]) -> str:
    said = ', '.join(f'{count} {reason}' for reason, count in left_out.items() if count)
    return f': {said}' if said else ''


def _in_brackets(text: str) -> str:
    return f' ({text})' if text else ''
