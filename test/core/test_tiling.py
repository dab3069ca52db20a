# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import cv2
from lite_detector.core.errors import ConfigError, ImageError
from lite_detector.core.tiling import (
    checked_view,
    Crop,
    grid_of,
    Mask,
    merge_views,
    View,
    windows_of,
)
from lite_detector.core.types import Detections, ImageSize
from lite_detector.detector import Detector, Selection
import numpy as np
import pytest
from tiny_models import square_image
from tiny_results import detections

SIZE = ImageSize(100, 200)
LEFT, RIGHT = Crop(0, 0, 120, 100), Crop(80, 0, 200, 100)
WHOLE = Crop(0, 0, 200, 100)


def rows_of(found: Detections) -> list[tuple[tuple[float, ...], float, int]]:
    return [(tuple(box), pytest.approx(score), class_id) for box, score, class_id in zip(
        found.boxes_xyxy.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True)]


# windows

def test_one_tile_is_the_whole_image():
    for mode in ('all', 'tiles_only', 'in_turn'):
        assert windows_of(SIZE, View(mode=mode)) == [WHOLE]


def test_tiles_lie_row_by_row_with_the_whole_behind():
    # side = length / (count - (count - 1) * overlap): 200 / (2 - 0.4) = 125, 100 / 1.6 = 62.5
    windows = windows_of(SIZE, View(columns=2, rows=2, overlap=0.4))
    assert windows == [Crop(0, 0, 125, 63), Crop(75, 0, 200, 63),
                       Crop(0, 37, 125, 100), Crop(75, 37, 200, 100), WHOLE]


@pytest.mark.parametrize('size', [ImageSize(480, 641), ImageSize(1081, 1919)], ids=str)
@pytest.mark.parametrize('columns, rows', [(1, 2), (3, 1), (3, 2), (8, 8)])
@pytest.mark.parametrize('overlap', [0.05, 0.2, 0.5])
def test_tiles_of_one_size_cover_the_image_and_overlap(size, columns, rows, overlap):
    view = View(columns=columns, rows=rows, overlap=overlap, mode='tiles_only')
    windows = windows_of(size, view)
    assert len(windows) == columns * rows
    assert len({window.size for window in windows}) == 1
    seen = np.zeros(size, int)
    for window in windows:
        assert window.cut(seen).shape == window.size, 'inside the image'
        window.cut(seen)[:] += 1
    assert seen.min() == 1
    for first, second in zip(windows[:columns], windows[1:columns], strict=False):
        assert first.right - second.left >= overlap * first.size.width - 1


def test_tiles_take_turns_beside_the_whole():
    view = View(columns=2, rows=2, mode='in_turn')
    tiles = windows_of(SIZE, View(columns=2, rows=2, mode='tiles_only'))
    assert [windows_of(SIZE, view, turn) for turn in range(5)] == [
        [tile, WHOLE] for tile in (*tiles, tiles[0])]


@pytest.mark.parametrize('region, window', [
    ((0, 0, 1, 1), WHOLE),
    ((0.25, 0.5, 1, 1), Crop(50, 50, 200, 100)),
    ((50, 10, 150, 90), Crop(50, 10, 150, 90)),
    ((50, 10, 5000, 5000), Crop(50, 10, 200, 100)),
])
def test_region_is_a_part_of_the_image_or_pixels(region, window):
    assert windows_of(SIZE, View(region=region)) == [window]
    tiles = windows_of(SIZE, View(columns=2, region=region))
    assert (tiles[0].left, tiles[1].right, tiles[-1]) == (window.left, window.right, window)


@pytest.mark.parametrize('region', [(200, 0, 300, 100), (0, 0, 0.03, 1), (0, 95, 200, 100)])
def test_region_without_pixels_is_refused(region):
    with pytest.raises(ImageError, match='of an image of 200x100; expected at least 8 pixels'):
        windows_of(SIZE, View(region=region))


def test_tiles_of_few_pixels_are_refused():
    with pytest.raises(ImageError, match='tiles: 8x8 of 40x30 pixels have 7x5; expected sides'):
        windows_of(ImageSize(30, 40), View(columns=8, rows=8))


@pytest.mark.parametrize('view, message', [
    (View(columns=0), r'view: \$.columns'),
    (View(overlap=0.6), r'view: \$.overlap'),
    (View(mode='both'), r'view: \$.mode'),
    (View(region=(0.5, 0, 0.5, 1)), 'region: .*; expected left < right'),
    (View(region=(0, 0, float('nan'), 1)), 'region: .*; expected'),
    (View(region=(-5, 0, 100, 100)), 'region: .*; expected'),
])
def test_impossible_view_is_refused(view, message):
    with pytest.raises(ConfigError, match=message):
        checked_view(view)


def test_grid_is_read_and_anything_else_refused():
    assert grid_of('3x2') == (3, 2)
    for text in ('', '2', '0x2', '9x1', '2 x 2', '2x2x2'):
        with pytest.raises(ConfigError, match='expected COLUMNSxROWS from 1x1 to 8x8'):
            grid_of(text)


# one list out of several

@pytest.mark.parametrize('count', [1, 2])
def test_merge_of_nothing_is_nothing(count):
    merged = merge_views([Detections.empty()] * count, [LEFT, RIGHT][:count])
    assert merged.boxes_xyxy.shape == (0, 4)
    assert (merged.boxes_xyxy.dtype, merged.class_ids.dtype) == (np.float32, np.int64)


def test_merge_keeps_what_one_tile_sees_and_sorts_by_score():
    merged = merge_views([detections(((10, 10, 30, 30), 0.5, 0)),
                          detections(((150, 10, 190, 30), 0.9, 0))], [LEFT, RIGHT])
    assert rows_of(merged) == [((150, 10, 190, 30), 0.9, 0), ((10, 10, 30, 30), 0.5, 0)]


def test_merge_keeps_the_better_of_two_whole_boxes():
    merged = merge_views([detections(((90, 10, 110, 50), 0.5, 0)),
                          detections(((91, 11, 110, 50), 0.9, 0))], [LEFT, RIGHT])
    assert rows_of(merged) == [((91, 11, 110, 50), 0.9, 0)]


@pytest.mark.parametrize(('class_agnostic', 'scores'), [(False, [0.9, 0.5]), (True, [0.9])])
def test_merge_of_two_classes_in_one_place_keeps_one_only_if_class_agnostic(class_agnostic,
                                                                            scores):
    merged = merge_views([detections(((90, 10, 110, 50), 0.5, 0)),
                          detections(((91, 11, 110, 50), 0.9, 1))], [LEFT, RIGHT], class_agnostic)
    assert merged.scores.tolist() == pytest.approx(scores)


def test_merge_joins_what_the_seam_cuts_in_both_tiles():
    # 60 .. 140 ends at both seams; both see 80 .. 120 of it
    merged = merge_views([detections(((60, 20, 120, 60), 0.8, 1)),
                          detections(((80, 22, 140, 60), 0.6, 1))], [LEFT, RIGHT])
    assert rows_of(merged) == [((60, 20, 140, 60), 0.8, 1)]


def test_merge_joins_an_object_around_a_corner():
    tiles = windows_of(ImageSize(200, 200), View(columns=2, rows=2, overlap=0.2,
                                                 mode='tiles_only'))  # of 112: seams 88 and 112
    parts = [(40, 50, 112, 112), (88, 50, 160, 112), (40, 88, 112, 150), (88, 88, 160, 150)]
    scores = (0.5, 0.9, 0.7, 0.6)
    merged = merge_views([detections((part, score, 0)) for part, score
                          in zip(parts, scores, strict=True)], tiles)
    assert rows_of(merged) == [((40, 50, 160, 150), 0.9, 0)]


def test_merge_prefers_the_whole_box_to_its_parts_and_takes_their_score():
    whole = (60, 20, 140, 60)
    merged = merge_views([detections(((60, 20, 120, 60), 0.8, 0)),
                          detections(((80, 20, 140, 60), 0.6, 0)),
                          detections((whole, 0.4, 0))], [LEFT, RIGHT, WHOLE])
    assert rows_of(merged) == [(whole, 0.8, 0)]


def test_merge_drops_a_part_that_lies_in_a_better_box():
    # the box of the right tile covers only the legs: 0.4 of the visible part of the person
    merged = merge_views([detections(), detections(((80, 68, 110, 98), 0.5, 0)),
                          detections(((30, 20, 110, 98), 0.9, 0))], [LEFT, RIGHT, WHOLE])
    assert rows_of(merged) == [((30, 20, 110, 98), 0.9, 0)]


def test_merge_keeps_a_small_object_before_a_large_one():
    small, large = ((130, 50, 150, 90), 0.5, 0), ((90, 10, 190, 95), 0.9, 0)
    merged = merge_views([detections(), detections(small), detections(large)],
                         [LEFT, RIGHT, WHOLE])
    assert rows_of(merged) == [large, small]


def test_merge_keeps_classes_apart():
    rows = [((60, 20, 120, 60), 0.8, 0), ((80, 20, 140, 60), 0.6, 1)]
    merged = merge_views([detections(rows[0]), detections(rows[1])], [LEFT, RIGHT])
    assert rows_of(merged) == rows


def test_merge_leaves_boxes_of_one_window_as_they_are():
    rows = [((10, 10, 60, 60), 0.8, 0), ((12, 10, 60, 60), 0.7, 0)]
    assert rows_of(merge_views([detections(*rows), detections()], [LEFT, RIGHT])) == rows


def test_merge_of_two_neighbours_at_a_seam_keeps_both():
    # two people who touch: the left one ends where the right tile begins
    merged = merge_views([detections(((40, 20, 84, 90), 0.8, 0)),
                          detections(((82, 20, 130, 90), 0.7, 0))], [LEFT, RIGHT])
    assert len(merged) == 2


# mask

def test_mask_drops_what_has_its_centre_in_black(tmp_path):
    picture = np.full((10, 20), 255, np.uint8)
    picture[5:, :10] = 0  # the lower left quarter
    cv2.imwrite(str(tmp_path / 'mask.png'), picture)
    mask = Mask(tmp_path / 'mask.png')
    kept, dropped = ((0, 0, 100, 98), 0.9, 0), ((0, 0, 100, 102), 0.8, 0)
    edge = ((100, 90, 200, 110), 0.7, 0)  # as far as the lower border and beyond
    assert rows_of(mask.apply(detections(kept, dropped, edge), SIZE)) == [kept, edge]
    assert len(mask.apply(Detections.empty(), SIZE)) == 0


# through the detector

def tiled(folder, **view) -> Detector:
    return Detector.from_folder(folder, precision='fp32', view=View(**view),
                                selection=Selection(score_threshold=0.9))


def test_detector_finds_in_tiles_what_is_too_small_for_the_whole(tiny_nanodet):
    # the whole shrinks 128 x 192 to half: a square of 32 fills a quarter of a cell
    image = square_image(128, 192, top=96, left=160)
    assert len(tiled(tiny_nanodet).detect(image)) == 0
    found = tiled(tiny_nanodet, columns=2, rows=2, overlap=0.05).detect(image)
    # tiles of 99 x 66 pixels are resized to 96 x 64: the square lies right in its cell
    assert found.boxes_xyxy.shape == (1, 4)
    np.testing.assert_allclose(found.boxes_xyxy[0], (160, 96, 192, 128), atol=2)


def test_detector_in_turn_looks_at_one_tile_per_image(tiny_nanodet):
    image = square_image(128, 192, top=96, left=160)
    detector = tiled(tiny_nanodet, columns=2, rows=2, overlap=0.05, mode='in_turn')
    assert [len(detector.detect(image, turn)) for turn in range(5)] == [0, 0, 0, 1, 0]


def test_detector_looks_only_at_its_region(tiny_nanodet):
    image = np.maximum(square_image(64, 192, top=32, left=32),
                       square_image(64, 192, top=32, left=160))
    found = tiled(tiny_nanodet, region=(96, 0, 192, 64)).detect(image)
    np.testing.assert_allclose(found.boxes_xyxy, [(160, 32, 192, 64)], atol=1e-3)


def test_detector_counts_boxes_behind_the_mask(tiny_nanodet, tmp_path):
    picture = np.zeros((64, 96), np.uint8)
    picture[:, 48:] = 255
    cv2.imwrite(str(tmp_path / 'mask.png'), picture)
    image = np.maximum(square_image(64, 96, top=0, left=0),
                       square_image(64, 96, top=32, left=64, color=(250, 250, 250)))
    one = Selection(max_detections=1)
    detector = Detector.from_folder(tiny_nanodet, selection=one)
    assert detector.detect(image).boxes_xyxy[0, 0] == pytest.approx(0, abs=0.1)
    masked = detector.configured(one, View(mask=str(tmp_path / 'mask.png')))
    np.testing.assert_allclose(masked.detect(image).boxes_xyxy, [(64, 32, 96, 64)], atol=0.1)


def test_detector_with_a_mask_that_is_none_is_refused(tiny_nanodet, tmp_path):
    with pytest.raises(ImageError, match='mask.png: No such file'):
        tiled(tiny_nanodet, mask=str(tmp_path / 'mask.png'))


def test_detector_with_tiles_refuses_what_is_no_image(tiny_nanodet):
    with pytest.raises(ImageError, match='image is NoneType; expected a NumPy array'):
        tiled(tiny_nanodet, columns=2).detect(None)
