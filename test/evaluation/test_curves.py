# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Curves, confusion and sizes of detections whose worth can be worked out by hand."""

from lite_detector import load_model
from lite_detector.core.types import ImageSize
from lite_detector.evaluation.confusion import confusion_matrix
from lite_detector.evaluation.curves import class_curves, Curve, overall_curve
from lite_detector.evaluation.matching import match_dataset
from lite_detector.evaluation.size_bins import EDGES, input_scales, measure_sizes
import numpy as np
import pytest
from tiny_results import AWAY, dataset, detections, shifted, SQUARE

PETS = ((1, 'cat'), (2, 'dog'))
NAMES = ['cat', 'dog']


def curve(*rows: tuple[float, bool], labelled: int) -> Curve:
    """Return the curve of (score, right) pairs."""
    return Curve.of(np.array([score for score, _ in rows], np.float32),
                    np.array([right for _, right in rows], bool), labelled)


@pytest.mark.parametrize(('labelled', 'ap'), [(0, None), (3, 0)])
def test_curve_of_nothing_found_suggests_nothing(labelled, ap):
    empty = curve(labelled=labelled)
    assert (empty.ap, empty.suggest(), empty.f1.shape) == (ap, None, (0,))


def test_curve_without_labels_has_no_precision_and_suggests_nothing():
    alarms = curve((0.9, False), (0.5, False), labelled=0)
    assert (alarms.precision.tolist(), alarms.recall.tolist()) == ([0, 0], [0, 0])
    assert (alarms.ap, alarms.suggest()) == (None, None)


def test_curve_worked_out_by_hand():
    # in any order; by score: right, wrong, right, wrong; one object of three is never found
    by_hand = curve((0.25, False), (0.5, True), (1.0, True), (0.75, False), labelled=3)
    assert by_hand.thresholds.tolist() == [1, 0.75, 0.5, 0.25]
    assert by_hand.precision == pytest.approx([1, 1 / 2, 2 / 3, 1 / 2])
    assert by_hand.recall == pytest.approx([1 / 3, 1 / 3, 2 / 3, 2 / 3])
    assert by_hand.f1 == pytest.approx([1 / 2, 2 / 5, 2 / 3, 4 / 7])
    # precision 1 at the levels 0 .. 0.33, 2/3 at 0.34 .. 0.66, then nothing
    assert by_hand.ap == pytest.approx((34 * 1 + 33 * 2 / 3) / 101)
    assert by_hand.suggest() == pytest.approx((0.5, 2 / 3, 2 / 3, 2 / 3))


def test_curve_keeps_all_detections_of_a_score_or_none():
    tied = curve((0.5, True), (0.5, False), (0.5, True), labelled=2)
    assert (tied.thresholds.tolist(), tied.recall.tolist()) == ([0.5], [1])
    assert tied.precision == pytest.approx([2 / 3])


def test_suggested_threshold_is_rounded_down_so_that_it_keeps_its_own_detection():
    suggested = curve((0.6789, True), (0.1, False), labelled=1).suggest()
    assert (suggested.threshold, suggested.f1) == (0.678, 1)


def test_curves_of_a_dataset_leave_out_crowds_and_classes_without_labels():
    truth = dataset((1, 1, SQUARE), (2, 1, SQUARE), (2, 1, AWAY, None, 1), categories=PETS)
    found = {1: detections((SQUARE, 0.75, 0), (AWAY, 0.5, 1)), 2: detections((AWAY, 1.0, 0))}
    matches = match_dataset(truth, found, NAMES)
    curves = class_curves(matches, NAMES)
    assert list(curves) == ['cat']
    assert curves['cat'].thresholds.tolist() == [0.75]
    assert (curves['cat'].labelled, curves['cat'].recall.tolist()) == (2, [0.5])
    assert overall_curve(matches).precision.tolist() == [1, 0.5]


def test_class_curves_begin_with_the_most_frequent_class():
    truth = dataset((1, 1, SQUARE), (1, 2, AWAY), (2, 2, AWAY), categories=PETS)
    assert list(class_curves(match_dataset(truth, {}, NAMES), NAMES)) == ['dog', 'cat']


# Confusion

def confusion(truth, found, threshold=0.0, names=NAMES) -> list[list[int]]:
    return confusion_matrix(match_dataset(truth, found, names), threshold, len(names)).tolist()


def test_confusion_of_nothing_is_all_zero():
    assert confusion(dataset(), {}, names=['cat']) == [[0, 0], [0, 0]]


def test_confusion_of_one_class_has_hits_misses_and_false_alarms():
    truth = dataset((1, 1, SQUARE), (1, 1, AWAY), (2, 1, AWAY))
    found = {1: detections((SQUARE, 0.9, 0)), 2: detections((SQUARE, 0.8, 0), (AWAY, 0.1, 0))}
    assert confusion(truth, found, 0.5, ['cat']) == [[1, 2], [1, 0]]


def test_confusion_names_what_an_object_was_taken_for():
    truth = dataset((1, 1, SQUARE), (1, 2, AWAY), categories=PETS)
    assert confusion(truth, {1: detections((SQUARE, 0.9, 1))}) == [
        [0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_confusion_prefers_the_right_name_to_a_better_score_of_a_wrong_one():
    truth = dataset((1, 1, SQUARE), categories=PETS)
    found = {1: detections((SQUARE, 0.9, 1), (shifted(SQUARE, 10), 0.5, 0))}
    # the dog is a false alarm: the object of that place is a cat, and was found
    assert confusion(truth, found) == [[1, 0, 0], [0, 0, 0], [0, 1, 0]]


def test_confusion_does_not_mix_images_or_count_crowds():
    truth = dataset((1, 1, SQUARE), (2, 1, AWAY, None, 1), categories=PETS)
    found = {2: detections((SQUARE, 0.9, 1), (AWAY, 0.8, 0))}
    assert confusion(truth, found) == [[0, 0, 1], [0, 0, 0], [0, 1, 0]]


# Sizes

def test_sizes_without_labels_are_unknown():
    bins = measure_sizes(match_dataset(dataset(), {}, ['cat']), {}, 0.5)
    assert [(each.low, each.high) for each in bins] == list(zip(EDGES, EDGES[1:], strict=False))
    assert {(each.objects, each.ap50, each.recall) for each in bins} == {(0, None, None)}


def test_sizes_are_those_of_the_network_input():
    # 100 x 100 at a tenth is 10, 8 .. 16; 40 x 10 is 2, below 8
    tiny = (0.0, 0.0, 40.0, 10.0)
    truth = dataset((1, 1, SQUARE), (1, 1, AWAY), (1, 1, tiny), (2, 1, SQUARE, None, 1))
    found = {1: detections((SQUARE, 0.9, 0), ((500.0, 0.0, 600.0, 100.0), 0.8, 0),
                           (AWAY, 0.3, 0))}
    small, medium, *rest = measure_sizes(match_dataset(truth, found, ['cat']), {1: 0.1, 2: 0.1},
                                         0.5)
    assert (small.objects, small.ap50, small.recall) == (1, 0, 0)
    # right, wrong, right: precision 1 at 51 levels, then 2/3; one of two is found from 0.5 on
    assert (medium.objects, medium.recall) == (2, 0.5)
    assert medium.ap50 == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert {each.objects for each in rest} == {0}


def test_sizes_count_a_detection_where_its_object_is_and_average_classes():
    # 100 x 100 is in 64 .. 128; the box that found it has 100 x 180: 134, and IoU 0.56
    long = (100.0, 0.0, 200.0, 180.0)
    truth = dataset((1, 1, SQUARE), (1, 2, AWAY), categories=PETS)
    bins = measure_sizes(match_dataset(truth, {1: detections((long, 0.9, 0))}, NAMES), {1: 1.0},
                         0.5)
    assert [(each.objects, each.ap50) for each in bins[4:]] == [(2, 0.5), (0, None), (0, None)]


def test_input_scales_follow_the_fit_of_the_model(tiny_nanodet):
    detector = load_model(str(tiny_nanodet), input_size=ImageSize(64, 96))
    # 640 x 480 into 96 x 64: the height decides, 64 / 480
    assert input_scales(dataset(images=1), detector) == {1: pytest.approx(64 / 480)}
