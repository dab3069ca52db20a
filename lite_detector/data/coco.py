# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""COCO json: images, boxes and category names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
import msgspec
from msgspec import Meta

Extent = Annotated[float, Meta(ge=0)]
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
    bbox: tuple[float, float, Extent, Extent]
    """Left, top, width, height in pixels."""
    area: Extent | None = None
    """Pixels of the object itself; None: those of its box."""
    iscrowd: int = 0
    """Not 0: a group, not labelled one by one; boxes in it are neither right nor wrong."""


class CocoCategory(msgspec.Struct, frozen=True):
    """A class; ids are any numbers, also with gaps."""

    category_id: int = msgspec.field(name='id')
    name: str


class CocoDataset(msgspec.Struct, frozen=True):
    """A COCO file; keys beside these are passed over."""

    images: tuple[CocoImage, ...]
    annotations: tuple[CocoAnnotation, ...]
    categories: tuple[CocoCategory, ...]


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


def find_images(dataset: CocoDataset, folder: Path) -> dict[int, Path]:
    """
    Return image id -> path of every image.

    :param folder: where the images lie.
    :raises DataError: naming the first that is not there.
    """
    paths = {image.image_id: folder / image.file_name for image in dataset.images}
    missing = [path for path in paths.values() if not path.is_file()]
    if missing:
        raise DataError(f'{missing[0]}: no such image; {len(missing)} of {len(paths)} that the '
                        'annotations name are missing')
    return paths


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
