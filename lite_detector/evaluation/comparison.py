# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Several models on the same images, each at several sizes, ways to fit an image and precisions.

Which of them is best for a board is a choice between AP and time, so what counts is the Pareto
front: the settings that no other one beats in both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
import os
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import DataError
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import Detections, FloatArray, ImageSize
from lite_detector.data.coco import CocoDataset, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.detector import Detector, with_resize
from lite_detector.evaluation.bootstrap import draw_images, interval, rank, resampled_ap
from lite_detector.evaluation.coco_metrics import CocoMetrics, measure

FULL_PRECISION = 'fp32'


class Setting(NamedTuple):
    """One way to run one model."""

    model: str
    side: int
    """Of the square network input, pixels."""
    resize: str
    precision: str

    def __str__(self) -> str:
        return f'{self.model} at {self.side}, {self.resize}, {self.precision}'


class Difference(NamedTuple):
    """AP of a setting minus that of the reference, with its 95 % interval, in percent points."""

    ap: float
    low: float
    high: float

    def __str__(self) -> str:
        return f'{self.ap:+.1f} [{self.low:+.1f}, {self.high:+.1f}]'


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


@dataclass
class Measured:
    """
    What is known of a setting.

    :param ms: wall time from image to detections, median; None: not measured.
    :param cpu_ms: time on a processor for it, which other processes disturb less.
    :param ratio: of CPU times, to the reference; median of the rounds.
    :param ap: title of the images -> AP in percent, as far as it is measured.
    :param ap_by_size: title of the images -> AP of small, medium and large objects in percent;
        None where there is none of that size.
    :param difference: title of the images -> difference to the AP of the reference; nothing for
        the reference itself, or where it was not measured.
    """

    ms: float | None = None
    cpu_ms: float | None = None
    ratio: float | None = None
    ap: dict[str, float] = field(default_factory=dict)
    ap_by_size: dict[str, tuple[float | None, ...]] = field(default_factory=dict)
    difference: dict[str, Difference] = field(default_factory=dict)

    def add(self, title: str, metrics: CocoMetrics) -> None:
        """Note what was measured on some images; nothing where nothing of them is labelled."""
        if metrics.ap is not None:
            self.ap[title] = metrics.ap
            self.ap_by_size[title] = (metrics.ap_small, metrics.ap_medium, metrics.ap_large)


Results = dict[Setting, Measured]


class ApOfDraws(NamedTuple):
    """
    AP on all images and on draws of them.

    :param metrics: of every image once.
    :param draws: AP in percent of each draw, float64, shape (draws,); empty if there are none.
    """

    metrics: CocoMetrics
    draws: FloatArray


def settings_of(card: NetworkCard, sides: Sequence[int], resizes: Sequence[str],
                precisions: Sequence[str]) -> list[Setting]:
    """
    Return the ways to run a model.

    :param resizes: ways to fit images; empty: both letterboxes, and stretch if the card says so.
    """
    if not resizes:
        resizes = dict.fromkeys(('letterbox_rect', 'letterbox_square', card.preprocess.resize))
    return [Setting(card.name, side, resize, precision) for precision in precisions
            for resize in resizes for side in sides]


def open_detectors(folder: Path, settings: Iterable[Setting],
                   num_threads: int = 1) -> dict[Setting, Detector]:
    """
    Load a model once per precision, for all of its settings.

    :param folder: of the model.
    :param num_threads: threads per inference.
    :raises LiteDetectorError: if it does not work, or not at one of the sizes.
    """
    detectors: dict[Setting, Detector] = {}
    loaded: dict[str, Detector] = {}
    for setting in settings:
        if setting.precision not in loaded:
            loaded[setting.precision] = Detector.from_folder(
                folder, num_threads=num_threads, precision=setting.precision)
        first = loaded[setting.precision]
        detectors[setting] = Detector(with_resize(first.card, setting.resize), first.backend,
                                      first.selection, ImageSize(setting.side, setting.side))
        detectors[setting].warm_up()
    return detectors


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


def measure_ap(detectors: Mapping[Setting, Detector], images: LabelledImages,
               progress: Callable[[int], object], draws: int = 0) -> dict[Setting, ApOfDraws]:
    """
    Measure AP of settings that share their class names, every image read once.

    The settings are spread over the cores: it takes no time that anybody measures.

    :param detectors: of one model; their score threshold ought to be low.
    :param progress: told the number of detections made since the last call.
    :param draws: how often images are drawn with replacement, for intervals; every model gets the
        same draws.
    :raises LiteDetectorError: as :func:`lite_detector.evaluation.coco_metrics.evaluate`.
    """
    paths = find_images(images.dataset, images.folder)
    found: dict[Setting, dict[int, Detections]] = {setting: {} for setting in detectors}
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        for image in images.dataset.images:
            image_bgr = read_sized_image(paths[image.image_id], image.size)
            tasks = {setting: pool.submit(detector.detect, image_bgr)
                     for setting, detector in detectors.items()}
            for setting, task in tasks.items():
                found[setting][image.image_id] = task.result()
            progress(len(detectors))
    weights = draw_images(len(images.dataset.images), draws)
    measured = {}
    for setting, detector in detectors.items():
        arguments = (images.dataset, found[setting], detector.card.class_names)
        measured[setting] = ApOfDraws(measure(*arguments), resampled_ap(
            rank(*arguments) if draws else (), weights))
    return measured


def note_differences(results: Results, title: str, measured: Mapping[Setting, ApOfDraws],
                     reference: Setting) -> None:
    """
    Note how far AP is from that of the reference, and how sure that is.

    :param title: of the images.
    :param measured: all settings that were measured on them, with the same draws.
    """
    if reference not in measured:
        return
    base = measured[reference]
    for setting, each in measured.items():
        known = interval(each.draws - base.draws)
        if setting != reference and known and title in results[setting].ap:
            results[setting].difference[title] = Difference(
                round(each.metrics.ap - base.metrics.ap, 2), *known)


def pareto_front(results: Results, title: str) -> list[Setting]:
    """
    Return the settings that no other one beats, the fastest first.

    Of two that are as good, the faster one is on it; of two that are equal, the first one.

    :param title: of the images whose AP counts.
    """
    points = [(each.ms, -each.ap[title], setting) for setting, each in results.items()
              if each.ms is not None and title in each.ap]
    front: list[Setting] = []
    best = float('inf')
    for _, loss, setting in sorted(points, key=lambda point: point[:2]):
        if loss < best:
            front.append(setting)
            best = loss
    return front
