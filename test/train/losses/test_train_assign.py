# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""ATSS and the dynamic soft label assigner, with numbers worked out by hand."""

import math

from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import Assignment, BACKGROUND, IGNORED
from lite_detector.train.losses.assign.atss import assign_atss
from lite_detector.train.losses.assign.dsla import assign_dsla, cost_matrix
from lite_detector.train.losses.boxes import grid_priors, pairwise_iou, Priors
import pytest
import torch
from truths import truth_of

LN2 = math.log(2)
# 8 columns and 4 rows at stride 8, 4 and 2 at stride 16, 2 and 1 at stride 32
SIZE, STRIDES = ImageSize(height=32, width=64), (8, 16, 32)
GRID = grid_priors(SIZE, STRIDES, 0.5)
PLACES = len(GRID.centers)


def predict(truth: GroundTruth, num_classes: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Return equal scores of 1/2 and a box of 16 x 16 around every anchor point."""
    return (torch.zeros(PLACES, num_classes),
            torch.cat((GRID.centers - 8, GRID.centers + 8), dim=1))


def run_atss(truth: GroundTruth) -> Assignment:
    return assign_atss(GRID, truth)


def run_dsla(truth: GroundTruth) -> Assignment:
    return assign_dsla(GRID.centers, *predict(truth), truth)


BOTH = pytest.mark.parametrize('assign', [run_atss, run_dsla])


@BOTH
def test_assigners_without_boxes_give_background(assign):
    result = assign(truth_of())
    assert result.gt_indices.tolist() == [BACKGROUND] * PLACES
    assert result.labels.tolist() == [BACKGROUND] * PLACES
    assert not result.ious.any() and not result.is_positive.any()
    assert result.weights.tolist() == [1] * PLACES


@BOTH
def test_assigners_have_fixed_types(assign):
    for truth in (truth_of(), truth_of((4, 4, 30, 28))):
        result = assign(truth)
        assert [part.shape for part in result] == [(PLACES,)] * 3
        assert result.gt_indices.dtype == result.labels.dtype == torch.int64
        assert result.ious.dtype == result.weights.dtype == torch.float32


@BOTH
def test_assigners_ignore_background_inside_an_ignored_region(assign):
    # the centres (36, 4), (44, 4), (36, 12), (44, 12) at stride 8, (40, 8) at stride 16
    result = assign(truth_of(ignored=((33, 0, 48, 16),)))
    at = (result.gt_indices == IGNORED).nonzero()[:, 0].tolist()
    assert at == [4, 5, 12, 13, 32 + 2]
    assert (result.labels == IGNORED).sum() == 5 and result.weights.sum() == PLACES - 5


@BOTH
def test_assigners_prefer_an_object_to_the_ignored_region_around_it(assign):
    box = (33, 1, 55, 23)
    plain = assign(truth_of(box))
    within = assign(truth_of(box, ignored=((0, 0, 64, 32),)))
    assert plain.is_positive.any()
    assert torch.equal(plain.is_positive, within.is_positive)
    assert (within.gt_indices[~within.is_positive] == IGNORED).all()


@BOTH
def test_assigners_take_labels_from_the_object(assign):
    result = assign(truth_of((0, 0, 20, 20), (40, 8, 62, 30), labels=[1, 0]))
    assert set(result.gt_indices.tolist()) == {BACKGROUND, 0, 1}
    for index, label in ((0, 1), (1, 0)):
        assert (result.labels[result.gt_indices == index] == label).all()


@BOTH
def test_assigners_give_a_tie_to_the_first_object(assign):
    result = assign(truth_of((8, 4, 30, 26), (8, 4, 30, 26), labels=[1, 0]))
    assert set(result.gt_indices.tolist()) == {BACKGROUND, 0}


def test_assign_atss_gives_no_place_outside_the_object():
    truth = truth_of((9, 3, 31, 22), (25, 5, 60, 31), (2, 20, 14, 31))
    result = run_atss(truth)
    positive = result.is_positive.nonzero()[:, 0]
    boxes = truth.boxes_xyxy[result.gt_indices[positive]]
    centers = GRID.centers[positive]
    assert ((centers > boxes[:, :2]) & (centers < boxes[:, 2:])).all()
    assert set(result.gt_indices[positive].tolist()) == {0, 1, 2}


@BOTH
def test_assigners_survive_a_box_without_area_or_without_centres(assign):
    result = assign(truth_of((20, 20, 20, 20), (1, 1, 3, 3), (4, 4, 4, 30)))
    assert not result.is_positive.any()


def test_assign_atss_takes_what_stands_out_among_the_near():
    # Four priors of stride 2 in a row, squares of 10; object (0, -5, 10, 5), centre (5, 0).
    priors = Priors(torch.tensor([[5., 0], [7, 0], [9, 0], [11, 0]]), torch.full((4,), 2.), (4,))
    # They overlap by 10, 8, 6, 4 of 10 columns: IoU w / (20 - w) = 1, 2/3, 3/7, 1/4.
    ious = [1, 2 / 3, 3 / 7, 1 / 4]
    truth = truth_of((0, -5, 10, 5))
    # All four: mean 0.586, deviation 0.325 (of three degrees of freedom): 0.911.
    result = assign_atss(priors, truth)
    assert result.gt_indices.tolist() == [0, -1, -1, -1]
    assert result.ious.tolist() == [1, 0, 0, 0]
    # The nearest two: mean 5/6, deviation sqrt(2) / 6 = 0.236: nothing stands out above 1.069.
    assert not assign_atss(priors, truth, top_k=2).is_positive.any()
    # The nearest one alone does not deviate, and takes itself.
    assert assign_atss(priors, truth, top_k=1).gt_indices.tolist() == [0, -1, -1, -1]
    assert pairwise_iou(torch.tensor([[2., -5, 12, 5]]), truth.boxes_xyxy).item() == \
        pytest.approx(ious[1])


def test_assign_atss_takes_equal_overlaps_all_together():
    # a centre at (16, 16) is equally far from four centres of stride 8, IoU (20 x 20) / 1600
    priors = grid_priors(ImageSize(height=32, width=32), (8,), 0.5)
    result = assign_atss(priors, truth_of((6, 6, 26, 26)), top_k=4)
    assert result.is_positive.nonzero()[:, 0].tolist() == [5, 6, 9, 10]
    assert result.ious[5].item() == pytest.approx(400 / 1600)


def test_assign_atss_breaks_ties_of_distance_by_the_lowest_prior():
    # of the same four only two may be candidates
    priors = grid_priors(ImageSize(height=32, width=32), (8,), 0.5)
    result = assign_atss(priors, truth_of((6, 6, 26, 26)), top_k=2)
    assert result.is_positive.nonzero()[:, 0].tolist() == [5, 6]


def test_assign_atss_gives_a_contested_prior_to_the_better_overlap():
    # one prior at (8, 8), a square of 10 from 3 to 13; IoU 81 / 119 against 100 / 100
    priors = Priors(torch.tensor([[8., 8]]), torch.full((1,), 2.), (1,))
    result = assign_atss(priors, truth_of((4, 4, 14, 14), (3, 3, 13, 13), labels=[0, 1]))
    assert result.gt_indices.tolist() == [1] and result.labels.tolist() == [1]


def test_assign_atss_of_a_large_object_uses_the_coarse_level():
    sizes = ImageSize(height=320, width=416)
    priors = grid_priors(sizes, (8, 16, 32), 0.5)
    positive = assign_atss(priors, truth_of((100, 100, 260, 260))).is_positive
    levels = [int(part.sum()) for part in positive.split(priors.level_counts)]
    assert levels[0] == 0 and levels[2] > 0


def test_cost_matrix_equals_the_hand_worked():
    # p = 1/2 in both classes; object of class 1 with IoU 1/2, another of class 0 with IoU 1
    costs = cost_matrix(torch.zeros(1, 2), torch.tensor([[0.5, 1.0]]), torch.tensor([1, 0]),
                        torch.ones(2))
    # class 0, target 0: ln 2 / 4; class 1, target 1/2 = p: 0; -3 ln(1/2)
    assert costs[0, 0].item() == pytest.approx(LN2 / 4 + 3 * LN2, rel=1e-5)
    # class 0, target 1: ln 2 / 4; class 1, target 0: ln 2 / 4; -3 ln 1
    assert costs[0, 1].item() == pytest.approx(LN2 / 2, rel=1e-5)


def test_cost_matrix_equals_the_sum_over_all_classes():
    generator = torch.Generator().manual_seed(5)
    logits = 4 * torch.randn(20, 6, generator=generator)
    overlaps, labels = torch.rand(20, 7, generator=generator), torch.arange(7) % 6
    soft = torch.nn.functional.one_hot(labels, 6) * overlaps[:, :, None]
    spread = logits[:, None].expand(20, 7, 6)
    terms = torch.nn.functional.binary_cross_entropy_with_logits(spread, soft, reduction='none')
    wanted = (terms * (soft - spread.sigmoid()) ** 2).sum(dim=2) - 3 * (overlaps + 1e-7).log()
    torch.testing.assert_close(cost_matrix(logits, overlaps, labels, torch.ones(7)), wanted,
                               rtol=1e-4, atol=1e-4)


def in_a_row(*ious: float) -> tuple[torch.Tensor, torch.Tensor]:
    """Return anchor points in the box (0, 0, 10, 10), and predictions of these IoUs with it."""
    centers = torch.tensor([[1.0 + index, 5.0] for index in range(len(ious))])
    return centers, torch.tensor([[0, 0, 10, 10 * iou] for iou in ious])


def test_assign_dsla_takes_as_many_as_the_overlaps_add_up_to():
    # 0.9 + 0.8 + 0.7 + 0.3 = 2.7, so the two cheapest, which are the best overlaps
    centers, boxes = in_a_row(0.3, 0.9, 0.7, 0.8)
    result = assign_dsla(centers, torch.zeros(4, 1), boxes, truth_of((0, 0, 10, 10)))
    assert result.gt_indices.tolist() == [-1, 0, -1, 0]
    assert result.ious.tolist() == pytest.approx([0, 0.9, 0, 0.8])
    # of the best three alone: 2.4; of the best one alone: 0.9, so at least 1
    for top_k, taken in ((3, 2), (1, 1)):
        result = assign_dsla(centers, torch.zeros(4, 1), boxes, truth_of((0, 0, 10, 10)), top_k)
        assert result.is_positive.sum() == taken


def test_assign_dsla_takes_one_place_although_nothing_overlaps():
    centers, boxes = in_a_row(0, 0, 0)
    result = assign_dsla(centers, torch.zeros(3, 1), boxes, truth_of((0, 0, 10, 10)))
    assert result.gt_indices.tolist() == [0, -1, -1], 'a tie goes to the first place'


def test_assign_dsla_loses_no_place_to_rounding():
    # ten times 0.7 is 7, but 6.9999999 in floating point
    centers, boxes = in_a_row(*[0.7] * 10)
    centers[:, 0] -= 0.5
    result = assign_dsla(centers, torch.zeros(10, 1), boxes, truth_of((0, 0, 10, 10)))
    assert result.is_positive.sum() == 7


def test_assign_dsla_gives_an_object_without_a_place_one_of_another_that_overlaps_it():
    # Places at x = 2 and 6 in the box (0, 0, 10, 10) predict (0, 0, 10, 8) and (3, 2, 5, 6).
    # The second object (3, 2, 5, 8) lies between them. IoU with the first object: 80 / 100 and
    # 8 / 100, so it takes one; with the second: 12 / 80 and 8 / 12, so it takes one, too.
    centers = torch.tensor([[2.0, 5.0], [6.0, 5.0]])
    boxes = torch.tensor([[0.0, 0, 10, 8], [3, 2, 5, 6]])
    truth = truth_of((0, 0, 10, 10), (3, 2, 5, 8), labels=[0, 1])
    result = assign_dsla(centers, torch.zeros(2, 2), boxes, truth)
    assert result.gt_indices.tolist() == [0, 1] and result.labels.tolist() == [0, 1]
    assert result.ious.tolist() == pytest.approx([0.8, 8 / 12])
    # alone in the image it has no candidate: no anchor point lies in any box
    alone = assign_dsla(centers, torch.zeros(2, 2), boxes, truth_of((3, 2, 5, 8)))
    assert not alone.is_positive.any()


def test_assign_dsla_counts_the_overlaps_outside_the_box():
    # The second object (4, 0, 8, 10) contains the anchor point at x = 6, and overlaps the boxes of
    # both others of the first object by 0.8 each: k = 2.4 rounded down, so it takes two.
    # The first of them ties with the third for the cheapest, and the lowest index has it.
    centers = torch.tensor([[2.0, 5.0], [6.0, 5.0], [9.0, 5.0]])
    boxes = torch.tensor([[4.0, 0, 8, 8]] * 3)
    truth = truth_of((0, 0, 10, 10), (4, 0, 8, 10))
    result = assign_dsla(centers, torch.zeros(3, 1), boxes, truth)
    # IoU 32 / 100 with the first object: three times 0.32 is at least one, at the lowest index,
    # which is cheaper for the second
    assert result.gt_indices.tolist() == [1, 1, -1]
    assert result.ious.tolist() == pytest.approx([0.8, 0.8, 0])


def test_assign_dsla_gives_no_place_outside_without_overlap():
    # the box of the only candidate ends where the second object begins; a box without area lies in
    # it
    centers, boxes = torch.tensor([[5.0, 5.0]]), torch.tensor([[0.0, 0, 10, 10]])
    for other in ((10, 0, 12, 10), (4, 4, 4, 6), (5, 5, 5, 5)):
        truth = truth_of(other, (0, 0, 10, 10), labels=[1, 0])
        assert assign_dsla(centers, torch.zeros(1, 2), boxes, truth).gt_indices.tolist() == [1]
    # although the first of two candidates that the other one leaves is free
    centers, boxes = in_a_row(0.2, 0.9)
    result = assign_dsla(centers, torch.zeros(2, 1), boxes,
                         truth_of((0, 0, 10, 10), (1.4, 2, 1.6, 2)))
    assert result.gt_indices.tolist() == [-1, 0]


def test_assign_dsla_prefers_the_place_that_knows_the_class():
    # equal boxes; the second candidate is certain of class 1
    centers, boxes = in_a_row(0.9, 0.9)
    logits = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    result = assign_dsla(centers, logits, boxes, truth_of((0, 0, 10, 10), labels=[1]))
    assert result.gt_indices.tolist() == [-1, 0] and result.labels.tolist() == [-1, 1]


def test_assign_dsla_gives_a_contested_place_to_the_cheaper_object():
    # one candidate in two objects; its box is the second of them
    result = assign_dsla(torch.tensor([[5.0, 5.0]]), torch.zeros(1, 1),
                         torch.tensor([[1.0, 1, 9, 9]]), truth_of((0, 0, 10, 10), (1, 1, 9, 9)))
    assert result.gt_indices.tolist() == [1] and result.ious.tolist() == [1]


def test_assign_dsla_gives_a_contested_place_to_the_object_that_is_believed():
    # by the class term alone, the low target of the first would cost next to nothing
    result = assign_dsla(torch.tensor([[5.0, 5.0]]), torch.full((1, 2), -4.0),
                         torch.tensor([[0.0, 0, 10, 10]]),
                         truth_of((0, 0, 10, 10), (0, 0, 10, 10), labels=[0, 1], scores=[0.1, 1]))
    assert result.gt_indices.tolist() == [1] and result.ious.tolist() == [1]


def test_cost_matrix_of_a_soft_object_equals_the_hand_worked():
    # p = 1/2, IoU 1, score 1/2: the target is met; class 0 is ln 2 / 4; -3 ln(1/2)
    costs = cost_matrix(torch.zeros(1, 2), torch.ones(1, 1), torch.tensor([1]),
                        torch.tensor([0.5]))
    assert costs.item() == pytest.approx(LN2 / 4 + 3 * LN2, rel=1e-5)


def test_assign_atss_gives_a_contested_prior_to_the_object_that_is_believed():
    truth = truth_of((16, 16, 48, 48), (16, 16, 48, 48), labels=[0, 1], scores=[0.5, 0.6])
    result = assign_atss(GRID, truth)
    assert set(result.gt_indices.tolist()) == {BACKGROUND, 1}
    certain = assign_atss(GRID, truth_of((16, 16, 48, 48)))
    assert torch.equal(result.ious, certain.ious)  # the overlaps themselves know no score


def test_assign_dsla_ignores_regions_beside_an_object():
    # the reference indexes a mask of all priors with one of the candidates; here both are mixed
    centers = torch.tensor([[50.0, 5], [5, 5], [70, 5], [6, 5]])
    boxes = torch.tensor([[40.0, 0, 60, 10], [0, 0, 10, 9], [60, 0, 80, 10], [0, 0, 10, 1]])
    result = assign_dsla(centers, torch.zeros(4, 1), boxes,
                         truth_of((0, 0, 10, 10), ignored=((60, 0, 80, 10), (5.5, 0, 7, 10))))
    assert result.gt_indices.tolist() == [-1, 0, -2, -2]


def test_assign_dsla_of_half_precision_and_no_gradient():
    truth = truth_of((4, 4, 30, 28))
    logits, boxes = predict(truth)
    logits, boxes = logits.half().requires_grad_(), boxes.half().requires_grad_()
    result = assign_dsla(GRID.centers, logits, boxes, truth)
    assert result.is_positive.any() and not result.ious.requires_grad
