# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Boxes of YOLOF from raw heads, with numbers worked out by hand."""

import math

from lite_detector.core.decode import decode_yolof, sigmoid
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import DecodeSpec
from lite_detector.core.types import Detections, ImageSize
import numpy as np
import pytest

INPUT_SIZE, GRID = ImageSize(height=64, width=96), (2, 3)
LN2, LN3, LN4, LN9 = (math.log(value) for value in (2, 3, 4, 9))
FLAT, LARGE = 0, 1
"""Anchors of 40 x 20 and 128 x 128."""


def spec_of(grid_offset: float = 0.0, score_activation: str = 'sigmoid') -> DecodeSpec:
    return DecodeSpec(strides=(32,), score_activation=score_activation, grid_offset=grid_offset,
                      anchors=(((40, 20), (128, 128)),), center_clamp=32)


def head_of(num_classes: int, *found: tuple) -> np.ndarray:
    """Return a head with the values of (anchor, row, column, box, objectness, classes)."""
    boxes = np.zeros((2, 5, *GRID), np.float32)
    boxes[:, 4] = -50
    classes = np.full((2, num_classes, *GRID), -50, np.float32)
    for anchor, row, column, box, objectness, logits in found:
        boxes[anchor, :, row, column] = (*box, objectness)
        classes[anchor, :, row, column] = logits
    return np.concatenate((boxes.reshape(-1, *GRID), classes.reshape(-1, *GRID)))


def as_rows(head: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(head.reshape(len(head), -1).T)


def assert_same(found: Detections, wanted: Detections) -> None:
    np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, rtol=1e-5)
    np.testing.assert_allclose(found.scores, wanted.scores, rtol=1e-5)
    np.testing.assert_array_equal(found.class_ids, wanted.class_ids)


@pytest.mark.parametrize('threshold', [0.1, 1])
def test_yolof_with_nothing_over_the_threshold_is_empty(threshold):
    found = decode_yolof([head_of(2)], spec_of(), 2, INPUT_SIZE, threshold)
    assert found.boxes_xyxy.shape == (0, 4)
    assert (found.boxes_xyxy.dtype, found.class_ids.dtype) == (np.float32, np.int64)


# the cell (row 1, column 2) has its anchors around (64, 32)
@pytest.mark.parametrize(('anchor', 'deltas', 'box'), [
    (FLAT, (0, 0, 0, 0), (44, 22, 84, 42)),
    (LARGE, (0, 0, 0, 0), (0, -32, 128, 96)),
    (FLAT, (0.5, -0.25, 0, 0), (64, 17, 104, 37)),       # 20 to the right, 5 up
    (FLAT, (0, 0, LN2, -LN2), (24, 27, 104, 37)),        # 80 x 10
    (LARGE, (0.25, -0.25, 0, 0), (32, -64, 160, 64)),    # 32 px: just what is allowed
    (LARGE, (3, -100, 0, 0), (32, -64, 160, 64)),        # held
    (FLAT, (0, 0, -100, -100), (64, 32, 64, 32)),
    (FLAT, (0, 0, 100, math.log(62.5)), (64 - 1250, 32 - 625, 64 + 1250, 32 + 625)),
])
@pytest.mark.parametrize('layout', ['head', 'rows'])
@pytest.mark.parametrize('num_classes', [1, 3])
def test_yolof_cell_by_hand(anchor, deltas, box, layout, num_classes):
    logits = (*[-50] * (num_classes - 1), LN4)
    head = head_of(num_classes, (anchor, 1, 2, deltas, LN9, logits))
    found = decode_yolof([as_rows(head) if layout == 'rows' else head], spec_of(), num_classes,
                         INPUT_SIZE, 0.5)
    np.testing.assert_allclose(found.boxes_xyxy, [box], atol=1e-3)
    np.testing.assert_allclose(found.scores, [0.9 * 0.8], rtol=1e-6)
    np.testing.assert_array_equal(found.class_ids, [num_classes - 1])
    assert (found.boxes_xyxy.dtype, found.scores.dtype) == (np.float32, np.float32)


def test_yolof_with_an_offset_has_its_anchors_in_the_middle_of_the_cells():
    head = head_of(1, (FLAT, 0, 1, (0, 0, 0, 0), 9, (9,)))
    found = decode_yolof([head], spec_of(grid_offset=0.5), 1, INPUT_SIZE, 0.5)
    np.testing.assert_allclose(found.boxes_xyxy, [(28, 6, 68, 26)])


def test_yolof_gives_one_candidate_per_anchor_of_a_cell():
    head = head_of(2, (FLAT, 0, 0, (0, 0, 0, 0), 9, (9, 0)),
                   (LARGE, 0, 0, (0, 0, 0, 0), 9, (0, 9)))
    found = decode_yolof([head], spec_of(), 2, INPUT_SIZE, 0.5)
    assert found.class_ids.tolist() == [0, 1]
    np.testing.assert_allclose(found.boxes_xyxy, [(-20, -10, 20, 10), (-64, -64, 64, 64)])


@pytest.mark.parametrize('num_classes', [1, 4])
def test_yolof_equals_the_plain_formula(num_classes):
    """Also a score that is far below both of its factors is compared with the threshold."""
    head = np.random.default_rng(0).normal(0, 2, (2 * (5 + num_classes), *GRID))
    head = head.astype(np.float32)
    found = decode_yolof([head], spec_of(), num_classes, INPUT_SIZE, 0.1)
    assert_same(decode_yolof([as_rows(head)], spec_of(), num_classes, INPUT_SIZE, 0.1), found)
    boxes, classes = head[:10].reshape(2, 5, *GRID), head[10:].reshape(2, num_classes, *GRID)
    wanted, limit = [], math.log(62.5)
    for anchor, (width, height) in enumerate(spec_of().anchors[0]):
        for row, column in np.ndindex(GRID):
            x, y, w, h, objectness = boxes[anchor, :, row, column].astype(float)
            score = sigmoid(objectness) * sigmoid(classes[anchor, :, row, column].max())
            x = 32 * column + min(max(x * width, -32), 32)
            y = 32 * row + min(max(y * height, -32), 32)
            w, h = width * math.exp(min(w, limit)), height * math.exp(min(h, limit))
            if score >= 0.1:
                wanted.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2, score))
    assert 3 < len(wanted) < 12
    np.testing.assert_allclose(found.boxes_xyxy, np.array(wanted)[:, :4], rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, np.array(wanted)[:, 4], rtol=1e-5)


def test_yolof_with_scores_that_the_graph_activated_gives_the_same():
    head = np.random.default_rng(1).normal(0, 2, (14, *GRID)).astype(np.float32)
    activated = head.copy()
    for part in (activated[4:10:5], activated[10:]):
        part[:] = sigmoid(part)
    assert_same(decode_yolof([activated], spec_of(score_activation='none'), 2, INPUT_SIZE, 0.2),
                decode_yolof([head], spec_of(), 2, INPUT_SIZE, 0.2))


@pytest.mark.parametrize(('threshold', 'count'), [(0.25, 1), (0.2501, 0), (0.5, 0), (0, 12)])
def test_yolof_threshold_is_held_against_the_product(threshold, count):
    head = head_of(1, (FLAT, 0, 0, (0, 0, 0, 0), 0, (0,)))  # 0.5 * 0.5
    assert len(decode_yolof([head], spec_of(), 1, INPUT_SIZE, threshold)) == count


@pytest.mark.parametrize('layout', ['head', 'rows'])
def test_yolof_with_a_wrong_number_of_classes_names_the_shapes(layout):
    head = as_rows(head_of(2)) if layout == 'rows' else head_of(2)
    shape = r'\(6, 14\)' if layout == 'rows' else r'\(14, 2, 3\)'
    with pytest.raises(ModelError, match=shape + r'; expected \(16, 2, 3\) or \(6, 16\)'):
        decode_yolof([head], spec_of(), 3, INPUT_SIZE, 0.5)


def test_yolof_with_height_and_width_swapped_is_refused():
    with pytest.raises(ModelError, match=r'\(14, 2, 3\); expected \(14, 3, 2\)'):
        decode_yolof([head_of(2)], spec_of(), 2, ImageSize(height=96, width=64), 0.5)


@pytest.mark.parametrize('count', [0, 2, 3])
def test_yolof_with_a_wrong_number_of_outputs_is_refused(count):
    with pytest.raises(ModelError, match=f'has {count} outputs; expected 1'):
        decode_yolof([head_of(2)] * count, spec_of(), 2, INPUT_SIZE, 0.5)


@pytest.mark.filterwarnings('ignore:invalid value')
@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('value', range(7))
@pytest.mark.parametrize('activation', ['none', 'sigmoid'])
def test_yolof_with_values_that_are_no_numbers_gives_only_finite_boxes(bad, value, activation):
    spoilt = [0, 0, 0, 0, 0.9, 0.1, 0.9]
    spoilt[value] = bad
    head = head_of(2, (FLAT, 1, 2, (0, 0, 0, 0), 0.95, (0.95, 0.1)),
                   (LARGE, 0, 1, spoilt[:4], spoilt[4], spoilt[5:]))
    found = decode_yolof([head], spec_of(score_activation=activation), 2, INPUT_SIZE, 0.5)
    assert np.isfinite(found.boxes_xyxy).all()
    assert np.isfinite(found.scores).all()
    assert [44, 22, 84, 42] in found.boxes_xyxy.tolist()
