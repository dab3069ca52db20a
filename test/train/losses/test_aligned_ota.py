# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AlignedOTA, with numbers worked out by hand."""

from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.aligned_ota import assign_aligned_ota
from lite_detector.train.losses.assign.assignment import Assignment, BACKGROUND, IGNORED
from lite_detector.train.losses.assign.dsla import cheapest
from lite_detector.train.losses.boxes import grid_priors, Priors
import pytest
import torch
from truths import truth_of

# 8 columns and 4 rows at stride 8, 4 and 2 at stride 16, 2 and 1 at stride 32; no offset
GRID = grid_priors(ImageSize(height=32, width=64), (8, 16, 32), 0.0)
PLACES = len(GRID.centers)


def run(truth: GroundTruth, num_classes: int = 2) -> Assignment:
    """Assign with scores of 1/2 and boxes of 16 x 16 around all anchor points."""
    boxes = torch.cat((GRID.centers - 8, GRID.centers + 8), dim=1)
    return assign_aligned_ota(GRID, torch.zeros(PLACES, num_classes), boxes, truth)


def row(*x: float, stride: float = 1.0) -> Priors:
    """Return anchor points at these x, and y = 5."""
    centers = torch.tensor([[each, 5.0] for each in x]).reshape(-1, 2)
    return Priors(centers, torch.full((len(x),), stride), (len(x),))


def overlapping(*ious: float) -> torch.Tensor:
    """Return boxes of these overlaps with (0, 0, 10, 10)."""
    return torch.tensor([[0, 0, 10, 10 * iou] for iou in ious])


BOX = (0, 0, 10, 10)


def assign_row(priors: Priors, boxes: torch.Tensor, *truth: tuple[float, ...], classes: int = 1,
               **options) -> list[int]:
    logits = torch.zeros(len(boxes), classes)
    return assign_aligned_ota(priors, logits, boxes, truth_of(*truth),
                              **options).gt_indices.tolist()


def test_image_without_boxes_is_background():
    result = run(truth_of())
    assert result.gt_indices.tolist() == result.labels.tolist() == [BACKGROUND] * PLACES
    assert not result.ious.any() and result.weights.tolist() == [1] * PLACES


def test_network_without_places_has_nothing_to_learn():
    nothing = torch.zeros(0, 4)
    result = assign_aligned_ota(row(), torch.zeros(0, 2), nothing, truth_of(BOX))
    assert [part.shape for part in result] == [(0,)] * 3


def test_types_are_fixed_and_nothing_wants_a_gradient():
    logits = torch.zeros(PLACES, 2).half().requires_grad_()
    boxes = torch.cat((GRID.centers - 8, GRID.centers + 8), dim=1).half().requires_grad_()
    for truth in (truth_of(), truth_of((4, 4, 30, 28))):
        result = assign_aligned_ota(GRID, logits, boxes, truth)
        assert result.gt_indices.dtype == result.labels.dtype == torch.int64
        assert result.ious.dtype == torch.float32 and not result.ious.requires_grad


def test_object_outside_of_the_picture_has_no_place():
    assert not run(truth_of((500, 500, 510, 510))).is_positive.any()
    # nor does it get one because another object has some
    both = run(truth_of((500, 500, 510, 510), (8, 4, 30, 26)))
    assert set(both.gt_indices.tolist()) == {BACKGROUND, 1}


def test_object_between_the_places_has_the_one_whose_box_fits_best():
    result = run(truth_of((17, 17, 20, 20)))
    place, = result.is_positive.nonzero()[:, 0].tolist()
    # all of it is in the 16 x 16 around eight anchor points; (16, 16) at stride 8 is the first
    assert place == 2 * 8 + 2 and GRID.centers[place].tolist() == [16, 16]
    assert result.labels[place] == 0


def test_box_without_area_has_no_place():
    assert not run(truth_of((18, 18, 18, 18), (16, 8, 16, 30))).is_positive.any()


def test_place_in_the_box_and_near_its_middle_comes_before_a_better_one_that_is_not():
    # middle 5, radius 2.5: 2.4 is in the box, not near; 2.6 is both. Both scores equal
    assert assign_row(row(2.4, 2.6), overlapping(0.9, 0.2), BOX) == [BACKGROUND, 0]
    # with a wider circle both are near, and the overlap decides
    assert assign_row(row(2.4, 2.6), overlapping(0.9, 0.2), BOX,
                      center_radius=3) == [0, BACKGROUND]
    # the circle counts in strides
    assert assign_row(row(2.4, 2.6, stride=2), overlapping(0.9, 0.2), BOX) == [0, BACKGROUND]


def test_places_outside_fill_up_where_those_within_are_few():
    # overlaps 0.9 + 0.8 + 0.7 + 0.6 = 3: the one within, then the best two of the others
    assert assign_row(row(0.5, 1, 5, 9), overlapping(0.7, 0.8, 0.6, 0.9),
                      BOX) == [BACKGROUND, 0, 0, 0]


def test_place_near_the_middle_of_a_small_object_but_outside_of_it_is_a_last_resort():
    # the object is 1 wide: 4.7 lies in it, 4.4 beside it, 8 neither in it nor near
    small = (4.5, 4.5, 5.5, 5.5)
    boxes = torch.tensor([small, small, small])
    assert assign_row(row(4.4, 4.7, 8), boxes, small, top_k=1) == [BACKGROUND, 0, BACKGROUND]
    assert assign_row(row(4.4, 4.7, 8), boxes, small) == [0, 0, BACKGROUND]
    assert assign_row(row(4.4, 8), boxes[:2], small) == [0, BACKGROUND]


def test_object_takes_as_many_places_as_its_best_overlaps_add_up_to():
    priors = row(3, 4, 5, 6)
    # 0.9 + 0.8 + 0.7 + 0.3 = 2.7
    assert assign_row(priors, overlapping(0.3, 0.9, 0.7, 0.8), BOX) == [-1, 0, -1, 0]
    # of the best alone: 0.9, so at least 1
    assert assign_row(priors, overlapping(0.3, 0.9, 0.7, 0.8), BOX, top_k=1) == [-1, 0, -1, -1]
    # nothing overlaps: the first of equals
    assert assign_row(priors, overlapping(0, 0, 0, 0), BOX) == [0, -1, -1, -1]


def test_no_more_than_top_k_places_are_taken():
    priors = row(*(3 + index / 4 for index in range(16)))
    assert sum(each == 0 for each in assign_row(priors, overlapping(*[1.0] * 16), BOX)) == 10


def test_contested_place_goes_to_the_cheaper_object():
    # its box is the second one
    boxes = torch.tensor([[1.0, 1, 9, 9]])
    assert assign_row(row(5), boxes, BOX, (1, 1, 9, 9)) == [1]
    # an object whose middle is near comes before one that overlaps better
    boxes = torch.tensor([[0.0, 0, 20, 10]])
    assert assign_row(row(5), boxes, (0, 0, 20, 10), BOX) == [1]


def test_tie_goes_to_the_first_object():
    result = run(truth_of((8, 4, 30, 26), (8, 4, 30, 26), labels=[1, 0]))
    assert set(result.gt_indices.tolist()) == {BACKGROUND, 0}
    assert set(result.labels.tolist()) == {BACKGROUND, 1}


def test_place_that_knows_the_class_comes_first():
    logits = torch.tensor([[3.0, -3.0], [-3.0, 3.0]])
    result = assign_aligned_ota(row(4, 5), logits, overlapping(0.9, 0.9),
                                truth_of(BOX, labels=[1]))
    assert result.gt_indices.tolist() == [-1, 0] and result.labels.tolist() == [-1, 1]
    assert result.ious.tolist() == pytest.approx([0, 0.9])


def test_object_that_is_believed_comes_before_one_that_is_hardly():
    result = assign_aligned_ota(row(5), torch.full((1, 2), -4.0), overlapping(1.0),
                                truth_of(BOX, BOX, labels=[0, 1], scores=[0.1, 1]))
    assert result.gt_indices.tolist() == [1]


def test_background_inside_an_ignored_region_is_ignored():
    result = run(truth_of((9, 1, 23, 15), ignored=((33, 7, 49, 17),)))
    assert result.is_positive.any()
    at = (result.gt_indices == IGNORED).nonzero()[:, 0].tolist()
    # x 40, 48 and y 8, 16 at stride 8; (48, 16) at stride 16
    assert at == [8 + 5, 8 + 6, 16 + 5, 16 + 6, 32 + 4 + 3]


@pytest.mark.parametrize('seed', range(3))
def test_cheapest_equals_ranks_of_a_stable_sort_also_among_equals(seed):
    generator = torch.Generator().manual_seed(seed)
    costs = torch.randint(0, 5, (30, 6), generator=generator).float()
    costs[torch.rand(30, 6, generator=generator) < 0.3] = torch.inf
    overlaps = torch.rand(30, 6, generator=generator)
    takes = (overlaps.topk(10, dim=0).values.sum(dim=0) + 1e-6).long()
    ranks = costs.argsort(dim=0, stable=True).argsort(dim=0)
    assert torch.equal(cheapest(costs, overlaps, 10), ranks < takes)
