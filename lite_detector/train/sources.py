# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Where the labelled images of a run are; no torch here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ConfigError, DataError
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings
from lite_detector.data.formats import open_dataset
from lite_detector.data.join import join_datasets
from lite_detector.train.config import DataSpec

TWINS = {'labels': 'images', 'Annotations': 'JPEGImages'}
"""Folder of labels -> that of their images."""


class Datasets(NamedTuple):
    """What is trained on, and what AP is measured on, with the same class ids."""

    train: Dataset
    val: Dataset | None


def open_datasets(spec: DataSpec) -> Datasets:
    """
    Open the datasets of a run.

    :raises ConfigError: if data.train is not given.
    :raises DataError: if one cannot be used.
    """
    train = join_datasets([open_dataset(annotations, images, spec.class_names,
                                        Findings(spec.reading))
                           for annotations, images in train_sources(spec)], spec.class_names)
    train = train.ignoring_below(spec.min_score)
    if not any((~labels.ignore).any() for labels in train.labels):
        raise DataError(f'{train.source}: not one box is labelled, there is nothing to learn '
                        '(crowds and boxes below data.min_score do not count)')
    val = None
    if spec.val is not None:
        val = open_dataset(Path(spec.val), val_images(spec), train.class_names,
                           Findings(spec.reading))
    return Datasets(train, val)


def train_sources(spec: DataSpec) -> list[tuple[Path, Path]]:
    """
    Return the labels to train on, each with the folder of its images.

    :raises ConfigError: if there are none, one is there twice, or a folder is not known.
    """
    if spec.train is None:
        raise ConfigError('data.train: give the labels to train on, as in data.train=train.json')
    labels, folders = as_list(spec.train), as_list(spec.train_images)
    for path in labels:
        if labels.count(path) > 1:
            raise ConfigError(f'data.train: {path} is there twice')
    if isinstance(spec.train_images, tuple) and len(folders) != len(labels):
        raise ConfigError(f'data.train_images: got {len(folders)} folders for {len(labels)} '
                          'labels, wanted one for each, or one name for all')
    if not folders:
        return [(Path(path), _images_beside(path, 'train')) for path in labels]
    if len(folders) == 1:
        folders = folders * len(labels)
    return [(Path(path), Path(folder)) for path, folder in zip(labels, folders, strict=True)]


def val_images(spec: DataSpec) -> Path:
    """
    Return the folder of the images of data.val.

    Where the configuration does not say, it is images/val for labels/val, ``images`` beside the
    labels, or the folder of data.train if there is one.

    :raises ConfigError: if there is none of these.
    """
    if spec.val_images is not None:
        return Path(spec.val_images)
    folders = as_list(spec.train_images)
    return _images_beside(spec.val, 'val', folders[0] if len(folders) == 1 else None)


def as_list(paths: str | Sequence[str] | None) -> list[str]:
    """Return a key of the data that may hold nothing, one or several, as a list."""
    return [paths] if isinstance(paths, str) else list(paths or ())


def _images_beside(annotations: str, split: str, other: str | None = None) -> Path:
    path = Path(annotations)
    for place in (*_twins(path), path.parent / 'images'):
        if place.is_dir():
            return place
    if other is not None:
        return Path(other)
    raise ConfigError(f'data.{split}_images: give the folder of the images of {annotations}; '
                      'there is no folder `images` beside it')


def _twins(labels: Path) -> Iterator[Path]:
    """Yield images/train for labels/train, as YOLO and Pascal VOC have it."""
    for name, twin in TWINS.items():
        if name in labels.parts:
            last = len(labels.parts) - 1 - labels.parts[::-1].index(name)
            yield Path(*labels.parts[:last], twin, *labels.parts[last + 1:])
