# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Networks with weights that are not trivial, and cards for them."""

from lite_detector.core.config import from_mapping
from lite_detector.core.model_card import NetworkCard
from lite_detector.train.models.build import build_model
from lite_detector.train.models.spec import ModelSpec
from tiny_models import ANCHORS, REG_MAX, tiny_card
import torch
from torch import nn


def card_data(spec: ModelSpec) -> dict:
    """Return a card, as plain data, of a network whose anchors are those of the tiny models."""
    decode = {'reg_max': REG_MAX, 'grid_offset': 0.5}
    if spec.family == 'yolov5_lite':
        decode = {'anchors': [[list(anchor) for anchor in level] for level in ANCHORS]}
    data = tiny_card(spec.family, decode, spec.num_classes)
    data['decode']['strides'] = list(build_model(spec).strides)
    return data


def network_card(spec: ModelSpec) -> NetworkCard:
    """Return the same as a checkpoint holds it."""
    data = card_data(spec)
    return from_mapping({name: data[name] for name in NetworkCard.__struct_fields__
                         if name in data}, NetworkCard, 'test')


def trained_model(spec: ModelSpec) -> nn.Module:
    """Return a network in evaluation mode whose batch norms and outputs are not trivial."""
    model = build_model(spec)
    with torch.no_grad():
        for layer in model.modules():
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.uniform_(layer.weight, 0.5, 1.5)
                nn.init.normal_(layer.bias, std=0.2)
                nn.init.normal_(layer.running_mean, std=0.2)
                nn.init.uniform_(layer.running_var, 0.5, 1.5)
            elif isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight)
    return model.eval()
