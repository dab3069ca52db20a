# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The start of YOLOv5-Lite: constants of batch norm, and anchors for the ratio in use."""

import json
from pathlib import Path

from lite_detector.data.cache import CachedDataset
from lite_detector.train.config.model import BatchNormSpec, ModelSpec, specs_for
from lite_detector.train.config.training import DataSpec, load_config, TrainConfig
from lite_detector.train.data.sources import open_datasets
from lite_detector.train.models.batch_norm import only_add
from lite_detector.train.models.build import build_model
from lite_detector.train.run.prepare import prepare, PreparedNetwork
from lite_detector.train.weights.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_file,
    save_checkpoint,
    save_file,
)
import msgspec
from networks import network_card, trained_checkpoint, trained_model
import pytest
from shapes import changes, CLASS_NAMES, ROOT, SMALL, write_shapes
import torch
from torch import nn

OLD = ModelSpec('yolov5_lite', 'e', 2)
PUBLISHED = BatchNormSpec(eps=1e-3, momentum=0.03)


@pytest.fixture(scope='module')
def samples(tmp_path_factory) -> CachedDataset:
    labels = write_shapes(tmp_path_factory.mktemp('shapes'), count=4)
    return CachedDataset(open_datasets(DataSpec(train=str(labels))).train, 128, 10)


def config_of(**values) -> TrainConfig:
    """Return the configuration of a small YOLOv5-Lite e, with ``__`` for the dot."""
    dotted = {key.replace('__', '.'): value for key, value in values.items()}
    return load_config(ROOT / 'config' / 'train' / 'yolov5_lite_e_320.yaml',
                       changes({**SMALL, 'network.variant': 'e', **dotted}))


def prepared(samples: CachedDataset, **values) -> tuple[PreparedNetwork, list[str]]:
    lines = []
    network = prepare(config_of(**values), samples, list, lines.append)
    return network, lines


def norms_of(model: nn.Module) -> set[tuple[float, float]]:
    return {(layer.eps, layer.momentum) for layer in model.modules()
            if isinstance(layer, nn.BatchNorm2d)}


def test_new_yolov5_lite_has_the_batch_norm_of_its_authors(samples):
    network, _ = prepared(samples)
    assert network.spec.batch_norm == PUBLISHED
    assert norms_of(network.model) == {(1e-3, 0.03)}
    # others keep that of their layers
    assert norms_of(build_model(ModelSpec('nanodet', '0.5x', 2))) == {(1e-5, 0.1)}
    assert norms_of(build_model(ModelSpec('damo_yolo', 'ns', 2))) == {(1e-3, 0.1)}


def test_batch_norm_of_a_spec_by_hand():
    spec = ModelSpec('yolov5_lite', 'e', 1, batch_norm=BatchNormSpec(eps=0.0625, momentum=0.25))
    norm = next(layer for layer in build_model(spec).modules()
                if isinstance(layer, nn.BatchNorm2d))
    values = torch.zeros(1, norm.num_features, 2, 2)
    values[:, :, 0] = 1  # mean 1/2, variance 1/4: (1 - 1/2) / sqrt(5/16)
    assert norm(values)[0, 0, 0, 0].item() == pytest.approx(0.5 / (5 / 16) ** 0.5)
    assert norm.running_mean[0].item() == pytest.approx(0.25 * 0.5)


def test_checkpoint_without_batch_norm_settings_keeps_those_of_torch(samples, tmp_path):
    card = msgspec.structs.replace(network_card(OLD), class_names=CLASS_NAMES)
    model = trained_model(OLD)
    path = tmp_path / 'old.pt'
    save_checkpoint(path, Checkpoint(OLD, card, model.state_dict()))
    content = load_file(path)
    del content['model']['batch_norm']  # older files do not have this key
    save_file(path, content)
    assert norms_of(load_checkpoint(path).model()) == {(1e-5, 0.1)}
    started, _ = prepared(samples, start__checkpoint=str(path), start__auto_anchor=False)
    assert started.spec.batch_norm is None and norms_of(started.model) == {(1e-5, 0.1)}
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for own, before in zip(started.model.eval()(images), model(images), strict=True):
            torch.testing.assert_close(own, before, rtol=0, atol=1e-4 * before.abs().max().item())


def test_checkpoint_with_batch_norm_settings_brings_them(samples, tmp_path):
    spec = ModelSpec('yolov5_lite', 'e', 2, batch_norm=BatchNormSpec(eps=2e-3, momentum=0.02))
    path = tmp_path / 'new.pt'
    save_checkpoint(path, trained_checkpoint(spec))
    started, _ = prepared(samples, start__checkpoint=str(path), start__auto_anchor=False)
    assert started.spec.batch_norm == spec.batch_norm
    assert norms_of(started.model) == {(2e-3, 0.02)}


def test_imported_yolov5_lite_only_adds_a_bias_with_the_published_settings():
    spec = specs_for(network_card(OLD))[0]
    assert spec.batch_norm == PUBLISHED
    norm = next(layer for layer in build_model(spec).modules()
                if isinstance(layer, nn.BatchNorm2d)).eval()
    bias = torch.linspace(-3, 3, norm.num_features)
    only_add(norm, bias)
    values = torch.randn(2, norm.num_features, 3, 4)
    torch.testing.assert_close(norm(values), values + bias[:, None, None], rtol=1e-6, atol=1e-6)


def test_anchors_are_reported_for_the_ratio_that_trains(tmp_path):
    # 128x96 images into 128x96: the boxes keep their size, 40x40, 40x20 and 40x12
    labels = write_boxes(tmp_path, (40, 40), (40, 20), (40, 12))
    dataset = CachedDataset(open_datasets(DataSpec(train=str(labels))).train, 128, 10)
    own = [[[40, 40]] * 3] * 3
    values = {'network__decode__anchors': own,
              'network__input_size': {'height': 96, 'width': 128}}
    # ratios to 40x40: 1, 2 and 3.3
    for ratio, line in ((4.0, 'anchors fit 100.0% of the boxes, fitness 0.600'),
                        (2.5, 'anchors fit 66.7% of the boxes, fitness 0.500'),
                        (1.5, 'anchors fit 33.3% of the boxes, fitness 0.333')):
        network, lines = prepared(dataset, loss={'yolov5_lite': {'anchor_ratio': ratio}},
                                  **values)
        assert lines[0] == line
        # new anchors are found with the same ratio
        assert (len(lines) == 1) == (ratio == 4.0)
        assert ratio == 4.0 or lines[1] == 'new anchors fit 100.0%, fitness 1.000'
    assert len(network.card.decode.anchors) == 3


def write_boxes(folder: Path, *sizes: tuple[int, int]) -> Path:
    """Write an image of 128x96 for each box of this width and height, and their labels."""
    path = write_shapes(folder / 'data', count=len(sizes))
    data = json.loads(path.read_text())
    data['annotations'] = [
        {'id': index, 'image_id': index, 'category_id': 1, 'bbox': [8, 8, *size]}
        for index, size in enumerate(sizes, start=1)]
    path.write_text(json.dumps(data))
    return path
