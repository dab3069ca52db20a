# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Learning rate, averages of weights and groups of parameters, worked out by hand."""

from lite_detector.core.errors import ConfigError
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.config.training import EmaSpec, load_config, OptimizerSpec, ScheduleSpec
from lite_detector.train.models.batch_norm import has_statistics, renew_statistics
from lite_detector.train.models.build import build_model
from lite_detector.train.run.ema import Ema, interpolate
from lite_detector.train.run.figures import MAIN
from lite_detector.train.run.optimizer import build_optimizer, freeze, set_rates, set_training
from lite_detector.train.run.schedule import lr_factor
from lite_detector.train.run.validation import search_between
import pytest
from shapes import ROOT
import torch
from torch import nn

SPEC = ModelSpec('nanodet', '0.5x', 2)
CONFIGS = ROOT / 'config' / 'train'


@pytest.mark.parametrize(('iteration', 'factor'), [
    (0, 0.1), (5, 0.55), (10, 1.0), (55, 0.525), (100, 0.05),
])
def test_cosine_rises_falls_and_ends_where_it_should(iteration, factor):
    spec = ScheduleSpec('cosine', warmup_iterations=10, warmup_factor=0.1, final_factor=0.05)
    assert lr_factor(iteration, 101, spec) == pytest.approx(factor)


def test_warm_up_takes_at_most_a_tenth_of_a_short_run():
    spec = ScheduleSpec('constant', warmup_iterations=100, warmup_factor=0.0)
    assert [lr_factor(iteration, 20, spec) for iteration in (0, 1, 2, 19)] == [0, 0.5, 1, 1]


@pytest.mark.parametrize(('iteration', 'factor'), [
    (0, 0.0), (25, 0.25), (49, 0.9604),  # (iteration / 50) ** 2
    # half of the fall from 1 to 0.05 over 2840 - 50 steps, then the last 160 of 3000
    (50, 1.0), (1445, 0.525), (2840, 0.05), (2999, 0.05),
])
def test_schedule_of_damo_yolo_rises_quadratically_and_ends_flat(iteration, factor):
    spec = load_config(CONFIGS / 'damo_yolo_ns_416.yaml').schedule
    assert lr_factor(iteration, 3000, spec) == pytest.approx(factor)


def test_cosine_without_a_final_share_reaches_its_end_in_the_last_step():
    spec = ScheduleSpec('cosine', warmup_iterations=0, final_factor=0.05)
    assert lr_factor(98, 100, spec) > lr_factor(99, 100, spec) == pytest.approx(0.05)


@pytest.mark.parametrize('path', sorted(CONFIGS.glob('damo_yolo_*.yaml')), ids=lambda it: it.stem)
def test_configuration_of_damo_yolo_ends_without_mosaic_at_the_smallest_rate(path):
    loaded = load_config(path)
    total = 100 * loaded.epochs
    low = [lr_factor(100 * epoch, total, loaded.schedule) for epoch in range(loaded.epochs)]
    plain = [phase.augment is not None and phase.augment.mosaic == 0
             for phase in loaded.phases for _ in range(phase.epochs)]
    assert [rate <= 0.05 for rate in low[5:]] == plain[5:] and sum(plain) == 16


def test_run_of_one_step_has_a_rate():
    assert lr_factor(0, 1, ScheduleSpec(warmup_factor=0.1)) == pytest.approx(0.1)
    assert lr_factor(0, 1, ScheduleSpec(warmup_iterations=0)) == 1.0


@pytest.mark.parametrize(('iteration', 'factor'), [(49, 1.0), (50, 0.1), (90, 0.01)])
def test_steps_fall_at_their_parts_of_the_run(iteration, factor):
    spec = ScheduleSpec('step', warmup_iterations=0, milestones=(0.5, 0.9), gamma=0.1)
    assert lr_factor(iteration, 100, spec) == pytest.approx(factor)


def weights_of(value: float) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(1)
    nn.init.constant_(norm.weight, value)
    return norm


def test_ema_decays_as_its_ramp_says():
    ema = Ema(weights_of(0.0), EmaSpec(decay=0.5, ramp=1))
    ema.update(weights_of(1.0), iteration=0)
    # decay 0.5 * (1 - e^-1) = 0.316
    assert ema.model.weight.item() == pytest.approx(1 - 0.5 * (1 - 0.36788), abs=1e-4)
    ema.update(weights_of(0.0), iteration=1000)
    assert ema.model.weight.item() == pytest.approx(0.5 * 0.68394, abs=1e-4)


def test_ema_takes_statistics_and_counters_too_and_leaves_the_network_alone():
    norm = weights_of(2.0)
    norm.running_mean.fill_(3.0)
    norm.num_batches_tracked.fill_(7)
    ema = Ema(weights_of(0.0), None)
    ema.update(norm, 0)
    assert (ema.model.weight.item(), ema.model.running_mean.item()) == (2.0, 3.0)
    assert ema.model.num_batches_tracked.item() == 7
    assert not ema.model.weight.requires_grad
    assert norm.weight.requires_grad


@pytest.mark.parametrize(('factor', 'wanted'), [(0.0, 1.0), (0.25, 1.5), (1.0, 3.0)])
def test_interpolation_goes_from_start_to_end(factor, wanted):
    found = interpolate(weights_of(1.0).state_dict(), weights_of(3.0).state_dict(), factor)
    assert found['weight'].item() == wanted
    assert found['num_batches_tracked'].dtype == torch.int64


@pytest.mark.parametrize(('aps', 'tried'), [
    ({}, []),
    ({0.8: 49.0, 0.5: 60.0}, [0.8]),
    ({0.8: 51.0, 0.5: 52.0, 0.2: 40.0, 0.1: 99.0}, [0.8, 0.5, 0.2]),
    ({1.0: 99.0, 0.5: 52.0}, [0.5]),  # the end is known
])
def test_search_goes_towards_the_start_as_long_as_it_gets_better(aps, tried):
    model, seen = weights_of(0.0), []

    def measure(network):
        seen.append(round(network.weight.item(), 3))
        return {MAIN: aps[seen[-1]]}

    # from 0 to 1, so that the weight is the factor
    found = search_between(weights_of(0.0).state_dict(), weights_of(1.0).state_dict(), 50.0,
                           list(aps), model, measure)
    assert seen == tried
    assert found == {factor: {MAIN: aps[factor]} for factor in tried}


class Objective(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.model = build_model(SPEC)
        self.guide = nn.Conv2d(3, 4, 1)


def test_biases_and_norms_are_not_decayed_and_the_backbone_has_its_own_rate():
    objective = Objective()
    optimizer = build_optimizer(objective, OptimizerSpec(learning_rate=0.1, weight_decay=0.2,
                                                         backbone_factor=0.5))
    groups = {id(parameter): group for group in optimizer.param_groups
              for parameter in group['params']}
    assert len(groups) == len(list(objective.parameters()))
    for name, parameter in objective.named_parameters():
        group = groups[id(parameter)]
        assert group['weight_decay'] == (0.2 if parameter.ndim == 4 else 0.0), name
        assert group['base_rate'] == (0.05 if '.backbone.' in name else 0.1), name
    set_rates(optimizer, 0.5)
    assert {group['lr'] for group in optimizer.param_groups} == {0.025, 0.05}


def test_frozen_module_is_not_trained_and_keeps_its_statistics():
    objective = Objective()
    freeze(objective.model, ['backbone'])
    optimizer = build_optimizer(objective, OptimizerSpec('sgd'))
    trained = {id(parameter) for group in optimizer.param_groups for parameter in group['params']}
    assert not trained & {id(parameter) for parameter in objective.model.backbone.parameters()}
    set_training(objective, freeze_batch_norm=False)
    norms = {name: module for name, module in objective.named_modules()
             if isinstance(module, nn.BatchNorm2d)}
    assert norms
    for name, norm in norms.items():
        assert norm.training == ('.backbone.' not in name), name
    set_training(objective, freeze_batch_norm=True)
    assert not any(norm.training for norm in norms.values())
    assert objective.training


def test_freezing_what_is_not_there_or_everything_is_one_line():
    objective = Objective()
    with pytest.raises(ConfigError, match="no module 'bakcbone'; expected one of backbone, pan"):
        freeze(objective.model, ['bakcbone'])
    freeze(objective.model, ['backbone', 'pan', 'head'])
    objective.guide.requires_grad_(False)
    with pytest.raises(ConfigError, match='start.freeze: all modules'):
        build_optimizer(objective, OptimizerSpec())


@pytest.mark.parametrize(('spec', 'nesterov'), [
    (OptimizerSpec('sgd'), True), (OptimizerSpec('sgd', nesterov=False), False),
    (OptimizerSpec('sgd', momentum=0), False)])
def test_sgd_has_the_momentum_that_is_wanted(spec, nesterov):
    assert build_optimizer(Objective(), spec).defaults['nesterov'] is nesterov


def test_fresh_batch_norm_has_no_statistics():
    model = build_model(SPEC)
    assert not has_statistics(model)
    model(torch.rand(2, 3, 64, 64))
    assert has_statistics(model)


def test_renewed_statistics_are_those_of_all_images_and_the_rest_stays():
    norm = nn.BatchNorm2d(1)
    nn.init.constant_(norm.weight, 3.0)
    nn.init.constant_(norm.bias, 0.5)
    norm(torch.rand(2, 1, 4, 4))  # what it saw before does not count
    batches = torch.tensor([[1., 2, 3, 6], [5., 5, 9, 1]]).view(2, 2, 1, 2, 1)
    renew_statistics(nn.Sequential(norm.eval()), batches)
    assert norm.training and norm.momentum == 0.1
    assert norm.weight.item() == 3.0 and norm.bias.item() == 0.5
    assert norm.running_mean.item() == pytest.approx((3 + 5) / 2)
    # sums of squares about 3 and 5 are 14 and 32, of four values each
    assert norm.running_var.item() == pytest.approx((14 / 3 + 32 / 3) / 2)
