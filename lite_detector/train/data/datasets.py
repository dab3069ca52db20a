# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Check, description and cache of the labelled images of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations
from pathlib import Path
from typing import Any, TypeVar

from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import size_of
from lite_detector.data.cache import CachedDataset
from lite_detector.data.check import check_dataset, check_leaks, FINDINGS, SplitReport
from lite_detector.data.dataset import Dataset
from lite_detector.train.config.training import DataSpec
from lite_detector.train.data.sources import Datasets
import numpy as np
import torch
from torch import Tensor

T = TypeVar('T')
Progress = Callable[[Sequence[T], str], Iterable[T]]
"""Function that returns its items and may show the progress under that name."""

MAX_CHECKED = 5000
"""Largest number of images to check before the start; check_data checks more."""
EXAMPLES = 2


def check_datasets(datasets: Datasets, progress: Progress) -> list[str]:
    """
    Check every image and every box.

    Images that cannot be used are added to the findings of their dataset.

    :return: Warnings, one line each; the datasets' own findings are not among them.
    :raises DataError: if too many images cannot be used.
    """
    if len(datasets.train) > MAX_CHECKED:
        return [f'{len(datasets.train)} images are too many to check here; run check_data']
    measured = [each for each in (datasets.select, datasets.report) if each is not None]
    splits = [datasets.train, *measured]
    reports = [check_dataset(each, datasets.train.class_names,
                             lambda labels: progress(labels, 'check images'))
               for each in splits]
    for each in splits:
        each.findings.check()
    for first, second in combinations(reports, 2):
        check_leaks(first, second)
    soft = [f'{each.source.name}: {each.soft_boxes} boxes have a score, so they are predictions '
            'of a model; AP here measures the agreement with that model'
            for each in measured if each.soft_boxes]
    return soft + [line for report in reports for line in _warnings(report)]


def describe_datasets(datasets: Datasets) -> dict[str, dict[str, Any]]:
    """Return split -> numbers of images and boxes, and of skipped or changed ones."""
    return {name: {'images': len(each),
                   'boxes': sum(len(labels.class_ids) for labels in each.labels),
                   **({'findings': counts} if (counts := each.findings.counts()) else {})}
            for name, each in datasets.splits().items()}


def cached(dataset: Dataset, max_side: int, spec: DataSpec, progress: Progress) -> CachedDataset:
    """
    Return a dataset whose images are kept in memory, up to a limit.

    :param dataset: Dataset to read from.
    :param max_side: Largest side in pixels; larger images are stored at this size.
    :param spec: Data settings with the memory limit.
    :param progress: Function that shows the progress.
    """
    images = CachedDataset(dataset, max_side, spec.cache_megabytes)
    if spec.cache_megabytes:
        images.fill(lambda indices: progress(indices, 'load images'))
    return images


def box_sizes(samples: CachedDataset, card: NetworkCard) -> Tensor:
    """
    Return width and height of every box in network pixels, float32, shape (n, 2).

    :param samples: Dataset.
    :param card: Model card with input size and fit.
    """
    sizes = [np.zeros((0, 2), np.float32)]
    for index, labels in enumerate(samples.labels):
        # most labels include the size; to decode all images for it would take an epoch
        size = labels.size or size_of(samples.dataset[index].image_bgr)
        letterbox = Letterbox.fit(size, card.size, card.preprocess, card.padded_to)
        boxes = letterbox.to_input(labels.boxes_in(size)[~labels.ignore])
        sizes.append(boxes[:, 2:] - boxes[:, :2])
    return torch.from_numpy(np.concatenate(sizes))


def _warnings(report: SplitReport) -> list[str]:
    name = Path(report.annotations).name
    lines = []
    for kind, found in report.findings.items():
        if kind not in FINDINGS:  # the findings of the dataset include it
            continue
        more = f' and {len(found) - EXAMPLES} more' if len(found) > EXAMPLES else ''
        lines.append(f'{name}: {FINDINGS[kind]}: {"; ".join(found[:EXAMPLES])}{more}')
    return lines
