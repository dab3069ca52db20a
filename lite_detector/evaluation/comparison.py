# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Several detectors on the same labelled images: AP, and how sure a difference of two is."""

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
"""What identifies a detector."""


class LabelledImages(NamedTuple):
    """
    What AP is measured on.

    :param title: for a heading, such as the class and the number of images.
    :param dataset: the labelled boxes.
    :param folder: of the images.
    :param models: names of those that are measured.
    :param left_out: names of those that know fewer of the labelled classes.
    """

    title: str
    dataset: CocoDataset
    folder: Path
    models: tuple[str, ...]
    left_out: tuple[str, ...]


class ApOfDraws(NamedTuple):
    """
    AP on all images and on draws of them.

    :param metrics: of every image once.
    :param draws: AP in percent of each draw, float64, shape (draws,); empty if there are none.
    """

    metrics: CocoMetrics
    draws: DoubleArray


def labelled_images(name: str, dataset: CocoDataset, folder: Path,
                    class_names: Mapping[str, Sequence[str]]) -> LabelledImages:
    """
    Choose the models that can be compared on these labels: those that know most of the classes.

    Means over different classes say nothing about each other: a model of persons alone is not
    better than one of 80 classes because persons are easier than forks.

    :param name: of the data, for the title.
    :param class_names: name of the model -> names of its classes.
    :raises DataError: if no model knows any.
    """
    labelled = {category.name for category in dataset.categories}
    known = {model: labelled.intersection(names) for model, names in class_names.items()}
    most = max(known.values(), key=len, default=set())
    if not most:
        raise DataError(f'{name}: no model has a class of that name: '
                        + ', '.join(sorted(labelled)[:3]))
    models = tuple(model for model, names in known.items() if names == most)
    what = next(iter(most)) if len(most) == 1 else f'{len(most)} classes'
    return LabelledImages(f'{what}, {len(dataset.images)} images of {name}', dataset, folder,
                          models, tuple(model for model in known if model not in models))


def measure_ap(detectors: Mapping[Key, Detector], images: LabelledImages,
               progress: Callable[[int], object], draws: int = 0) -> dict[Key, ApOfDraws]:
    """
    Measure AP of detectors that share their class names, every image read once.

    The detectors are spread over the cores: it takes no time that anybody measures.

    :param detectors: their score threshold ought to be low.
    :param progress: called with the number of detections since the last call.
    :param draws: how often images are drawn with replacement, for intervals; every model gets the
        same draws.
    :raises LiteDetectorError: as :func:`lite_detector.evaluation.coco_metrics.evaluate`.
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
    Return how far an AP is from that of the reference, and the 95 % interval of it, in percent.

    :param measured: with the same draws as the reference.
    :return: difference, low and high; None if nothing is labelled or drawn.
    """
    known = interval(measured.draws - reference.draws)
    if known is None or measured.metrics.ap is None or reference.metrics.ap is None:
        return None
    return round(measured.metrics.ap - reference.metrics.ap, 2), known.low, known.high
