# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP of detections whose worth can be worked out by hand."""

import sys

import cv2
from lite_detector import load_model
from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.data.coco import CocoDataset, CocoImage
from lite_detector.evaluation.coco_metrics import evaluate, measure
import msgspec
import pytest
from tiny_models import square_image
from tiny_results import AWAY, dataset, detections, shifted, SQUARE


@pytest.fixture(autouse=True)
def coco_eval():
    # inside a test: a skip of the whole module would trip the pytest plugin of launch_testing
    pytest.importorskip('faster_coco_eval')


def test_measure_with_perfect_boxes_is_100():
    truth = dataset((1, 1, SQUARE), (2, 1, SQUARE), (2, 1, AWAY))
    metrics = measure(truth, {1: detections((SQUARE, 0.9, 0)),
                              2: detections((SQUARE, 0.8, 0), (AWAY, 0.7, 0))}, ['cat'])
    assert (metrics.ap, metrics.ap50, metrics.ap75) == (100, 100, 100)
    # all of them are larger than 96 x 96, and nothing else can be measured
    assert (metrics.ap_small, metrics.ap_medium, metrics.ap_large) == (None, None, 100)
    assert metrics.images == 2
    assert metrics.per_class == {'cat': 100}


def test_measure_tells_images_apart_whose_ids_are_hashes():
    ids = 2 ** 60, 2 ** 60 + 1, 2 ** 63 + 5
    truth = dataset((ids[0], 1, SQUARE), (ids[1], 1, AWAY), (ids[2], 1, SQUARE))
    truth = msgspec.structs.replace(truth, images=tuple(
        CocoImage(image_id, 'a.png', 640, 480) for image_id in ids))
    metrics = measure(truth, {ids[0]: detections((SQUARE, 0.9, 0)),
                              ids[1]: detections((AWAY, 0.8, 0)),
                              ids[2]: detections((SQUARE, 0.7, 0))}, ['cat'])
    assert metrics.ap == 100


@pytest.mark.parametrize('found', [{}, {1: detections()}, {1: detections((AWAY, 0.9, 0))}])
def test_measure_with_nothing_right_is_0(found):
    metrics = measure(dataset((1, 1, SQUARE)), found, ['cat'])
    assert (metrics.ap, metrics.ap50, metrics.per_class) == (0, 0, {'cat': 0})


def test_measure_without_a_label_is_unknown():
    metrics = measure(dataset(), {1: detections((SQUARE, 0.9, 0))}, ['cat'])
    assert (metrics.ap, metrics.ap_large, metrics.per_class) == (None, None, {})


def test_measure_with_shifted_boxes_counts_the_thresholds_they_reach():
    # IoU = 76 / 124 = 0.613: a match at 0.50, 0.55 and 0.60, three thresholds of ten
    metrics = measure(dataset((1, 1, SQUARE)),
                      {1: detections((shifted(SQUARE, 24), 0.9, 0))}, ['cat'])
    assert (metrics.ap, metrics.ap50, metrics.ap75) == (30, 100, 0)


def test_measure_with_half_of_the_objects_found():
    # precision 1 up to recall 0.50: 51 of the 101 recall levels
    metrics = measure(dataset((1, 1, SQUARE), (2, 1, SQUARE)),
                      {1: detections((SQUARE, 0.9, 0))}, ['cat'])
    assert metrics.ap == 50.5


def test_measure_with_a_better_scored_false_alarm_halves_precision():
    metrics = measure(dataset((1, 1, SQUARE)),
                      {1: detections((AWAY, 0.9, 0), (SQUARE, 0.8, 0))}, ['cat'])
    assert metrics.ap == 50


def test_measure_passes_over_boxes_in_a_crowd():
    truth = dataset((1, 1, SQUARE), (1, 1, (300.0, 200.0, 600.0, 450.0), None, 1))
    metrics = measure(truth, {1: detections((AWAY, 0.9, 0), (SQUARE, 0.8, 0))}, ['cat'])
    assert metrics.ap == 100


def test_measure_takes_the_size_of_an_object_from_its_area():
    metrics = measure(dataset((1, 1, SQUARE, 500.0)), {1: detections((SQUARE, 0.9, 0))}, ['cat'])
    assert (metrics.ap_small, metrics.ap_medium, metrics.ap_large) == (100, None, None)


def test_measure_matches_by_name_whatever_the_ids_and_their_order():
    truth = dataset((1, 90, SQUARE), (2, 7, AWAY), categories=((90, 'cat'), (7, 'dog')))
    found = {1: detections((SQUARE, 0.9, 1)), 2: detections((SQUARE, 0.9, 0))}
    metrics = measure(truth, found, ['dog', 'cat'])
    assert metrics.per_class == {'cat': 100, 'dog': 0}
    assert metrics.ap == 50


def test_measure_leaves_out_classes_without_a_label():
    truth = dataset((1, 1, SQUARE), categories=((1, 'cat'), (2, 'dog')))
    metrics = measure(truth, {1: detections((SQUARE, 0.9, 0), (AWAY, 0.9, 1))}, ['cat', 'dog'])
    assert (metrics.ap, metrics.per_class) == (100, {'cat': 100})


def test_measure_leaves_out_categories_that_the_model_cannot_name():
    truth = dataset((1, 1, SQUARE), (1, 2, AWAY), categories=((1, 'cat'), (2, 'unicorn')))
    metrics = measure(truth, {1: detections((SQUARE, 0.9, 0))}, ['cat'])
    assert (metrics.ap, metrics.per_class) == (100, {'cat': 100})


def test_measure_on_a_file_of_persons_passes_over_all_other_classes():
    names = ['person'] + [f'other{index}' for index in range(79)]
    truth = dataset((1, 1, SQUARE), categories=((1, 'person'),))
    found = {1: detections(*((AWAY, 0.99, class_id) for class_id in range(1, 80)),
                           (SQUARE, 0.5, 0))}
    assert measure(truth, found, names).per_class == {'person': 100}


def test_measure_without_a_class_in_common_names_both_sides():
    truth = dataset((1, 1, SQUARE), categories=((1, 'RBC'), (2, 'WBC')))
    with pytest.raises(DataError, match='in common: the model has cat, dog, bird and 1 more, '
                                        'the annotations have RBC, WBC'):
        measure(truth, {}, ['cat', 'dog', 'bird', 'cow'])


def test_measure_counts_as_many_boxes_as_the_detector_gave():
    wrong = [((float(x), 0.0, x + 1.0, 1.0), 0.9, 0) for x in range(300)]
    truth = dataset((1, 1, SQUARE))
    metrics = measure(truth, {1: detections(*wrong, (SQUARE, 0.1, 0))}, ['cat'])
    assert metrics.ap == pytest.approx(100 / 301, abs=0.01)


def test_measure_without_the_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'faster_coco_eval', None)
    with pytest.raises(LiteDetectorError, match='pip install faster-coco-eval'):
        measure(dataset((1, 1, SQUARE)), {}, ['cat'])


@pytest.fixture
def squares(tmp_path) -> CocoDataset:
    """Write an image with a blue square and one with nothing; return their labels."""
    box = (32.0, 64.0, 64.0, 96.0)
    cv2.imwrite(str(tmp_path / '1.png'), square_image(480, 640, 0, 0, side=0))
    cv2.imwrite(str(tmp_path / '2.png'), square_image(480, 640, 64, 32, (255, 0, 0)))
    return dataset((2, 5, box), categories=((5, 'object0'),))


@pytest.fixture
def detector(tiny_nanodet):
    from lite_detector.core.types import ImageSize
    return load_model(str(tiny_nanodet), input_size=ImageSize(480, 640))


def test_evaluate_runs_the_detector_over_every_image(detector, squares, tmp_path):
    shown = []
    metrics = evaluate(detector, squares, tmp_path,
                       lambda images: (shown.append(image.image_id) or image for image in images))
    assert shown == [1, 2]
    assert (metrics.ap, metrics.images) == (100, 2)
    assert metrics.ap_medium == 100


def test_evaluate_with_an_image_missing_names_it_before_it_begins(detector, squares, tmp_path):
    (tmp_path / '2.png').unlink()
    with pytest.raises(DataError, match=r'2\.png: no such image'):
        evaluate(detector, squares, tmp_path, lambda images: pytest.fail('has begun'))


def test_evaluate_with_an_image_of_another_size_says_so(detector, squares, tmp_path):
    cv2.imwrite(str(tmp_path / '2.png'), square_image(640, 480, 64, 32))
    with pytest.raises(DataError, match=r'2\.png: image size 480x640; .* 640x480'):
        evaluate(detector, squares, tmp_path)


def test_evaluate_without_a_class_in_common_says_so_before_it_begins(detector, tmp_path):
    with pytest.raises(DataError, match='no class in common'):
        evaluate(detector, dataset(), tmp_path, lambda images: pytest.fail('has begun'))
