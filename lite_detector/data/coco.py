# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""COCO json: images, boxes and category names."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from lite_detector.core.errors import DataError
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageSize, size_of
from lite_detector.data.dataset import Dataset, ImageLabels, MAX_PIXELS, require_images
import msgspec
from msgspec import Meta

Coordinate = Annotated[float, Meta(ge=-MAX_PIXELS, le=MAX_PIXELS)]
Extent = Annotated[float, Meta(ge=0, le=MAX_PIXELS)]
Area = Annotated[float, Meta(ge=0)]
Score = Annotated[float, Meta(ge=0, le=1)]
Pixels = Annotated[int, Meta(ge=1)]


class CocoImage(msgspec.Struct, frozen=True):
    """A labelled image."""

    image_id: int = msgspec.field(name='id')
    file_name: str
    """Relative to the folder of images."""
    width: Pixels
    height: Pixels

    @property
    def size(self) -> ImageSize:
        """Pixels of the image that the boxes belong to."""
        return ImageSize(self.height, self.width)


class CocoAnnotation(msgspec.Struct, frozen=True):
    """A labelled box; polygons and key points are not read."""

    image_id: int
    category_id: int
    bbox: tuple[Coordinate, Coordinate, Extent, Extent]
    """Left, top, width, height in pixels."""
    area: Area | None = None
    """Pixels of the object itself; None: those of its box."""
    iscrowd: int = 0
    """Not 0: a group, not labelled one by one; boxes in it are neither right nor wrong."""
    score: Score | None = None
    """How far the model that gave the label believes it; None: a person gave it."""


class CocoCategory(msgspec.Struct, frozen=True):
    """A class; ids are any numbers, also with gaps."""

    category_id: int = msgspec.field(name='id')
    name: str


class CocoDataset(msgspec.Struct, frozen=True):
    """A COCO file; keys beside these are passed over."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]

    def ignoring_below(self, min_score: float) -> CocoDataset:
        """
        Return the same dataset in which boxes of a lower score are ignored, like crowds.

        :param min_score: lowest score of an object, in [0, 1]; boxes without a score stay.
        """
        return msgspec.structs.replace(self, annotations=tuple(
            msgspec.structs.replace(box, iscrowd=1)
            if box.score is not None and box.score < min_score else box
            for box in self.annotations))


class _Teacher(msgspec.Struct):
    teacher: str


class _Header(msgspec.Struct):
    info: _Teacher


def load_coco(path: Path) -> CocoDataset:
    """
    Read and check a COCO file.

    :raises DataError: if it is absent, not JSON, of another form, without images, or contradicts
        itself.
    """
    try:
        dataset = msgspec.json.decode(path.read_bytes(), type=CocoDataset)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None
    except msgspec.ValidationError as error:
        raise DataError(f'{path}: no COCO file: {error}') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f'{path}: not valid JSON: {error}') from None
    if not dataset.images:
        raise DataError(f'{path}: images: the list is empty')
    _check_unique(path, 'image id', (image.image_id for image in dataset.images))
    _check_unique(path, 'category id', (category.category_id for category in dataset.categories))
    _check_unique(path, 'category name', (category.name for category in dataset.categories))
    _check_references(path, dataset)
    return dataset


def labelled_by(path: Path) -> str | None:
    """Return the name of the model that gave these labels; None if people did."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Header).info.teacher
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def find_images(dataset: CocoDataset, folder: Path) -> dict[int, Path]:
    """
    Return image id -> path of every image.

    :param folder: where the images lie.
    :raises DataError: naming the first that is not there.
    """
    paths = {image.image_id: folder / image.file_name for image in dataset.images}
    require_images(paths.values())
    return paths


def read_coco(path: Path, images: Path) -> Dataset:
    """
    Read a COCO file; class ids count its categories by rising category id, gaps closed.

    :param images: folder that the file names are relative to.
    :raises DataError: as :func:`load_coco`, or if there is no category.
    """
    coco = load_coco(path)
    categories = sorted(coco.categories, key=lambda category: category.category_id)
    class_ids = {category.category_id: index for index, category in enumerate(categories)}
    rows, scores = defaultdict(list), defaultdict(list)
    for annotation in coco.annotations:
        left, top, width, height = annotation.bbox
        rows[annotation.image_id].append((
            class_ids[annotation.category_id], (left, top, left + width, top + height),
            annotation.iscrowd != 0))
        scores[annotation.image_id].append(1 if annotation.score is None else annotation.score)
    labels = tuple(ImageLabels.from_rows(images / image.file_name, rows[image.image_id],
                                         image.size, scores=scores[image.image_id])
                   for image in coco.images)
    return Dataset(path, tuple(category.name for category in categories), labels)


def to_coco(dataset: Dataset) -> CocoDataset:
    """
    Return a dataset of any format as AP is measured on it.

    Image ids and category ids count from 1; file names are absolute.

    :raises ImageError: if the annotations do not say the size of an image that cannot be read.
    """
    images, annotations = [], []
    for image_id, labels in enumerate(dataset.labels, start=1):
        path = labels.image_path
        height, width = labels.size or size_of(read_image(path))
        images.append(CocoImage(image_id, str(path.absolute()), width, height))
        for (left, top, right, bottom), class_id, ignore, score in zip(
                labels.boxes_in(ImageSize(height, width)).tolist(), labels.class_ids.tolist(),
                labels.ignore.tolist(), labels.scores.tolist(), strict=True):
            annotations.append(CocoAnnotation(
                image_id, class_id + 1, (left, top, right - left, bottom - top),
                iscrowd=int(ignore), score=score if score < 1 else None))
    categories = tuple(CocoCategory(class_id, name) for class_id, name
                       in enumerate(dataset.class_names, start=1))
    return CocoDataset(tuple(images), tuple(annotations), categories)


def _check_unique(path: Path, what: str, values: Iterable[int | str]) -> None:
    seen: set[int | str] = set()
    for value in values:
        if value in seen:
            raise DataError(f'{path}: {what} {value!r} is there twice')
        seen.add(value)


def _check_references(path: Path, dataset: CocoDataset) -> None:
    images = {image.image_id for image in dataset.images}
    categories = {category.category_id for category in dataset.categories}
    for index, annotation in enumerate(dataset.annotations):
        for what, value, known in (('image', annotation.image_id, images),
                                   ('category', annotation.category_id, categories)):
            if value not in known:
                raise DataError(f'{path}: annotations[{index}]: there is no {what} with id '
                                f'{value}')
