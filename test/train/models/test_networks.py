# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The networks: shapes, fresh weights, modes, and the layout of torchvision."""

from lite_detector.core.config import from_mapping
from lite_detector.core.decode import grid_sizes
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.types import ImageSize
from lite_detector.train.config.model import ModelSpec, VARIANTS
from lite_detector.train.models.assign_guidance import AssignGuidance
from lite_detector.train.models.backbones.backbone import load_torchvision
from lite_detector.train.models.backbones.shufflenet_v2 import CHANNELS, ShuffleNetV2
from lite_detector.train.models.batch_norm import measure_batch_norm
from lite_detector.train.models.blocks import RELU, shuffle, shuffled
from lite_detector.train.models.build import build_model, NETWORKS
from networks import trained_model
import pytest
import torch
from torch import nn
import torchvision

ALL = [(family, variant) for family, variants in VARIANTS.items() for variant in variants]
EVERY_NETWORK = pytest.mark.parametrize(('family', 'variant'), ALL)
ONE_OF_EACH = pytest.mark.parametrize(('family', 'variant'), [
    ('nanodet', '0.5x'), ('nanodet_plus', 'm'), ('yolov5_lite', 'e'), ('yolov5_lite', 's'),
    ('yolof', '0.5x'), ('yolof', '1.0x-dc5'),
    ('damo_yolo', 'ns'), ('damo_yolo', 't')])


def values_per_cell(spec: ModelSpec) -> int:
    if spec.family in ('yolov5_lite', 'yolof'):
        return spec.num_anchors * (5 + spec.num_classes)
    return spec.num_classes + 4 * (spec.reg_max + 1)


def test_every_family_has_a_network_and_variants():
    assert NETWORKS.keys() == VARIANTS.keys()


@EVERY_NETWORK
@pytest.mark.parametrize(('num_classes', 'size'), [(1, (64, 128)), (80, (320, 64))])
def test_network_returns_one_raw_head_per_stride(family, variant, num_classes, size):
    spec = ModelSpec(family, variant, num_classes)
    model = build_model(spec)
    assert model.training
    heads = model(torch.rand(2, 3, *size))
    assert [tuple(head.shape) for head in heads] == [
        (2, values_per_cell(spec), *grid) for grid in grid_sizes(ImageSize(*size), model.strides)]


def test_network_takes_reg_max_and_anchors_from_its_spec():
    images = torch.rand(2, 3, 32, 64)
    assert build_model(ModelSpec('nanodet', '0.5x', 2, reg_max=10))(images)[0].shape[1] == 46
    assert build_model(ModelSpec('yolov5_lite', 'e', 2, num_anchors=2))(images)[0].shape[1] == 14


@ONE_OF_EACH
def test_image_in_evaluation_mode_does_not_feel_its_neighbours(family, variant):
    model = trained_model(ModelSpec(family, variant, 3))
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        together, alone = model(images), model(images[1:])
        model.train()
        trained = model(images)
    for both, one, learning in zip(together, alone, trained, strict=True):
        scale = both.abs().max()
        torch.testing.assert_close(both[1:] / scale, one / scale, atol=1e-4, rtol=0)
        assert (learning - both).abs().max() > 0.01 * scale


@ONE_OF_EACH
def test_network_in_channels_last_layout_gives_the_same(family, variant):
    model = trained_model(ModelSpec(family, variant, 3))
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        wanted = model(images)
        got = model.to(memory_format=torch.channels_last)(
            images.to(memory_format=torch.channels_last))
    for one, other in zip(wanted, got, strict=True):
        scale = one.abs().max()
        torch.testing.assert_close(other / scale, one / scale, atol=1e-4, rtol=0)


@ONE_OF_EACH
def test_every_parameter_learns(family, variant):
    model = build_model(ModelSpec(family, variant, 2))
    sum(head.square().sum() for head in model(torch.rand(2, 3, 64, 64))).backward()
    still = [name for name, parameter in model.named_parameters()
             if parameter.grad is None or not parameter.grad.isfinite().all()]
    assert not still


@pytest.mark.parametrize('family', ['nanodet', 'nanodet_plus', 'damo_yolo'])
def test_fresh_gfl_head_scores_the_prior_everywhere(family):
    model = build_model(ModelSpec(family, VARIANTS[family][0], 4)).eval()
    with torch.no_grad():
        scores = torch.cat([head[:, :4].sigmoid().flatten() for head in
                            model(torch.rand(1, 3, 64, 128))])
    torch.testing.assert_close(scores, torch.full_like(scores, 0.01), atol=0.005, rtol=0)


# Fresh weights as in the authors' files, with 116 channels at stride 8 and 96 in the neck. Normal
# with 1 / input channels per group: 1/3 of a pixel, 1 of a depthwise kernel, 1/58 of half of 116.
# Kaiming by fan-out: sqrt(2 / 96) of 1x1 to 96, sqrt(2 / (96 * 25)) of a depthwise 5x5.
@pytest.mark.parametrize(('name', 'deviation'), [
    ('backbone.conv1.0', 0.3333), ('backbone.stage2.1.branch2.0', 0.01724),
    ('backbone.stage3.0.branch1.0', 1.0), ('pan.laterals.0.0', 0.1443),
    ('pan.downs.0.0', 0.02887), ('pan.extra_out.3', 0.1443), ('head.towers.0.0', 0.01)])
def test_fresh_nanodet_plus_has_the_deviations_of_the_authors(name, deviation):
    weight = build_model(ModelSpec('nanodet_plus', 'm', 1)).get_submodule(name).weight
    assert weight.std().item() == pytest.approx(deviation, rel=0.15)
    assert abs(weight.mean().item()) < 5 * deviation / weight.numel() ** 0.5
    assert weight.abs().max() > 2.5 * weight.std()  # normal; a uniform one ends at 1.73


@pytest.mark.parametrize('family', ['nanodet', 'nanodet_plus', 'yolov5_lite'])
def test_fresh_shufflenet_v2_has_the_weights_of_its_family(family):
    backbone = build_model(ModelSpec(family, VARIANTS[family][-1], 1)).backbone
    norm, kernel = backbone.stage3[0].branch1[1], backbone.stage3[0].branch1[0].weight
    nanodet = family != 'yolov5_lite'
    assert norm.bias.eq(0.0001 if nanodet else 0.0).all()
    assert kernel.std().item() == pytest.approx(1.0 if nanodet else 0.19245, rel=0.1)  # 27 ** -0.5


def test_fresh_guide_has_the_deviations_of_the_authors():
    model = build_model(ModelSpec('nanodet_plus', 'm', 1))
    guide = AssignGuidance(model.pan, 4, 1, 7)
    for name in ('score_tower.0', 'distance_tower.9', 'scores', 'distances'):
        assert guide.get_submodule(name).weight.std().item() == pytest.approx(0.01, rel=0.1)


@pytest.mark.parametrize('num_classes', [1, 80])
def test_fresh_yolov5_lite_expects_eight_objects_per_image(num_classes):
    model = build_model(ModelSpec('yolov5_lite', 'e', num_classes))
    for conv, stride in zip(model.outputs, model.strides, strict=True):
        bias = conv.bias.detach().view(3, 5 + num_classes)
        per_image = bias[:, 4].exp().mean() * (640 / stride) ** 2
        assert per_image.item() == pytest.approx(8, rel=0.2)


@pytest.mark.parametrize(('data', 'words'), [
    ({'family': 'nanodet', 'variant': '3x', 'num_classes': 1}, 'expected one of 0.5x, 1.0x, 1.5x'),
    ({'family': 'nanodet', 'variant': '1.0x', 'num_classes': 0}, 'num_classes'),
    ({'family': 'nanodet', 'variant': '1.0x', 'num_clases': 1}, 'num_clases'),
])
def test_spec_with_a_mistake_is_refused(data, words):
    with pytest.raises(ConfigError, match=words):
        from_mapping(data, ModelSpec, 'model')


def test_shuffled_takes_channels_in_turn():
    left, right = torch.rand(2, 1, 6, 3, 5)
    wanted = nn.functional.channel_shuffle(torch.cat((left, right), 1), 2)
    torch.testing.assert_close(shuffled(left, right), wanted, atol=0, rtol=0)


def test_shuffle_of_three_groups_takes_one_channel_of_each_in_turn():
    features = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle(features, 3).flatten().tolist() == [0, 2, 4, 1, 3, 5]
    assert shuffle(features, 1).flatten().tolist() == [0, 1, 2, 3, 4, 5]


@pytest.mark.filterwarnings('ignore:.*torch.jit.trace')
def test_shuffled_in_a_trace_is_what_pnnx_knows_and_does_the_same():
    left, right = torch.rand(2, 1, 6, 3, 5)
    traced = torch.jit.trace(shuffled, (left, right))
    torch.testing.assert_close(traced(left, right), shuffled(left, right), atol=0, rtol=0)
    operations = [node.kind() for node in traced.graph.nodes()]
    assert {'aten::cat', 'aten::view', 'aten::transpose', 'aten::reshape'} <= set(operations)
    assert 'aten::channel_shuffle' not in operations


def test_backbone_refuses_torchvision_weights_of_another_width():
    state = torchvision.models.shufflenet_v2_x0_5().state_dict()
    with pytest.raises(ModelError, match='ShuffleNetV2 of this width.*size mismatch for conv1|'
                                         'ShuffleNetV2 of this width.*size mismatch for stage'):
        load_torchvision(ShuffleNetV2(CHANNELS['1.0x'], RELU), state)
    with pytest.raises(ModelError, match='Missing key'):
        load_torchvision(ShuffleNetV2(CHANNELS['1.0x'], RELU), {})


@pytest.mark.parametrize('variant', VARIANTS['nanodet_plus'])
def test_assign_guidance_returns_the_layout_of_the_network(variant):
    spec = ModelSpec('nanodet_plus', variant, 5)
    model = build_model(spec)
    guidance = AssignGuidance(model.pan, len(model.strides), spec.num_classes, spec.reg_max)
    features = model.backbone(torch.rand(2, 3, 64, 128))
    levels = model.pan(features)
    heads = guidance(features, levels)
    assert [head.shape for head in heads] == [head.shape for head in model.head(levels)]
    assert heads[0][:, :5].sigmoid().mean().item() == pytest.approx(0.01, abs=0.005)


def test_assign_guidance_on_detached_maps_leaves_the_network_alone():
    spec = ModelSpec('nanodet_plus', 'm', 2)
    model = build_model(spec)
    guidance = AssignGuidance(model.pan, len(model.strides), spec.num_classes, spec.reg_max)
    features = [level.detach() for level in model.backbone(torch.rand(2, 3, 64, 64))]
    heads = guidance(features, [level.detach() for level in model.pan(features)])
    sum(head.square().sum() for head in heads).backward()
    assert all(parameter.grad is None for parameter in model.parameters())
    assert all(parameter.grad is not None for parameter in guidance.parameters())


def test_assign_guidance_of_a_frozen_pyramid_learns():
    model = build_model(ModelSpec('nanodet_plus', 'm', 2))
    model.pan.requires_grad_(False)
    guidance = AssignGuidance(model.pan, len(model.strides), 2, 7)
    assert all(parameter.requires_grad for parameter in guidance.parameters())
    assert not any(parameter.requires_grad for parameter in model.pan.parameters())


def test_measure_batch_norm_keeps_the_function_and_fits_training_mode():
    model = trained_model(ModelSpec('nanodet', '0.5x', 2))
    images = torch.rand(8, 3, 96, 64)
    with torch.no_grad():
        wanted = model(images)
        measure_batch_norm(model, images.split(4))
        after = model(images)
        learning = model.train()(images)
    for before, now, trained in zip(wanted, after, learning, strict=True):
        scale = before.abs().max()
        torch.testing.assert_close(now / scale, before / scale, atol=1e-4, rtol=0)
        torch.testing.assert_close(trained / scale, before / scale, atol=1e-3, rtol=0)
