# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import math
from typing import get_args

from lite_detector.core.decode import (
    decode_damo_yolo,
    decode_gfl,
    decode_yolov5,
    DECODERS,
    grid_sizes,
    logit,
    sigmoid,
)
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import DecodeSpec, Family
from lite_detector.core.types import Detections, ImageSize
import numpy as np
import pytest

INPUT_SIZE = ImageSize(height=64, width=96)
STRIDES = (8, 16, 32)
GRIDS = ((8, 12), (4, 6), (2, 3))
BINS = 8
ANCHORS = (((10, 13), (16, 30)), ((30, 61), (62, 45)), ((116, 90), (156, 198)))
LN3 = math.log(3)  # sigmoid 0.75
LN4 = math.log(4)  # sigmoid 0.8
LN9 = math.log(9)  # sigmoid 0.9


def gfl_spec(grid_offset: float = 0.5, score_activation: str = 'none') -> DecodeSpec:
    return DecodeSpec(strides=STRIDES, score_activation=score_activation, reg_max=BINS - 1,
                      grid_offset=grid_offset)


def gfl_heads(num_classes: int, *found: tuple) -> list[np.ndarray]:
    """Heads in which (level, row, column, class, score, four bins) are set, one-hot."""
    heads = [np.zeros((num_classes + 4 * BINS, *grid), np.float32) for grid in GRIDS]
    for level, row, column, class_id, score, bins in found:
        heads[level][class_id, row, column] = score
        heads[level][num_classes:, row, column] = -100
        for side, position in enumerate(bins):
            heads[level][num_classes + side * BINS + position, row, column] = 100
    return heads


def as_rows(heads: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(head.reshape(len(head), -1).T) for head in heads]


GFL_LAYOUTS = {
    'heads': lambda heads, _: heads,
    'rows': lambda heads, _: as_rows(heads),
    'pairs': lambda heads, classes: [np.ascontiguousarray(part) for rows in as_rows(heads)
                                     for part in (rows[:, :classes], rows[:, classes:])],
    'whole': lambda heads, _: [np.concatenate(as_rows(heads))],
}


def yolo_spec(score_activation: str = 'sigmoid') -> DecodeSpec:
    return DecodeSpec(strides=STRIDES, score_activation=score_activation, anchors=ANCHORS)


def yolo_heads(num_classes: int, *found: tuple) -> list[np.ndarray]:
    """Heads in which the values of (level, anchor, row, column, values) are set."""
    heads = [np.full((2, 5 + num_classes, *grid), -50, np.float32) for grid in GRIDS]
    for level, anchor, row, column, values in found:
        heads[level][anchor, :, row, column] = values
    return [head.reshape(-1, *head.shape[2:]) for head in heads]


def yolo_rows(heads: list[np.ndarray]) -> list[np.ndarray]:
    return [np.ascontiguousarray(head.reshape(2, len(head) // 2, -1).transpose(0, 2, 1))
            for head in heads]


def random_heads(channels: int, seed: int = 0) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    return [random.normal(0, 2, (channels, *grid)).astype(np.float32) for grid in GRIDS]


def assert_same(a: Detections, b: Detections) -> None:
    np.testing.assert_array_equal(a.class_ids, b.class_ids)
    np.testing.assert_allclose(a.scores, b.scores, rtol=1e-6)
    np.testing.assert_allclose(a.boxes_xyxy, b.boxes_xyxy, atol=1e-4)


def assert_types(found: Detections) -> None:
    assert (found.boxes_xyxy.dtype, found.scores.dtype) == (np.float32, np.float32)
    assert found.class_ids.dtype == np.int64


@pytest.mark.parametrize('layout', GFL_LAYOUTS)
def test_gfl_with_nothing_over_the_threshold_is_empty(layout):
    outputs = GFL_LAYOUTS[layout](gfl_heads(2), 2)
    found = decode_gfl(outputs, gfl_spec(), 2, INPUT_SIZE, 0.1)
    assert found.boxes_xyxy.shape == (0, 4)
    assert_types(found)


# cell (row, column), bins left, top, right, bottom; boxes worked out by hand
@pytest.mark.parametrize(('level', 'row', 'column', 'bins', 'grid_offset', 'box'), [
    (0, 2, 5, (1, 2, 3, 0), 0.5, (36, 4, 68, 20)),
    (0, 2, 5, (1, 2, 3, 0), 0.0, (32, 0, 64, 16)),
    (1, 3, 0, (0, 1, 2, 7), 0.5, (8, 40, 40, 168)),
    (1, 3, 0, (0, 1, 2, 7), 0.0, (0, 32, 32, 160)),
    (2, 1, 2, (0, 0, 0, 0), 0.5, (80, 48, 80, 48)),
    (2, 0, 0, (7, 7, 7, 7), 0.0, (-224, -224, 224, 224)),
])
@pytest.mark.parametrize('layout', GFL_LAYOUTS)
@pytest.mark.parametrize('num_classes', [1, 3])
def test_gfl_with_one_hot_bins_gives_the_exact_box(level, row, column, bins, grid_offset, box,
                                                   layout, num_classes):
    class_id = num_classes - 1
    heads = gfl_heads(num_classes, (level, row, column, class_id, 0.75, bins))
    outputs = GFL_LAYOUTS[layout](heads, num_classes)
    found = decode_gfl(outputs, gfl_spec(grid_offset), num_classes, INPUT_SIZE, 0.5)
    np.testing.assert_array_equal(found.boxes_xyxy, [box])
    np.testing.assert_array_equal(found.scores, [0.75])
    np.testing.assert_array_equal(found.class_ids, [class_id])
    assert_types(found)


def test_gfl_distance_is_the_mean_of_the_distribution():
    heads = gfl_heads(1, (0, 0, 0, 0, 0.9, (0, 0, 0, 0)))
    heads[0][1:1 + BINS, 0, 0] = 0  # left: flat, mean 3.5
    heads[0][1 + BINS:1 + 2 * BINS, 0, 0] = np.log([1, 3, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9, 1e-9])
    found = decode_gfl(heads, gfl_spec(), 1, INPUT_SIZE, 0.5)
    np.testing.assert_allclose(found.boxes_xyxy, [[4 - 28, 4 - 6, 4, 4]], atol=1e-5)


def test_gfl_gives_one_candidate_per_cell_of_its_best_class():
    heads = gfl_heads(3, (1, 2, 3, 1, 0.6, (1, 1, 1, 1)))
    heads[1][0, 2, 3] = 0.55
    found = decode_gfl(heads, gfl_spec(), 3, INPUT_SIZE, 0.5)
    np.testing.assert_array_equal(found.class_ids, [1])


@pytest.mark.parametrize('layout', GFL_LAYOUTS)
@pytest.mark.parametrize('num_classes', [1, 3])
def test_gfl_of_random_outputs_is_the_same_in_every_layout(layout, num_classes):
    heads = random_heads(num_classes + 4 * BINS)
    spec = gfl_spec(score_activation='sigmoid')
    wanted = decode_gfl(heads, spec, num_classes, INPUT_SIZE, 0.6)
    found = decode_gfl(GFL_LAYOUTS[layout](heads, num_classes), spec, num_classes, INPUT_SIZE, 0.6)
    assert len(wanted) > 10
    assert_same(found, wanted)


def test_gfl_with_sigmoid_equals_scores_that_the_graph_activated():
    raw = random_heads(2 + 4 * BINS)
    activated = [np.concatenate((sigmoid(head[:2]), head[2:])) for head in raw]
    assert_same(decode_gfl(raw, gfl_spec(score_activation='sigmoid'), 2, INPUT_SIZE, 0.7),
                decode_gfl(activated, gfl_spec(), 2, INPUT_SIZE, 0.7))


@pytest.mark.parametrize(('activation', 'score', 'threshold', 'count'), [
    ('none', 0.5, 0.5, 1),
    ('none', 0.5, np.nextafter(np.float32(0.5), np.float32(1)), 0),
    ('none', 1.0, 1.0, 1),
    ('sigmoid', 0.0, 0.5, 1),
    ('sigmoid', -1e-3, 0.5, 0),
    ('sigmoid', 50.0, 1.0, 0),
])
def test_gfl_score_at_the_threshold_survives(activation, score, threshold, count):
    heads = [np.full_like(head, -100) for head in gfl_heads(1)]
    heads[0][0, 3, 4] = score
    found = decode_gfl(heads, gfl_spec(score_activation=activation), 1, INPUT_SIZE, threshold)
    assert len(found) == count


@pytest.mark.parametrize('activation', ['none', 'sigmoid'])
def test_gfl_with_threshold_0_gives_every_cell(activation):
    found = decode_gfl(gfl_heads(1), gfl_spec(score_activation=activation), 1, INPUT_SIZE, 0)
    assert len(found) == 8 * 12 + 4 * 6 + 2 * 3


@pytest.mark.parametrize(('layout', 'shape', 'wanted'), [
    ('heads', r'\(34, 8, 12\)', r'\(36, 8, 12\) or \(96, 36\)'),
    ('rows', r'\(96, 34\)', r'\(36, 8, 12\) or \(96, 36\)'),
    ('pairs', r'\(96, 2\)', r'\(4, 8, 12\) or \(96, 4\)'),
    ('whole', r'\(126, 34\)', r'\(36, 1, 126\) or \(126, 36\)'),
])
def test_gfl_with_a_wrong_number_of_classes_names_the_shapes(layout, shape, wanted):
    outputs = GFL_LAYOUTS[layout](gfl_heads(2), 2)
    with pytest.raises(ModelError, match=f'has shape {shape}; expected {wanted}: class_names'):
        decode_gfl(outputs, gfl_spec(), 4, INPUT_SIZE, 0.5)


def test_gfl_with_height_and_width_swapped_is_refused():
    with pytest.raises(ModelError, match=r'\(34, 8, 12\); expected \(34, 12, 8\)'):
        decode_gfl(gfl_heads(2), gfl_spec(), 2, ImageSize(height=96, width=64), 0.5)


@pytest.mark.parametrize('count', [0, 2, 4, 5, 7])
def test_gfl_with_a_wrong_number_of_outputs_is_refused(count):
    with pytest.raises(ModelError, match=f'has {count} outputs; expected 1 or 3 or 6'):
        decode_gfl((gfl_heads(2) * 3)[:count], gfl_spec(), 2, INPUT_SIZE, 0.5)


@pytest.mark.filterwarnings('ignore:invalid value')
@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('channels', [slice(0, 1), slice(0, 2), slice(2, None), slice(2, 10),
                                      slice(5, 6)], ids=str)
@pytest.mark.parametrize('activation', ['none', 'sigmoid'])
def test_gfl_with_values_that_are_no_numbers_gives_only_finite_boxes(bad, channels, activation):
    heads = gfl_heads(2, (0, 2, 5, 1, 0.75, (1, 2, 3, 0)), (0, 3, 4, 0, 0.7, (1, 1, 1, 1)))
    heads[0][channels, 3, 4] = bad
    found = decode_gfl(heads, gfl_spec(score_activation=activation), 2, INPUT_SIZE, 0.65)
    assert np.isfinite(found.boxes_xyxy).all()
    assert np.isfinite(found.scores).all()
    assert [36, 4, 68, 20] in found.boxes_xyxy.tolist()


CELLS = 8 * 12 + 4 * 6 + 2 * 3


def decoded(num_classes: int) -> list[np.ndarray]:
    """Return scores of 0 and boxes (i, i, i + 1, i + 2) at cell i, as public files give them."""
    boxes = np.arange(CELLS, dtype=np.float32)[:, None] + np.array([0, 0, 1, 2], np.float32)
    return [np.zeros((CELLS, num_classes), np.float32), boxes]


@pytest.mark.parametrize('num_classes', [1, 3])
def test_damo_yolo_with_decoded_boxes_hands_them_on(num_classes):
    outputs = decoded(num_classes)
    found = decode_damo_yolo(outputs, gfl_spec(0.0), num_classes, INPUT_SIZE, 0.1)
    assert found.boxes_xyxy.shape == (0, 4)
    assert_types(found)
    outputs[0][7, num_classes - 1], outputs[0][7, 0] = 0.75, max(0.75 * (num_classes == 1), 0.5)
    found = decode_damo_yolo(outputs, gfl_spec(0.0), num_classes, INPUT_SIZE, 0.75)
    assert_types(found)
    assert (found.boxes_xyxy.tolist(), found.scores.tolist()) == ([[7, 7, 8, 9]], [0.75])
    assert found.class_ids.tolist() == [num_classes - 1]


def test_damo_yolo_with_decoded_boxes_and_raw_scores_applies_the_sigmoid():
    outputs = decoded(1)
    outputs[0] += np.where(np.arange(CELLS) == 3, LN3, -LN9).astype(np.float32)[:, None]
    spec = gfl_spec(0.0, 'sigmoid')
    found = decode_damo_yolo(outputs, spec, 1, INPUT_SIZE, 0.5)
    np.testing.assert_allclose(found.scores, [0.75], rtol=1e-6)
    assert len(decode_damo_yolo(outputs, spec, 1, INPUT_SIZE, 0.05)) == CELLS


@pytest.mark.parametrize('bad', [math.nan, math.inf])
def test_damo_yolo_drops_decoded_boxes_that_are_no_numbers(bad):
    outputs = decoded(1)
    outputs[0][:2], outputs[1][1, 2] = 0.9, bad
    found = decode_damo_yolo(outputs, gfl_spec(0.0), 1, INPUT_SIZE, 0.5)
    assert found.boxes_xyxy.tolist() == [[0, 0, 1, 2]]


@pytest.mark.parametrize(('change', 'words'), [
    (lambda scores, boxes: [boxes, scores], r'\(126, 4\); expected \(126, 3\)'),
    (lambda scores, boxes: [scores, boxes[:9]], r'\(9, 4\); expected \(126, 4\)'),
    (lambda scores, boxes: [scores, boxes, boxes, boxes], 'has 4 outputs'),
], ids=['swapped', 'of another size', 'too many'])
def test_damo_yolo_with_other_decoded_outputs_is_refused(change, words):
    with pytest.raises(ModelError, match=words):
        decode_damo_yolo(change(*decoded(3)), gfl_spec(0.0), 3, INPUT_SIZE, 0.5)


@pytest.mark.parametrize('layout', GFL_LAYOUTS)
def test_damo_yolo_with_raw_heads_is_decoded_as_gfl(layout):
    outputs = GFL_LAYOUTS[layout](random_heads(2 + 4 * BINS), 2)
    spec = gfl_spec(0.0, 'sigmoid')
    assert_same(decode_damo_yolo(outputs, spec, 2, INPUT_SIZE, 0.6),
                decode_gfl(outputs, spec, 2, INPUT_SIZE, 0.6))


def test_yolov5_with_nothing_over_the_threshold_is_empty():
    found = decode_yolov5(yolo_heads(2), yolo_spec(), 2, INPUT_SIZE, 0.1)
    assert found.boxes_xyxy.shape == (0, 4)
    assert_types(found)


# x, y, w, h logits; a logit of 0 puts the centre of the anchor into the middle of its cell
@pytest.mark.parametrize(('level', 'anchor', 'row', 'column', 'logits', 'box'), [
    (0, 1, 2, 5, (0, 0, 0, 0), (44 - 8, 20 - 15, 44 + 8, 20 + 15)),
    (0, 1, 2, 5, (LN3, 0, 0, LN3), (48 - 8, 20 - 33.75, 48 + 8, 20 + 33.75)),
    (1, 0, 3, 0, (-LN3, LN3, 0, 0), (0 - 15, 64 - 30.5, 0 + 15, 64 + 30.5)),
    (2, 1, 1, 2, (0, 0, -100, LN3), (80, 48 - 222.75, 80, 48 + 222.75)),
])
@pytest.mark.parametrize('layout', ['heads', 'rows'])
@pytest.mark.parametrize('num_classes', [1, 3])
def test_yolov5_cell_by_hand(level, anchor, row, column, logits, box, layout, num_classes):
    values = (*logits, LN9, *[-50] * (num_classes - 1), LN4)
    outputs = yolo_heads(num_classes, (level, anchor, row, column, values))
    outputs = yolo_rows(outputs) if layout == 'rows' else outputs
    found = decode_yolov5(outputs, yolo_spec(), num_classes, INPUT_SIZE, 0.5)
    np.testing.assert_allclose(found.boxes_xyxy, [box], atol=1e-4)
    np.testing.assert_allclose(found.scores, [0.9 * 0.8], rtol=1e-6)
    np.testing.assert_array_equal(found.class_ids, [num_classes - 1])
    assert_types(found)


@pytest.mark.parametrize('num_classes', [1, 4])
def test_yolov5_of_random_outputs_is_the_same_as_rows(num_classes):
    heads = random_heads(2 * (5 + num_classes))
    wanted = decode_yolov5(heads, yolo_spec(), num_classes, INPUT_SIZE, 0.3)
    found = decode_yolov5(yolo_rows(heads), yolo_spec(), num_classes, INPUT_SIZE, 0.3)
    assert len(wanted) > 10
    assert_same(found, wanted)


def test_yolov5_with_values_that_the_graph_activated_gives_the_same():
    heads = random_heads(2 * 7)
    activated = [sigmoid(head) for head in heads]
    assert_same(decode_yolov5(activated, yolo_spec('none'), 2, INPUT_SIZE, 0.3),
                decode_yolov5(heads, yolo_spec(), 2, INPUT_SIZE, 0.3))


@pytest.mark.parametrize(('threshold', 'count'), [(0.25, 1), (0.2501, 0), (0.5, 0)])
def test_yolov5_threshold_is_held_against_the_product(threshold, count):
    heads = yolo_heads(1, (0, 0, 0, 0, (0, 0, 0, 0, 0, 0)))  # 0.5 * 0.5
    assert len(decode_yolov5(heads, yolo_spec(), 1, INPUT_SIZE, threshold)) == count


@pytest.mark.parametrize('layout', ['heads', 'rows'])
def test_yolov5_with_a_wrong_number_of_classes_names_the_shapes(layout):
    heads = yolo_heads(2)
    outputs = yolo_rows(heads) if layout == 'rows' else heads
    shape = r'\(2, 96, 7\)' if layout == 'rows' else r'\(14, 8, 12\)'
    with pytest.raises(ModelError, match=shape + r'; expected \(16, 8, 12\) or \(2, 96, 8\)'):
        decode_yolov5(outputs, yolo_spec(), 3, INPUT_SIZE, 0.5)


def test_yolov5_with_height_and_width_swapped_is_refused():
    with pytest.raises(ModelError, match=r'\(14, 8, 12\); expected \(14, 12, 8\)'):
        decode_yolov5(yolo_heads(2), yolo_spec(), 2, ImageSize(height=96, width=64), 0.5)


@pytest.mark.parametrize('count', [0, 1, 2, 6])
def test_yolov5_with_a_wrong_number_of_outputs_is_refused(count):
    with pytest.raises(ModelError, match=f'has {count} outputs; expected 3'):
        decode_yolov5((yolo_heads(2) * 2)[:count], yolo_spec(), 2, INPUT_SIZE, 0.5)


@pytest.mark.filterwarnings('ignore:invalid value')
@pytest.mark.parametrize('bad', [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize('value', range(7))
@pytest.mark.parametrize('activation', ['none', 'sigmoid'])
def test_yolov5_with_values_that_are_no_numbers_gives_only_finite_boxes(bad, value, activation):
    good, spoilt = [0, 0, 0, 0, 5, 5, -5], [0, 0, 0, 0, 4, -5, 4]
    spoilt[value] = bad
    heads = yolo_heads(2, (0, 1, 2, 5, good), (0, 0, 3, 4, spoilt))
    if activation == 'none':
        heads = [sigmoid(head) if np.isfinite(head).all() else
                 np.where(np.isfinite(head), sigmoid(head), head) for head in heads]
    found = decode_yolov5(heads, yolo_spec(activation), 2, INPUT_SIZE, 0.5)
    assert np.isfinite(found.boxes_xyxy).all()
    assert np.isfinite(found.scores).all()
    assert [36, 5, 52, 35] in found.boxes_xyxy.tolist()


@pytest.mark.parametrize(('size', 'strides', 'wanted'), [
    ((64, 96), (8, 16, 32), [(8, 12), (4, 6), (2, 3)]),
    ((50, 70), (32,), [(2, 3)]),
    ((416, 416), (8, 64), [(52, 52), (7, 7)]),
])
def test_grid_sizes_count_the_last_cut_cell(size, strides, wanted):
    assert grid_sizes(ImageSize(*size), strides) == wanted


def test_sigmoid_of_huge_values_does_not_overflow():
    with np.errstate(all='raise'):
        values = sigmoid(np.array([-1e30, -LN3, 0, LN3, 1e30], np.float32))
    np.testing.assert_allclose(values, [0, 0.25, 0.5, 0.75, 1], rtol=1e-6)
    assert values.dtype == np.float32


@pytest.mark.parametrize(('probability', 'wanted'),
                         [(0, -math.inf), (0.5, 0), (0.75, LN3), (1, math.inf)])
def test_logit_is_the_inverse_of_sigmoid(probability, wanted):
    assert logit(probability) == pytest.approx(wanted)


def test_every_family_of_the_card_has_a_decoder():
    assert set(DECODERS) == set(get_args(Family))
