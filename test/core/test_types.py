# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from dataclasses import FrozenInstanceError

from lite_detector.core.types import Detections, ImageSize, size_of
import numpy as np
import pytest


def three() -> Detections:
    boxes = np.arange(12, dtype=np.float32).reshape(3, 4)
    return Detections(boxes, np.array([0.9, 0.5, 0.1], np.float32), np.array([2, 0, 2]))


def test_detections_empty_has_the_shapes_and_dtypes_of_full_ones():
    empty = Detections.empty()
    assert len(empty) == 0
    assert (empty.boxes_xyxy.shape, empty.boxes_xyxy.dtype) == ((0, 4), np.float32)
    assert (empty.scores.shape, empty.scores.dtype) == ((0,), np.float32)
    assert (empty.class_ids.shape, empty.class_ids.dtype) == ((0,), np.int64)


@pytest.mark.parametrize(('boxes', 'scores', 'class_ids', 'message'), [
    ((0,), (0,), (0,), r'boxes_xyxy: shape \(0,\); expected \(0, 4\)'),
    ((2, 5), (2,), (2,), r'boxes_xyxy: shape \(2, 5\); expected \(2, 4\)'),
    ((4,), (1,), (1,), r'boxes_xyxy: shape \(4,\); expected \(1, 4\)'),
    ((2, 4), (2, 1), (2,), r'scores: shape \(2, 1\); expected \(2,\)'),
    ((2, 4), (2,), (3,), r'class_ids: shape \(3,\); expected \(2,\)'),
])
def test_detections_with_shapes_that_do_not_fit_are_refused(boxes, scores, class_ids, message):
    with pytest.raises(ValueError, match=message):
        Detections(np.zeros(boxes), np.zeros(scores), np.zeros(class_ids))


@pytest.mark.parametrize(('index', 'wanted'), [
    (np.zeros(0, np.int64), []),
    (np.zeros(3, bool), []),
    (np.array([False, True, True]), [0.5, 0.1]),
    (np.array([2, 0]), [0.1, 0.9]),
])
def test_detections_select_keeps_the_order_of_the_index(index, wanted):
    selected = three().select(index)
    np.testing.assert_array_equal(selected.scores, np.array(wanted, np.float32))
    assert selected.boxes_xyxy.shape == (len(wanted), 4)
    assert selected.class_ids.shape == (len(wanted),)


def test_detections_with_boxes_changes_nothing_else():
    before = three()
    moved = before.with_boxes(before.boxes_xyxy + 1)
    np.testing.assert_array_equal(moved.boxes_xyxy[0], [1, 2, 3, 4])
    np.testing.assert_array_equal(before.boxes_xyxy[0], [0, 1, 2, 3])
    assert moved.scores is before.scores
    assert moved.class_ids is before.class_ids


def test_detections_are_immutable():
    with pytest.raises(FrozenInstanceError):
        three().scores = np.zeros(3, np.float32)


@pytest.mark.parametrize('shape', [(480, 640), (480, 640, 3), (480, 640, 1)])
def test_size_of_an_image_is_height_then_width(shape):
    size = size_of(np.zeros(shape, np.uint8))
    assert size == ImageSize(height=480, width=640)
    assert (type(size.height), type(size.width)) == (int, int)


def test_image_size_prints_width_first():
    assert str(ImageSize(height=480, width=640)) == '640x480'
