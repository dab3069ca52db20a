# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Average precision as defined by COCO (Lin et al., 2014, arXiv:1405.0312).

Classes of model and annotations are matched by *name*, and only common classes are measured. A
labelled class that the model lacks does not count as 0. Detections of a class that is not labelled
are ignored, because their correctness is unknown. A model with 80 classes can therefore be
measured on annotations of persons only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.core.types import Detections, DoubleArray
from lite_detector.data.coco import CocoCategory, CocoDataset, CocoImage, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.detector import Detector, Selection
import msgspec

AP_SELECTION = Selection(score_threshold=0.05)
"""Selection for all AP measurements: AP needs the full precision-recall curve, which hardly
changes below this threshold."""

Progress = Callable[[Sequence[CocoImage]], Iterable[CocoImage]]
"""Wrapper of an iterable that may show a progress bar."""


class CocoMetrics(msgspec.Struct, frozen=True):
    """Average precision in percent; None without labelled objects of this kind."""

    ap: float | None
    """Mean over IoU thresholds 0.50, 0.55, ..., 0.95."""
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    """AP of objects below 32 x 32 pixels; large objects exceed 96 x 96 pixels."""
    ap_medium: float | None
    ap_large: float | None
    images: int
    per_class: dict[str, float]
    """Class name -> AP; classes without labelled objects are omitted."""


def evaluate(detector: Detector, dataset: CocoDataset, folder: Path,
             progress: Progress = iter) -> CocoMetrics:
    """
    Run a detector on the images of a dataset and measure its AP.

    :param detector: Detector; its selection applies, so its score threshold should be low.
    :param dataset: Images and labelled boxes.
    :param folder: Folder of the images.
    :param progress: Wrapper of the images that may show a progress bar.
    :raises DataError: if an image is absent or of another size than its annotations, or if model
        and annotations have no class in common.
    :raises ImageError: if an image cannot be decoded.
    :raises LiteDetectorError: if faster-coco-eval is not installed.
    """
    found = detect_dataset(detector, dataset, folder, progress)
    return measure(dataset, found, detector.card.class_names)


def detect_dataset(detector: Detector, dataset: CocoDataset, folder: Path,
                   progress: Progress = iter) -> dict[int, Detections]:
    """
    Run a detector on the images of a dataset.

    :return: Image id -> detections in pixels of that image.
    :raises LiteDetectorError: see :func:`evaluate`; raised before the first image if possible.
    """
    shared_categories(dataset, detector.card.class_names)  # report errors before the long work
    require_faster_coco_eval()
    paths = find_images(dataset, folder)
    return {image.image_id: detector.detect(read_sized_image(paths[image.image_id], image.size))
            for image in progress(dataset.images)}


def measure(dataset: CocoDataset, found: Mapping[int, Detections],
            class_names: Sequence[str]) -> CocoMetrics:
    """
    Measure AP of detections.

    :param dataset: Labelled boxes.
    :param found: Image id -> detections, boxes in pixels of that image.
    :param class_names: Class names of the model.
    :raises DataError: if model and annotations have no class in common.
    """
    library = require_faster_coco_eval()
    categories = shared_categories(dataset, class_names)
    truth = library.COCO(_ground_truth(dataset, categories))
    results = truth.loadRes(_results(dataset, found, categories))
    run = library.COCOeval_faster(truth, results, 'bbox', print_function=_ignore)
    # Not 100 as usual: the detector itself limits the number of boxes per image.
    run.params.maxDets = [max((len(each) for each in found.values()), default=1) or 1]
    run.evaluate()
    run.accumulate()
    # axes: IoU threshold, recall level, category by rising id, area (all, small, ...), maxDets
    precision = run.eval['precision'][..., 0]
    overall = precision[..., 0]
    per_class = {category.name: _mean_percent(overall[:, :, index]) for index, category
                 in enumerate(sorted(categories.values(), key=lambda each: each.category_id))}
    return CocoMetrics(
        ap=_mean_percent(overall),
        ap50=_mean_percent(overall[0]),
        ap75=_mean_percent(overall[5]),
        ap_small=_mean_percent(precision[..., 1]),
        ap_medium=_mean_percent(precision[..., 2]),
        ap_large=_mean_percent(precision[..., 3]),
        images=len(dataset.images),
        per_class={name: ap for name, ap in per_class.items() if ap is not None})


def shared_categories(dataset: CocoDataset,
                      class_names: Sequence[str]) -> dict[int, CocoCategory]:
    """
    Return class id of the model -> category of the annotations, matched by name.

    :raises DataError: if no class is common.
    """
    by_name = {category.name: category for category in dataset.categories}
    shared = {class_id: by_name[name] for class_id, name in enumerate(class_names)
              if name in by_name}
    if not shared:
        raise DataError(f'model and annotations have no class in common: the model has '
                        f'{_some(class_names)}, the annotations have {_some(list(by_name))}')
    return shared


def require_faster_coco_eval() -> ModuleType:
    """
    Import faster-coco-eval, which measures AP.

    :raises LiteDetectorError: if it is not installed.
    """
    try:
        import faster_coco_eval
    except ImportError as error:
        raise LiteDetectorError(f'measuring AP needs faster-coco-eval ({error}); install it with '
                                '`python3 -m pip install faster-coco-eval`') from None
    return faster_coco_eval


def _ground_truth(dataset: CocoDataset, categories: Mapping[int, CocoCategory]) -> dict[str, Any]:
    """Return the dataset in the form of the library, with the measured categories only."""
    numbers = _numbers(dataset)
    measured = {category.category_id for category in categories.values()}
    boxes = [annotation for annotation in dataset.annotations
             if annotation.category_id in measured]
    return {
        'images': [{'id': number} for number in numbers.values()],
        'categories': [{'id': category.category_id, 'name': category.name}
                       for category in categories.values()],
        # The library reserves id 0 for "no match", and not every file has ids: count from 1.
        'annotations': [
            {'id': index, 'image_id': numbers[box.image_id], 'category_id': box.category_id,
             'bbox': list(box.bbox), 'iscrowd': int(box.iscrowd != 0),
             'area': box.bbox[2] * box.bbox[3] if box.area is None else box.area}
            for index, box in enumerate(boxes, start=1)]}


def _numbers(dataset: CocoDataset) -> dict[int, int]:
    """Return image id -> number from 1; the library stores ids as floats, which are inexact."""
    return {image.image_id: number for number, image in enumerate(dataset.images, start=1)}


def _results(dataset: CocoDataset, found: Mapping[int, Detections],
             categories: Mapping[int, CocoCategory]) -> list[dict[str, Any]]:
    numbers = _numbers(dataset)
    return [{'image_id': numbers[image_id], 'category_id': categories[class_id].category_id,
             'score': score, 'bbox': [left, top, right - left, bottom - top]}
            for image_id, detections in found.items()
            for (left, top, right, bottom), score, class_id in zip(
                detections.boxes_xyxy.tolist(), detections.scores.tolist(),
                detections.class_ids.tolist(), strict=True)
            if class_id in categories]


def _mean_percent(precision: DoubleArray) -> float | None:
    known = precision[precision > -1]  # -1: no labelled object in this slice
    return round(100 * float(known.mean()), 2) if known.size else None


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _ignore(*_: object) -> None:
    """Discard the output of the library."""
