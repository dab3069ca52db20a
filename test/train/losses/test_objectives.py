# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Objectives: values by hand, gradients of all parameters, one batch in two halves."""

import math

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import LossSpec
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.atss import assign_atss
from lite_detector.train.losses.boxes import distances_from_boxes, grid_priors
from lite_detector.train.losses.objectives.build import build_objective
from lite_detector.train.losses.objectives.nanodet_plus import GuidedHeads
from lite_detector.train.losses.objectives.objective import (
    loss_normalizer,
    Objective,
    positives_normalizer,
)
from lite_detector.train.models.build import build_model
import msgspec
from networks import network_card
import pytest
from tiny_models import ANCHORS, REG_MAX
import torch
from truths import truth_of

LN2 = math.log(2)
SIZE = ImageSize(height=64, width=96)
SMALLEST = {'nanodet': '0.5x', 'nanodet_plus': 'm', 'yolov5_lite': 'e', 'yolof': '0.5x-dc5',
            'damo_yolo': 'ns'}
VARIATIONS = {
    'nanodet': ('nanodet', {}),
    'nanodet_dsla': ('nanodet', {'nanodet': {'assigner': 'dsla'}}),
    'nanodet_plus': ('nanodet_plus', {}),
    'nanodet_plus_following': ('nanodet_plus', {'nanodet_plus': {'guidance_epochs': 0}}),
    'nanodet_plus_alone': ('nanodet_plus', {'nanodet_plus': {'guidance': False}}),
    'yolov5_lite': ('yolov5_lite', {}),
    'yolof': ('yolof', {}),
    'yolof_of_the_authors': ('yolof', {'yolof': {'dedupe': False}}),
    'damo_yolo': ('damo_yolo', {}),
}
EVERY_FAMILY = pytest.mark.parametrize('variation', SMALLEST)
EVERY_VARIATION = pytest.mark.parametrize('variation', VARIATIONS)


def objective_of(variation: str, num_classes: int = 2, loss: dict | None = None,
                 **others) -> Objective:
    family, options = VARIATIONS[variation]
    spec = ModelSpec(family, SMALLEST[family], num_classes, num_anchors=len(ANCHORS[0]))
    return build_objective(build_model(spec), network_card(spec),
                           from_mapping(loss or options, LossSpec, 'test'), **others)


NOTHING = truth_of()
SOME = truth_of((4, 4, 40, 36), (50, 10, 90, 60), labels=[0, 1])
SOFT = truth_of((4, 4, 40, 36), (50, 10, 90, 60), labels=[0, 1], scores=[1.0, 0.3])
BATCHES = {
    'without_boxes': (2, [NOTHING, NOTHING]),
    'one_image': (2, [SOME]),
    'one_class': (1, [truth_of((4, 4, 40, 36)), NOTHING]),
    'a_box_without_area': (2, [truth_of((40, 20, 40, 20)), SOME]),
    'all_ignored': (2, [truth_of(ignored=((0, 0, 96, 64),))]),
    'a_box_beyond_all_anchors': (2, [truth_of((0, 30, 96, 31))]),
    'soft': (2, [SOFT]),
    'nothing_believed': (2, [truth_of((4, 4, 40, 36), scores=[0.0])]),
}


@EVERY_VARIATION
@pytest.mark.parametrize('batch', BATCHES)
def test_objective_gives_every_parameter_a_finite_gradient(variation, batch):
    num_classes, truths = BATCHES[batch]
    objective = objective_of(variation, num_classes).eval()
    terms = objective(torch.rand(len(truths), 3, *SIZE), truths)
    assert all(term.shape == () and term.dtype == torch.float32 for term in terms.values())
    sum(terms.values()).backward()
    gradients = [parameter.grad for parameter in objective.parameters()]
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)


@EVERY_FAMILY
@pytest.mark.parametrize('second', [SOME, NOTHING, SOFT], ids=['boxes', 'no_boxes', 'soft'])
def test_objective_of_two_processes_equals_that_of_one(variation, second):
    # a new network predicts nearly the same everywhere: rounding would decide what is nearest
    torch.set_num_threads(1)
    first = truth_of((10, 20, 60, 60), labels=[1]) if second is not NOTHING else NOTHING
    truths = [first, NOTHING, second, second]
    images = torch.rand(4, 3, *SIZE)
    # uneven halves: one image and three
    halves = [(images[:1], truths[:1]), (images[1:], truths[1:])]
    said = []
    objective = objective_of(variation, reduce_mean=lambda values: said.append(values) or values)
    objective.eval()
    for half in halves:
        objective(*half)
    means = [(left + right) / 2 for left, right
             in zip(said[:len(said) // 2], said[len(said) // 2:], strict=True)]
    wanted = gradients_of(objective, images, truths)
    parts = []
    for half in halves:
        answers = iter(means)
        objective.reduce_mean = lambda _, answers=answers: next(answers)
        parts.append(gradients_of(objective, *half))
    # sums in another order differ by a share of the largest, in deep networks also elsewhere
    largest = max(1, *(whole.abs().max().item() for whole in wanted))
    for left, right, whole in zip(*parts, wanted, strict=True):
        torch.testing.assert_close((left + right) / 2, whole, rtol=1e-3, atol=1e-5 * largest)


def gradients_of(objective: Objective, images: torch.Tensor,
                 truths: list[GroundTruth]) -> list[torch.Tensor]:
    """Return the gradients of the total loss, which does not touch the parameters."""
    total = sum(objective(images, truths).values())
    return list(torch.autograd.grad(total, list(objective.parameters())))


def zero_heads(objective: Objective, size: ImageSize = SIZE, images: int = 1) -> list:
    with torch.no_grad():
        return [torch.zeros_like(head) for head in objective.model(torch.zeros(images, 3, *size))]


def seen(variation: str, heads: list[torch.Tensor]) -> list[torch.Tensor] | GuidedHeads:
    """Return heads as the objective predicts them; a guide says the same as the network."""
    if not variation.startswith('nanodet_plus'):
        return heads
    return GuidedHeads(heads, None if variation == 'nanodet_plus_alone' else heads)


@pytest.mark.parametrize('images', [1, 3])
def test_nanodet_without_boxes_averages_the_background_over_the_images(images):
    objective = objective_of('nanodet')
    terms = objective.losses(zero_heads(objective, images=images), [NOTHING] * images, SIZE)
    cells = 8 * 12 + 4 * 6 + 2 * 3
    # per cell and class |0 - 1/2|^2 * ln 2
    assert terms['score'].item() == pytest.approx(cells * 2 * 0.25 * LN2)
    assert terms['box'] == terms['distribution'] == 0


def perfect_heads(objective: Objective, truth: GroundTruth) -> list[torch.Tensor]:
    """Return heads whose boxes and scores are, at every cell, those of the first object."""
    card = objective.card
    priors = grid_priors(SIZE, card.decode.strides, card.decode.grid_offset)
    scale = priors.strides[:, None]
    distances = distances_from_boxes(priors.centers / scale, truth.boxes_xyxy[:1] / scale,
                                     REG_MAX - 1e-3)
    left = distances.long()
    share = (distances - left)[..., None]
    bins = torch.zeros(len(distances), 4, REG_MAX + 1)
    bins.scatter_(2, left[..., None], 1 - share).scatter_(2, left[..., None] + 1, share)
    logits = torch.full((len(distances), len(card.class_names)), -20.0)
    logits[:, truth.labels[0]] = 20
    rows = torch.cat((logits, (bins + 1e-9).log().flatten(1)), dim=1)
    grids = [head.shape[2:] for head in zero_heads(objective)]
    return [part.T[None].unflatten(2, grid)
            for part, grid in zip(rows.split(priors.level_counts), grids, strict=True)]


@pytest.mark.parametrize('variation', ['nanodet', 'nanodet_dsla', 'nanodet_plus_alone',
                                       'damo_yolo'])
def test_gfl_losses_of_a_perfect_box_are_the_background_and_the_spread_of_the_bins(variation):
    objective = objective_of(variation)
    truth = truth_of((24, 16, 56, 48), labels=[1])
    heads = seen(variation, perfect_heads(objective, truth))
    terms = objective.losses(heads, [truth], SIZE)
    assert terms['box'].item() == pytest.approx(0, abs=1e-5)
    # two bins that share a distance have an entropy of at most ln 2
    assert 0 <= terms['distribution'].item() <= 0.25 * LN2 + 1e-5
    elsewhere = objective.losses(heads, [truth_of((0, 0, 40, 30), labels=[1])], SIZE)
    assert elsewhere['box'].item() > 0.3


def test_nanodet_score_learns_the_overlap_of_its_own_box():
    objective = objective_of('nanodet')
    truth = truth_of((24, 16, 56, 48))
    heads = perfect_heads(objective, truth)
    for head in heads:
        head[:, :2] = -20
    missed = objective.losses(heads, [truth], SIZE)['score'].item()
    # each positive: |1 - 0|^2 * -log sigmoid(-20), divided by their number
    assert missed == pytest.approx(20, rel=1e-4)
    for head in heads:
        head[:, 0] = 20
    # all other cells now say something where nothing is, none of the positives is punished
    cells = sum(head[0, 0].numel() for head in heads)
    excess = objective.losses(heads, [truth], SIZE)['score'].item() / 20
    positives = cells / (excess + 1)
    assert positives == pytest.approx(round(positives), abs=1e-3) and positives >= 1


@pytest.mark.parametrize('variation', ['nanodet', 'nanodet_dsla', 'nanodet_plus',
                                       'nanodet_plus_alone', 'damo_yolo'])
def test_gfl_score_of_a_soft_object_is_overlap_times_score(variation):
    objective = objective_of(variation)
    heads = perfect_heads(objective, truth_of((24, 16, 56, 48)))
    for head in heads:
        head[:, :2] = -20
    terms = objective.losses(seen(variation, heads), [truth_of((24, 16, 56, 48), scores=[0.5])],
                             SIZE)
    # each of n positives: |1/2 - 0|^2 * 1/2 * -log sigmoid(-20); divided by n/2
    for name in ('score', 'guide_score') if variation == 'nanodet_plus' else ('score',):
        assert terms[name].item() == pytest.approx(5, rel=1e-3)


def test_gfl_box_of_a_soft_object_counts_as_much_as_it_is_believed():
    objective = objective_of('nanodet')
    heads, priors = zero_heads(objective), objective.priors(SIZE, torch.device('cpu'))
    boxes = (4, 4, 40, 36), (50, 10, 90, 60)
    alone = [objective.losses(heads, [truth_of(box)], SIZE) for box in boxes]
    counts = [assign_atss(priors, truth_of(box)).is_positive.sum().item() for box in boxes]
    both = objective.losses(heads, [truth_of(*boxes, scores=[1.0, 0.25])], SIZE)
    for name in ('box', 'distribution'):
        first, second = (each[name].item() for each in alone)
        assert both[name].item() == pytest.approx(
            (counts[0] * first + counts[1] / 4 * second) / (counts[0] + counts[1] / 4), rel=1e-5)


@pytest.mark.parametrize(('score_sum', 'images', 'expected'), [
    (0, 2, 2), (0.3, 2, 2), (1, 8, 8), (8, 8, 8), (9, 8, 9), (20.5, 2, 20.5),
])
def test_loss_normalizer_equals_the_hand_worked(score_sum, images, expected):
    values = (torch.tensor(float(value)) for value in (score_sum, images))
    assert loss_normalizer(*values).item() == expected


@pytest.mark.parametrize(('count', 'score_sum', 'images', 'expected'), [
    (0, 0, 2, 0), (3, 3, 2, 3), (0.5, 0.5, 2, 0.5), (20, 5, 2, 5), (20, 0.3, 2, 2), (1, 0.3, 2, 1),
])
def test_positives_normalizer_equals_the_hand_worked(count, score_sum, images, expected):
    values = (torch.tensor(float(value)) for value in (count, score_sum, images))
    assert positives_normalizer(*values).item() == expected


@pytest.mark.parametrize('variation', ['nanodet', 'nanodet_dsla', 'nanodet_plus',
                                       'nanodet_plus_alone', 'damo_yolo'])
def test_gfl_background_counts_as_much_beside_one_object_as_without(variation):
    objective = objective_of(variation)
    heads = seen(variation, zero_heads(objective, images=8))
    # per cell and class |0 - 1/2|^2 * ln 2, as a mean over the images
    cells = 8 * 12 + 4 * 6 + 2 * 3 + (1 * 2 if 'plus' in variation else 0)
    without = objective.losses(heads, 8 * [NOTHING], SIZE)['score'].item()
    assert without == pytest.approx(cells * 2 * 0.25 * LN2)
    # a box of one cell has few positives, of which each costs at most as much as background
    terms = objective.losses(heads, [truth_of((24, 16, 34, 26))] + 7 * [NOTHING], SIZE)
    assert without - 0.25 * LN2 < terms['score'].item() < without


def test_gfl_box_of_one_object_counts_as_much_in_a_batch_of_eight():
    objective = objective_of('nanodet')
    alone = objective.losses(zero_heads(objective), [SOME], SIZE)
    eight = objective.losses(zero_heads(objective, images=8), [SOME] + 7 * [NOTHING], SIZE)
    for name in ('box', 'distribution'):
        assert eight[name].item() == pytest.approx(alone[name].item())


def test_nanodet_plus_scores_learn_what_the_guide_reaches():
    objective = objective_of('nanodet_plus')
    own, guide = zero_heads(objective), perfect_heads(objective, SOME)
    before = objective.losses(GuidedHeads(own, guide), [SOME], SIZE)
    for head in own:
        head[:, 2:] = torch.randn_like(head[:, 2:])
    after = objective.losses(GuidedHeads(own, guide), [SOME], SIZE)
    assert after['score'] == before['score'] and after['box'] != before['box']
    assert after['guide_box'] == before['guide_box']


def test_nanodet_plus_guide_leaves_the_network_alone_after_its_epochs():
    objective = objective_of('nanodet_plus', loss={'nanodet_plus': {'guidance_epochs': 3}})
    images = torch.rand(1, 3, *SIZE)
    for epoch, reaches in ((0, True), (2, True), (3, False), (4, False)):
        objective.start_epoch(epoch)
        terms = objective(images, [SOME])
        total = sum(term for name, term in terms.items() if name.startswith('guide_'))
        found = torch.autograd.grad(total, list(objective.model.backbone.parameters()),
                                    allow_unused=True)
        assert [each is not None for each in found] == [reaches] * len(found)


def test_nanodet_plus_saves_the_network_without_the_guide():
    objective = objective_of('nanodet_plus')
    assert not any('guide' in name for name in objective.model.state_dict())
    assert any(name.startswith('guide.') for name in objective.state_dict())


def test_yolov5_without_boxes_has_the_objectness_of_the_background():
    objective = objective_of('yolov5_lite')
    terms = objective.losses(zero_heads(objective, images=2), [NOTHING] * 2, SIZE)
    assert terms['object'].item() == pytest.approx(64 * 96 / 640 ** 2 * (4 + 1 + 0.4) * LN2)
    assert terms['box'] == terms['class'] == 0


def test_yolov5_logits_of_zero_are_perfect_for_an_anchor_in_its_cell():
    objective = objective_of('yolov5_lite', loss={'yolov5_lite': {'anchor_ratio': 1.05}})
    heads = zero_heads(objective)
    # stride 32, second column, first row: centre (48, 16), first anchor 32 x 32
    exact = truth_of((32, 0, 64, 32), labels=[1])
    terms = objective.losses(heads, [exact], SIZE)
    assert terms['box'].item() == pytest.approx(0, abs=1e-6)
    assert terms['class'].item() == pytest.approx(0.5 * 2 / 80 * LN2)
    plain = terms['object'].item()
    heads[2][0, 4, 0, 1] = 20  # as sure as can be, and right
    gain = plain - objective.losses(heads, [exact], SIZE)['object'].item()
    assert gain == pytest.approx(64 * 96 / 640 ** 2 * 0.4 / (2 * 2 * 3) * LN2, rel=1e-4)


def test_yolov5_learns_a_soft_object_as_far_as_it_is_believed():
    objective = objective_of('yolov5_lite', loss={'yolov5_lite': {'anchor_ratio': 1.05}})
    heads = zero_heads(objective)
    truth = truth_of((32, 0, 64, 32), labels=[1], scores=[0.5])
    before = objective.losses(heads, [truth], SIZE)
    # one positive in one image: half of the mean over certain positives
    assert before['class'].item() == pytest.approx(0.5 * 2 / 80 * LN2 / 2)
    heads[2][0, 4, 0, 1] = 20  # the target is 1/2: 20 - 20 / 2 instead of ln 2
    loss = objective.losses(heads, [truth], SIZE)['object'].item() - before['object'].item()
    assert loss == pytest.approx(64 * 96 / 640 ** 2 * 0.4 / (2 * 2 * 3) * (10 - LN2), rel=1e-4)


def test_yolov5_weighs_the_places_of_a_level_by_their_scores():
    objective = objective_of('yolov5_lite', loss={'yolov5_lite': {'anchor_ratio': 1.05}})
    heads = zero_heads(objective)
    heads[2][0, 5, 1, 2] = 20  # the second is taken for the wrong class
    heads[2][0, 0, 1, 2] = 20  # and lies a cell to the right
    boxes = (32, 0, 64, 32), (64, 32, 96, 64)
    terms = objective.losses(heads, [truth_of(*boxes, labels=[0, 1], scores=[1.0, 0.5])], SIZE)
    assert terms['class'].item() == pytest.approx(
        0.5 / 80 * (2 * LN2 + (20 + LN2) / 2) / 1.5, rel=1e-4)
    # 1 - CIoU of the second: no overlap, 1 + rho^2 / c^2 with 32^2 / (64^2 + 32^2)
    assert terms['box'].item() == pytest.approx(0.05 * (1 + 0.2) / 2 / 1.5, rel=1e-3)


def test_yolov5_trains_the_score_of_a_single_class():
    objective = objective_of('yolov5_lite', num_classes=1)
    terms = objective.losses(zero_heads(objective), [truth_of((32, 0, 64, 32))], SIZE)
    # at one to three levels, each the mean over its positives
    levels = terms['class'].item() / (0.5 / 80 * LN2)
    assert levels == pytest.approx(round(levels), abs=1e-4) and round(levels) in (1, 2, 3)


@EVERY_VARIATION
def test_objective_does_not_hear_what_is_said_inside_ignored_regions(variation):
    objective = objective_of(variation)
    heads = zero_heads(objective)
    truth = truth_of(ignored=((-1, -1, 200, 200),))
    noisy = [head + torch.randn_like(head) for head in heads]
    quiet, loud = (sum(objective.losses(seen(variation, each), [truth], SIZE).values())
                   for each in (heads, noisy))
    assert quiet == loud == 0


@EVERY_VARIATION
def test_objective_under_autocast_computes_losses_in_float32(variation):
    objective = objective_of(variation).eval()
    images = torch.rand(1, 3, *SIZE)
    wanted = objective(images, [SOME])
    with torch.autocast('cpu', dtype=torch.bfloat16):
        terms = objective(images, [SOME])
    assert terms.keys() == wanted.keys()
    for name, term in terms.items():
        assert term.dtype == torch.float32
        assert term.item() == pytest.approx(wanted[name].item(), rel=0.2, abs=0.01)


@pytest.mark.parametrize('data, message', [
    ({'nanodet': {'assigner': 'simota'}}, r'\$\.nanodet\.assigner'),
    ({'nanodet': {'guidance': True}}, r'unknown field `?guidance'),
    ({'yolov5_lite': {'box_weight': -1}}, r'\$\.yolov5_lite\.box_weight'),
])
def test_loss_spec_refuses_what_it_does_not_know(data, message):
    with pytest.raises(ConfigError, match=message):
        from_mapping(data, LossSpec, 'loss')


def test_build_objective_refuses_constants_of_another_family():
    with pytest.raises(ConfigError, match='loss.yolov5_lite: the network is of family nanodet'):
        objective_of('nanodet', loss={'yolov5_lite': {}})


def test_build_objective_refuses_a_balance_of_other_strides():
    with pytest.raises(ConfigError, match='level_balance: 2 values; expected 3'):
        objective_of('yolov5_lite', loss={'yolov5_lite': {'level_balance': [4, 1]}})


@pytest.mark.parametrize('family', SMALLEST)
def test_build_objective_refuses_the_card_of_another_network(family):
    spec = ModelSpec(family, SMALLEST[family], 2, num_anchors=2)
    card = network_card(spec)
    with pytest.raises(ModelError, match=f'{card.name}: the network has .* channels'):
        build_objective(build_model(msgspec.structs.replace(spec, num_classes=3)), card,
                        LossSpec())
