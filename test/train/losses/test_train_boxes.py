# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Overlaps of boxes with numbers worked out by hand, and the grid that the decoder reads."""

import math

from lite_detector.core.decode import decode_gfl
from lite_detector.core.geometry import iou_matrix
from lite_detector.core.model_card import DecodeSpec
from lite_detector.core.types import ImageSize
from lite_detector.train.losses.boxes import (
    aligned_ciou,
    aligned_giou,
    aligned_iou,
    boxes_from_cxcywh,
    boxes_from_distances,
    distances_from_boxes,
    grid_priors,
    inside_distances,
    pairwise_iou,
    square_boxes,
)
import numpy as np
import pytest
import torch

UNIT = (0, 0, 2, 2)
TALL_AND_WIDE = math.atan(4) - math.atan(1)
# second box, IoU, GIoU, CIoU, all against UNIT
CASES = {
    'identical': ((0, 0, 2, 2), 1, 1, 1),
    # share a side: hull 4 x 2 = union; centres 2 apart, diagonal^2 = 16 + 4
    'touching': ((2, 0, 4, 2), 0, 0, -4 / 20),
    # share a corner: hull 16, union 8; centres^2 4 + 4, diagonal^2 32
    'touching corner': ((2, 2, 4, 4), 0, -8 / 16, -8 / 32),
    # 2 apart: hull 6 x 2 = 12, union 8; centres 4 apart, diagonal^2 36 + 4
    'apart': ((4, 0, 6, 2), 0, -4 / 12, -16 / 40),
    # concentric, half the side: hull is the outer box, which is the union
    'nested': ((0.5, 0.5, 1.5, 1.5), 1 / 4, 1 / 4, 1 / 4),
    # half overlap: intersection 2, union 6 = hull 3 x 2; centres 1 apart, diagonal^2 9 + 4
    'shifted': ((1, 0, 3, 2), 1 / 3, 1 / 3, 1 / 3 - 1 / 13),
    # without area, in the corner: hull 4 = union; centres^2 1 + 1, diagonal^2 8; its shape is
    # w / h = 0 against 1, v = 4 / pi^2 * (pi / 4)^2 = 1/4, alpha v = v^2 / (1 + v) = 1/20
    'point': ((0, 0, 0, 0), 0, 0, -2 / 8 - 1 / 20),
}
EVERY_CASE = pytest.mark.parametrize(('box', 'iou', 'giou', 'ciou'), CASES.values(), ids=CASES)


def tensor(*rows: tuple[float, ...], dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(rows, dtype=dtype).reshape(-1, len(rows[0]) if rows else 4)


@EVERY_CASE
def test_overlaps_of_known_boxes_equal_the_hand_worked(box, iou, giou, ciou):
    first, second = tensor(UNIT), tensor(box)
    for function, wanted in ((aligned_iou, iou), (aligned_giou, giou), (aligned_ciou, ciou)):
        for pair in ((first, second), (second, first)):
            assert function(*pair).item() == pytest.approx(wanted, abs=1e-5), function.__name__
    assert pairwise_iou(first, second).item() == pytest.approx(iou, abs=1e-6)


def test_aligned_ciou_of_another_shape_pays_for_the_shape():
    # concentric 4 x 1 on 2 x 2: intersection 2 x 1, union 4 + 4 - 2 = 6
    shape = (2 / math.pi * TALL_AND_WIDE) ** 2
    wanted = 1 / 3 - shape * shape / (2 / 3 + shape)
    got = aligned_ciou(tensor(UNIT), tensor((-1, 0.5, 3, 1.5)))
    assert got.item() == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize('function', [aligned_iou, aligned_giou, aligned_ciou])
def test_overlaps_of_no_boxes_are_empty_and_connected(function):
    empty = torch.zeros(0, 4, requires_grad=True)
    result = function(empty, torch.zeros(0, 4))
    assert result.shape == (0,)
    result.sum().backward()
    assert empty.grad.shape == (0, 4)


def test_pairwise_iou_of_no_boxes_keeps_the_other_side():
    assert pairwise_iou(torch.zeros(0, 4), torch.zeros(3, 4)).shape == (0, 3)
    assert pairwise_iou(torch.zeros(3, 4), torch.zeros(0, 4)).shape == (3, 0)


def test_pairwise_iou_of_random_boxes_equals_the_one_in_numpy():
    generator = torch.Generator().manual_seed(3)
    corners = 40 * torch.rand(2, 60, 2, 2, generator=generator)
    boxes = torch.cat((corners.amin(dim=2), corners.amax(dim=2)), dim=2)
    ours = pairwise_iou(boxes[0], boxes[1])
    np.testing.assert_allclose(ours, iou_matrix(boxes[0].numpy(), boxes[1].numpy()), atol=1e-6)
    torch.testing.assert_close(ours.diag(), aligned_iou(boxes[0], boxes[1]))


@pytest.mark.parametrize('function', [aligned_giou, aligned_ciou])
def test_gradient_of_overlaps_equals_finite_differences(function):
    target = tensor(UNIT, UNIT, UNIT, dtype=torch.float64)
    boxes = tensor((0.3, -0.2, 2.9, 1.7), (5, 4, 9, 5.5), (0.4, 0.6, 1.1, 1.9),
                   dtype=torch.float64)
    if function is aligned_ciou:
        # alpha is held constant, which no finite difference knows: only boxes of equal shape
        boxes = tensor((0.3, -0.2, 2.2, 1.7), (5, 4, 7, 6), (0.4, 0.6, 1.1, 1.3),
                       dtype=torch.float64)
    assert torch.autograd.gradcheck(function, (boxes.requires_grad_(), target))


def test_gradient_of_aligned_ciou_holds_alpha_constant():
    # Concentric boxes, w x 1 around 2 x 2 with w = 4, made wider by dw on both sides alike:
    # IoU = 2 / (w + 2), so dIoU/dw = -2 / 36; the diagonal has no part in it, the centres agree.
    # v = (2 / pi (atan 1 - atan w))^2, dv/dw = 8 / pi^2 (atan w - atan 1) / (1 + w^2).
    boxes = tensor((-1, 0.5, 3, 1.5), dtype=torch.float64).requires_grad_()
    aligned_ciou(boxes, tensor(UNIT, dtype=torch.float64)).backward()
    shape = (2 / math.pi * TALL_AND_WIDE) ** 2
    alpha = shape / (2 / 3 + shape)
    wanted = -2 / 36 - alpha * 8 / math.pi ** 2 * TALL_AND_WIDE / 17
    # dw = 1 moves the left side by -1/2 and the right one by 1/2
    got = 0.5 * (boxes.grad[0, 2] - boxes.grad[0, 0])
    assert got.item() == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize('function', [aligned_iou, aligned_giou, aligned_ciou])
@pytest.mark.parametrize('target', [UNIT, (1, 1, 1, 1), (0, 1, 2, 1), (1, 0, 1, 2)])
def test_gradient_at_boxes_without_area_is_finite(function, target):
    boxes = tensor((1, 1, 1, 1), (0, 1, 2, 1), (1, 0, 1, 2), UNIT).requires_grad_()
    function(boxes, tensor(target).expand(4, 4)).sum().backward()
    assert boxes.grad.isfinite().all()


def test_overlap_of_large_boxes_in_half_precision_does_not_overflow():
    boxes = tensor((0, 0, 640, 640), dtype=torch.float16)
    assert aligned_giou(boxes, boxes).item() == 1
    assert pairwise_iou(boxes, boxes).dtype == torch.float32


def test_grid_priors_of_a_size_off_the_stride_count_the_cut_cell():
    # 40 x 24 at stride 16: 3 columns, 2 rows; at stride 32: 2 columns, 1 row
    priors = grid_priors(ImageSize(height=24, width=40), (16, 32), 0.5)
    assert priors.level_counts == (6, 2)
    assert priors.centers.tolist() == [[8, 8], [24, 8], [40, 8], [8, 24], [24, 24], [40, 24],
                                       [16, 16], [48, 16]]
    assert priors.strides.tolist() == [16] * 6 + [32] * 2
    squares = square_boxes(priors, 5)
    assert squares[0].tolist() == [-32, -32, 48, 48]
    assert squares[7].tolist() == [48 - 80, 16 - 80, 48 + 80, 16 + 80]


@pytest.mark.parametrize('grid_offset', [0.0, 0.5])
def test_boxes_from_distances_equal_what_the_robot_decodes(grid_offset):
    size, strides, bins = ImageSize(height=64, width=96), (8, 16), 8
    priors = grid_priors(size, strides, grid_offset)
    generator = torch.Generator().manual_seed(1)
    logits = 3 * torch.randn(len(priors.centers), 4, bins, generator=generator)
    spec = DecodeSpec(strides=strides, score_activation='none', reg_max=7,
                      grid_offset=grid_offset)
    rows = torch.cat((torch.ones(len(logits), 1), logits.flatten(1)), dim=1)
    found = decode_gfl([rows.numpy()], spec, 1, size, 0.5)
    distances = logits.softmax(dim=2) @ torch.arange(float(bins)) * priors.strides[:, None]
    ours = boxes_from_distances(priors.centers, distances)
    np.testing.assert_allclose(ours, found.boxes_xyxy, atol=1e-3)


def test_distances_from_boxes_are_the_inverse_and_can_be_held():
    centers, boxes = tensor((3, 4), (0, 0)), tensor((1, 1, 9, 5), (1, 1, 9, 5))
    distances = distances_from_boxes(centers, boxes)
    assert distances.tolist() == [[2, 3, 6, 1], [-1, -1, 9, 5]]
    torch.testing.assert_close(boxes_from_distances(centers, distances), boxes)
    held = distances_from_boxes(centers, boxes, maximum=6.9)
    assert held.tolist() == [[2, 3, 6, 1], [0, 0, pytest.approx(6.9), 5]]


def test_boxes_from_cxcywh_are_corners():
    assert boxes_from_cxcywh(tensor((5, 4, 6, 2))).tolist() == [[2, 3, 8, 5]]


def test_inside_distances_are_those_to_the_nearest_side():
    depths = inside_distances(tensor((3, 4), (0, 3)), tensor((1, 1, 9, 5), (3, 0, 9, 9)))
    # (3, 4) in the first box: left 2, top 3, right 6, bottom 1; on the left side of the second
    assert depths.tolist() == [[1, 0], [-1, -3]]
    assert inside_distances(torch.zeros(2, 2), torch.zeros(0, 4)).shape == (2, 0)
