# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A recording -> images on disk, in two folders, with the labels that were recorded with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
import math
from pathlib import Path
from typing import NamedTuple

import cv2
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.types import ImageSize, MIN_SIDE
from lite_detector.data.bags import Bag, BagFrame, RecordedBox
from lite_detector.data.dataset import ImageLabels
from lite_detector.data.extraction import FrameFacts
import numpy as np

JPEG_QUALITY = 95
MIN_BOX_SIDE = 1.0
"""Pixels; what is thinner after the border of the image has cut it is no box to learn from."""


@dataclass
class Survey:
    """
    What there is in a recording.

    :param frames: facts of the images that could be used.
    :param numbers: the place of each among all that were read.
    :param left_out: why how many others could not be used.
    :param problem: what was wrong with the first that could not be decoded.
    """

    frames: list[FrameFacts] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problem: str = ''


class RecordedLabels(NamedTuple):
    """
    Recorded detections, by the stamp of their image.

    :param class_names: sorted.
    :param boxes: ``header.stamp`` in nanoseconds -> boxes.
    """

    class_names: tuple[str, ...]
    boxes: Mapping[int, Sequence[RecordedBox]]


class WrittenImage(NamedTuple):
    """
    An image on disk.

    :param name: relative to the folder of images.
    :param size: in pixels.
    :param labels: those that were recorded; None: none were asked for.
    """

    name: str
    size: ImageSize
    labels: ImageLabels | None


def read_recorded_labels(bag: Bag, topic: str) -> RecordedLabels:
    """
    Read all detections of a topic.

    :raises DataError: if there is no box.
    """
    boxes = dict(bag.detections(topic))
    if 0 in boxes:
        raise DataError(f'{bag.path}: {topic}: header.stamp is zero, so nobody can tell which '
                        'image a box belongs to')
    names = {box.class_id for each in boxes.values() for box in each}
    if not names:
        raise DataError(f'{bag.path}: not one box on {topic}')
    blank = [name for name in names if not name.strip() or not name.isprintable()]
    if blank:
        raise DataError(f'{bag.path}: {topic}: class_id is {blank[0]!r}, wanted the name of a '
                        'class')
    return RecordedLabels(tuple(sorted(names)), boxes)


def survey(frames: Iterable[BagFrame], stamps_ns: Collection[int] | None = None) -> Survey:
    """
    Look at every image once.

    :param frames: of :meth:`Bag.frames`.
    :param stamps_ns: of the images that have labels; None: all images are wanted.
    """
    found = Survey()
    for number, frame in enumerate(frames):
        if stamps_ns is not None and frame.stamp_ns not in stamps_ns:
            found.left_out['without recorded detections of their stamp'] += 1
            continue
        try:
            image_bgr = frame.image_bgr()
            if min(image_bgr.shape[:2]) < MIN_SIDE:
                raise ImageError(f'image is {image_bgr.shape[1]}x{image_bgr.shape[0]}')
        except ImageError as error:
            found.left_out['that cannot be read'] += 1
            found.problem = found.problem or str(error)
            continue
        found.frames.append(FrameFacts.of(frame.time_ns / 1e9, image_bgr))
        found.numbers.append(number)
    return found


def write_images(frames: Iterable[BagFrame], splits: Mapping[int, str], folder: Path,
                 labels: RecordedLabels | None) -> dict[str, list[WrittenImage]]:
    """
    Write the images that were chosen: JPEG and PNG as they were recorded, others as JPEG.

    :param frames: the same as for :func:`survey`.
    :param splits: number of the frame -> name of the folder below ``folder`` that it goes to.
    :param folder: of images; made here.
    :return: the same names -> images, called by their stamps.
    :raises OSError: if one cannot be written.
    """
    written: dict[str, list[WrittenImage]] = {}
    taken: Counter[str] = Counter()
    for number, frame in enumerate(frames):
        if number not in splits:
            continue
        target = folder / splits[number]
        target.mkdir(parents=True, exist_ok=True)
        image_bgr = frame.image_bgr()
        size = ImageSize(*image_bgr.shape[:2])
        suffix, data = frame.file_bytes() or ('.jpg', cv2.imencode(
            '.jpg', image_bgr, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1].tobytes())
        stem = '{}_{:09d}'.format(*divmod(frame.stamp_ns or frame.time_ns, 10 ** 9))
        taken[stem] += 1
        twin = f'_{taken[stem]}' if taken[stem] > 1 else ''
        path = target / f'{stem}{twin}{suffix}'
        path.write_bytes(data)
        recorded = None if labels is None else recorded_labels(
            path, size, labels.boxes[frame.stamp_ns], labels.class_names)
        written.setdefault(splits[number], []).append(
            WrittenImage(f'{splits[number]}/{path.name}', size, recorded))
    return written


def recorded_labels(path: Path, size: ImageSize, boxes: Iterable[RecordedBox],
                    class_names: Sequence[str]) -> ImageLabels:
    """
    Return recorded detections as labels of an image: cut at its border, no box without extent.

    A score of 0 is taken for one that was not filled in: the box is certain.
    """
    rows, scores = [], []
    for box in boxes:
        left, right = np.clip(box.box_xyxy[0::2], 0, size.width).tolist()
        top, bottom = np.clip(box.box_xyxy[1::2], 0, size.height).tolist()
        # also for NaN
        if not (right - left >= MIN_BOX_SIDE and bottom - top >= MIN_BOX_SIDE):
            continue
        rows.append((class_names.index(box.class_id), (left, top, right, bottom), False))
        scores.append(1.0 if math.isnan(box.score) or not 0 < box.score < 1 else box.score)
    return ImageLabels.from_rows(path, rows, size, scores=scores)
