# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Several labelled datasets as one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.errors import DataError
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings


def join_datasets(datasets: Sequence[Dataset],
                  class_names: Sequence[str] | None = None) -> Dataset:
    """
    Put datasets together; classes are matched by name.

    :param datasets: at least one; a single one stays as it is.
    :param class_names: fixes the class ids; by default all names in the order of appearance.
    :raises DataError: if a class has boxes and is not in the list, or an image is in two of them:
        each would say that what only the other one names is background.
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
                raise DataError(f'{path}: is labelled in {owners[path]} and in {dataset.source}, '
                                'wanted in one; `label --annotations` joins labels of an image')
            owners[path] = dataset.source
    labels = tuple(each for dataset in datasets
                   for each in dataset.with_class_names(class_names).labels)
    source = Path(' + '.join(dataset.source.name for dataset in datasets))
    return Dataset(source, tuple(class_names), labels,
                   Findings.joined(dataset.findings for dataset in datasets))
