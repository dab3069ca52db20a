# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import cv2
from lite_detector.core.geometry import (
    ceil_to,
    clip_boxes,
    iou_matrix,
    Letterbox,
    rotate_boxes_back,
)
from lite_detector.core.model_card import PreprocessSpec, RESIZES
from lite_detector.core.types import ImageSize
from lite_detector.detector import ROTATIONS
import numpy as np
import pytest

PADS = ('center', 'bottom_right')


def preprocess(resize: str, pad: str = 'center') -> PreprocessSpec:
    return PreprocessSpec(resize=resize, pad=pad, color='bgr', mean=(0, 0, 0), std=(1, 1, 1))


def boxes(*rows: tuple[float, ...]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def fit(source: tuple[int, int], box: tuple[int, int], resize: str, pad: str = 'center',
        stride: int = 32) -> Letterbox:
    return Letterbox.fit(ImageSize(*source), ImageSize(*box), preprocess(resize, pad), stride)


@pytest.mark.parametrize(('count_a', 'count_b'), [(0, 0), (0, 3), (3, 0)])
def test_iou_matrix_without_boxes_is_empty(count_a, count_b):
    overlaps = iou_matrix(np.zeros((count_a, 4), np.float32), np.zeros((count_b, 4), np.float32))
    assert overlaps.shape == (count_a, count_b)
    assert overlaps.dtype == np.float32


@pytest.mark.parametrize(('a', 'b', 'wanted'), [
    ((0, 0, 4, 2), (0, 0, 4, 2), 1),
    ((0, 0, 4, 2), (2, 0, 6, 2), 4 / 12),
    ((0, 0, 4, 2), (1, 1, 3, 2), 2 / 8),
    ((0, 0, 4, 2), (3, 1, 5, 5), 1 / 15),
    ((0, 0, 4, 2), (4, 0, 8, 2), 0),
    ((0, 0, 4, 2), (4, 2, 8, 4), 0),
    ((0, 0, 4, 2), (9, 9, 10, 10), 0),
    ((1, 1, 1, 1), (1, 1, 1, 1), 0),
    ((1, 0, 1, 5), (0, 0, 4, 2), 0),
    ((-4, -2, 0, 0), (-2, -2, 2, 0), 4 / 12),
], ids=str)
def test_iou_matrix_by_hand(a, b, wanted):
    assert iou_matrix(boxes(a), boxes(b))[0, 0] == pytest.approx(wanted)
    assert iou_matrix(boxes(b), boxes(a))[0, 0] == pytest.approx(wanted)


def test_iou_matrix_pairs_rows_of_a_with_columns_of_b():
    overlaps = iou_matrix(boxes((0, 0, 2, 2), (4, 4, 6, 6)),
                          boxes((9, 9, 10, 10), (4, 4, 6, 6), (0, 0, 2, 1)))
    np.testing.assert_allclose(overlaps, [[0, 0, 0.5], [0, 1, 0]])


def test_clip_boxes_cuts_at_the_outer_edges_of_the_border_pixels():
    before = boxes((-5, -5, 700, 500), (1.5, 2.5, 3.5, 4.5), (650, 490, 660, 495))
    clipped = clip_boxes(before, ImageSize(height=480, width=640))
    np.testing.assert_array_equal(
        clipped, [[0, 0, 640, 480], [1.5, 2.5, 3.5, 4.5], [640, 480, 640, 480]])
    assert clipped.dtype == np.float32
    assert before[0, 0] == -5


def test_clip_boxes_without_boxes_is_empty():
    clipped = clip_boxes(np.zeros((0, 4), np.float32), ImageSize(10, 10))
    assert (clipped.shape, clipped.dtype) == ((0, 4), np.float32)


@pytest.mark.parametrize(('value', 'multiple', 'wanted'),
                         [(0, 32, 0), (1, 32, 32), (32, 32, 32), (33, 32, 64), (240, 64, 256)])
def test_ceil_to_rounds_up(value, multiple, wanted):
    assert ceil_to(value, multiple) == wanted


# sizes are (height, width); worked out by hand
@pytest.mark.parametrize(('source', 'box', 'stride', 'resized', 'padded', 'left', 'top'), [
    ((480, 640), (320, 320), 32, (240, 320), (256, 320), 0, 8),
    ((640, 480), (320, 320), 32, (320, 240), (320, 256), 8, 0),
    ((480, 640), (320, 320), 64, (240, 320), (256, 320), 0, 8),
    ((720, 1280), (320, 320), 32, (180, 320), (192, 320), 0, 6),
    ((480, 640), (320, 416), 32, (312, 416), (320, 416), 0, 4),
    ((320, 320), (320, 320), 32, (320, 320), (320, 320), 0, 0),
    ((424, 640), (416, 416), 32, (275, 416), (288, 416), 0, 6),
    # a float scale of 320 / 427 leaves 319.99...: the fitted side must not lose a pixel
    ((320, 427), (320, 320), 32, (239, 320), (256, 320), 0, 8),
    ((427, 640), (320, 320), 32, (213, 320), (224, 320), 0, 5),
    ((10, 5000), (320, 320), 32, (1, 320), (32, 320), 0, 15),
    ((5000, 10), (320, 320), 32, (320, 1), (320, 32), 15, 0),
    ((8, 8), (96, 64), 32, (64, 64), (64, 64), 0, 0),
])
def test_letterbox_rect_pads_the_short_side_to_the_stride(source, box, stride, resized, padded,
                                                          left, top):
    letterbox = fit(source, box, 'letterbox_rect', stride=stride)
    assert letterbox.resized_size == ImageSize(*resized)
    assert letterbox.input_size == ImageSize(*padded)
    assert (letterbox.left, letterbox.top) == (left, top)


@pytest.mark.parametrize(('pad', 'left', 'top'), [('center', 0, 40), ('bottom_right', 0, 0)])
def test_letterbox_square_fills_the_whole_input(pad, left, top):
    letterbox = fit((480, 640), (320, 320), 'letterbox_square', pad)
    assert letterbox.resized_size == ImageSize(240, 320)
    assert letterbox.input_size == ImageSize(320, 320)
    assert (letterbox.left, letterbox.top) == (left, top)


def test_letterbox_square_keeps_an_input_that_is_not_square():
    letterbox = fit((640, 480), (320, 416), 'letterbox_square')
    assert letterbox.input_size == ImageSize(320, 416)
    assert (letterbox.left, letterbox.top) == ((416 - 240) // 2, 0)


def test_letterbox_with_one_odd_pixel_of_padding_puts_it_right_and_below():
    letterbox = fit((427, 640), (320, 320), 'letterbox_rect')
    below = letterbox.input_size.height - letterbox.resized_size.height - letterbox.top
    assert (letterbox.top, below) == (5, 6)


def test_stretch_scales_each_axis_by_itself():
    letterbox = fit((480, 640), (320, 416), 'stretch')
    assert letterbox.resized_size == letterbox.input_size == ImageSize(320, 416)
    assert (letterbox.scale_y, letterbox.scale_x) == (320 / 480, 416 / 640)
    np.testing.assert_allclose(letterbox.to_source(boxes((0, 0, 416, 320))),
                               [[0, 0, 640, 480]], rtol=1e-6)


@pytest.mark.parametrize(('source', 'box', 'stride', 'filled'), [
    ((480, 640), (320, 320), 64, (256, 320)),
    ((427, 640), (320, 320), 64, (256, 320)),
    ((640, 427), (320, 320), 64, (320, 256)),
    ((720, 1280), (320, 320), 64, (192, 320)),
    ((320, 320), (320, 320), 64, (320, 320)),
    ((10, 5000), (320, 320), 32, (32, 320)),
])
def test_stretch_rect_fills_the_size_of_letterbox_rect(source, box, stride, filled):
    letterbox = fit(source, box, 'stretch_rect', stride=stride)
    assert letterbox.resized_size == letterbox.input_size == ImageSize(*filled)
    assert letterbox.input_size == fit(source, box, 'letterbox_rect', stride=stride).input_size
    assert (letterbox.left, letterbox.top) == (0, 0)
    corner = boxes((0, 0, filled[1], filled[0]))
    np.testing.assert_allclose(letterbox.to_source(corner), [[0, 0, source[1], source[0]]],
                               rtol=1e-6)


def test_to_source_by_hand():
    letterbox = fit((480, 640), (320, 320), 'letterbox_rect')
    mapped = letterbox.to_source(boxes((10, 8, 20, 108), (0, 0, 320, 256)))
    np.testing.assert_array_equal(mapped, [[20, 0, 40, 200], [0, -16, 640, 496]])
    assert mapped.dtype == np.float32


@pytest.mark.parametrize('resize', RESIZES)
def test_letterbox_without_boxes_maps_to_none(resize):
    letterbox = fit((480, 640), (320, 320), resize)
    for mapped in (letterbox.to_input, letterbox.to_source):
        assert mapped(np.zeros((0, 4), np.float32)).shape == (0, 4)


@pytest.mark.parametrize('resize', RESIZES)
@pytest.mark.parametrize('pad', PADS)
def test_letterbox_there_and_back_gives_the_same_boxes(resize, pad):
    random = np.random.default_rng(0)
    for _ in range(50):
        source = ImageSize(*random.integers(8, 2000, 2).tolist())
        box = ImageSize(*(32 * random.integers(1, 20, 2)).tolist())
        letterbox = fit(source, box, resize, pad)
        corners = random.random((20, 2, 2)) * (source.width, source.height)
        corners = corners.reshape(20, 4).astype(np.float32)
        back = letterbox.to_source(letterbox.to_input(corners))
        # float32 carries 7 digits of the network's pixels, padding included
        atol = 1e-6 * max(letterbox.input_size) / min(letterbox.scale_x, letterbox.scale_y)
        np.testing.assert_allclose(back, corners, rtol=1e-5, atol=atol)


@pytest.mark.parametrize('resize', RESIZES)
@pytest.mark.parametrize('pad', PADS)
def test_letterbox_of_any_size_holds_the_whole_image(resize, pad):
    random = np.random.default_rng(1)
    for _ in range(300):
        source = ImageSize(*random.integers(8, 3000, 2).tolist())
        box = ImageSize(*(32 * random.integers(1, 20, 2)).tolist())
        letterbox = fit(source, box, resize, pad)
        for inside, whole, start, limit in zip(letterbox.resized_size, letterbox.input_size,
                                               (letterbox.top, letterbox.left), box, strict=True):
            assert 1 <= inside <= limit
            assert 0 <= start <= start + inside <= whole <= limit
            assert whole % 32 == 0
        # one side is filled to its last pixel
        assert any(side == limit for side, limit in zip(letterbox.resized_size, box, strict=True))


# an image of 200x100 (width x height) and the box 10 20 50 60 in it
ROTATED = {0: (10, 20, 50, 60), 90: (40, 10, 80, 50), 180: (150, 40, 190, 80),
           270: (20, 150, 60, 190)}


@pytest.mark.parametrize('angle', ROTATED)
def test_rotate_boxes_back_gives_the_box_of_the_image_before(angle):
    rotated = np.array([ROTATED[angle]] * 2, np.float32)
    back = rotate_boxes_back(rotated, angle, ImageSize(100, 200))
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, [(10, 20, 50, 60)] * 2)
    empty = rotate_boxes_back(np.zeros((0, 4), np.float32), angle, ImageSize(100, 200))
    assert (empty.shape, empty.dtype) == ((0, 4), np.float32)


@pytest.mark.parametrize('angle', ROTATED)
def test_rotate_boxes_back_agrees_with_the_pixels_that_opencv_rotates(angle):
    image = np.zeros((100, 200), np.uint8)
    image[20:60, 10:50] = 255
    rotated = cv2.rotate(image, ROTATIONS[angle]) if angle else image
    rows, columns = np.nonzero(rotated)
    box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    back = rotate_boxes_back(np.array([box], np.float32), angle, ImageSize(100, 200))
    np.testing.assert_array_equal(back, [(10, 20, 50, 60)])
