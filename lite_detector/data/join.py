# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Join several labelled datasets."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.errors import DataError
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings


def join_datasets(datasets: Sequence[Dataset],
                  class_names: Sequence[str] | None = None) -> Dataset:
    """
    Join datasets; classes are matched by name.

    :param datasets: Datasets to join, at least one; a single one is returned unchanged.
    :param class_names: Class names that fix the class ids; None: all names in order of appearance.
    :raises DataError: if a class with boxes is not in the list, or two datasets share an image;
        labels of one dataset would count as background in the other.
    """
    if len(datasets) == 1:
        return datasets[0] if class_names is None else datasets[0].with_class_names(class_names)
    if class_names is None:
        class_names = tuple(dict.fromkeys(name for dataset in datasets
                                          for name in dataset.class_names))
    owners: dict[Path, Path] = {}
    for dataset in datasets:
        for path in {labels.image_path.resolve() for labels in dataset.labels}:
            if path in owners:
                raise DataError(f'{path}: labelled in {owners[path]} and in {dataset.source}; '
                                'expected one; join the labels with `label --annotations`')
            owners[path] = dataset.source
    labels = tuple(each for dataset in datasets
                   for each in dataset.with_class_names(class_names).labels)
    source = Path(' + '.join(dataset.source.name for dataset in datasets))
    return Dataset(source, tuple(class_names), labels,
                   Findings.joined(dataset.findings for dataset in datasets))
