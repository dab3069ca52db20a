# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Compare detectors on the same labelled images: AP, and confidence of the differences."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
import os
from pathlib import Path
from typing import NamedTuple, TypeVar

from lite_detector.core.errors import DataError
from lite_detector.core.types import Detections, DoubleArray
from lite_detector.data.coco import CocoDataset, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.detector import Detector
from lite_detector.evaluation.bootstrap import draw_images, interval, rank, resampled_ap
from lite_detector.evaluation.coco_metrics import CocoMetrics, measure

Key = TypeVar('Key', bound=Hashable)
"""Key that identifies a detector."""


class LabelledImages(NamedTuple):
    """
    Labelled images, and the models that can be compared on them.

    :param title: Heading, such as the class and the number of images.
    :param dataset: Labelled boxes.
    :param folder: Folder of the images.
    :param models: Names of the models to measure.
    :param left_out: Names of the models with fewer of the labelled classes.
    """

    title: str
    dataset: CocoDataset
    folder: Path
    models: tuple[str, ...]
    left_out: tuple[str, ...]


class ApOfDraws(NamedTuple):
    """
    AP on all images and on bootstrap samples.

    :param metrics: Metrics on all images.
    :param draws: AP of each sample in percent, float64, shape (draws,); may be empty.
    """

    metrics: CocoMetrics
    draws: DoubleArray


def labelled_images(name: str, dataset: CocoDataset, folder: Path,
                    class_names: Mapping[str, Sequence[str]]) -> LabelledImages:
    """
    Select the models that have the most of the labelled classes.

    Means over different classes are not comparable: a model of persons only is not better than a
    model of 80 classes because persons are easier to detect than forks.

    :param name: Name of the dataset, for the title.
    :param dataset: Labelled boxes.
    :param folder: Folder of the images.
    :param class_names: Name of each model -> names of its classes.
    :raises DataError: if no model has any of the classes.
    """
    labelled = {category.name for category in dataset.categories}
    known = {model: labelled.intersection(names) for model, names in class_names.items()}
    most = max(known.values(), key=len, default=set())
    if not most:
        raise DataError(f'{name}: no model has one of these classes: '
                        + ', '.join(sorted(labelled)[:3]))
    models = tuple(model for model, names in known.items() if names == most)
    what = next(iter(most)) if len(most) == 1 else f'{len(most)} classes'
    return LabelledImages(f'{what}, {len(dataset.images)} images of {name}', dataset, folder,
                          models, tuple(model for model in known if model not in models))


def measure_ap(detectors: Mapping[Key, Detector], images: LabelledImages,
               progress: Callable[[int], object], draws: int = 0) -> dict[Key, ApOfDraws]:
    """
    Measure AP of detectors that share their class names; each image is read once.

    Detectors run in parallel on all cores, because their time is not measured here.

    :param detectors: Detectors; their score threshold should be low.
    :param images: Labelled images.
    :param progress: Callback with the number of detector runs since the last call.
    :param draws: Number of bootstrap samples, for intervals; the same samples for every model.
    :raises LiteDetectorError: see :func:`lite_detector.evaluation.coco_metrics.evaluate`.
    """
    paths = find_images(images.dataset, images.folder)
    found: dict[Key, dict[int, Detections]] = {key: {} for key in detectors}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for image in images.dataset.images:
            image_bgr = read_sized_image(paths[image.image_id], image.size)
            tasks = {key: pool.submit(detector.detect, image_bgr)
                     for key, detector in detectors.items()}
            for key, task in tasks.items():
                found[key][image.image_id] = task.result()
            progress(len(detectors))
    weights = draw_images(len(images.dataset.images), draws)
    measured = {}
    for key, detector in detectors.items():
        arguments = (images.dataset, found[key], detector.card.class_names)
        measured[key] = ApOfDraws(measure(*arguments), resampled_ap(
            rank(*arguments) if draws else (), weights))
    return measured


def ap_difference(measured: ApOfDraws, reference: ApOfDraws) -> tuple[float, float, float] | None:
    """
    Return the difference of an AP to the reference with its 95 % interval, in percent points.

    :param measured: AP with the same samples as the reference.
    :param reference: AP of the reference model.
    :return: Difference, lower and upper bound; None without labelled objects or samples.
    """
    known = interval(measured.draws - reference.draws)
    if known is None or measured.metrics.ap is None or reference.metrics.ap is None:
        return None
    return round(measured.metrics.ap - reference.metrics.ap, 2), known.low, known.high
