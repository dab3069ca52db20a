# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Losses with numbers worked out by hand; empty inputs, and gradients."""

import math

from lite_detector.train.losses.loss_functions import (
    bce_loss,
    ciou_loss,
    distribution_focal_loss,
    giou_loss,
    objectness_loss,
    quality_focal_loss,
    soft_targets,
)
import pytest
import torch

LN2, LN3 = math.log(2), math.log(3)
# sigmoid(ln 3) = 3 / 4; BCE(3/4, 1) = ln(4/3); BCE(3/4, 0) = ln 4
SURE = LN3
EMPTY_SHAPES = {
    quality_focal_loss: ((0, 3), (0, 3)),
    distribution_focal_loss: ((0, 8), (0,)),
    giou_loss: ((0, 4), (0, 4)),
    ciou_loss: ((0, 4), (0, 4)),
    bce_loss: ((0, 3), (0, 3)),
    objectness_loss: ((0,), (0,)),
}


def tensor(values: object, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor(values, dtype=dtype)


@pytest.mark.parametrize('loss', EMPTY_SHAPES)
@pytest.mark.parametrize('normalizer', [1.0, 0.0, torch.tensor(0.0), torch.tensor(2.0)])
def test_losses_of_nothing_are_zero_and_connected(loss, normalizer):
    predicted_shape, target_shape = EMPTY_SHAPES[loss]
    network = torch.nn.Parameter(torch.ones(()))
    predicted = torch.zeros(predicted_shape) * network
    value = loss(predicted, torch.zeros(target_shape), torch.zeros(0), normalizer)
    assert value.shape == () and value.item() == 0
    value.backward()
    assert network.grad.item() == 0


@pytest.mark.parametrize('loss', EMPTY_SHAPES)
def test_losses_of_weight_zero_and_normalizer_zero_are_zero(loss):
    predicted_shape, target_shape = EMPTY_SHAPES[loss]
    predicted = torch.rand(2, *predicted_shape[1:], requires_grad=True)
    value = loss(predicted, torch.rand(2, *target_shape[1:]), torch.zeros(2), torch.tensor(0.0))
    value.backward()
    assert value.item() == 0 and not predicted.grad.any()


@pytest.mark.parametrize('loss', EMPTY_SHAPES)
def test_losses_weigh_rows_and_divide_once(loss):
    predicted_shape, target_shape = EMPTY_SHAPES[loss]
    torch.manual_seed(2)
    predicted, targets = torch.rand(3, *predicted_shape[1:]), torch.rand(3, *target_shape[1:])
    if predicted_shape == (0, 4):
        predicted, targets = (torch.cat((boxes[:, :2], 1 + boxes[:, 2:]), dim=1)
                              for boxes in (predicted, targets))
    alone = [loss(predicted[row:row + 1], targets[row:row + 1], torch.ones(1), 1).item()
             for row in range(3)]
    together = loss(predicted, targets, tensor([2, 0, 0.5]), tensor(4))
    assert together.item() == pytest.approx((2 * alone[0] + 0.5 * alone[2]) / 4, rel=1e-5)


@pytest.mark.parametrize('loss', EMPTY_SHAPES)
def test_losses_of_half_precision_are_computed_in_full(loss):
    predicted_shape, target_shape = EMPTY_SHAPES[loss]
    predicted = torch.ones(1, *predicted_shape[1:], dtype=torch.float16)
    value = loss(predicted, torch.ones(1, *target_shape[1:]), torch.ones(1), 1)
    assert value.dtype == torch.float32 and value.isfinite()


def test_soft_targets_stand_in_the_class_of_the_object_only():
    targets = soft_targets(torch.tensor([1, -1, -2, 0]), tensor([0.75, 0.5, 0.5, 0.25]), 2)
    assert targets.tolist() == [[0, 0.75], [0, 0], [0, 0], [0.25, 0]]
    assert soft_targets(torch.zeros(0, dtype=torch.int64), torch.zeros(0), 1).shape == (0, 1)


@pytest.mark.parametrize(('logit', 'target', 'wanted'), [
    # p = 1/2: |y - p|^2 BCE = 1/4 ln 2 on either hard label
    (0.0, 1.0, LN2 / 4),
    (0.0, 0.0, LN2 / 4),
    # at a score of three quarters
    (SURE, 1.0, (1 / 4) ** 2 * math.log(4 / 3)),
    (SURE, 0.0, (3 / 4) ** 2 * math.log(4)),
    # p = 3/4, y = 1/2: BCE = -(ln(3/4) + ln(1/4)) / 2 = ln(16/3) / 2
    (SURE, 0.5, (1 / 4) ** 2 * math.log(16 / 3) / 2),
    (SURE, 0.75, 0.0),
])
def test_quality_focal_loss_of_one_class_equals_the_hand_worked(logit, target, wanted):
    value = quality_focal_loss(tensor([[logit]]), tensor([[target]]), torch.ones(1), 1)
    assert value.item() == pytest.approx(wanted, abs=1e-6)


def test_quality_focal_loss_sums_classes_and_rows():
    logits = tensor([[0, SURE], [SURE, 0]])
    targets = soft_targets(torch.tensor([1, -1]), tensor([1, 0]), 2)
    # row 0: 1/4 ln 2 + 1/16 ln(4/3); row 1: 9/16 ln 4 + 1/4 ln 2
    wanted = LN2 / 2 + math.log(4 / 3) / 16 + 9 / 16 * math.log(4)
    value = quality_focal_loss(logits, targets, torch.ones(2), 2)
    assert value.item() == pytest.approx(wanted / 2, rel=1e-6)


def test_quality_focal_loss_is_smallest_where_score_equals_target():
    logits = tensor([[-1.0, 0.0, SURE]]).requires_grad_()
    targets = logits.detach().sigmoid()
    value = quality_focal_loss(logits, targets, torch.ones(1), 1)
    value.backward()
    assert value.item() == 0 and not logits.grad.any()
    for step in (-0.2, 0.2):
        assert quality_focal_loss(logits + step, targets, torch.ones(1), 1) > 0


@pytest.mark.parametrize('logit', [-1e4, 1e4])
def test_quality_focal_loss_of_extreme_logits_has_finite_gradients(logit):
    logits = tensor([[logit, logit]]).requires_grad_()
    value = quality_focal_loss(logits, tensor([[0.0, 1.0]]), torch.ones(1), 1)
    value.backward()
    assert value.isfinite() and logits.grad.isfinite().all()


@pytest.mark.parametrize(('target', 'wanted'), [
    # softmax of (0, ln 2, 0) = 1/4, 1/2, 1/4
    (0.0, math.log(4)),
    (1.0, LN2),
    (2.0, math.log(4)),
    # 0.25 from bin 1 to bin 2: 3/4 ln 2 + 1/4 ln 4
    (1.25, 0.75 * LN2 + 0.25 * math.log(4)),
    # outside of the bins the target is the nearest end
    (-3.0, math.log(4)),
    (9.0, math.log(4)),
])
def test_distribution_focal_loss_equals_the_hand_worked(target, wanted):
    value = distribution_focal_loss(tensor([[0, LN2, 0]]), tensor([target]), torch.ones(1), 1)
    assert value.item() == pytest.approx(wanted, rel=1e-6)


def test_distribution_focal_loss_is_smallest_at_the_shares_of_the_two_bins():
    # y = 2.25 of bins 0..3: S = (0, 0, 3/4, 1/4) gives the entropy of the shares
    logits = tensor([[-50, -50, LN3, 0]]).requires_grad_()
    value = distribution_focal_loss(logits, tensor([2.25]), torch.ones(1), 1)
    value.backward()
    assert value.item() == pytest.approx(0.75 * math.log(4 / 3) + 0.25 * math.log(4), rel=1e-6)
    assert logits.grad.abs().max() < 1e-6


def test_box_losses_of_known_boxes_equal_the_hand_worked():
    boxes = tensor([[0, 0, 2, 2], [0, 0, 2, 2]])
    targets = tensor([[0, 0, 2, 2], [4, 0, 6, 2]])
    # GIoU 1 and -4/12, CIoU 1 and -16/40, as in test_train_boxes
    weights = tensor([1.0, 0.5])
    giou = giou_loss(boxes, targets, weights, 1.5)
    ciou = ciou_loss(boxes, targets, weights, 1.5)
    assert giou.item() == pytest.approx((0 + 0.5 * (1 + 1 / 3)) / 1.5, rel=1e-6)
    assert ciou.item() == pytest.approx((0 + 0.5 * 1.4) / 1.5, rel=1e-6)


@pytest.mark.parametrize('loss', [giou_loss, ciou_loss])
def test_box_losses_pull_apart_boxes_together(loss):
    boxes = tensor([[0, 0, 2, 2]]).requires_grad_()
    loss(boxes, tensor([[4, 0, 6, 2]]), torch.ones(1), 1).backward()
    assert boxes.grad[0, 2] < 0, 'the right side has to move to the right'


def test_bce_loss_sums_over_classes():
    value = bce_loss(tensor([[SURE, SURE], [0, 0]]), tensor([[1, 0], [1, 0]]), tensor([1, 3]), 2)
    # (ln(4/3) + ln 4 + 3 * 2 ln 2) / 2
    assert value.item() == pytest.approx((math.log(16 / 3) + 6 * LN2) / 2, rel=1e-6)


def test_objectness_loss_takes_the_iou_as_a_constant_target():
    logits = tensor([SURE, 0, 0, SURE]).requires_grad_()
    ious = tensor([0.5, 0, -0.3, 1]).requires_grad_()
    value = objectness_loss(logits, ious, tensor([1, 1, 1, 0]), 4)
    # ln(16/3) / 2, ln 2 for background, ln 2 for a negative CIoU, and one that is ignored
    assert value.item() == pytest.approx((math.log(16 / 3) / 2 + 2 * LN2) / 4, rel=1e-6)
    value.backward()
    # d BCE / d logit = p - y
    assert logits.grad.tolist() == pytest.approx([0.25 / 4, 0.5 / 4, 0.5 / 4, 0])
    assert ious.grad is None


def test_gradients_of_losses_equal_finite_differences():
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(3, 5, dtype=torch.float64, generator=generator).requires_grad_()
    shares = torch.rand(3, 5, dtype=torch.float64, generator=generator)
    weights = torch.tensor([1, 0.3, 2], dtype=torch.float64)
    for loss, targets in ((quality_focal_loss, shares), (bce_loss, shares),
                          (distribution_focal_loss, 4 * shares[:, 0])):
        assert torch.autograd.gradcheck(
            lambda values, loss=loss, targets=targets: loss(values, targets, weights, 1.7),
            logits)
