# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import cv2
from lite_detector.core import lettering
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


# Names in other scripts

@pytest.fixture
def opencv_4(monkeypatch):
    """Let OpenCV draw only ASCII, as version 4 does."""
    monkeypatch.setattr(lettering, 'opencv_draws_unicode', lambda: False)
    monkeypatch.setattr(cv2, 'putText', lambda canvas, text, *rest, draw=cv2.putText: draw(
        canvas, text.encode('ascii', 'replace').decode(), *rest))


def label_of(name: str, class_id: int = 2) -> np.ndarray:
    """Return the label of a box, drawn white on black."""
    canvas = np.zeros((60, 300, 3), np.uint8)
    names = ('cat', 'dog', name)
    draw = lettering.drawable_names(names)[class_id]
    lettering.put_text(canvas, draw, (4, 40), 0.8, (255, 255, 255))
    return canvas


def differs_from(canvas: np.ndarray, text: str) -> bool:
    other = np.zeros_like(canvas)
    cv2.putText(other, text, (4, 40), lettering.FONT, 0.8, (255, 255, 255), 1, cv2.LINE_AA)
    return not np.array_equal(canvas, other)


@pytest.mark.parametrize('name', ['\u0434\u0440\u043e\u043d', '\u00c4pfel', '\u732b'])
def test_name_in_another_script_is_readable_or_its_index(opencv_4, name):
    canvas = label_of(name)
    assert canvas.any()
    if lettering.font_file(name) is None:
        assert lettering.drawable_names(('cat', 'dog', name)) == ('cat', 'dog', '2')
        assert not differs_from(canvas, '2')
    else:
        assert differs_from(canvas, '?' * len(name))
        assert len({label_of(text).tobytes() for text in (name, name[::-1] + name)}) == 2


def test_name_in_another_script_without_pillow_is_its_index(opencv_4, monkeypatch):
    monkeypatch.setattr(lettering, 'find_spec', lambda name: None)
    lettering.font_file.cache_clear()
    try:
        assert lettering.drawable_names(('cat', '\u0434\u0440\u043e\u043d')) == ('cat', '1')
    finally:
        lettering.font_file.cache_clear()


def test_cyrillic_name_is_drawn_with_a_font_that_has_its_letters(opencv_4):
    if lettering.font_file('\u0434\u0440\u043e\u043d') is None:
        pytest.skip('no font with Cyrillic letters here')
    image = np.full((120, 200, 3), 90, np.uint8)
    one = detections(((20, 40, 150, 100), 0.9, 0))
    drawn = {name: draw_detections(image, one, (name,)) for name in (
        '\u0434\u0440\u043e\u043d', '\u043a\u043e\u0442', '????')}
    assert len({picture.tobytes() for picture in drawn.values()}) == 3


def test_font_of_placeholders_is_no_font(opencv_4):
    assert not [path for path in lettering._all_fonts() if 'lastresort' in path.name.lower()]
    assert lettering.font_file('\U0010fffd') is None


@pytest.mark.parametrize('origin', [(-30, 5), (280, 58), (400, 400), (0, -50)])
def test_text_beyond_the_border_is_cut(opencv_4, origin):
    canvas = np.zeros((60, 300, 3), np.uint8)
    lettering.put_text(canvas, '\u0434\u0440\u043e\u043d', origin, 0.8, (255, 255, 255))
    assert canvas.shape == (60, 300, 3)
