# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Convolutions that compute as int8 will: by hand, by gradient, and whole networks."""

import math
from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.export.int8_network import quantize_weight
from lite_detector.train.config import OptimizerSpec
from lite_detector.train.int8_start import start_in_int8
from lite_detector.train.models.conv_weights import ConvShape, ConvWeights
from lite_detector.train.models.int8_conv import (
    fake_quantize,
    int8_candidates,
    Int8Conv,
    put_in_int8,
    settle,
    thresholds_of,
    weight_scales,
    with_gradient_times,
    without_thresholds,
)
from lite_detector.train.models.spec import ModelSpec
from lite_detector.train.optimizer import build_optimizer
from networks import trained_model
import numpy as np
import pytest
import torch
from torch import nn

NETWORKS = [('nanodet', '0.5x', None), ('yolov5_lite', 'e', None), ('damo_yolo', 'ns', None),
            ('damo_yolo', 't', None), ('nanodet', '0.5x', 'mobilenet_v3_small_0.5x'),
            ('nanodet', '0.5x', 'shufflenet_v1_g3_0.25x')]


def network(family: str, variant: str, backbone: str | None = None) -> nn.Module:
    return trained_model(ModelSpec(family, variant, 2, backbone=backbone))


def test_values_take_whole_steps_and_those_beyond_the_last_one():
    values = torch.tensor([0.0, 0.2, 0.3, -0.8, 1.0, 1.2, -9.0])
    # steps of 1/2, two either way: 0.2 is 0.4 steps, 0.3 is 0.6
    assert fake_quantize(values, torch.tensor(2.0), 2).tolist() == [
        0.0, 0.0, 0.5, -1.0, 1.0, 1.0, -1.0]


def test_no_values_give_none():
    assert fake_quantize(torch.empty(0, 3), torch.tensor(2.0), 2).shape == (0, 3)


@pytest.mark.parametrize(('value', 'of_value', 'of_scale'), [
    (0.3, 1.0, (0.6 - 1) / 4),  # inside: (x s - round(x s)) / s^2
    (-0.7, 1.0, (-1.4 + 1) / 4),
    (0.5, 1.0, 0.0),  # a whole step
    (5.0, 0.0, -2 / 4),  # beyond: the last step, 2 / s, moves as -2 / s^2
    (-5.0, 0.0, 2 / 4),
])
def test_gradients_inside_and_beyond_the_range_by_hand(value, of_value, of_scale):
    values = torch.tensor([value], requires_grad=True)
    scale = torch.tensor(2.0, requires_grad=True)
    fake_quantize(values, scale, 2).backward()
    assert values.grad.item() == of_value
    assert scale.grad.item() == pytest.approx(of_scale)


def test_threshold_of_a_layer_has_the_gradient_of_its_logarithm_scaled_down():
    conv = Int8Conv(_pointwise([[[1.0]]]), 2.0)
    inputs = torch.tensor([3.0, 9.0]).view(1, 1, 1, 2)  # both are beyond and give 2
    output = conv(inputs)
    assert output.flatten().tolist() == pytest.approx([2, 2])
    output.sum().backward()
    # d 2^t / dt = 2^t ln 2, twice; by LSQ's 1 / sqrt(values * steps)
    assert conv.log2_threshold.grad.item() == pytest.approx(
        2 * 2 * math.log(2) / math.sqrt(2 * 127), rel=1e-5)


def test_factor_of_a_gradient_leaves_the_value():
    value = torch.tensor(3.0, requires_grad=True)
    scaled = with_gradient_times(value, 0.25)
    scaled.backward()
    assert (scaled.item(), value.grad.item()) == (3.0, 0.25)


@pytest.mark.parametrize(('kernel', 'stride', 'channels'), [
    (1, 1, 8), (3, 1, 8), (3, 2, 8), (1, 1, 64)])
def test_weights_are_rounded_as_export_does(kernel, stride, channels):
    torch.manual_seed(1)
    conv = nn.Conv2d(channels, 5, kernel, stride)
    with torch.no_grad():
        conv.weight[2] = 0  # a channel of zeros has no range
    stored = conv.weight.detach().numpy()
    if stored[0].size > 32:
        stored = stored.astype(np.float16).astype(np.float32)
    shape = ConvShape(5, channels, kernel, stride, 0, 1)
    values, scales = quantize_weight(ConvWeights('x', shape, stored, np.zeros(5, np.float32)))
    wanted = values / scales[:, None, None, None]
    layer = Int8Conv(conv, 1.0)
    given = layer.int8_weight()
    np.testing.assert_allclose(given.detach().numpy(), wanted, atol=1e-6)
    assert not given[2].any()
    given.sum().backward()
    assert torch.equal(conv.weight.grad, torch.ones_like(conv.weight))  # straight through


def test_scale_of_a_channel_of_zeros_is_finite():
    weight = torch.tensor([[0.0, 0.0], [0.5, -2.0]]).view(2, 2, 1, 1)
    assert weight_scales(weight, 127).flatten().tolist() == [127, 63.5]


def test_layer_shares_its_parameters_and_is_frozen_with_them():
    conv = nn.Conv2d(3, 4, 3, bias=False).requires_grad_(False)
    layer = Int8Conv(conv, 1.0)
    assert layer.weight is conv.weight and layer.bias is None
    assert not layer.log2_threshold.requires_grad
    assert layer(torch.zeros(1, 3, 8, 10)).shape == (1, 4, 6, 8)


@torch.no_grad()
@pytest.mark.parametrize('names', NETWORKS, ids=str)
def test_settled_network_gives_the_same_with_the_same_layout(names):
    model = network(*names)
    images = torch.rand(1, 3, 64, 96)
    wanted, keys = model(images), list(model.state_dict())
    settle(model)
    for got, want in zip(model(images), wanted, strict=True):
        torch.testing.assert_close(got / want.abs().max(), want / want.abs().max(), atol=1e-5,
                                   rtol=0)
    assert list(model.state_dict()) == keys
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    assert not any(norm.weight.requires_grad for norm in norms)
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    settle(model)  # a second time it has nothing to do, as when a run is resumed
    for name, value in model.state_dict().items():
        torch.testing.assert_close(value, weights[name], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('names', NETWORKS, ids=str)
def test_candidates_are_the_convolutions_of_full_depth_on_maps(names):
    model = network(*names)
    found = int8_candidates(model)
    assert found and all(conv.groups == 1 for conv in found.values())
    assert found == {name: model.get_submodule(name) for name in found}
    # of two branches that become one, the first; of a gate behind a mean, none
    assert not [name for name in found if '.point.' in name]
    gates = [name for name, layer in model.named_modules() if isinstance(layer, nn.Conv2d)
             and layer.groups == 1 and name not in found and '.point.' not in name]
    assert bool(gates) == ('mobilenet_v3' in str(names[2]))


def test_state_of_a_network_in_int8_tells_thresholds_and_the_float_network():
    model = network('nanodet', '0.5x')
    plain = model.state_dict()
    assert thresholds_of(plain) == {}
    put_in_int8(model, {'backbone.conv1.0': 3.0, 'head.outputs.1': 0.1})
    state = model.state_dict()
    assert thresholds_of(state) == pytest.approx({'backbone.conv1.0': 3.0, 'head.outputs.1': 0.1})
    assert without_thresholds(state).keys() == plain.keys()


def test_thresholds_have_a_rate_of_their_own_and_do_not_decay():
    layer = Int8Conv(nn.Conv2d(1, 1, 1), 1.0)
    optimizer = build_optimizer(nn.Sequential(layer), OptimizerSpec(learning_rate=0.1), 7.0)
    group, = (group for group in optimizer.param_groups
              if any(each is layer.log2_threshold for each in group['params']))
    assert (group['base_rate'], group['weight_decay']) == (pytest.approx(0.7), 0.0)


def test_layer_learns_a_threshold_that_is_too_small():
    inputs = torch.linspace(-4, 4, 256).view(1, 1, 16, 16)
    layer = Int8Conv(_pointwise([[[1.0]]]), 1.0)  # three quarters of the inputs are beyond
    layer.weight.requires_grad_(False)
    optimizer = torch.optim.Adam([layer.log2_threshold], lr=0.05)
    losses = []
    for _ in range(80):
        loss = (layer(inputs) - inputs).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 1e-3 < losses[0]
    assert 3.8 < 2 ** layer.log2_threshold.item() < 5


def test_start_in_int8_says_what_it_chose_and_changes_little(tmp_path: Path):
    model = network('nanodet', '0.5x')
    images = [torch.rand(1, 3, 64, 96) for _ in range(3)]
    with torch.no_grad():
        wanted = torch.cat([head.flatten() for head in model(images[0])])
    lines = []
    start_in_int8(model.train(), images, lines.append)
    assert model.training
    layers = [layer for layer in model.modules() if isinstance(layer, Int8Conv)]
    assert len(layers) == len(int8_candidates(network('nanodet', '0.5x')))
    assert lines[0].startswith(f'{len(layers)} convolutions in int8, thresholds by ')
    with torch.no_grad():
        given = torch.cat([head.flatten() for head in model.eval()(images[0])])
    assert 0 < (given - wanted).norm() / wanted.norm() < 0.2


def test_network_without_a_layer_for_int8_is_refused_in_one_line():
    class Deep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Conv2d(3, 3, 3, groups=3))

        def forward(self, images: torch.Tensor) -> list[torch.Tensor]:
            return [self.layers(images)]

    with pytest.raises(ModelError, match='quantize: the network has no convolution that int8'):
        start_in_int8(Deep(), [torch.rand(1, 3, 64, 64)], print)


def _pointwise(weight: list) -> nn.Conv2d:
    conv = nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor(weight)[..., None])
    return conv
