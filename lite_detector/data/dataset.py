# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Labelled images, whatever format they came in.

A reader gives a :class:`Dataset`: the class names, and per image its labels. Pixels are read when
a sample is asked for, so that opening a large dataset costs no more than its annotations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import cv2
from lite_detector.core.errors import DataError
from lite_detector.core.media import read_image
from lite_detector.core.types import FloatArray, ImageArray, ImageSize, IntArray, size_of
from lite_detector.data.findings import Findings
import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
MAX_PIXELS = 1e7
"""Coordinates beyond it, either way, are refused: they are a mistake, and float32 ends there."""


@dataclass(frozen=True, eq=False)
class Sample:
    """
    An image with its labels; one without boxes is a negative and as good as any.

    The labels may be shared with every later reading of the image, so they are read-only.

    :param image_path: where the image came from.
    :param image_bgr: uint8, shape (height, width, 3).
    :param boxes_xyxy: left, top, right, bottom in pixels of the image, float32, shape (n, 4).
    :param class_ids: index into the class names of the dataset, int64, shape (n,).
    :param ignore: crowds and difficult objects: what is found there is neither right nor wrong;
        bool, shape (n,).
    :param scores: how far each box is believed, in [0, 1], 1 where a person labelled; float32,
        shape (n,).
    """

    image_path: Path
    image_bgr: ImageArray
    boxes_xyxy: FloatArray
    class_ids: IntArray
    ignore: BoolArray
    scores: FloatArray

    def shrunk(self, max_side: int) -> Sample:
        """
        Return the sample with its longer side reduced to a limit; a smaller one as it is.

        :param max_side: pixels.
        """
        size = size_of(self.image_bgr)
        if max(size) <= max_side:
            return self
        scale = max_side / max(size)
        width, height = max(1, round(size.width * scale)), max(1, round(size.height * scale))
        image_bgr = cv2.resize(self.image_bgr, (width, height), interpolation=cv2.INTER_AREA)
        factors = np.array((width / size.width, height / size.height) * 2, np.float32)
        return replace(self, image_bgr=image_bgr, boxes_xyxy=self.boxes_xyxy * factors)


@dataclass(frozen=True, eq=False)
class ImageLabels:
    """
    What the annotations say of one image; the arrays become read-only.

    :param image_path: the image; it may turn out to be absent.
    :param boxes: left, top, right, bottom, float32, shape (n, 4).
    :param class_ids: as in :class:`Sample`.
    :param ignore: as in :class:`Sample`.
    :param scores: as in :class:`Sample`.
    :param size: pixels of the image according to the annotations; None: they do not say.
    :param in_fractions: boxes are fractions of width and height instead of pixels.
    :raises ValueError: if the shapes do not fit each other.
    """

    image_path: Path
    boxes: FloatArray
    class_ids: IntArray
    ignore: BoolArray
    scores: FloatArray
    size: ImageSize | None = None
    in_fractions: bool = False

    def __post_init__(self) -> None:
        count = len(self.class_ids)
        for name, array, wanted in (
                ('boxes', self.boxes, (count, 4)), ('class_ids', self.class_ids, (count,)),
                ('ignore', self.ignore, (count,)), ('scores', self.scores, (count,))):
            if array.shape != wanted:
                raise ValueError(f'ImageLabels.{name}: got shape {array.shape}, wanted {wanted}')
            array.flags.writeable = False

    @classmethod
    def from_rows(cls, image_path: Path, rows: Sequence[tuple[int, Sequence[float], bool]],
                  size: ImageSize | None = None, in_fractions: bool = False,
                  scores: Sequence[float] | None = None) -> ImageLabels:
        """
        Put together what a reader found.

        :param rows: class id, left-top-right-bottom and ignore of each box; none: a negative.
        :param scores: how far each box is believed; None: a person labelled them all.
        """
        return cls(image_path,
                   np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
                   np.array([class_id for class_id, _, _ in rows], np.int64),
                   np.array([ignore for _, _, ignore in rows], bool),
                   np.ones(len(rows), np.float32) if scores is None
                   else np.array(scores, np.float32), size, in_fractions)

    def select(self, keep: BoolArray) -> ImageLabels:
        """
        Return the same labels without some of the boxes.

        :param keep: bool, shape (n,).
        """
        if keep.all():
            return self
        return replace(self, boxes=self.boxes[keep], class_ids=self.class_ids[keep],
                       ignore=self.ignore[keep], scores=self.scores[keep])

    def boxes_in(self, size: ImageSize) -> FloatArray:
        """
        Return the boxes in pixels of an image of this size.

        :return: float32, shape (n, 4).
        """
        if not self.in_fractions:
            return self.boxes
        return self.boxes * np.array((size.width, size.height) * 2, np.float32)


class ImageRows(NamedTuple):
    """
    What a reader found in one image.

    :param rows: class id, left-top-right-bottom and ignore of each box; none: a negative.
    :param size: see :class:`ImageLabels`.
    :param in_fractions: see :class:`ImageLabels`.
    :param scores: of each box; None: a person labelled them all.
    """

    image_path: Path
    rows: Sequence[tuple[int, Sequence[float], bool]]
    size: ImageSize | None = None
    in_fractions: bool = False
    scores: Sequence[float] | None = None


def labels_of(images: Sequence[ImageRows]) -> tuple[ImageLabels, ...]:
    """Return the labels of many images; their arrays are slices, which takes half the time."""
    boxes = np.array([box for each in images for _, box, _ in each.rows], np.float32)
    class_ids = np.array([class_id for each in images for class_id, _, _ in each.rows], np.int64)
    ignore = np.array([ignored for each in images for _, _, ignored in each.rows], bool)
    scores = np.ones(len(class_ids), np.float32)
    boxes = boxes.reshape(-1, 4)
    stops = np.cumsum([len(each.rows) for each in images]).tolist()
    labels, start = [], 0
    for each, stop in zip(images, stops, strict=True):
        if each.scores is not None:
            scores[start:stop] = each.scores
        labels.append(ImageLabels(each.image_path, boxes[start:stop], class_ids[start:stop],
                                  ignore[start:stop], scores[start:stop], each.size,
                                  each.in_fractions))
        start = stop
    return tuple(labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """
    Labelled images, read one by one: ``dataset[7]`` is a :class:`Sample`.

    :param source: the annotations, for messages.
    :param class_names: what the class ids mean; the only place that says how many there are.
    :param labels: per image.
    :param findings: what was skipped or read otherwise than written.
    :raises DataError: if a class is named twice or there is no image.
    """

    source: Path
    class_names: tuple[str, ...]
    labels: tuple[ImageLabels, ...]
    findings: Findings = field(default_factory=Findings, repr=False)

    def __post_init__(self) -> None:
        check_class_names(self.class_names, str(self.source))
        if not self.labels:
            raise DataError(f'{self.source}: no image is labelled here')

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """
        Read one image.

        :raises DataError: if it has another size than its annotations say.
        :raises ImageError: if it is absent or cannot be decoded.
        """
        labels = self.labels[index]
        image_bgr = read_sized_image(labels.image_path, labels.size)
        return Sample(labels.image_path, image_bgr, labels.boxes_in(size_of(image_bgr)),
                      labels.class_ids, labels.ignore, labels.scores)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def with_class_names(self, class_names: Sequence[str]) -> Dataset:
        """
        Return the same dataset with other class ids: those of a model or of another split.

        Classes are matched by name. A name that no box uses may be missing on either side; boxes
        of a class that is not in the list are skipped and counted.

        :raises DataError: if they are too many.
        """
        check_class_names(class_names, 'class names')
        index = {name: class_id for class_id, name in enumerate(class_names)}
        new_ids = np.array([index.get(name, -1) for name in self.class_names], np.int64)
        labels = []
        for each in self.labels:
            ids = new_ids[each.class_ids]
            for class_id in each.class_ids[ids < 0]:
                self.findings.skip('unlisted_class', self.source, (
                    f'class {self.class_names[class_id]!r} of {each.image_path.name} is unknown; '
                    f'wanted one of {", ".join(class_names)}'))
            labels.append(replace(each, class_ids=ids).select(ids >= 0))
        self.findings.check()
        return Dataset(self.source, tuple(class_names), tuple(labels), self.findings)

    def ignoring_below(self, min_score: float) -> Dataset:
        """
        Return the same dataset in which boxes that are hardly believed are ignored.

        :param min_score: lowest score of an object, in [0, 1].
        """
        labels = tuple(replace(each, ignore=each.ignore | (each.scores < min_score))
                       for each in self.labels)
        return replace(self, labels=labels)

    @property
    def soft_boxes(self) -> int:
        """How many boxes a model gave: those of a score below 1."""
        return sum(int((each.scores < 1).sum()) for each in self.labels)


def check_class_names(class_names: Sequence[str], where: str) -> None:
    """
    Check a list of classes.

    :param where: name for the message.
    :raises DataError: if it is empty, or a name is blank, not printable or there twice.
    """
    if not class_names:
        raise DataError(f'{where}: there is no class')
    seen: set[str] = set()
    for class_id, name in enumerate(class_names):
        if not name.strip() or not name.isprintable():
            raise DataError(f'{where}: class {class_id} is named {name!r}, wanted something to '
                            'print')
        if name in seen:
            raise DataError(f'{where}: class {name!r} is named twice')
        seen.add(name)


def require_images(paths: Collection[Path]) -> None:
    """
    Find out before the long work whether all images are there.

    :raises DataError: naming the first that is not.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f'{missing[0]}: no such image; {len(missing)} of {len(paths)} that the '
                        'annotations name are missing')


def read_sized_image(path: Path, size: ImageSize | None) -> ImageArray:
    """
    Read an image and compare it with its annotations.

    An image that was labelled without its EXIF rotation is read so: the size says it.

    :param size: what the annotations say; None: nothing.
    :return: uint8 BGR, shape (height, width, 3).
    :raises DataError: if it has another size.
    :raises ImageError: if it is absent or cannot be decoded.
    """
    image_bgr = read_image(path)
    got = size_of(image_bgr)
    if size is not None and got == ImageSize(size.width, size.height) != size:
        image_bgr = read_image(path, upright=False)
        got = size_of(image_bgr)
    if size is not None and got != size:
        raise DataError(f'{path}: {describe_size_error(got, size)}')
    return image_bgr


def describe_size_error(got: ImageSize, wanted: ImageSize) -> str:
    """Say how an image differs from its annotations."""
    is_turned = got == ImageSize(wanted.width, wanted.height)
    return (f'the image is {got} pixels, its annotations are for {wanted}'
            + (': width and height are swapped' if is_turned else ''))
