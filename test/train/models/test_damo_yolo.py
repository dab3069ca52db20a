# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""DAMO-YOLO: folding, structures, and training that can be repeated."""

from lite_detector.core.types import ImageSize
from lite_detector.train.config.model import ModelSpec, VARIANTS
from lite_detector.train.models.blocks import RELU
from lite_detector.train.models.build import build_model
from lite_detector.train.models.damo_yolo import ZeroHead
from lite_detector.train.models.layers import run_order
from lite_detector.train.models.rep_conv import fold, RepConv
from lite_detector.train.models.rep_gfpn import FusionStage, light_block, RepGfpn
from lite_detector.train.models.tinynas import STRUCTURES, TinyNas
from networks import trained_model
import pytest
import torch
from torch import nn
from torch.nn import functional


def with_statistics(part: nn.Module) -> nn.Module:
    """Give every batch norm something to fold, and return the part in evaluation mode."""
    for layer in part.modules():
        if isinstance(layer, nn.BatchNorm2d):
            for values in (layer.weight, layer.running_var):
                nn.init.uniform_(values, 0.5, 1.5)
            for values in (layer.bias, layer.running_mean):
                nn.init.normal_(values, std=0.2)
    return part.eval()


def convolutions(model: nn.Module) -> list[nn.Conv2d]:
    return [layer for layer in model.modules() if isinstance(layer, nn.Conv2d)]


def test_rep_conv_by_hand():
    part = RepConv(1, 1)
    for branch, value in ((part.dense, 1.0), (part.point, 10.0)):
        nn.init.constant_(branch[0].weight, value)
        branch[1].running_mean.fill_(1.0)
        branch[1].running_var.fill_(4.0 - branch[1].eps)
    # (weight * x - 1) / 2 in both branches
    (conv,), _ = part.eval().folded()
    assert conv.bias.item() == pytest.approx(-1)
    wanted = torch.full((3, 3), 0.5)
    wanted[1, 1] = 5.5
    torch.testing.assert_close(conv.weight[0, 0], wanted)


@torch.no_grad()
@pytest.mark.parametrize('stride', [1, 2])
@pytest.mark.parametrize('channels', [(1, 1), (8, 8), (5, 12)], ids=str)
@pytest.mark.parametrize('activation', [None, RELU])
def test_folded_rep_conv_is_one_convolution_that_gives_the_same(channels, stride, activation):
    part = with_statistics(RepConv(*channels, stride=stride, activation=activation))
    before = {name: value.clone() for name, value in part.state_dict().items()}
    images = torch.randn(2, channels[0], 10, 14)
    folded = part.folded()
    assert len(convolutions(folded)) == 1
    assert not any(isinstance(layer, nn.BatchNorm2d) for layer in folded.modules())
    torch.testing.assert_close(folded(images), part(images), atol=1e-5, rtol=0)
    after = part.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@torch.no_grad()
@pytest.mark.parametrize('variant', ['ns', 't', 'm'])
def test_fold_leaves_the_network_and_gives_the_same(variant):
    model = trained_model(ModelSpec('damo_yolo', variant, 3)).train()
    model.head.scales.copy_(torch.tensor([0.5, 1.5, -2.0]))
    names = list(model.state_dict())
    folded = fold(model)
    assert model.training and not folded.training
    assert list(model.state_dict()) == names
    assert not any(isinstance(layer, RepConv) for layer in folded.modules())
    assert 'head.scales' not in folded.state_dict()
    images = torch.rand(1, 3, 64, 96)
    for got, wanted in zip(folded(images), model.eval()(images), strict=True):
        scale = wanted.abs().max()
        torch.testing.assert_close(got / scale, wanted / scale, atol=1e-5, rtol=0)


def test_fold_of_a_network_without_such_parts_is_a_copy():
    model = build_model(ModelSpec('nanodet', '0.5x', 1))
    folded = fold(model)
    assert folded.state_dict().keys() == model.state_dict().keys()
    assert folded is not model and model.training


@torch.no_grad()
def test_zero_head_multiplies_distances_and_no_scores():
    head = ZeroHead((4, 4), 1, ModelSpec('damo_yolo', 'ns', 2))
    levels = [torch.rand(1, 4, 3, 5), torch.rand(1, 4, 2, 3)]
    before = head(levels)
    head.scales.copy_(torch.tensor([3.0, 0.5]))
    for got, was, scale in zip(head(levels), before, (3.0, 0.5), strict=True):
        torch.testing.assert_close(got[:, :2], was[:, :2])
        torch.testing.assert_close(got[:, 2:], was[:, 2:] * scale)


@torch.no_grad()
def test_stem_equals_a_focus_layer_and_a_convolution():
    stem = TinyNas(STRUCTURES['t']).stem[0]
    images = torch.rand(1, 3, 12, 20)
    # the order of the published Focus: row and column 0 0, 1 0, 0 1, 1 1
    places = [(0, 0), (1, 0), (0, 1), (1, 1)]
    focused = torch.cat([images[..., row::2, column::2] for row, column in places], dim=1)
    kernel = torch.cat([stem.weight[..., row::2, column::2] for row, column in places], dim=1)
    torch.testing.assert_close(stem(images), functional.conv2d(focused, kernel, padding=1),
                               atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize('variant', VARIANTS['damo_yolo'])
def test_backbone_has_the_strides_and_widths_that_the_neck_wants(variant):
    backbone = TinyNas(STRUCTURES[variant]).eval()
    with torch.no_grad():
        levels = backbone(torch.rand(1, 3, 64, 96))
    widths = {'ns': (40, 80, 160), 'nm': (64, 128, 256), 'nl': (80, 160, 320),
              't': (96, 192, 384), 's': (128, 256, 512), 'm': (128, 256, 512)}[variant]
    assert backbone.out_channels == widths
    assert [tuple(level.shape) for level in levels] == [
        (1, width, 64 // stride, 96 // stride)
        for width, stride in zip(widths, (8, 16, 32), strict=True)]


@pytest.mark.parametrize('variant', ['ns', 'nm', 'nl'])
def test_inner_widths_of_the_nano_networks_are_the_published_multiples(variant):
    for factor, stage in zip((3.5, 4, 4.5, 5, 5.5), STRUCTURES[variant].stages, strict=True):
        assert stage.inner == int(stage.channels * factor + 4) // 8 * 8


def test_fusion_keeps_what_every_block_made():
    stage = FusionStage(12, 8, 3, lambda channels: nn.Identity(), RELU)
    # half passes by, and the input of the blocks is not kept, only their three results
    assert stage.fuse[0].in_channels == 4 + 3 * 4
    assert stage(torch.rand(2, 5, 4, 6), torch.rand(2, 7, 4, 6)).shape == (2, 8, 4, 6)
    assert light_block(20).layers[0].out_channels == 64  # 60, in multiples of 8


def test_every_level_of_the_neck_hears_every_map_below_and_above():
    neck = RepGfpn((4, 8, 16), (4, 8, 16), 1, None, RELU).eval()
    features = [torch.rand(1, 4, 16, 24), torch.rand(1, 8, 8, 12), torch.rand(1, 16, 4, 6)]
    features = [feature.requires_grad_() for feature in features]
    for level in neck(features):
        gradients = torch.autograd.grad(level.square().sum(), features, retain_graph=True)
        assert all(gradient.any() for gradient in gradients)


def test_batch_norm_is_as_published():
    norms = [layer for layer in build_model(ModelSpec('damo_yolo', 't', 1)).modules()
             if isinstance(layer, nn.BatchNorm2d)]
    assert {norm.eps for norm in norms} == {1e-3}


def test_nano_backbone_has_depthwise_5x5_and_no_other_kernel_but_the_stem():
    nano = build_model(ModelSpec('damo_yolo', 'ns', 1))
    kernels = {layer.kernel_size[0] for layer, _ in
               run_order(nano.backbone, (nn.Conv2d,), ImageSize(32, 64))}
    assert kernels == {1, 3, 5}
    assert [layer.kernel_size[0] for layer in convolutions(nano.backbone)].count(3) == 1
