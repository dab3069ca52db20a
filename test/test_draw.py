# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from lite_detector.core.draw import class_color, draw_detections
from lite_detector.core.types import Detections
import numpy as np
import pytest

NAMES = ('person', 'bicycle')


def detections(*rows: tuple[tuple[float, ...], float, int]) -> Detections:
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32),
                      np.array(class_ids, np.int64))


def test_draw_without_detections_gives_an_equal_copy():
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    canvas = draw_detections(image, Detections.empty(), NAMES)
    np.testing.assert_array_equal(canvas, image)
    assert not np.shares_memory(canvas, image)


def test_draw_frames_the_box_in_the_colour_of_its_class():
    image = np.zeros((90, 120, 3), np.uint8)
    canvas = draw_detections(image, detections(((40, 30, 100.4, 79.6), 0.9, 1)), NAMES)
    for row, column in ((50, 40), (50, 100), (80, 70)):
        assert tuple(canvas[row, column]) == class_color(1)
    assert not canvas[60, 70].any(), 'the inside stays free'
    assert not canvas[85:, :30].any()
    assert not image.any(), 'the picture of the camera stays as it is'
    assert (canvas.shape, canvas.dtype) == (image.shape, np.uint8)


def test_draw_puts_the_best_score_on_top():
    box = (40, 30, 100, 80)
    canvas = draw_detections(np.zeros((90, 120, 3), np.uint8),
                             detections((box, 0.9, 0), (box, 0.4, 1)), NAMES)
    assert tuple(canvas[50, 40]) == class_color(0)


@pytest.mark.parametrize('relative_box', [(0, 0, 1, 1), (1, 1, 1, 1), (0, 0, 0, 0),
                                          (0.5, 0.5, 0.5, 0.5), (-9, -9, 9, 9)], ids=str)
@pytest.mark.parametrize('shape', [(90, 120, 3), (8, 9, 3), (8, 400, 3)], ids=str)
def test_draw_at_the_border_keeps_the_label_in_the_picture(relative_box, shape):
    box = np.multiply(relative_box, (shape[1], shape[0]) * 2)
    canvas = draw_detections(np.zeros(shape, np.uint8), detections((box, 1.0, 0)), NAMES)
    assert canvas.shape == shape
    assert (canvas == class_color(0)).all(axis=2).any()


def test_draw_writes_the_number_of_a_tracked_object_behind_its_score():
    image, found = np.zeros((90, 240, 3), np.uint8), detections(((40, 30, 100, 80), 0.9, 0))
    widths = [int((draw_detections(image, found, NAMES, ids)[24] == class_color(0)).all(
        axis=1).sum()) for ids in (None, [7], [1234])]
    assert widths[0] < widths[1] < widths[2]


def test_draw_on_a_view_of_an_image_works():
    image = np.zeros((180, 240, 3), np.uint8)[::2, ::-2]
    canvas = draw_detections(image, detections(((40, 30, 100, 80), 0.9, 0)), NAMES)
    assert tuple(canvas[50, 40]) == class_color(0)


def test_class_colors_of_coco_differ_and_stay_in_range():
    colors = [class_color(class_id) for class_id in range(80)]
    assert len(set(colors)) == 80
    assert all(0 <= level <= 255 for color in colors for level in color)
    steps = [np.abs(np.subtract(a, b)).sum() for a, b in zip(colors, colors[1:], strict=False)]
    assert min(steps) > 100, 'neighbours are told apart at a glance'
