# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Geometry, colours and labels of augmentation, step by step."""

from dataclasses import replace

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.types import ImageSize, size_of
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.augment.color import ColorStep
from lite_detector.train.data.augment.geometry import Extent, place, Placement, Region, Warp
from lite_detector.train.data.augment.labels import Labels, labels_in_view
from lite_detector.train.data.augment.policy import draw_mosaic_windows, draw_tile, draw_view
import numpy as np
import pytest
from scenes import find_white, INPUT, noise, painted, PLAIN

UNCHANGED = ColorStep()


def paint(sample, step) -> np.ndarray:
    canvas = np.full((*INPUT, 3), PLAIN.pad_value, np.uint8)
    step.apply_image(sample.image_bgr, canvas, UNCHANGED)
    return canvas


def with_boxes(boxes, ignore=None):
    boxes = np.array(boxes, np.float32).reshape(-1, 4)
    sample = noise(ImageSize(100, 200))
    flags = np.zeros(len(boxes), bool) if ignore is None else np.array(ignore)
    return replace(sample, boxes_xyxy=boxes, class_ids=np.arange(len(boxes)), ignore=flags,
                   scores=(1 / np.arange(1, 1 + len(boxes))).astype(np.float32))


def test_placement_worked_by_hand():
    step = Placement(Region(10, 20, 50, 40), Region(100, 50, 180, 110))
    boxes = np.array([[10, 20, 50, 40], [20, 30, 30, 35], [0, 0, 10, 20]], np.float32)
    np.testing.assert_array_equal(step.apply_boxes(boxes), [
        [100, 50, 180, 110], [120, 80, 140, 95], [80, -10, 100, 50]])
    mirrored = replace(step, flip=True)
    np.testing.assert_array_equal(mirrored.apply_boxes(boxes), [
        [100, 50, 180, 110], [140, 80, 160, 95], [180, -10, 200, 50]])


def test_flip_twice_is_no_flip():
    sample = noise(ImageSize(30, 40), 5)
    step = Placement(Region(0, 0, 40, 30), Region(0, 0, 40, 30), flip=True)
    canvas = np.zeros((30, 40, 3), np.uint8)
    step.apply_image(sample.image_bgr, canvas, UNCHANGED)
    np.testing.assert_array_equal(canvas, sample.image_bgr[:, ::-1])
    step.apply_image(canvas.copy(), canvas, UNCHANGED)
    np.testing.assert_array_equal(canvas, sample.image_bgr)
    np.testing.assert_allclose(step.apply_boxes(step.apply_boxes(sample.boxes_xyxy)),
                               sample.boxes_xyxy, atol=1e-4)


@pytest.mark.parametrize('size', [ImageSize(7, 900), ImageSize(900, 7), ImageSize(1, 1),
                                  ImageSize(192, 256)])
@pytest.mark.parametrize('center', [-500.0, 0.0, 128.0, 700.0])
def test_placement_stays_within_image_and_window(size, center):
    window = Region(40, 30, 200, 101)
    for extent in (0.2, 10.3, 256.0, 3000.0):
        step = place(size, Extent(center, center / 2, extent, extent / 3), window)
        image, target = step.source, step.window
        assert 0 <= image.left < image.right <= size.width
        assert 0 <= image.top < image.bottom <= size.height
        assert window.left <= target.left < target.right <= window.right
        assert window.top <= target.top < target.bottom <= window.bottom


def test_a_warp_that_does_not_turn_is_a_placement():
    sample, frame = noise(ImageSize(48, 64), 6), Extent(128.0, 96.0, 256.0, 192.0)
    flat = place(ImageSize(48, 64), frame, Region.of(INPUT), flip=True)
    turned = place(ImageSize(48, 64), frame, Region.of(INPUT), True, 1e-6)
    assert isinstance(flat, Placement) and isinstance(turned, Warp)
    np.testing.assert_allclose(flat.apply_boxes(sample.boxes_xyxy),
                               turned.apply_boxes(sample.boxes_xyxy), atol=1e-3)
    # four times as large: counting from the middle of pixels would be 1.5 pixels beside it
    inside = (slice(4, -4), slice(4, -4))
    difference = np.abs(paint(sample, flat).astype(int) - paint(sample, turned))[inside]
    assert difference.max() <= 2


def test_quarter_turn_by_hand():
    step = place(ImageSize(40, 80), Extent(100.0, 60.0, 80.0, 40.0), Region.of(INPUT),
                 degrees=90.0)
    # the left edge goes to the top, the top edge to the right
    np.testing.assert_allclose(step.apply_boxes(np.array([[0, 0, 80, 40], [0, 0, 10, 5]],
                                                         np.float32)),
                               [[80, 20, 120, 100], [115, 20, 120, 30]], atol=1e-4)


VIEWS = {
    'scale': {'scale': (0.5, 2.0)},
    'translate': {'translate': 0.3},
    'flip': {'flip': 1.0},
    'stretch': {'stretch': (0.5, 2.0)},
    'all': {'scale': (0.5, 1.6), 'translate': 0.2, 'flip': 0.5, 'stretch': (0.8, 1.25)},
}


@pytest.mark.parametrize('name', VIEWS)
@pytest.mark.parametrize('tile', [False, True])
def test_box_follows_the_pixels(name, tile):
    spec = from_mapping({**to_plain(AugmentSpec.none()), **VIEWS[name]}, AugmentSpec, 'test')
    seen = 0
    for seed in range(40):
        rng = np.random.default_rng(seed)
        sample = painted(ImageSize(150 + seed, 240 - 2 * seed), (60, 40, 110, 95 + seed))
        size = size_of(sample.image_bgr)
        if tile:
            window = draw_mosaic_windows(rng, INPUT)[seed % 4]
            step = draw_tile(rng, spec, size, window, INPUT, PLAIN, 32)
        else:
            step = draw_view(rng, spec, size, INPUT, PLAIN, 32)
        labels = labels_in_view(sample, step, 0, 4)
        if len(labels.boxes_xyxy):
            seen += 1
            np.testing.assert_allclose(find_white(paint(sample, step)), labels.boxes_xyxy[0],
                                       atol=1.5)
    assert seen > 20


def to_plain(spec: AugmentSpec) -> dict:
    return {name: getattr(spec, name) for name in spec.__struct_fields__}


@pytest.mark.parametrize('flip', [False, True])
def test_turned_box_follows_the_pixels(flip):
    sample = painted()
    for degrees in (-30.0, -7.0, 4.0, 20.0):
        step = place(size_of(sample.image_bgr), Extent(130.0, 90.0, 200.0, 130.0),
                     Region.of(INPUT), flip, degrees)
        np.testing.assert_allclose(find_white(paint(sample, step)),
                                   labels_in_view(sample, step, 0, 0).boxes_xyxy[0], atol=1.5)


def test_turned_image_keeps_to_its_window_and_leaves_padding():
    sample = replace(painted(), image_bgr=np.full((150, 240, 3), 255, np.uint8))
    window = Region(100, 60, 256, 192)
    canvas = paint(sample, place(ImageSize(150, 240), Extent(178.0, 126.0, 150.0, 130.0), window,
                                 degrees=20.0))
    outside = np.ones(INPUT, bool)
    outside[60:, 100:] = False
    assert (canvas[outside] == PLAIN.pad_value).all()
    assert canvas[62, 102, 0] == PLAIN.pad_value and canvas[126, 178, 0] == 255


HALF = Placement(Region(0, 0, 100, 100), Region(0, 0, 100, 100))
"""Shows the left half of an image of 200 x 100."""


def test_what_is_left_of_a_box_decides_what_it_is():
    sample = with_boxes([(10, 10, 30, 30),     # all of it
                         (90, 10, 110, 30),    # half of it
                         (99, 10, 119, 30),    # a twentieth
                         (100, 10, 120, 30),   # nothing
                         (-5, -5, 20, 20),     # reaches beyond the image: cut there first
                         (50, 50, 51, 60)])    # a narrow one
    labels = labels_in_view(sample, HALF, 0.1, 2)
    np.testing.assert_array_equal(labels.class_ids, [0, 1, 4])
    np.testing.assert_allclose(labels.scores, [1, 1 / 2, 1 / 5])
    np.testing.assert_array_equal(labels.boxes_xyxy, [(10, 10, 30, 30), (90, 10, 100, 30),
                                                      (0, 0, 20, 20)])
    np.testing.assert_array_equal(labels.ignored_xyxy, [(99, 10, 100, 30), (50, 50, 51, 60)])


def test_ignored_regions_stay_ignored_and_are_cut():
    labels = labels_in_view(with_boxes([(50, 10, 150, 30), (150, 0, 160, 9), (0, 0, 10, 10)],
                                       [True, True, False]), HALF, 0.1, 2)
    np.testing.assert_array_equal(labels.ignored_xyxy, [(50, 10, 100, 30)])
    np.testing.assert_array_equal(labels.class_ids, [2])


def test_one_pixel_boxes_without_limits():
    sample = with_boxes([(0, 0, 1, 1), (99, 99, 100, 100), (5, 5, 5, 9)])
    labels = labels_in_view(sample, HALF, 0, 0)
    np.testing.assert_array_equal(labels.class_ids, [0, 1])


def test_image_without_boxes_keeps_its_shapes():
    labels = labels_in_view(with_boxes([]), HALF, 0.1, 2)
    assert labels.boxes_xyxy.shape == labels.ignored_xyxy.shape == (0, 4)
    assert labels.class_ids.shape == (0,)
    assert labels.boxes_xyxy.dtype == np.float32 and labels.class_ids.dtype == np.int64


def test_labels_refuse_boxes_and_classes_out_of_step():
    with pytest.raises(ValueError, match='boxes_xyxy'):
        Labels(np.zeros((2, 4), np.float32), np.zeros(3, np.int64), np.ones(3, np.float32),
               np.zeros((0, 4), np.float32))


def test_colors_by_hand():
    pixels = np.array([[[0, 0, 0], [100, 100, 100], [0, 0, 200]]], np.uint8)
    np.testing.assert_array_equal(ColorStep(brightness=30).apply_image(pixels),
                                  [[[30] * 3, [130] * 3, [30, 30, 230]]])
    # 127.5 + 2 * (100 - 127.5) = 72.5
    np.testing.assert_allclose(ColorStep(contrast=2).apply_image(pixels),
                               [[[0] * 3, [72.5] * 3, [0, 0, 255]]], atol=1)
    # pure red is as bright as 0.299 of white
    np.testing.assert_allclose(ColorStep(saturation=0).apply_image(pixels),
                               [[[0] * 3, [100] * 3, [60] * 3]], atol=1)
    # a third of the colour circle: red becomes another pure colour, grey stays
    turned = ColorStep(hue=120).apply_image(pixels)
    np.testing.assert_allclose(np.sort(turned, axis=2), np.sort(pixels, axis=2), atol=1)
    assert turned[0, 2, 2] == 0
    assert ColorStep().apply_image(pixels) is pixels


def test_spec_switches_off_at_the_end_of_a_phase():
    spec = AugmentSpec(mosaic=0.5, mosaic_off_epochs=2, mixup=0.25, mixup_off_epochs=1)
    assert [spec.at(epoch, 4).mosaic for epoch in range(4)] == [0.5, 0.5, 0, 0]
    assert [spec.at(epoch, 4).mixup for epoch in range(4)] == [0.25, 0.25, 0.25, 0]


@pytest.mark.parametrize('data, reason', [
    ({'scale': [2.0, 1.0]}, 'lower limit first'), ({'scale': [0.0, 1.0]}, r'scale\[0\]'),
    ({'flip': 1.5}, r'\$\.flip'), ({'flipp': 0.5}, 'flipp')])
def test_spec_refuses(data, reason):
    with pytest.raises(ConfigError, match=reason):
        from_mapping(data, AugmentSpec, 'train.yaml')
