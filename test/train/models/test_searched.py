# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Backbones of a list of stages: torch builds what the search counted and scored."""

from collections import Counter

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.structure import StageSpec, StructureSpec
from lite_detector.core.types import ImageSize
from lite_detector.search.entropy import entropy_scores, kendall_tau, STRIDES
from lite_detector.search.network import network_graph, NetworkFrame
from lite_detector.search.space import arrays_of, Space
from lite_detector.train.config.model import ModelSpec, PAN_CHANNELS
from lite_detector.train.models.backbones.build import build_backbone
from lite_detector.train.models.blocks import LEAKY_RELU
from lite_detector.train.models.build import build_model
from lite_detector.train.models.layers import run_order
from lite_detector.train.models.rep_conv import fold
from lite_detector.train.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from networks import network_card
import numpy as np
import pytest
from tiny_search import KINDS, tiny_space, tiny_structure
import torch
from torch import nn

FAMILIES = (('nanodet', '0.5x'), ('nanodet_plus', 'm-0.5x'))
WEIGHTS = (0.0, 0.0, 1.0, 1.0, 6.0)
EVERY_KIND = pytest.mark.parametrize('block', KINDS)


@EVERY_KIND
def test_written_backbone_gives_maps_on_the_grid_and_all_of_it_learns(block):
    structure = tiny_structure(block)
    backbone = build_backbone(structure, 'unused', LEAKY_RELU)
    maps = backbone(torch.rand(2, 3, 96, 160))
    assert backbone.out_channels == structure.out_channels == (16, 16, 16)
    assert [tuple(each.shape) for each in maps] == [
        (2, 16, 96 // stride, 160 // stride) for stride in (8, 16, 32)]
    sum(each.square().mean() for each in maps).backward()
    assert not [name for name, parameter in backbone.named_parameters()
                if parameter.grad is None or not parameter.grad.isfinite().all()]


def test_a_map_is_taken_behind_the_last_stage_of_its_stride():
    stages = [StageSpec('residual', channels, 1, 8, stride=stride) for channels, stride in
              ((8, 2), (16, 2), (24, 1), (32, 2), (40, 1), (48, 2), (56, 1))]
    backbone = build_backbone(StructureSpec(8, tuple(stages)), 'unused')
    assert [each.shape[1] for each in backbone(torch.rand(1, 3, 32, 64))] == [24, 40, 56]


@EVERY_KIND
@pytest.mark.parametrize(('family', 'variant'), FAMILIES)
def test_graph_of_the_search_has_the_convolutions_that_are_exported(block, family, variant):
    size = ImageSize(64, 128)
    genes = Space(tiny_space(block)).draw(np.random.default_rng(0), 1)[0]
    structure = Space(tiny_space(block)).structure(genes)
    frame = NetworkFrame(family, PAN_CHANNELS[family][variant], 3 + 4 * 8, size)
    counted = Counter(
        (each.in_channels if each.kind == 'conv' else 1, each.out_channels, each.kernel,
         each.stride, *each.out_size)
        for each in network_graph(structure, frame).operators
        if each.kind in ('conv', 'depthwise'))
    model = fold(build_model(ModelSpec(family, variant, 3, backbone=structure)))
    wanted = Counter((conv.weight.shape[1], conv.out_channels, conv.kernel_size[0],
                      conv.stride[0], *shape[2:])
                     for conv, shape in run_order(model, (nn.Conv2d,), size))
    assert counted == wanted


@EVERY_KIND
def test_checkpoint_of_a_written_backbone_builds_it_again(block, tmp_path):
    spec = ModelSpec('nanodet', '0.5x', 2, backbone=tiny_structure(block))
    model = build_model(spec)
    save_checkpoint(tmp_path / 'x.pt',
                    Checkpoint(spec, network_card(spec), model.state_dict(), {}))
    again = load_checkpoint(tmp_path / 'x.pt')
    assert again.spec == spec
    assert str(again.model()) == str(model)


@pytest.mark.parametrize(('family', 'variant'), [('yolof', '0.5x'), ('nanodet_plus', 'm-coarse')])
def test_written_backbone_under_another_family_is_refused(family, variant):
    data = {'family': family, 'variant': variant, 'num_classes': 2,
            'backbone': {'stem': 8, 'stages': [
                {'block': 'residual', 'channels': 16, 'blocks': 1, 'inner': 8}] * 4}}
    with pytest.raises(ConfigError, match='one of the families nanodet, nanodet_plus'):
        from_mapping(data, ModelSpec, 'test')


@torch.no_grad()
def forward_score(structure: StructureSpec) -> float:
    """Return the score of a network by sending noise through it: no norm, no activation."""
    backbone = build_backbone(structure, 'unused', nn.Identity).double().eval()
    strides = {}
    for layer in backbone.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight)
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_var.fill_(1 - layer.eps)

    def note(stage: nn.Module, _: object, output: torch.Tensor) -> None:
        strides[96 // output.shape[2]] = output.square().mean().log() / 2 + np.log(output.shape[1])

    for stage in (backbone.stem, *backbone.stages):
        stage.register_forward_hook(note)
    backbone(torch.randn(1, 3, 96, 128).double())
    return float(sum(weight * strides[stride] for weight, stride
                     in zip(WEIGHTS, STRIDES, strict=True) if weight))


def test_kendall_tau_of_known_orders():
    assert kendall_tau([1, 2, 3], [1, 2, 3]) == 1
    assert kendall_tau([1, 2, 3], [3, 2, 1]) == -1
    assert kendall_tau([1, 2, 3], [2, 1, 3]) == pytest.approx(1 / 3)


@pytest.mark.slow
def test_closed_form_ranks_a_hundred_networks_as_a_forward_pass_does():
    rng = np.random.default_rng(0)
    closed, sent = [], []
    for block in KINDS:
        space = Space(tiny_space(block))
        structures = [space.structure(genes) for genes in space.draw(rng, 25)]
        scores = entropy_scores(arrays_of(structures), WEIGHTS)
        forward = [forward_score(structure) for structure in structures]
        assert kendall_tau(list(scores), forward) >= 0.9
        closed += list(scores)
        sent += forward
    assert kendall_tau(closed, sent) >= 0.9
