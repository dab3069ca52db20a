# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Average precision as COCO defines it (Lin et al., 2014, arXiv:1405.0312).

Model and file meet by class *name*. Measured are the categories that both know: a category that
the model cannot name is left out of the average instead of counting as 0, and boxes of a class
that the file does not label are passed over, since nobody can say whether they are right. So a
network with 80 classes is measured on persons alone by a file that labels only persons.
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
"""What AP is measured with, wherever it is measured: it asks for the whole curve, which hardly
changes below this."""

Progress = Callable[[Sequence[CocoImage]], Iterable[CocoImage]]
"""Hands on what it gets, and may show how far it is."""


class CocoMetrics(msgspec.Struct, frozen=True):
    """Average precision in percent; None where the file labels nothing of the kind."""

    ap: float | None
    """Mean over IoU 0.50, 0.55 .. 0.95."""
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    """Objects below 32 x 32 pixels; large ones have more than 96 x 96."""
    ap_medium: float | None
    ap_large: float | None
    images: int
    per_class: dict[str, float]
    """Class name -> ap; classes without a labelled object are left out."""


def evaluate(detector: Detector, dataset: CocoDataset, folder: Path,
             progress: Progress = iter) -> CocoMetrics:
    """
    Run a detector over the images of a dataset and measure it.

    :param detector: its selection holds here too, so its score threshold ought to be low.
    :param dataset: images and labelled boxes.
    :param folder: where the images lie.
    :param progress: wraps the images, to show how far it is.
    :raises DataError: if an image is absent or of another size than its annotations, or model
        and file have no class in common.
    :raises ImageError: if an image cannot be decoded.
    :raises LiteDetectorError: if the library that measures is not installed.
    """
    found = detect_dataset(detector, dataset, folder, progress)
    return measure(dataset, found, detector.card.class_names)


def detect_dataset(detector: Detector, dataset: CocoDataset, folder: Path,
                   progress: Progress = iter) -> dict[int, Detections]:
    """
    Run a detector over the images of a dataset that is to be measured.

    :return: image id -> detections in pixels of that image, for all that is measured or drawn.
    :raises LiteDetectorError: as :func:`evaluate`, and before the first image where that can be.
    """
    shared_categories(dataset, detector.card.class_names)  # a mistake shows now, not in an hour
    require_faster_coco_eval()
    paths = find_images(dataset, folder)
    return {image.image_id: detector.detect(read_sized_image(paths[image.image_id], image.size))
            for image in progress(dataset.images)}


def measure(dataset: CocoDataset, found: Mapping[int, Detections],
            class_names: Sequence[str]) -> CocoMetrics:
    """
    Compare detections with labelled boxes.

    :param dataset: the labelled boxes.
    :param found: image id -> detections, boxes in pixels of that image.
    :param class_names: what the class ids of the detections mean.
    :raises DataError: if no class has the name of a category.
    """
    library = require_faster_coco_eval()
    categories = shared_categories(dataset, class_names)
    truth = library.COCO(_ground_truth(dataset, categories))
    results = truth.loadRes(_results(dataset, found, categories))
    run = library.COCOeval_faster(truth, results, 'bbox', print_function=_ignore)
    # Not 100 as usual: how many boxes count per image is the detector's own choice.
    run.params.maxDets = [max((len(each) for each in found.values()), default=1) or 1]
    run.evaluate()
    run.accumulate()
    # IoU thresholds, recall levels, categories by rising id, areas (all, small ..), one maxDets
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
    Return class id of the model -> category of the file, where both have the same name.

    :raises DataError: if there is no such pair.
    """
    by_name = {category.name: category for category in dataset.categories}
    shared = {class_id: by_name[name] for class_id, name in enumerate(class_names)
              if name in by_name}
    if not shared:
        raise DataError(f'model and annotations have no class in common: the model knows '
                        f'{_some(class_names)}, the annotations {_some(list(by_name))}')
    return shared


def require_faster_coco_eval() -> ModuleType:
    """
    Import the library that measures AP.

    :raises LiteDetectorError: if it is not installed.
    """
    try:
        import faster_coco_eval
    except ImportError as error:
        raise LiteDetectorError(f'measuring AP needs faster-coco-eval ({error}); install it with '
                                '`python3 -m pip install faster-coco-eval`') from None
    return faster_coco_eval


def _ground_truth(dataset: CocoDataset, categories: Mapping[int, CocoCategory]) -> dict[str, Any]:
    """Return the dataset as the library wants it, cut down to the categories measured."""
    numbers = _numbers(dataset)
    measured = {category.category_id for category in categories.values()}
    boxes = [annotation for annotation in dataset.annotations
             if annotation.category_id in measured]
    return {
        'images': [{'id': number} for number in numbers.values()],
        'categories': [{'id': category.category_id, 'name': category.name}
                       for category in categories.values()],
        # The library takes id 0 for "no match", and not every file has ids: count from 1.
        'annotations': [
            {'id': index, 'image_id': numbers[box.image_id], 'category_id': box.category_id,
             'bbox': list(box.bbox), 'iscrowd': int(box.iscrowd != 0),
             'area': box.bbox[2] * box.bbox[3] if box.area is None else box.area}
            for index, box in enumerate(boxes, start=1)]}


def _numbers(dataset: CocoDataset) -> dict[int, int]:
    """Return image id -> number from 1; the library keeps ids as floats, which confuses hashes."""
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
    known = precision[precision > -1]  # -1: nothing is labelled that this could be measured on
    return round(100 * float(known.mean()), 2) if known.size else None


def _some(names: Sequence[str]) -> str:
    return ', '.join(names[:3]) + (f' and {len(names) - 3} more' if len(names) > 3 else '')


def _ignore(*_: object) -> None:
    """Keep the library quiet."""
