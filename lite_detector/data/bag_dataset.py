# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Extract images and recorded labels from a recording into a training and a validation folder."""

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
"""Minimum side of a box in pixels after clipping to the image; narrower boxes are discarded."""


@dataclass
class Survey:
    """
    Usable and unusable images of a recording.

    :param frames: Facts of the usable images, in the order of their recording.
    :param numbers: Index of each usable image among all images that were read.
    :param left_out: Reason -> number of images that cannot be used.
    :param problem: Error message of the first image that cannot be decoded; empty: none.
    """

    frames: list[FrameFacts] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    problem: str = ''


class RecordedLabels(NamedTuple):
    """
    Recorded detections, indexed by the stamp of their image.

    :param class_names: Names of the classes, sorted.
    :param boxes: Mapping of ``header.stamp`` in nanoseconds to the boxes of that image.
    """

    class_names: tuple[str, ...]
    boxes: Mapping[int, Sequence[RecordedBox]]


class WrittenImage(NamedTuple):
    """
    An image file that was written.

    :param name: Path relative to the folder of images.
    :param size: Height and width in pixels.
    :param labels: Recorded labels of the image; None: labels were not requested.
    """

    name: str
    size: ImageSize
    labels: ImageLabels | None


def read_recorded_labels(bag: Bag, topic: str) -> RecordedLabels:
    """
    Read all detections of a topic.

    :raises DataError: if the topic has no box, or stamps or class names are missing.
    """
    boxes = dict(bag.detections(topic))
    if 0 in boxes:
        raise DataError(f'{bag.path}: {topic}: header.stamp is 0; expected the stamp of the '
                        'image that the boxes belong to')
    names = {box.class_id for each in boxes.values() for box in each}
    if not names:
        raise DataError(f'{bag.path}: {topic}: no box; expected recorded detections')
    blank = [name for name in names if not name.strip() or not name.isprintable()]
    if blank:
        raise DataError(f'{bag.path}: {topic}: class_id is {blank[0]!r}; expected the name of a '
                        'class')
    return RecordedLabels(tuple(sorted(names)), boxes)


def survey(frames: Iterable[BagFrame], stamps_ns: Collection[int] | None = None) -> Survey:
    """
    Decode every image once and collect its facts.

    :param frames: Images of the recording, from :meth:`Bag.frames`.
    :param stamps_ns: Stamps of the images that have labels, nanoseconds; None: use all images.
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
    Write the selected images: JPEG and PNG as recorded, others as JPEG.

    :param frames: Images of the recording, the same as for :func:`survey`.
    :param splits: Index of a frame -> name of its split, a folder below ``folder``.
    :param folder: Directory for the images; created if absent.
    :param labels: Recorded labels of the images; None: write images only.
    :return: Mapping of split name to its images, which are named by their stamps.
    :raises OSError: if an image cannot be written.
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
    Return recorded detections as labels, clipped to the image and without empty boxes.

    A score outside of (0, 1) counts as "not set"; the label then has the weight 1.
    """
    rows, scores = [], []
    for box in boxes:
        left, right = np.clip(box.box_xyxy[0::2], 0, size.width).tolist()
        top, bottom = np.clip(box.box_xyxy[1::2], 0, size.height).tolist()
        # written so that NaN is also discarded
        if not (right - left >= MIN_BOX_SIDE and bottom - top >= MIN_BOX_SIDE):
            continue
        rows.append((class_names.index(box.class_id), (left, top, right, bottom), False))
        scores.append(1.0 if math.isnan(box.score) or not 0 < box.score < 1 else box.score)
    return ImageLabels.from_rows(path, rows, size, scores=scores)
