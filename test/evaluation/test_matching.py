# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Matches of detections and objects: hand-worked examples, and comparison with the library."""

from lite_detector.core.types import Detections
from lite_detector.data.coco import CocoAnnotation, CocoCategory, CocoDataset, CocoImage
from lite_detector.evaluation.coco_metrics import measure
from lite_detector.evaluation.curves import class_curves
from lite_detector.evaluation.matching import covered, match_dataset, match_greedily, NOBODY
import numpy as np
import pytest
from tiny_results import AWAY, dataset, detections, shifted, SQUARE

CROWD = (300.0, 200.0, 600.0, 450.0)
PETS = ((1, 'cat'), (2, 'dog'))


def boxes(*rows: tuple) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


@pytest.mark.parametrize(('found', 'objects'), [(0, 0), (2, 0), (0, 2)])
def test_match_greedily_with_nothing_on_a_side(found, objects):
    matched, passed_over = match_greedily(boxes(*[SQUARE] * found), boxes(*[AWAY] * objects),
                                          np.zeros(objects, bool))
    assert matched.tolist() == [NOBODY] * found
    assert passed_over.tolist() == [False] * found
    assert (matched.dtype, passed_over.dtype) == (np.int64, bool)


def test_match_greedily_gives_an_object_to_the_first_that_overlaps_enough():
    # IoU with SQUARE: 50 / 150, 76 / 124, 1
    rows = boxes(shifted(SQUARE, 50), shifted(SQUARE, 24), SQUARE)
    matched, _ = match_greedily(rows, boxes(AWAY, SQUARE), np.zeros(2, bool))
    assert matched.tolist() == [NOBODY, 1, NOBODY]


def test_match_greedily_takes_the_object_of_most_overlap_that_is_free():
    objects = boxes(shifted(SQUARE, 20), SQUARE)
    matched, _ = match_greedily(boxes(SQUARE, SQUARE, SQUARE), objects, np.zeros(2, bool))
    assert matched.tolist() == [1, 0, NOBODY]


def test_match_greedily_counts_an_overlap_of_exactly_the_threshold():
    matched, _ = match_greedily(boxes((0, 0, 10, 10)), boxes((0, 0, 10, 20)), np.zeros(1, bool))
    assert matched.tolist() == [0]


def test_match_greedily_passes_over_any_number_of_boxes_in_a_crowd():
    # 100 x 100 in the crowd of 300 x 250, half of a box in it, a quarter, and one that is real
    half, quarter = (250.0, 300.0, 350.0, 400.0), (225.0, 300.0, 325.0, 400.0)
    matched, passed_over = match_greedily(boxes(AWAY, AWAY, half, quarter, SQUARE),
                                          boxes(CROWD, SQUARE), np.array([True, False]))
    assert matched.tolist() == [NOBODY] * 4 + [1]
    assert passed_over.tolist() == [True, True, True, False, False]


def test_match_greedily_prefers_an_object_to_the_crowd_around_it():
    matched, passed_over = match_greedily(boxes(AWAY), boxes(CROWD, AWAY),
                                          np.array([True, False]))
    assert (matched.tolist(), passed_over.tolist()) == ([1], [False])


def test_covered_of_a_box_without_area_is_0():
    assert covered(boxes((5, 5, 5, 9)), boxes((0, 0, 10, 10))).tolist() == [[0]]
    assert covered(boxes(), boxes((0, 0, 10, 10))).shape == (0, 1)


@pytest.mark.parametrize('found', [{}, {1: detections()}, {1: detections(), 2: detections()}])
def test_match_dataset_with_nothing_found_misses_everything(found):
    matches = match_dataset(dataset((1, 1, SQUARE), (2, 1, AWAY), (2, 1, CROWD, None, 1)), found,
                            ['cat'])
    assert len(matches.detections) == 0
    assert matches.missed.tolist() == [True, True, False]
    assert (matches.found.dtype, matches.passed_over.dtype) == (np.int64, bool)


def test_match_dataset_without_labels_has_false_alarms_only():
    matches = match_dataset(dataset(), {1: detections((SQUARE, 0.9, 0))}, ['cat'])
    assert (matches.wrong.tolist(), len(matches.objects)) == ([True], 0)
    assert matches.objects.boxes_xyxy.shape == (0, 4)


def test_match_dataset_keeps_images_and_classes_apart():
    truth = dataset((1, 1, SQUARE), (2, 2, AWAY), (2, 1, SQUARE), categories=PETS)
    matches = match_dataset(truth, {
        2: detections((AWAY, 0.9, 0), (SQUARE, 0.8, 0)),
        1: detections((AWAY, 0.7, 1), (SQUARE, 0.6, 0))}, ['cat', 'dog'])
    assert matches.image_ids.tolist() == [2, 2, 1, 1]
    assert matches.found.tolist() == [NOBODY, 2, NOBODY, 0]
    assert matches.missed.tolist() == [False, True, False]


def test_match_dataset_uses_the_class_ids_of_the_model_and_drops_what_is_not_shared():
    truth = dataset((1, 7, SQUARE), (1, 9, AWAY), categories=((7, 'dog'), (9, 'unicorn')))
    matches = match_dataset(truth, {1: detections((AWAY, 0.9, 0), (SQUARE, 0.8, 1))},
                            ['cat', 'dog'])
    assert matches.objects.class_ids.tolist() == [1]
    assert matches.detections.class_ids.tolist() == [1]
    assert matches.found.tolist() == [0]


def test_matches_above_a_threshold_are_those_of_the_detections_left():
    truth = dataset((1, 1, SQUARE), (1, 1, AWAY))
    found = {1: detections((SQUARE, 0.9, 0), (SQUARE, 0.8, 0), (AWAY, 0.5, 0))}
    matches = match_dataset(truth, found, ['cat']).above(0.8)
    assert matches.found.tolist() == [0, NOBODY]
    assert matches.missed.tolist() == [False, True]


def test_matches_give_the_ap_of_the_library_with_crowds_and_confusions():
    pytest.importorskip('faster_coco_eval')
    random = np.random.default_rng(5)
    names, labels, found = ['ant', 'bee', 'cat'], [], {}
    for image_id in range(1, 31):
        count = random.integers(0, 8)
        corners = random.uniform(0, 150, (count, 2))
        truth = np.concatenate((corners, corners + random.uniform(10, 50, (count, 2))), axis=1)
        class_ids = random.integers(0, 3, count)
        labels += [CocoAnnotation(image_id, int(class_id) + 5,
                                  (x1, y1, x2 - x1, y2 - y1), None, int(random.random() < 0.2))
                   for (x1, y1, x2, y2), class_id in zip(truth.tolist(), class_ids, strict=True)]
        rows = np.repeat(np.arange(count), random.integers(0, 4, count))
        shaken = truth[rows] + random.normal(0, 4, (len(rows), 4))
        confused = np.where(random.random(len(rows)) < 0.2, (class_ids[rows] + 1) % 3,
                            class_ids[rows])
        scores = np.sort(random.random(len(rows)))[::-1]
        found[image_id] = Detections(shaken.astype(np.float32), scores.astype(np.float32),
                                     confused)
    truth = CocoDataset(tuple(CocoImage(image_id, 'x', 200, 200) for image_id in found),
                        tuple(labels), tuple(CocoCategory(index + 5, name)
                                             for index, name in enumerate(names)))
    aps = [curve.ap for curve in class_curves(match_dataset(truth, found, names), names).values()]
    assert 20 < 100 * np.mean(aps) < 80
    assert 100 * np.mean(aps) == pytest.approx(measure(truth, found, names).ap50, abs=0.01)
