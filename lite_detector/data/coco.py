# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""COCO json: images, boxes and category names."""

from __future__ import annotations

from pathlib import Path

from lite_detector.core.media import read_image
from lite_detector.core.types import ImageSize, size_of
from lite_detector.data.coco_file import load_coco
from lite_detector.data.coco_types import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
)
from lite_detector.data.dataset import Dataset, ImageLabels, require_images
from lite_detector.data.findings import Findings
import msgspec
import numpy as np


class _Teacher(msgspec.Struct):
    teacher: str


class _Header(msgspec.Struct):
    info: _Teacher


def labelled_by(path: Path) -> str | None:
    """Return the name of the model that labelled the file; None: people labelled it."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=_Header).info.teacher
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def find_images(dataset: CocoDataset, folder: Path) -> dict[int, Path]:
    """
    Return image id -> path of each image.

    :param folder: Folder of the images.
    :raises DataError: if an image is missing; the message has the first one.
    """
    paths = {image.image_id: folder / image.file_name for image in dataset.images}
    require_images(paths.values())
    return paths


def read_coco(path: Path, images: Path, findings: Findings | None = None) -> Dataset:
    """
    Read a COCO file; class ids are the ranks of its category ids.

    :param images: Folder of the images.
    :param findings: Collector of skipped items and notes; None: a new one.
    :raises DataError: if :func:`load_coco` raises it, or if there is no category.
    """
    findings = Findings() if findings is None else findings
    coco = load_coco(path, images, findings)
    categories = sorted(coco.categories, key=lambda category: category.category_id)
    class_ids = {category.category_id: index for index, category in enumerate(categories)}
    places = {image.image_id: place for place, image in enumerate(coco.images)}
    owners = np.array([places[each.image_id] for each in coco.annotations], np.int64)
    order = np.argsort(owners, kind='stable')  # groups the boxes by image
    boxes = np.array([each.bbox for each in coco.annotations], np.float64).reshape(-1, 4)[order]
    boxes[:, 2:] += boxes[:, :2]
    boxes_xyxy = boxes.astype(np.float32)
    ids = np.array([class_ids[each.category_id] for each in coco.annotations], np.int64)[order]
    ignore = np.array([each.iscrowd != 0 for each in coco.annotations], bool)[order]
    scores = np.array([1 if each.score is None else each.score for each in coco.annotations],
                      np.float32)[order]
    stops = np.searchsorted(owners[order], np.arange(len(coco.images)), 'right').tolist()
    labels = tuple(
        ImageLabels(images / image.file_name, boxes_xyxy[start:stop], ids[start:stop],
                    ignore[start:stop], scores[start:stop], image.size)
        for image, start, stop in zip(coco.images, [0, *stops], stops, strict=False))
    return Dataset(path, tuple(category.name for category in categories), labels, findings)


def to_coco(dataset: Dataset) -> CocoDataset:
    """
    Convert a dataset of any format for the measurement of AP.

    Image ids and category ids count from 1; file names are absolute.

    :raises ImageError: if the annotations lack the size of an image that cannot be read.
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
