# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The bootstrap over images, with AP worked out by hand."""

from lite_detector.core.types import Detections
from lite_detector.data.coco import CocoAnnotation, CocoCategory, CocoDataset, CocoImage
from lite_detector.evaluation.bootstrap import draw_images, interval, rank, resampled_ap
from lite_detector.evaluation.coco_metrics import measure
import numpy as np
import pytest

BOX = (10.0, 10.0, 20.0, 20.0)
"""Left, top, width, height of the only object of an image."""
HIT, MISS = (10, 10, 30, 30), (60, 60, 90, 90)


def dataset(*images: int, crowd: tuple[int, ...] = ()) -> CocoDataset:
    """Return images of 100 x 100 pixels with 0 or 1 object each; those of ``crowd`` are crowds."""
    return CocoDataset(
        tuple(CocoImage(number, f'{number}.png', 100, 100) for number in range(len(images))),
        tuple(CocoAnnotation(number, 1, BOX, iscrowd=int(number in crowd))
              for number, count in enumerate(images) if count),
        (CocoCategory(1, 'cat'),))


def found(*rows: tuple[int, tuple[int, ...], float]) -> dict[int, Detections]:
    """Return the detections (image, box, score) per image, best first."""
    images = {}
    for number, box, score in sorted(rows, key=lambda row: -row[2]):
        images.setdefault(number, []).append((box, score))
    return {number: Detections(np.array([box for box, _ in each], np.float32),
                               np.array([score for _, score in each], np.float32),
                               np.zeros(len(each), np.int64))
            for number, each in images.items()}


@pytest.mark.parametrize(('weights', 'ap'), [
    # ranked: hit in 0, false alarm in 1, hit in 2. Recall 0 .. 0.5 at precision 1: 51 levels;
    # the other 50 at precision 2/3
    ((1, 1, 1), (51 + 50 * 2 / 3) / 101),
    # without the image of the false alarm all is right
    ((1, 0, 2), 1),
    # two false alarms between: the second hit has precision 2/4
    ((1, 2, 1), (51 + 50 / 2) / 101),
    # one of two hits is of the first image, drawn three times: recall 0.75 at precision 1
    ((3, 1, 1), (76 + 25 * 4 / 5) / 101),
    # only the false alarm and one hit behind it: precision 1/2 at every level
    ((0, 1, 1), 1 / 2),
    # nothing is labelled in the image that is left
    ((0, 3, 0), np.nan),
])
def test_draw_counts_each_image_as_often_as_it_was_drawn(weights, ap):
    rankings = rank(dataset(1, 0, 1), found((0, HIT, 0.9), (1, MISS, 0.8), (2, HIT, 0.7)),
                    ['cat'])
    got = resampled_ap(rankings, np.array([weights]))
    np.testing.assert_allclose(got, [100 * ap], rtol=1e-6)


def test_iou_thresholds_count_one_by_one():
    """The box has IoU 2/3 with its object: right at 0.50, 0.55, 0.60 and 0.65 only."""
    rankings = rank(dataset(1), found((0, (10, 14, 30, 34), 0.9)), ['cat'])
    assert resampled_ap(rankings, np.array([[1]])) == pytest.approx(40)


def test_detection_in_a_crowd_is_neither_right_nor_wrong():
    labelled = dataset(1, 1, crowd=(0,))
    rankings = rank(labelled, found((0, HIT, 0.9), (1, HIT, 0.8)), ['cat'])
    assert resampled_ap(rankings, np.array([[1, 1], [5, 1]])).tolist() == [100, 100]


def test_classes_are_averaged_that_a_draw_labels():
    labelled = dataset(1, 0)
    two = CocoDataset(labelled.images, (*labelled.annotations, CocoAnnotation(1, 2, BOX)),
                      (*labelled.categories, CocoCategory(2, 'dog')))
    rankings = rank(two, found((0, HIT, 0.9)), ['cat', 'dog'])
    assert resampled_ap(rankings, np.array([[1, 1], [2, 0], [0, 2]])).tolist() == [50, 100, 0]


def test_nothing_found_is_zero_and_nothing_drawn_has_no_interval():
    rankings = rank(dataset(1), {}, ['cat'])
    assert resampled_ap(rankings, np.array([[1]])).tolist() == [0]
    assert interval(np.array([np.nan, np.nan])) is None


def test_draws_hold_as_many_images_as_there_are_and_are_the_same_again():
    weights = draw_images(7, draws=50)
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    assert weights.min() == 0 and weights.max() > 1
    np.testing.assert_array_equal(weights, draw_images(7, draws=50))


def test_interval_leaves_five_percent_outside():
    assert interval(np.arange(101.0)) == (2.5, 97.5)


def random_scene(seed: int) -> tuple[CocoDataset, dict[int, Detections]]:
    """Return 12 images of 3 classes with crowds, and detections near their objects."""
    rng = np.random.default_rng(seed)
    annotations, detections = [], {}
    for number in range(12):
        boxes = np.concatenate([rng.uniform(0, 60, (6, 2)), rng.uniform(10, 40, (6, 2))], axis=1)
        classes = rng.integers(1, 4, 6)
        annotations += [CocoAnnotation(number, int(category), tuple(box.tolist()),
                                       iscrowd=int(rng.random() < 0.1))
                        for box, category in zip(boxes, classes, strict=True)]
        near = boxes + rng.normal(0, 3, boxes.shape)
        near[:, 2:] = np.maximum(near[:, 2:], 1) + near[:, :2]
        scores = np.sort(rng.random(6))[::-1]
        detections[number] = Detections(near.astype(np.float32), scores.astype(np.float32),
                                        classes - 1)
    return CocoDataset(
        tuple(CocoImage(number, f'{number}.png', 100, 100) for number in range(12)),
        tuple(annotations),
        tuple(CocoCategory(number, name) for number, name in enumerate('abc', 1))), detections


@pytest.mark.parametrize('seed', range(4))
def test_every_image_once_is_the_ap_of_the_library(seed):
    pytest.importorskip('faster_coco_eval')
    labelled, detections = random_scene(seed)
    got = resampled_ap(rank(labelled, detections, 'abc'), np.ones((1, 12), np.int64))
    assert got[0] == pytest.approx(measure(labelled, detections, 'abc').ap, abs=0.02)


def test_a_draw_is_the_ap_of_the_library_on_copies_of_the_images():
    pytest.importorskip('faster_coco_eval')
    labelled, detections = random_scene(7)
    weights = draw_images(12, draws=1, seed=3)
    copies = [number for number, count in enumerate(weights[0]) for _ in range(count)]
    images = tuple(CocoImage(index, f'{index}.png', 100, 100) for index in range(12))
    boxes = tuple(CocoAnnotation(index, box.category_id, box.bbox, iscrowd=box.iscrowd)
                  for index, number in enumerate(copies) for box in labelled.annotations
                  if box.image_id == number)
    drawn = CocoDataset(images, boxes, labelled.categories)
    wanted = measure(drawn, {index: detections[number] for index, number in enumerate(copies)},
                     'abc').ap
    got = resampled_ap(rank(labelled, detections, 'abc'), weights)
    assert got[0] == pytest.approx(wanted, abs=0.02)


def test_paired_difference_of_identical_models_is_zero():
    labelled, detections = random_scene(1)
    weights = draw_images(12)
    first, second = (resampled_ap(rank(labelled, detections, 'abc'), weights) for _ in range(2))
    assert interval(second - first) == (0, 0)
    low, high = interval(first)
    assert low < high
