# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""YOLOF: joint scores, the dilated stage, and its losses by hand."""

import math

from lite_detector.core.config import from_mapping
from lite_detector.core.decode import decode_yolof
from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import LossSpec
from lite_detector.train.config.model import ModelSpec, VARIANTS
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.objectives.build import build_objective
from lite_detector.train.losses.objectives.objective import Objective
from lite_detector.train.models.backbones.shufflenet_v2 import CHANNELS, ShuffleNetV2
from lite_detector.train.models.blocks import RELU
from lite_detector.train.models.build import build_model
from lite_detector.train.models.yolof import dilate_last_stage, joint_logits
from networks import network_card
import numpy as np
import pytest
import torch
from torch import nn

SIZE = ImageSize(height=64, width=96)
LN2 = math.log(2)
ANCHOR = 32
"""Side of the first anchor; the second one is 156 x 198."""


def objective_of(num_classes: int = 2, **loss) -> Objective:
    spec = ModelSpec('yolof', '0.5x', num_classes, num_anchors=2)
    return build_objective(build_model(spec), network_card(spec),
                           from_mapping({'yolof': loss}, LossSpec, 'test'))


def truth_of(*boxes: tuple[float, ...], labels: list[int] | None = None,
             scores: list[float] | None = None) -> GroundTruth:
    return GroundTruth(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                       torch.tensor(labels or [0] * len(boxes)).long(),
                       torch.tensor(scores or [1.0] * len(boxes)), torch.zeros(0, 4))


def head_of(num_classes: int = 2, images: int = 1, objectness: float = 0.0) -> torch.Tensor:
    """Return the head of 2 x 3 cells in which all is 0 but the objectness."""
    head = torch.zeros(images, 2 * (5 + num_classes), 2, 3)
    head[:, 4:10:5] = objectness
    return head


@pytest.mark.parametrize(('class_logit', 'object_logit'), [
    (0, 0), (1, -2), (-3, 5), (15, 15), (-80, -90), (80, 80), (1e4, 3.3), (3.3, 1e4),
    (-1e4, 1e4), (1e4, -1e4), (-1e4, -1e4), (1e4, 1e4), (3e38, 0), (0, -3e38)])
def test_joint_logit_is_that_of_the_product(class_logit, object_logit):
    logits = torch.tensor([class_logit, object_logit], dtype=torch.float32, requires_grad=True)
    joint = joint_logits(logits[:1], logits[1:])
    assert joint.isfinite().all()
    # log p(class) + log p(object) = log p(joint), exact at both ends
    c, o = logits.detach().double().clamp(-700, 700)
    exact = -torch.logsumexp(torch.stack((-c, -o, -c - o)), dim=0)
    if max(abs(class_logit), abs(object_logit)) <= 700:
        assert joint.item() == pytest.approx(exact.item(), rel=1e-6, abs=1e-6)
    product = logits.detach().sigmoid().prod().item()
    assert joint.sigmoid().item() == pytest.approx(product, rel=1e-5, abs=1e-30)
    joint.sum().backward()
    assert logits.grad.isfinite().all()
    # d joint / d c = 1 - p(c) (1 - p(o)) ... is never below 0: both raise the score
    assert (logits.grad >= 0).all()


def test_joint_logit_is_what_is_published_where_that_can_be_computed():
    c, o = torch.randn(50, 7, 3) * 4, torch.randn(50, 7, 1) * 4
    published = c + o - torch.log(1 + c.exp() + o.exp())
    torch.testing.assert_close(joint_logits(c, o), published, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize('size', [(64, 64), (64, 96), (160, 32)])
def test_dilated_stage_gives_at_every_second_place_what_it_gave(size):
    plain, dilated = (ShuffleNetV2(CHANNELS['0.5x'], RELU).eval() for _ in range(2))
    dilate_last_stage(dilated)
    dilated.load_state_dict(plain.state_dict())
    images = torch.rand(1, 3, *size)
    with torch.no_grad():
        wanted, got = plain(images), dilated(images)
    assert got[2].shape[2:] == got[1].shape[2:] == (size[0] // 16, size[1] // 16)
    torch.testing.assert_close(got[:2], wanted[:2], atol=0, rtol=0)
    torch.testing.assert_close(got[2][:, :, ::2, ::2], wanted[2], atol=1e-5, rtol=1e-5)


def test_dilated_stage_of_a_backbone_that_pools_is_refused():
    backbone = nn.Sequential(nn.Conv2d(3, 4, 3, 16, 1), nn.MaxPool2d(2), nn.Conv2d(4, 4, 1))
    with pytest.raises(ModelError, match='no convolution of stride 2 in its last stage'):
        dilate_last_stage(backbone)


@pytest.mark.parametrize('variant', VARIANTS['yolof'])
def test_fresh_network_scores_half_the_prior_and_puts_boxes_on_their_anchors(variant):
    spec = ModelSpec('yolof', variant, 3, num_anchors=2)
    model = build_model(spec).eval()
    assert model.strides == ((16,) if variant.endswith('dc5') else (32,))
    with torch.no_grad():
        head, = model(torch.rand(1, 3, *SIZE))
    objectness, scores = head[:, 4:10:5].sigmoid(), head[:, 10:].sigmoid()
    torch.testing.assert_close(scores, torch.full_like(scores, 0.01), atol=0.005, rtol=0)
    torch.testing.assert_close(objectness, torch.full_like(objectness, 0.5), atol=0.05, rtol=0)
    assert head[:, :4].abs().max() < 0.2


def test_objective_finds_boxes_and_scores_where_the_robot_does():
    objective = objective_of(3)
    head = torch.randn(1, 2 * (5 + 3), 2, 3) * 3
    boxes, logits = objective._flat(head)
    predicted = objective._grid(SIZE, head.device).moved(boxes[0, :, :4], 32)
    found = decode_yolof([head[0].numpy()], objective.card.decode, 3, SIZE, 0)
    best, labels = logits[0].sigmoid().max(dim=1)
    np.testing.assert_allclose(found.boxes_xyxy, predicted.numpy(), rtol=1e-4, atol=1e-3)
    np.testing.assert_allclose(found.scores, best.numpy(), rtol=1e-4)
    np.testing.assert_array_equal(found.class_ids, labels.numpy())


@pytest.mark.parametrize('images', [1, 3])
def test_losses_without_boxes_average_the_background_over_the_images(images):
    terms = objective_of().losses([head_of(images=images)], [truth_of()] * images, SIZE)
    # 6 cells, 2 anchors, 2 classes of 1/2 * 1/2: 3/4 (1/4)^2 * -log(3/4)
    assert terms['score'].item() == pytest.approx(24 * 0.75 / 16 * -math.log(0.75), rel=1e-5)
    assert terms['box'] == 0


def test_losses_of_a_perfect_box_are_those_of_its_score():
    objective = objective_of(top_k=1)
    # the first anchor of the cell (row 0, column 1) is positive; no other is near
    truth = truth_of((32, 0, 64, 32), labels=[1])
    quiet = head_of(objectness=-30)
    terms = objective.losses([quiet], [truth], SIZE)
    assert terms['box'].item() == pytest.approx(0, abs=1e-6)
    # 1/4 * -log p, p = sigmoid(-30) / 2
    assert terms['score'].item() == pytest.approx(0.25 * (30 + LN2), rel=1e-4)
    quiet[0, 4, 0, 1] = quiet[0, 11, 0, 1] = 30  # objectness of the first, its second class
    quiet[0, 10, 0, 1] = -30
    assert objective.losses([quiet], [truth], SIZE)['score'].item() == pytest.approx(0, abs=1e-6)


def test_box_loss_is_the_giou_of_what_was_matched():
    objective = objective_of(top_k=1, box_weight=2.0)
    # the upper half of the anchor: IoU 1/2, and the hull is the anchor
    terms = objective.losses([head_of()], [truth_of((32, 0, 64, 16))], SIZE)
    assert terms['box'].item() == pytest.approx(2 * 0.5, rel=1e-5)


def test_the_authors_weigh_a_box_by_the_lists_that_it_is_on():
    truth = truth_of((32, 0, 64, 16))  # picked by its anchor and by what it predicts
    once, twice = (objective_of(top_k=1, dedupe=dedupe).losses([head_of()], [truth], SIZE)
                   for dedupe in (True, False))
    assert twice['box'].item() == pytest.approx(2 * once['box'].item())
    assert twice['score'] == once['score']


def test_a_soft_object_teaches_as_far_as_it_is_believed():
    objective = objective_of(num_classes=1, top_k=1)
    head = head_of(1, objectness=-30)
    terms = objective.losses([head], [truth_of((32, 0, 64, 16), scores=[0.5])], SIZE)
    # one positive in one image: half of the 1/2 that a certain one has
    assert terms['box'].item() == pytest.approx(0.25, rel=1e-5)
    # a = 1/4 * 1/2 + 3/4 * 1/2, |1/2 - 0|^2, BCE = 1/2 * -log p
    assert terms['score'].item() == pytest.approx(0.5 * 0.25 * 0.5 * (30 + LN2), rel=1e-4)


def test_background_counts_as_much_beside_one_object_as_without():
    objective = objective_of(1, top_k=1)
    heads = [head_of(1, images=8)]
    without = objective.losses(heads, 8 * [truth_of()], SIZE)['score'].item()
    terms = objective.losses(heads, [truth_of((32, 0, 64, 32))] + 7 * [truth_of()], SIZE)
    # Scores of 1/4. The anchor that is the object costs alpha (3/4)^2 ln 4 instead of
    # (1 - alpha) (1/4)^2 ln(4/3), both divided by the number of images.
    positive, negative = 0.25 * (3 / 4) ** 2 * 2 * LN2, 0.75 * (1 / 4) ** 2 * math.log(4 / 3)
    assert terms['score'].item() - without == pytest.approx((positive - negative) / 8, rel=1e-3)


def test_two_images_share_their_positives():
    objective = objective_of(top_k=1)
    truth = truth_of((32, 0, 64, 16))
    alone = objective.losses([head_of()], [truth], SIZE)['box'].item()
    both = objective.losses([head_of(images=2)], [truth_of(), truth], SIZE)['box'].item()
    assert both == pytest.approx(alone)


def test_large_outputs_leave_losses_and_gradients_finite():
    objective = objective_of()
    head = (torch.randn(2, 14, 2, 3) * 1e4).requires_grad_()
    terms = objective.losses([head], [truth_of((32, 0, 64, 32)), truth_of()], SIZE)
    sum(terms.values()).backward()
    assert all(term.isfinite() for term in terms.values()) and head.grad.isfinite().all()
