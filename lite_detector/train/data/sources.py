# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Sources of the labelled images of a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ConfigError, DataError
from lite_detector.core.types import IntArray
from lite_detector.data.coco import CocoDataset
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings, Reading
from lite_detector.data.formats import open_as_coco, open_dataset
from lite_detector.data.image_check import without_paths
from lite_detector.data.join import join_datasets
from lite_detector.data.repeat import entries_of, repeat_entries
from lite_detector.train.config.training import DataSpec

TWINS = {'labels': 'images', 'Annotations': 'JPEGImages'}
"""Folder of labels -> folder of their images."""


class MeasuredSet(NamedTuple):
    """Labelled images for AP measurements."""

    annotations: Path
    images: Path
    reading: Reading
    min_score: float = 0.0
    """Minimum score of a box; a box with less is an ignore region."""

    def open_dataset(self, class_names: Sequence[str]) -> Dataset:
        """Open it with the class ids of the training; raise DataError if it cannot be used."""
        dataset = open_dataset(self.annotations, self.images, class_names,
                               Findings(self.reading))
        return dataset.ignoring_below(self.min_score)

    def open_as_coco(self, class_names: Sequence[str]) -> CocoDataset:
        """
        Open it as ``evaluate`` does, with the areas of the annotations.

        :raises DataError: if it cannot be used.
        """
        dataset = open_as_coco(self.annotations, self.images, class_names,
                               Findings(self.reading))
        return dataset.ignoring_below(self.min_score)


class Datasets(NamedTuple):
    """Training, selection and report set with the same class ids."""

    train: Dataset
    entries: IntArray
    """Index into ``train`` of each sample of an epoch, int64, shape (n,)."""
    select: Dataset | None
    """Selection set, which chooses the epoch and the weight average."""
    report: Dataset | None
    """Report set, for one AP measurement of the finished weights."""

    def splits(self) -> dict[str, Dataset]:
        """Return name -> dataset, without those that are not set."""
        named = {'train': self.train, 'select': self.select, 'report': self.report}
        return {name: each for name, each in named.items() if each is not None}

    def without(self, paths: Collection[str]) -> Datasets:
        """
        Return the datasets without some of their images.

        :param paths: Paths of the images, as text.
        """
        kept = [str(each.image_path) not in paths for each in self.train.labels]
        select, report = (each and without_paths(each, paths)
                          for each in (self.select, self.report))
        return Datasets(without_paths(self.train, paths), entries_of(self.entries, kept), select,
                        report)


def open_datasets(spec: DataSpec) -> Datasets:
    """
    Open the datasets of a run.

    :raises ConfigError: if data.train is not set, or two keys contradict each other.
    :raises DataError: if a dataset cannot be used.
    """
    parts = [open_dataset(annotations, images, spec.class_names, Findings(spec.reading))
             for annotations, images in train_sources(spec)]
    entries = repeat_entries([len(part) for part in parts], repeats(spec))
    train = join_datasets(parts, spec.class_names)
    train = train.ignoring_below(spec.min_score)
    if not any((~labels.ignore).any() for labels in train.labels):
        raise DataError(f'{train.source}: no labelled box; expected at least one '
                        '(crowds and boxes below data.min_score do not count)')
    select, report = (each and each.open_dataset(train.class_names)
                      for each in (selection_set(spec), report_set(spec)))
    return Datasets(train, entries, select, report)


def repeats(spec: DataSpec) -> tuple[int, ...]:
    """
    Return how often the images of each entry of data.train occur in an epoch.

    :raises ConfigError: if data.repeat has another length.
    """
    count = len(as_list(spec.train))
    if spec.repeat and len(spec.repeat) != count:
        raise ConfigError(f'data.repeat: {len(spec.repeat)} numbers for {count} entries of '
                          'data.train; expected one for each')
    return spec.repeat or (1,) * count


def selection_set(spec: DataSpec) -> MeasuredSet | None:
    """
    Return the selection set; without data.select it is data.val.

    :raises ConfigError: if the folder of the images is unknown, or a key has no use.
    """
    if spec.select is None:
        for key in ('select_images', 'select_min_score'):
            value = getattr(spec, key)
            if value:
                raise ConfigError(f'data.{key}: {value}, but data.select is not set')
        if spec.val is None:
            return None
        return MeasuredSet(Path(spec.val), val_images(spec), spec.reading)
    if spec.val is not None and Path(spec.val).resolve() == Path(spec.select).resolve():
        raise ConfigError(f'data.val: {spec.val} is also data.select; expected another report '
                          'set, or only one of both keys')
    images = _measured_images(spec, 'select')
    return MeasuredSet(Path(spec.select), images, spec.reading, spec.select_min_score)


def report_set(spec: DataSpec) -> MeasuredSet | None:
    """
    Return the report set; None if there is none.

    :raises ConfigError: if the folder of the images is unknown.
    """
    if spec.select is None or spec.val is None:
        return None
    return MeasuredSet(Path(spec.val), val_images(spec), spec.reading)


def train_sources(spec: DataSpec) -> list[tuple[Path, Path]]:
    """
    Return the training labels, each with the folder of its images.

    :raises ConfigError: if there are none, one is a duplicate, or a folder is unknown.
    """
    if spec.train is None:
        raise ConfigError('data.train: not set; expected labels, as in data.train=train.json')
    labels, folders = as_list(spec.train), as_list(spec.train_images)
    for path in labels:
        if labels.count(path) > 1:
            raise ConfigError(f'data.train: {path} is a duplicate; expected each path once')
    if isinstance(spec.train_images, tuple) and len(folders) != len(labels):
        raise ConfigError(f'data.train_images: {len(folders)} folders for {len(labels)} '
                          'labels; expected one for each, or one name for all')
    if not folders:
        return [(Path(path), _images_beside(path, 'train')) for path in labels]
    if len(folders) == 1:
        folders = folders * len(labels)
    return [(Path(path), Path(folder)) for path, folder in zip(labels, folders, strict=True)]


def val_images(spec: DataSpec) -> Path:
    """
    Return the folder of the images of data.val.

    Without data.val_images it is images/val for labels/val, ``images`` next to the labels, or the
    folder of data.train if there is one.

    :raises ConfigError: if none of these exists.
    """
    return _measured_images(spec, 'val')


def as_list(paths: str | Sequence[str] | None) -> list[str]:
    """Return a data key that may hold nothing, one or several paths, as a list."""
    return [paths] if isinstance(paths, str) else list(paths or ())


def _measured_images(spec: DataSpec, split: str) -> Path:
    images = getattr(spec, f'{split}_images')
    if images is not None:
        return Path(images)
    folders = as_list(spec.train_images)
    return _images_beside(getattr(spec, split), split, folders[0] if len(folders) == 1 else None)


def _images_beside(annotations: str, split: str, other: str | None = None) -> Path:
    path = Path(annotations)
    for place in (*_twins(path), path.parent / 'images'):
        if place.is_dir():
            return place
    if other is not None:
        return Path(other)
    raise ConfigError(f'data.{split}_images: not set, and there is no folder `images` next to '
                      f'{annotations}; expected the folder of its images')


def _twins(labels: Path) -> Iterator[Path]:
    """Yield images/train for labels/train, as in YOLO and Pascal VOC datasets."""
    for name, twin in TWINS.items():
        if name in labels.parts:
            last = len(labels.parts) - 1 - labels.parts[::-1].index(name)
            yield Path(*labels.parts[:last], twin, *labels.parts[last + 1:])
