# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The backbones: maps on the grid, the outputs of torchvision, and the published costs."""

from pathlib import Path

import cv2
from lite_detector.cli import main
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.types import ImageSize
from lite_detector.export.import_ncnn import read_convolutions
from lite_detector.train.config.backbones import split_name, WIDTHS
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.config.training import load_config
from lite_detector.train.models.backbones.backbone import load_torchvision, scaled
from lite_detector.train.models.backbones.build import (
    BACKBONES,
    build_backbone,
    build_classifier,
    CLASSIFIERS,
)
from lite_detector.train.models.backbones.shufflenet_v2 import ShuffleNetV2
from lite_detector.train.models.blocks import LEAKY_RELU
from lite_detector.train.models.build import build_model
from lite_detector.train.models.layers import count_macs, count_parameters
from lite_detector.train.weights.checkpoint import Checkpoint
from lite_detector.train.weights.fused import squeezenet_of
from lite_detector.train.weights.transfer import init_backbone, transfer_weights
from networks import network_card, trained_model
import numpy as np
import pytest
import torch
from torch import nn
import torchvision

CONFIG = Path(__file__).resolve().parents[3] / 'config' / 'train' / 'nanodet_m_320.yaml'
NARROWEST = [f'{architecture}_{widths[0]}' for architecture, widths in WIDTHS.items()]
TORCHVISION = {
    'squeezenet_1.0_1.0x': ('squeezenet1_0', {}),
    'squeezenet_1.1_1.0x': ('squeezenet1_1', {}),
    'mobilenet_v2_0.35x': ('mobilenet_v2', {'width_mult': 0.35}),
    'mobilenet_v2_1.0x': ('mobilenet_v2', {}),
    'mobilenet_v2_1.4x': ('mobilenet_v2', {'width_mult': 1.4}),
    'mobilenet_v3_small_0.5x': ('mobilenet_v3_small', {'width_mult': 0.5}),
    'mobilenet_v3_small_1.0x': ('mobilenet_v3_small', {}),
    'mobilenet_v3_large_0.75x': ('mobilenet_v3_large', {'width_mult': 0.75}),
    'mobilenet_v3_large_1.0x': ('mobilenet_v3_large', {}),
    'shufflenet_v2_0.5x': ('shufflenet_v2_x0_5', {}),
    'shufflenet_v2_1.0x': ('shufflenet_v2_x1_0', {}),
    'shufflenet_v2_1.5x': ('shufflenet_v2_x1_5', {}),
    'shufflenet_v2_2.0x': ('shufflenet_v2_x2_0', {}),
}
# name, and in million, as text: parameters, multiply-accumulates of an image of 224 x 224. All
# count convolutions and linear layers; what else some count or leave out stands below.
PUBLISHED = [
    # torchvision, weights of its model zoo
    ('squeezenet_1.0_1.0x', '1.248424', '819'),
    ('squeezenet_1.1_1.0x', '1.235496', '349'),
    ('mobilenet_v3_small_1.0x', '2.542856', '57'),
    ('mobilenet_v3_large_1.0x', '5.483032', '217'),
    ('shufflenet_v2_0.5x', '1.366792', '40'),
    ('shufflenet_v2_1.0x', '2.278604', '145'),
    ('shufflenet_v2_1.5x', '3.503624', '296'),
    ('shufflenet_v2_2.0x', '7.393996', '583'),
    # arXiv:1704.04861, tables 6 and 8
    ('mobilenet_v1_1.0x', '4.2', '569'),
    ('mobilenet_v1_0.75x', '2.6', '325'),
    ('mobilenet_v1_0.5x', '1.3', '149'),
    ('mobilenet_v1_0.25x', '0.5', '41'),
    # authors' repository (tensorflow/models, slim); parameters without those of batch norm
    ('mobilenet_v2_1.4x', '6.06', '582'),
    ('mobilenet_v2_1.0x', '3.47', '300'),
    ('mobilenet_v2_0.75x', '2.61', '209'),
    ('mobilenet_v2_0.5x', '1.95', '97'),
    ('mobilenet_v2_0.35x', '1.66', '59'),
    # authors' repository (megvii-model/ShuffleNet-Series)
    ('shufflenet_v1_g3_2.0x', '5.4', '524'),
    ('shufflenet_v1_g8_2.0x', '6.5', '522'),
    ('shufflenet_v1_g3_1.5x', '3.4', '292'),
    ('shufflenet_v1_g8_1.5x', '4.3', '290'),
    ('shufflenet_v1_g3_1.0x', '1.9', '138'),
    ('shufflenet_v1_g8_1.0x', '2.4', '138'),
    ('shufflenet_v1_g3_0.5x', '0.7', '38'),
    ('shufflenet_v1_g8_0.5x', '1.0', '40'),
]
# arXiv:1707.01083, table 1: groups, million multiply-accumulates without the linear layer
SHUFFLENET_V1_PAPER = [(1, '143'), (2, '140'), (3, '137'), (4, '133'), (8, '137')]
PHOTOGRAPHS = ('000000214753', '000000168974', '000000261888', '000000349184', '000000460229',
               '000000547336')


def agrees(value: float, published: str) -> bool:
    """Return whether a value is within 1 % of what was published, or rounds to it."""
    digits = len(published.partition('.')[2])
    half = 0.5 * 10 ** -digits + 1e-9
    return abs(value - float(published)) <= max(0.01 * float(published), half)


def test_every_architecture_has_a_backbone_and_only_these_have_classifiers():
    assert set(WIDTHS) == {*BACKBONES, 'shufflenet_v2'} >= set(CLASSIFIERS)


@pytest.mark.parametrize('name', NARROWEST)
def test_backbone_gives_maps_on_the_grid_and_all_of_it_learns(name):
    backbone = build_backbone(name, 'unused')
    maps = backbone(torch.rand(2, 3, 96, 160))
    assert [tuple(each.shape) for each in maps] == [
        (2, channels, 96 // stride, 160 // stride)
        for channels, stride in zip(backbone.out_channels, (8, 16, 32), strict=True)]
    sum(each.square().mean() for each in maps).backward()
    assert not [key for key, parameter in backbone.named_parameters()
                if parameter.grad is None or not parameter.grad.isfinite().all()]


@pytest.mark.parametrize('name', ['squeezenet_1.0_0.5x', 'squeezenet_1.1_0.5x'])
@pytest.mark.parametrize('size', [(32, 32), (32, 224), (320, 64)])
def test_squeezenet_in_a_detector_has_no_cell_too_few(name, size):
    maps = build_backbone(name, 'unused')(torch.rand(1, 3, *size))
    assert [tuple(each.shape[2:]) for each in maps] == [
        (size[0] // stride, size[1] // stride) for stride in (8, 16, 32)]


def test_last_stage_of_shufflenet_v1_may_keep_the_stride_before_it():
    backbone = build_backbone('shufflenet_v1_g3_0.25x', 'unused')
    backbone.stage4[0].filter[0].stride = (1, 1)
    assert tuple(backbone(torch.rand(1, 3, 64, 96))[-1].shape) == (1, 240, 4, 6)


@pytest.mark.parametrize('name', TORCHVISION)
def test_classifier_and_backbone_take_the_weights_of_torchvision(name):
    maker, options = TORCHVISION[name]
    theirs = getattr(torchvision.models, maker)(**options)
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        theirs(images)  # moves the statistics of the batch norms
        ours, backbone = build_classifier(name), build_backbone(name, 'unused')
        ours.load_state_dict(theirs.state_dict())
        load_torchvision(backbone, theirs.state_dict())
        torch.testing.assert_close(ours.eval()(images), theirs.eval()(images))
    weights = theirs.state_dict()
    taken = {key: value for key, value in backbone.state_dict().items() if key in weights}
    assert all(torch.equal(value, weights[key]) for key, value in taken.items())
    assert {key.partition('.')[0] for key in backbone.state_dict().keys() - taken} <= {'extra'}


@pytest.mark.parametrize('name', ['mobilenet_v2_0.35x', 'mobilenet_v3_small_0.5x'])
def test_maps_are_those_of_torchvision_before_its_strides(name):
    maker, options = TORCHVISION[name]
    theirs = getattr(torchvision.models, maker)(**options).eval()
    backbone = build_backbone(name, 'unused').eval()
    load_torchvision(backbone, theirs.state_dict())
    image = torch.randn(1, 3, 64, 96)
    with torch.no_grad():
        features, at_height = image, {}
        for layer in list(theirs.features)[:-1]:
            features = layer(features)
            at_height[features.shape[2]] = features  # the last one of each
        for got in backbone(image):
            torch.testing.assert_close(got, at_height[got.shape[2]])


@pytest.mark.parametrize(('name', 'parameters', 'macs'), PUBLISHED)
def test_classifier_costs_what_was_published(name, parameters, macs):
    model = build_classifier(name)
    count = count_parameters(model)
    if name.startswith('mobilenet_v2'):
        count -= sum(layer.weight.numel() + layer.bias.numel() for layer in model.modules()
                     if isinstance(layer, nn.BatchNorm2d))
    assert agrees(count / 1e6, parameters)
    assert agrees(count_macs(model, ImageSize(224, 224)) / 1e6, macs)


@pytest.mark.parametrize(('groups', 'macs'), SHUFFLENET_V1_PAPER)
def test_backbone_of_shufflenet_v1_costs_what_its_paper_says(groups, macs):
    backbone = build_backbone(f'shufflenet_v1_g{groups}_1.0x', 'unused')
    assert agrees(count_macs(backbone, ImageSize(224, 224)) / 1e6, macs)


def test_agrees_is_a_percent_or_half_a_digit():
    assert agrees(1.8647, '1.9') and not agrees(1.84, '1.9')
    assert agrees(297.1, '300') and not agrees(296.9, '300')


@pytest.mark.parametrize(('channels', 'wanted'), [
    (1, 8), (8, 8), (11.2, 16), (11.9, 16), (12, 16), (16, 16), (18, 24), (33.6, 32), (44.8, 48)])
def test_scaled_is_the_nearest_multiple_of_eight_but_not_much_less(channels, wanted):
    assert scaled(channels) == wanted


@pytest.mark.parametrize(('name', 'words'), [
    ('mobilnet_v2_1.0x', "no backbone 'mobilnet_v2_1.0x'; expected one of"),
    ('mobilenet_v2', 'no backbone'), ('', 'no backbone'),
    ('mobilenet_v2_3x', "no width '3x'; expected one of 0.35x, 0.5x, 0.75x, 1.0x, 1.4x")])
def test_unknown_name_is_answered_with_those_there_are(name, words):
    with pytest.raises(ValueError, match=words):
        split_name(name)
    data = {'family': 'nanodet', 'variant': '1.0x', 'num_classes': 1, 'backbone': name}
    with pytest.raises(ConfigError, match=words):
        from_mapping(data, ModelSpec, 'model')


@pytest.mark.parametrize(('family', 'variant'), [('yolov5_lite', 'e'),
                                                 ('nanodet_plus', 'm-coarse')])
def test_network_with_a_backbone_of_its_own_refuses_another(family, variant):
    data = {'family': family, 'variant': variant, 'num_classes': 1,
            'backbone': 'mobilenet_v2_1.0x'}
    with pytest.raises(ConfigError, match=f'{family} {variant} cannot have'):
        from_mapping(data, ModelSpec, 'model')


def test_no_name_is_the_default_with_the_activation_of_the_family():
    backbone = build_backbone(None, 'shufflenet_v2_0.5x', LEAKY_RELU)
    assert isinstance(backbone, ShuffleNetV2)
    assert isinstance(backbone.conv1[2], nn.LeakyReLU)
    named = build_backbone('mobilenet_v2_0.35x', 'shufflenet_v2_0.5x', LEAKY_RELU)
    assert isinstance(named.features[0][2], nn.ReLU6)


@pytest.mark.parametrize(('family', 'variant'), [('nanodet', '0.5x'), ('nanodet_plus', 'm-0.5x')])
@pytest.mark.parametrize('name', ['squeezenet_1.1_0.5x', 'mobilenet_v3_small_0.5x'])
def test_network_with_another_backbone_has_the_same_heads(family, variant, name):
    images = torch.rand(2, 3, 64, 96)
    own, other = (build_model(ModelSpec(family, variant, 2, backbone=backbone))
                  for backbone in (None, name))
    assert [head.shape for head in other(images)] == [head.shape for head in own(images)]
    assert type(own.backbone) is ShuffleNetV2 and type(other.backbone) is not ShuffleNetV2


def test_one_line_of_a_configuration_changes_the_backbone():
    config = load_config(CONFIG, ['network.backbone=mobilenet_v1_0.5x'])
    assert config.model_spec(2) == ModelSpec('nanodet', '1.0x', 2, backbone='mobilenet_v1_0.5x')
    assert config.model_spec(2).label == 'nanodet 1.0x with mobilenet_v1_0.5x'
    with pytest.raises(ConfigError, match='no width'):
        load_config(CONFIG, ['network.backbone=mobilenet_v1_9x'])


def test_spec_of_an_older_checkpoint_has_the_backbone_of_its_family():
    data = {'family': 'nanodet', 'variant': '0.5x', 'num_classes': 2, 'reg_max': 7,
            'num_anchors': 3}
    spec = from_mapping(data, ModelSpec, 'model')
    assert spec.backbone is None and spec.label == 'nanodet 0.5x'


def checkpoint_with(backbone: str | None) -> Checkpoint:
    spec = ModelSpec('nanodet', '0.5x', 2, backbone=backbone)
    return Checkpoint(spec, network_card(spec), trained_model(spec).state_dict())


def test_transfer_keeps_the_same_backbone_and_narrows_a_wider_one():
    names = ('object1', 'drone')
    wide = checkpoint_with('mobilenet_v2_0.75x')
    same, report = transfer_weights(wide, wide.spec, names)
    assert report.matched == ('object1',) and not report.narrowed
    for key, value in same.backbone.state_dict().items():
        assert torch.equal(value, wide.state_dict[f'backbone.{key}'])
    spec = ModelSpec('nanodet', '0.5x', 2, backbone='mobilenet_v2_0.35x')
    narrow, report = transfer_weights(wide, spec, names)
    assert report.narrowed
    assert narrow.backbone.out_channels == (16, 32, 112)
    assert all(head.isfinite().all() for head in narrow(torch.rand(2, 3, 64, 64)))


def test_transfer_to_another_backbone_names_both():
    wanted = ('cannot start a nanodet 0.5x with mobilenet_v2_0.35x from the weights of a nanodet '
              '0.5x: the structures differ')
    with pytest.raises(ModelError, match=wanted):
        transfer_weights(checkpoint_with(None), ModelSpec(
            'nanodet', '0.5x', 2, backbone='mobilenet_v2_0.35x'), ('object0', 'object1'))


def test_weights_of_another_architecture_or_width_are_refused(tmp_path):
    torch.save(torchvision.models.mobilenet_v2(width_mult=0.35).state_dict(), tmp_path / 'x.pth')
    for backbone, words in (('mobilenet_v2_0.5x', 'size mismatch'),
                            ('mobilenet_v3_small_0.5x', 'Missing key'), (None, 'Missing key')):
        model = build_model(ModelSpec('nanodet', '0.5x', 1, backbone=backbone))
        with pytest.raises(ModelError, match=f'x.pth: not a .* of this width.*{words}'):
            init_backbone(model, tmp_path / 'x.pth')


def test_squeezenet_of_needs_all_convolutions_of_a_squeezenet(shared_data):
    param = shared_data / 'weights' / 'squeezenet_v1.1.param'
    weights = read_convolutions(param, param.with_suffix('.bin'))
    with pytest.raises(ModelError, match='there is no convolution'):
        squeezenet_of([])
    with pytest.raises(ModelError, match='closest version is 1.1, but .*expected a 3x3'):
        squeezenet_of([*weights[:9], *weights[10:]])
    with pytest.raises(ModelError, match='there are 27 convolutions; expected 26'):
        squeezenet_of([*weights, weights[-1]])


def test_public_squeezenet_gives_the_top_five_of_ncnn(shared_data):
    ncnn = pytest.importorskip('ncnn')
    param = shared_data / 'weights' / 'squeezenet_v1.1.param'
    version, model = squeezenet_of(read_convolutions(param, param.with_suffix('.bin')))
    assert version == '1.1'
    net = ncnn.Net()
    net.opt.num_threads = 1
    net.opt.use_bf16_storage = False
    assert net.load_param(str(param)) == net.load_model(str(param.with_suffix('.bin'))) == 0
    for photograph in PHOTOGRAPHS:
        image = cv2.imread(str(shared_data / 'coco_mini' / 'val' / f'{photograph}.jpg'))
        pixels = cv2.resize(image, (227, 227)).astype(np.float32) - (104, 117, 123)
        blob = np.ascontiguousarray(pixels.transpose(2, 0, 1), np.float32)
        extractor, found = net.create_extractor(), ncnn.Mat()
        assert extractor.input('data', ncnn.Mat(blob)) == 0
        assert extractor.extract('prob', found) == 0
        wanted = np.array(found)
        with torch.no_grad():
            got = model.eval()(torch.from_numpy(blob)[None])[0].softmax(0).numpy()
        np.testing.assert_allclose(got, wanted, atol=1e-4)
        assert list(got.argsort()[-5:]) == list(wanted.argsort()[-5:])


def test_imported_squeezenet_starts_a_detector(shared_data, tmp_path, capsys):
    param = shared_data / 'weights' / 'squeezenet_v1.1.param'
    path = tmp_path / 'squeezenet.pt'
    assert main(['import_weights', '--squeezenet', str(param), '--output', str(path)]) == 0
    assert 'network.backbone=squeezenet_1.1_1.0x' in capsys.readouterr().out
    model = build_model(ModelSpec('nanodet', '0.5x', 1, backbone='squeezenet_1.1_1.0x'))
    init_backbone(model, path)
    first = read_convolutions(param, param.with_suffix('.bin'))[0]
    np.testing.assert_array_equal(model.backbone.features[0].weight.detach(), first.weight)


def test_import_of_a_network_that_is_no_squeezenet_says_so(shared_data, tmp_path, capsys):
    param = shared_data / 'weights' / 'nanodet_m.param'
    assert main(['import_weights', '--squeezenet', str(param), '--output',
                 str(tmp_path / 'x.pt')]) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and 'nanodet_m.param: not a SqueezeNet' in line
    assert not (tmp_path / 'x.pt').exists()
