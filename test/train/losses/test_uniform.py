# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Uniform matching, with numbers worked out by hand."""

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import BACKGROUND, IGNORED
from lite_detector.train.losses.assign.uniform import assign_uniform, UniformMatch
from lite_detector.train.losses.boxes import boxes_from_cxcywh
import pytest
import torch

DEVICES = ['cpu', pytest.param('cuda', marks=pytest.mark.skipif(
    not torch.cuda.is_available(), reason='no GPU here'))]
X, IGN = BACKGROUND, IGNORED


def boxes_of(*boxes: tuple[float, ...]) -> torch.Tensor:
    """Return corners of centres and sizes."""
    return boxes_from_cxcywh(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4))


def truth_of(*boxes: tuple[float, ...], labels: list[int] | None = None,
             ignored: tuple[tuple[float, ...], ...] = (),
             scores: list[float] | None = None) -> GroundTruth:
    """Return the labels of an image from centres and sizes; class 0 where none is given."""
    return GroundTruth(boxes_of(*boxes), torch.tensor(labels or [0] * len(boxes)).long(),
                       torch.tensor(scores or [1.0] * len(boxes), dtype=torch.float32),
                       boxes_of(*ignored))


ROW = boxes_of(*((16 + 32 * index, 16, 32, 32) for index in range(6)))
"""Six anchors of 32 x 32 side by side, in an image of 192 x 32: not square."""
FAR = boxes_of(*[(1000, 1000, 10, 10)] * 6)
"""Predictions that match nothing: of all alike the first are taken."""


def match(truth: GroundTruth, top_k: int = 1, predicted: torch.Tensor = ROW,
          **options) -> UniformMatch:
    return assign_uniform(ROW, predicted, truth, top_k, **options)


def learnt(result: UniformMatch) -> list[int]:
    return result.assignment.gt_indices.tolist()


def box_pairs(result: UniformMatch) -> list[tuple[int, int]]:
    """Return (anchor, object), sorted."""
    return sorted(zip(result.positives.tolist(), result.objects.tolist(), strict=True))


@pytest.mark.parametrize('dedupe', [True, False])
def test_image_without_boxes_is_background(dedupe):
    result = match(truth_of(), 4, dedupe=dedupe)
    assert learnt(result) == result.assignment.labels.tolist() == [X] * 6
    assert result.assignment.ious.tolist() == [0] * 6
    assert len(result.positives) == len(result.objects) == 0
    assert result.positives.dtype == result.objects.dtype == torch.int64


@pytest.mark.parametrize('truth', [truth_of(), truth_of((16, 16, 32, 32)),
                                   truth_of(ignored=((16, 16, 32, 32),))])
def test_image_without_anchors_gives_nothing(truth):
    nothing = torch.zeros(0, 4)
    result = assign_uniform(nothing, nothing, truth)
    assert len(result.assignment.gt_indices) == len(result.positives) == 0


def test_fewer_anchors_than_top_k_are_all_taken():
    result = assign_uniform(ROW[:2], ROW[:2], truth_of((32, 16, 64, 32)), top_k=4)
    assert learnt(result) == [0, 0]
    # half of the object: 32 x 32 of 64 x 32
    assert result.assignment.ious.tolist() == [0.5, 0.5]


def test_each_object_gets_as_many_anchors_whatever_its_size():
    # 12 x 12 in the middle of the second: IoU 144 / 1024, just below 0.15; 13 x 13 is above
    truth = truth_of((48, 16, 13, 13), (128, 16, 96, 32), labels=[5, 7])
    result = match(truth, 1)
    # the large one is centred between two anchors, of which the first is taken
    assert learnt(result) == [X, 0, X, 1, X, X]
    assert result.assignment.labels.tolist() == [X, 5, X, 7, X, X]
    assert result.assignment.ious[1].item() == pytest.approx(169 / 1024)
    # 80 .. 176 holds 96 .. 128 whole: 1024 / 3072
    assert result.assignment.ious[3].item() == pytest.approx(1 / 3)


def test_distance_counts_centre_and_size_alike():
    anchors = boxes_of((50, 50, 40, 20), (54, 50, 20, 40), (50, 57, 28, 30))
    # to (50, 50, 30, 30): 10 + 10, 4 + 10 + 10, 7 + 2
    nearest = assign_uniform(anchors, anchors, truth_of((50, 50, 30, 30)), 1)
    assert learnt(nearest) == [X, X, 0]
    two = assign_uniform(anchors, anchors, truth_of((50, 50, 30, 30)), 2)
    assert learnt(two) == [0, X, 0]


def test_of_equal_distances_the_first_anchors_are_taken():
    # 64 lies between the second and the third, 16 from each; all others are farther
    result = match(truth_of((64, 16, 32, 32)), 1, FAR)
    # the far predictions are all alike: the first is picked, and ignored
    assert learnt(result) == [IGN, 0, X, X, X, X]
    assert learnt(match(truth_of((64, 16, 32, 32)), 2, FAR)) == [IGN, 0, 0, X, X, X]


def test_an_object_picks_by_anchor_and_by_prediction():
    predicted = ROW.clone()
    predicted[[1, 4]] = predicted[[4, 1]]
    # the fourth predicts the box of the second; it does not overlap the object and is ignored
    assert learnt(match(truth_of((48, 16, 32, 32)), 1, predicted)) == [X, 0, X, X, IGN, X]
    # one that overlaps the object itself is positive
    predicted = ROW.clone()
    predicted[2] = boxes_of((60, 16, 30, 32))[0]
    assert learnt(match(truth_of((60, 16, 30, 32)), 1, predicted)) == [X, 0, 0, X, X, X]


@pytest.mark.parametrize(('side', 'learns'), [(12.3, False), (12.5, True)])
def test_an_anchor_that_overlaps_its_object_too_little_is_ignored(side, learns):
    # side^2 / 32^2 against 0.15: 12.39
    result = match(truth_of((48, 16, side, side)), 1)
    assert learnt(result) == [X, 0 if learns else IGN, X, X, X, X]
    assert result.assignment.weights.tolist() == [1, float(learns), 1, 1, 1, 1]
    assert len(result.positives) == learns


@pytest.mark.parametrize(('width', 'spared'), [(22, False), (23, True)])
def test_background_that_predicts_an_object_well_is_ignored(width, spared):
    # the last one predicts the object at width / 32 against 0.7; two others are nearer
    predicted = ROW.clone()
    predicted[5] = boxes_of((48 - (32 - width) / 2, 16, width, 32))[0]
    result = match(truth_of((48, 16, 32, 32)), 1, predicted)
    assert learnt(result) == [X, 0, X, X, X, IGN if spared else X]


def test_min_and_ignore_iou_are_settings():
    truth = truth_of((48, 16, 10, 10))
    assert learnt(match(truth, 1, min_iou=0.05)) == [X, 0, X, X, X, X]
    assert learnt(match(truth_of((52, 16, 32, 32)), 1, ignore_iou=0.05)) == [X, 0, IGN, X, X, X]


# The constructed case: two objects select the second anchor, which overlaps the one and hardly
# the other. The authors write the labels of the pairs in sequence: (anchor 1, object 0), then
# IGNORED for (anchor 1, object 1), which overwrites the first; in the other order the first
# stays; and on a GPU the order is undefined.
NEAR, SMALL = (48, 16, 32, 32), (60, 16, 8, 8)


@pytest.mark.parametrize('device', DEVICES)
@pytest.mark.parametrize('dedupe', [True, False])
@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_an_ignored_pair_never_wipes_out_a_positive(order, dedupe, device):
    boxes = [(NEAR, SMALL)[index] for index in order]
    truth = GroundTruth(*(each.to(device) for each in truth_of(*boxes, labels=order)))
    result = assign_uniform(ROW.to(device), ROW.to(device), truth, 1, dedupe=dedupe)
    assert learnt(result) == [X, order.index(0), X, X, X, X]
    assert result.assignment.labels.tolist() == [X, 0, X, X, X, X]
    # picked by anchor and by prediction: once, or twice as the authors count
    assert box_pairs(result) == [(1, order.index(0))] * (1 if dedupe else 2)


@pytest.mark.parametrize('order', [[0, 1], [1, 0]])
def test_an_anchor_of_two_objects_learns_the_one_that_it_overlaps_most(order):
    boxes = (46, 16, 32, 32), (52, 16, 32, 32)
    truth = truth_of(*(boxes[index] for index in order), labels=order)
    result = match(truth, 1)
    assert learnt(result) == [X, order.index(0), X, X, X, X]
    assert result.assignment.labels[1] == 0
    assert box_pairs(result) == [(1, order.index(0))]
    # the authors let its box learn both, each twice
    assert box_pairs(match(truth, 1, dedupe=False)) == [(1, 0)] * 2 + [(1, 1)] * 2


def test_of_equal_overlaps_the_first_object_and_of_two_the_believed_one_is_learnt():
    same = (48, 16, 32, 32), (48, 16, 32, 32)
    assert learnt(match(truth_of(*same), 1))[1] == 0
    assert learnt(match(truth_of(*same, scores=[0.4, 0.5]), 1))[1] == 1
    assert learnt(match(truth_of(*same, scores=[0.0, 0.0]), 1))[1] == 0


def test_an_ignored_region_is_neither_learnt_nor_background():
    # the third by its position; the one centred in the second region too
    result = match(truth_of((16, 16, 32, 32), ignored=((80, 16, 20, 20), (144, 16, 60, 30))), 1)
    assert learnt(result) == [0, X, IGN, X, IGN, X]
    # an object in it is still assigned
    assert learnt(match(truth_of((80, 16, 32, 32), ignored=((96, 16, 192, 32),)), 1)) == [
        IGN, IGN, 0, IGN, IGN, IGN]
    # nor is a prediction of a region punished, at any position
    predicted = ROW.clone()
    predicted[5] = boxes_of((80, 16, 20, 20))[0]
    assert learnt(match(truth_of(ignored=((80, 16, 20, 20),)), 1, predicted))[5] == IGN


@pytest.mark.parametrize('device', DEVICES)
def test_matching_of_many_boxes_is_that_of_a_plain_loop(device):
    generator = torch.Generator().manual_seed(2)

    def draw(count: int) -> torch.Tensor:
        # whole numbers, so that there are ties
        return boxes_of(*(torch.rand(count, 4, generator=generator) * 40).round().tolist())

    anchors, predicted, truth = draw(60), draw(60), truth_of()._replace(
        boxes_xyxy=draw(9), labels=torch.arange(9), scores=torch.rand(9, generator=generator))
    result = assign_uniform(anchors.to(device), predicted.to(device),
                            GroundTruth(*(each.to(device) for each in truth)))
    pairs = set()
    for index, box in enumerate(truth.boxes_xyxy):
        for boxes in (anchors, predicted):
            x, y, other_x, other_y = (each.mean(dim=-1) for each in (
                box[[0, 2]], box[[1, 3]], boxes[:, [0, 2]], boxes[:, [1, 3]]))
            size, other_size = box[2:] - box[:2], boxes[:, 2:] - boxes[:, :2]
            distance = ((x - other_x).abs() + (y - other_y).abs()
                        + (size - other_size).abs().sum(dim=1))
            pairs |= {(place, index) for place in distance.argsort(stable=True)[:4].tolist()}
    wanted = {}
    for place, index in sorted(pairs, key=lambda pair: pair[1]):
        box, anchor = truth.boxes_xyxy[index], anchors[place]
        low, high = torch.maximum(box[:2], anchor[:2]), torch.minimum(box[2:], anchor[2:])
        shared = (high - low).clamp(min=0).prod()
        iou = shared / ((box[2:] - box[:2]).prod() + (anchor[2:] - anchor[:2]).prod() - shared)
        rank = iou * truth.scores[index]
        if iou >= 0.15 and rank > wanted.get(place, (-1, 0))[0]:
            wanted[place] = (rank, index)
    assert len(wanted) > 10
    found = result.assignment.gt_indices.tolist()
    assert {place: index for place, index in enumerate(found) if index >= 0} == {
        place: index for place, (_, index) in wanted.items()}
    in_vain = {place for place, _ in pairs} - wanted.keys()
    assert in_vain and all(found[place] == IGN for place in in_vain)
