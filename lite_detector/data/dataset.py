# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Labelled images in a common structure for all formats.

A reader returns a :class:`Dataset`: the class names and the labels of each image. Pixels are read
when a sample is requested, so opening a large dataset only reads its annotations.
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
"""Maximum absolute coordinate in pixels; larger ones are errors and exceed float32 precision."""


@dataclass(frozen=True, eq=False)
class Sample:
    """
    An image with its labels; an image without boxes is a negative sample.

    The labels may be shared with later reads of the image, so they are read-only.

    :param image_path: Path of the image.
    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    :param boxes_xyxy: Left, top, right, bottom in pixels of the image, float32, shape (n, 4).
    :param class_ids: Index into the class names of the dataset, int64, shape (n,).
    :param ignore: Mask of crowds and difficult objects, bool, shape (n,). Detections there count
        neither as true nor as false positives.
    :param scores: Soft label weight of each box, 0 to 1, float32, shape (n,); 1 for labels of a
        person.
    """

    image_path: Path
    image_bgr: ImageArray
    boxes_xyxy: FloatArray
    class_ids: IntArray
    ignore: BoolArray
    scores: FloatArray

    def shrunk(self, max_side: int) -> Sample:
        """
        Return the sample with its longer side reduced to a limit; smaller images are unchanged.

        :param max_side: Maximum length of the longer side in pixels.
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
    Annotations of one image; the arrays become read-only.

    :param image_path: Path of the image, which may not exist.
    :param boxes: Left, top, right, bottom, float32, shape (n, 4).
    :param class_ids: Class ids, see :class:`Sample`.
    :param ignore: Mask of ignored boxes, see :class:`Sample`.
    :param scores: Soft label weights, see :class:`Sample`.
    :param size: Size of the image in pixels according to the annotations; None: unknown.
    :param in_fractions: True: boxes are fractions of width and height. False: boxes are in pixels.
    :raises ValueError: if the shapes do not match.
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
                raise ValueError(f'ImageLabels.{name}: shape {array.shape}; expected {wanted}')
            array.flags.writeable = False

    @classmethod
    def from_rows(cls, image_path: Path, rows: Sequence[tuple[int, Sequence[float], bool]],
                  size: ImageSize | None = None, in_fractions: bool = False,
                  scores: Sequence[float] | None = None) -> ImageLabels:
        """
        Build the labels of an image from the rows of a reader.

        :param rows: Class id, (left, top, right, bottom) and ignore flag of each box.
        :param scores: Soft label weight of each box, 0 to 1; None: all weights are 1.
        """
        return cls(image_path,
                   np.array([box for _, box, _ in rows], np.float32).reshape(-1, 4),
                   np.array([class_id for class_id, _, _ in rows], np.int64),
                   np.array([ignore for _, _, ignore in rows], bool),
                   np.ones(len(rows), np.float32) if scores is None
                   else np.array(scores, np.float32), size, in_fractions)

    def select(self, keep: BoolArray) -> ImageLabels:
        """
        Return the labels of the selected boxes.

        :param keep: Mask of the boxes to keep, bool, shape (n,).
        """
        if keep.all():
            return self
        return replace(self, boxes=self.boxes[keep], class_ids=self.class_ids[keep],
                       ignore=self.ignore[keep], scores=self.scores[keep])

    def boxes_in(self, size: ImageSize) -> FloatArray:
        """
        Return the boxes in pixels of an image of the given size.

        :return: Left, top, right, bottom, float32, shape (n, 4).
        """
        if not self.in_fractions:
            return self.boxes
        return self.boxes * np.array((size.width, size.height) * 2, np.float32)


class ImageRows(NamedTuple):
    """
    Labels of one image as a reader found them.

    :param rows: Class id, (left, top, right, bottom) and ignore flag of each box.
    :param size: Size of the image, see :class:`ImageLabels`.
    :param in_fractions: Unit of the boxes, see :class:`ImageLabels`.
    :param scores: Soft label weight of each box, 0 to 1; None: all weights are 1.
    """

    image_path: Path
    rows: Sequence[tuple[int, Sequence[float], bool]]
    size: ImageSize | None = None
    in_fractions: bool = False
    scores: Sequence[float] | None = None


def labels_of(images: Sequence[ImageRows]) -> tuple[ImageLabels, ...]:
    """Return the labels of many images; slices of shared arrays halve the time."""
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
    Labelled images, read on access: ``dataset[7]`` is a :class:`Sample`.

    :param source: Path of the annotations, for messages.
    :param class_names: Names of the classes; the class ids are indices into them.
    :param labels: Labels of each image.
    :param findings: Skipped items and notes of the reader.
    :raises DataError: if a class name is a duplicate or there is no image.
    """

    source: Path
    class_names: tuple[str, ...]
    labels: tuple[ImageLabels, ...]
    findings: Findings = field(default_factory=Findings, repr=False)

    def __post_init__(self) -> None:
        check_class_names(self.class_names, str(self.source))
        if not self.labels:
            raise DataError(f'{self.source}: no labelled image')

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> Sample:
        """
        Read one image.

        :raises DataError: if the image has another size than its annotations state.
        :raises ImageError: if the image is absent or cannot be decoded.
        """
        labels = self.labels[index]
        image_bgr = read_sized_image(labels.image_path, labels.size)
        return Sample(labels.image_path, image_bgr, labels.boxes_in(size_of(image_bgr)),
                      labels.class_ids, labels.ignore, labels.scores)

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def with_class_names(self, class_names: Sequence[str]) -> Dataset:
        """
        Return the dataset with the class ids of another list of names, such as those of a model.

        Classes are matched by name. Names that no box uses may be missing on either side. Boxes of
        a class that is not in the list are skipped and counted.

        :raises DataError: if too many boxes are skipped.
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
                    f'expected one of {", ".join(class_names)}'))
            labels.append(replace(each, class_ids=ids).select(ids >= 0))
        self.findings.check()
        return Dataset(self.source, tuple(class_names), tuple(labels), self.findings)

    def ignoring_below(self, min_score: float) -> Dataset:
        """
        Return the dataset with boxes below a score marked as ignored.

        :param min_score: Minimum score of an object, 0 to 1.
        """
        labels = tuple(replace(each, ignore=each.ignore | (each.scores < min_score))
                       for each in self.labels)
        return replace(self, labels=labels)

    @property
    def soft_boxes(self) -> int:
        """Return the number of boxes with a score below 1, which a model labelled."""
        return sum(int((each.scores < 1).sum()) for each in self.labels)


def check_class_names(class_names: Sequence[str], where: str) -> None:
    """
    Check a list of classes.

    :param where: Source of the names, for messages.
    :raises DataError: if the list is empty, or a name is blank, not printable or a duplicate.
    """
    if not class_names:
        raise DataError(f'{where}: no class; expected at least one class name')
    seen: set[str] = set()
    for class_id, name in enumerate(class_names):
        if not name.strip() or not name.isprintable():
            raise DataError(f'{where}: class {class_id} is named {name!r}; expected a printable '
                            'name')
        if name in seen:
            raise DataError(f'{where}: duplicate class name {name!r}')
        seen.add(name)


def require_images(paths: Collection[Path]) -> None:
    """
    Check that all images exist, before long work starts.

    :raises DataError: if images are missing; the message has the first one.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(f'{missing[0]}: no such image; {len(missing)} of {len(paths)} images of '
                        'the annotations are missing')


def read_sized_image(path: Path, size: ImageSize | None) -> ImageArray:
    """
    Read an image and compare it with its annotations.

    The EXIF rotation is ignored if only the unrotated image has the size of the annotations.

    :param size: Size according to the annotations; None: unknown.
    :return: BGR image, uint8, shape (height, width, 3).
    :raises DataError: if the image has another size.
    :raises ImageError: if the image is absent or cannot be decoded.
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
    """Return a message that compares the size of an image with its annotations."""
    is_turned = got == ImageSize(wanted.width, wanted.height)
    return (f'image size {got}; the annotations expect {wanted}'
            + (': width and height are swapped' if is_turned else ''))
