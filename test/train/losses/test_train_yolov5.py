# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Matching of anchors and the search for them, with numbers worked out by hand."""

from lite_detector.core.decode import decode_yolov5
from lite_detector.core.errors import DataError
from lite_detector.core.model_card import DecodeSpec
from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import BACKGROUND, IGNORED
from lite_detector.train.losses.assign.auto_anchor import fit_anchors, measure_anchors
from lite_detector.train.losses.assign.yolov5 import assign_yolov5, worst_ratios
from lite_detector.train.losses.boxes import pairwise_iou
import numpy as np
import pytest
import torch
from truths import truth_of

# 6 columns and 4 rows, one anchor
SIZE, STRIDES, ANCHORS = ImageSize(height=64, width=96), (16,), torch.tensor([[[16.0, 16.0]]])
PUBLIC = torch.tensor([[[10, 13], [16, 30], [33, 23]], [[30, 61], [62, 45], [59, 119]],
                       [[116, 90], [156, 198], [373, 326]]], dtype=torch.float32)


def around(x: float, y: float, width: float = 16, height: float = 16) -> tuple[float, ...]:
    return (x - width / 2, y - height / 2, x + width / 2, y + height / 2)


def positives(truth: GroundTruth) -> dict[int, int]:
    """Return prior -> object."""
    result = assign_yolov5(SIZE, STRIDES, ANCHORS, truth)
    return {prior: int(result.gt_indices[prior])
            for prior in result.is_positive.nonzero()[:, 0].tolist()}


def test_assign_yolov5_without_boxes_gives_background():
    result = assign_yolov5(SIZE, STRIDES, ANCHORS, truth_of())
    assert result.gt_indices.tolist() == result.labels.tolist() == [BACKGROUND] * 24
    assert result.ious.tolist() == [0] * 24 and result.ious.dtype == torch.float32


@pytest.mark.parametrize(('center', 'wanted'), [
    # cell (column 2, row 1) is number 8 of rows of 6
    ((36, 20), {8, 7, 2}),      # the left upper quarter: left and above
    ((44, 28), {8, 9, 14}),     # the right lower quarter: right and below
    ((40, 24), {8}),            # the very middle
    ((32, 16), {8, 7, 2}),      # a corner belongs to the cell right and below of it
    ((4, 4), {0}),              # nothing beyond the left and upper border
    ((92, 60), {23}),           # nor beyond the right and lower
])
def test_assign_yolov5_takes_own_cell_and_nearer_neighbours(center, wanted):
    assert positives(truth_of(around(*center))) == dict.fromkeys(wanted, 0)


@pytest.mark.parametrize(('width', 'height', 'fits'), [
    (16, 16, True), (63.9, 16, True), (64, 16, False), (16, 4.1, True), (16, 4, False),
    (0, 16, False), (0, 0, False)])
def test_assign_yolov5_needs_sides_within_the_ratio(width, height, fits):
    assert bool(positives(truth_of(around(40, 24, width, height)))) == fits


def test_worst_ratios_are_those_of_the_worse_side():
    ratios = worst_ratios(torch.tensor([[8.0, 48.0], [0, 5]]), torch.tensor([[16.0, 16.0]]))
    assert ratios.tolist() == [[3], [float('inf')]]


def test_assign_yolov5_gives_overlap_of_the_anchor_in_the_middle_of_its_cell():
    # the object is the anchor moved by 8 px to the left of the middle of cell 8, which is its
    # right neighbour's border: (8 x 16) / (2 x 256 - 128) = 1/3
    result = assign_yolov5(SIZE, STRIDES, ANCHORS, truth_of(around(32, 24)))
    assert result.ious[8].item() == pytest.approx(1 / 3)
    assert result.ious[7].item() == pytest.approx(1 / 3)
    assert result.ious.count_nonzero() == 2


def test_assign_yolov5_gives_a_contested_cell_to_the_object_centred_in_it():
    # the first is centred in cell 8, near to 9; the second in 9, near to 8, of a worse shape
    assert positives(truth_of(around(46, 24), around(50, 24, 20, 20))) == {8: 0, 9: 1}


def test_assign_yolov5_gives_a_contested_cell_to_the_better_shape_then_to_the_first():
    assert positives(truth_of(around(40, 24, 30, 30), around(40, 24, 20, 20))) == {8: 1}
    assert positives(truth_of(around(40, 24, 20, 20), around(40, 24, 20, 20))) == {8: 0}


def test_assign_yolov5_gives_a_contested_cell_to_the_object_that_is_believed():
    boxes = around(40, 24, 20, 20), around(40, 24, 20, 20)
    assert positives(truth_of(*boxes, scores=[0.5, 1])) == {8: 1}
    # 1.25 / 1 against 1 / 0.7
    boxes = around(40, 24, 20, 20), around(40, 24)
    assert positives(truth_of(*boxes, scores=[1, 0.7])) == {8: 0}


def test_assign_yolov5_takes_labels_from_the_object():
    result = assign_yolov5(SIZE, STRIDES, ANCHORS,
                           truth_of(around(40, 24), around(72, 40), labels=[3, 0]))
    assert (result.labels[8].item(), result.labels[16].item()) == (3, 0)


def test_assign_yolov5_ignores_cells_that_share_area_with_a_region():
    # x 33..48, y 16..20: cell 8 only, the border at 48 belongs to no other
    result = assign_yolov5(SIZE, STRIDES, ANCHORS, truth_of(ignored=((33, 16, 48, 20),)))
    assert (result.gt_indices == IGNORED).nonzero()[:, 0].tolist() == [8]
    assert result.labels[8] == IGNORED and result.weights.sum() == 23
    # an object in it is still assigned
    result = assign_yolov5(SIZE, STRIDES, ANCHORS,
                           truth_of(around(40, 24), ignored=((0, 0, 96, 64),)))
    assert result.gt_indices[8] == 0 and (result.gt_indices == IGNORED).sum() == 23


def test_assign_yolov5_orders_priors_as_the_robot_decodes_rows():
    size, strides = ImageSize(height=64, width=96), (8, 16, 32)
    truth = truth_of(around(50, 20, 30, 40))
    result = assign_yolov5(size, strides, PUBLIC, truth)
    cells = [96, 24, 6]
    parts = result.is_positive.split([3 * count for count in cells])
    rows = [np.where(part.reshape(3, count, 1).numpy(), 20, -20) * np.ones(6, np.float32)
            for part, count in zip(parts, cells, strict=True)]
    for head in rows:
        head[:, :, :4] = 0
    spec = DecodeSpec(strides=strides, score_activation='sigmoid',
                      anchors=tuple(tuple(map(tuple, level)) for level in PUBLIC.tolist()))
    found = decode_yolov5([head.astype(np.float32) for head in rows], spec, 1, size, 0.5)
    assert len(found) == result.is_positive.sum() > 3
    # zeros decode to the anchor in the middle of its cell: within a cell of the object's centre
    centers = 0.5 * (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:])
    assert (np.abs(centers - (50, 20)) < 32).all()
    decoded = torch.from_numpy(found.boxes_xyxy)
    torch.testing.assert_close(pairwise_iou(decoded, truth.boxes_xyxy)[:, 0],
                               result.ious[result.is_positive], atol=1e-5, rtol=1e-4)


def test_measure_anchors_equals_the_hand_worked():
    # to 16 x 16: 1, 1/2 (worse side), 1/4 (not within the ratio), 0 (no side)
    sizes = torch.tensor([[16.0, 16], [16, 8], [64, 16], [0, 16]])
    fit = measure_anchors(sizes, ANCHORS)
    assert fit.fitness == pytest.approx((1 + 1 / 2) / 4)
    assert fit.recall == pytest.approx(2 / 4)


def test_fit_anchors_finds_well_separated_sizes():
    wanted = [[4, 6], [10, 9], [20, 40], [50, 50], [120, 60], [200, 300]]
    sizes = torch.tensor(wanted, dtype=torch.float32).repeat(5, 1)
    fit = fit_anchors(sizes, levels=3, per_level=2)
    torch.testing.assert_close(fit.anchors, torch.tensor(wanted).float().reshape(3, 2, 2))
    assert fit.fitness == pytest.approx(1, abs=1e-5) and fit.recall == 1


def test_fit_anchors_is_the_same_for_a_seed_and_better_than_anchors_of_other_data():
    generator = torch.Generator().manual_seed(6)
    sizes = (3 + 0.6 * torch.randn(500, 2, generator=generator)).exp()
    first, again = (fit_anchors(sizes, seed=4) for _ in range(2))
    assert torch.equal(first.anchors, again.anchors) and first.fitness == again.fitness
    assert first.anchors.shape == (3, 3, 2)
    areas = first.anchors.prod(dim=2).flatten()
    assert (areas[1:] >= areas[:-1]).all()
    assert first.fitness > measure_anchors(sizes, PUBLIC).fitness
    assert first.recall > 0.99


@pytest.mark.parametrize('count', [1, 4])
def test_fit_anchors_of_fewer_sizes_than_anchors_repeats_them(count):
    fit = fit_anchors(torch.tensor([[20.0, 30.0]]).repeat(count, 1))
    torch.testing.assert_close(fit.anchors, torch.tensor([20.0, 30.0]).expand(3, 3, 2))
    assert fit.fitness == pytest.approx(1)


def test_fit_anchors_leaves_specks_out_of_the_search_but_measures_them():
    fit = fit_anchors(torch.tensor([[20.0, 30.0], [1, 1], [0, 5]]))
    assert fit.recall == pytest.approx(1 / 3)


@pytest.mark.parametrize('sizes', [torch.zeros(0, 2), torch.ones(3, 2)])
def test_fit_anchors_without_boxes_says_so(sizes):
    with pytest.raises(DataError, match='expected at least one'):
        fit_anchors(sizes)
