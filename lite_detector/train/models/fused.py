# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Put convolutions whose batch norm is fused already into a network that has it apart."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.errors import ModelError
from lite_detector.train.models.backbones.squeezenet import FIRES, SqueezeNetClassifier
from lite_detector.train.models.batch_norm import only_add
from lite_detector.train.models.build import build_model
from lite_detector.train.models.conv_weights import ConvShape, ConvWeights
from lite_detector.train.models.layers import run_order
from lite_detector.train.models.spec import ModelSpec
import torch
from torch import nn

ConvAndNorm = tuple[nn.Conv2d, nn.BatchNorm2d | None]


def model_of(weights: Sequence[ConvWeights],
             specs: Sequence[ModelSpec]) -> tuple[ModelSpec, nn.Module]:
    """
    Return the network that these convolutions belong to, with their weights.

    :param weights: in the order in which the network runs them.
    :param specs: what it may be, at least one.
    :return: the spec that fits, and the network in training mode.
    :raises ModelError: if none fits; with the first difference to the one that fits longest.
    """
    differences = []
    for spec in specs:
        model = build_model(spec)
        difference = _fill(model, weights)
        if difference is None:
            return spec, model
        differences.append((*difference, spec))
    _, reason, spec = max(differences, key=lambda difference: difference[0])
    raise ModelError(f'this is no {spec.family} of {spec.num_classes} classes; the nearest is '
                     f'variant {spec.variant}, but {reason}')


def squeezenet_of(weights: Sequence[ConvWeights]) -> tuple[str, SqueezeNetClassifier]:
    """
    Return the version of SqueezeNet that these convolutions are, and the network with them.

    :param weights: in the order in which the network runs them.
    :raises ModelError: if they are none; with the first difference to the one that fits longest.
    """
    if not weights:
        raise ModelError('this is no SqueezeNet: there is no convolution')
    last = weights[-1].shape
    differences = []
    for version in FIRES:
        model = SqueezeNetClassifier(version, num_classes=last.out_channels,
                                     head_padding=last.padding)
        difference = _fill(model, weights)
        if difference is None:
            return version, model
        differences.append((*difference, version))
    _, reason, version = max(differences)
    raise ModelError(f'this is no SqueezeNet; the nearest is version {version}, but {reason}')


def convolutions(model: nn.Module) -> list[ConvAndNorm]:
    """Return every convolution in the order in which they run, with its batch norm."""
    pairs: list[ConvAndNorm] = []
    for layer, _ in run_order(model, (nn.Conv2d, nn.BatchNorm2d)):
        if isinstance(layer, nn.Conv2d):
            pairs.append((layer, None))
        else:
            pairs[-1] = (pairs[-1][0], layer)
    return pairs


def _fill(model: nn.Module, weights: Sequence[ConvWeights]) -> tuple[int, str] | None:
    """Fill a network, or return the place of the first difference and what it is."""
    convs = convolutions(model)
    difference = _first_difference(weights, convs)
    if difference is None:
        for source, target in zip(weights, convs, strict=True):
            _copy(source, target)
    return difference


def _first_difference(weights: Sequence[ConvWeights],
                      convs: Sequence[ConvAndNorm]) -> tuple[int, str] | None:
    for index, (source, (conv, _)) in enumerate(zip(weights, convs, strict=False)):
        wanted = shape_of(conv)
        if source.shape != wanted:
            return index, f'layer {source.name} is a {source.shape}, wanted a {wanted}'
    if len(weights) != len(convs):
        return (min(len(weights), len(convs)),
                f'there are {len(weights)} convolutions, wanted {len(convs)}')
    return None


def shape_of(conv: nn.Conv2d) -> ConvShape:
    """Return the shape of a convolution, whose sides are equal."""
    return ConvShape(conv.out_channels, conv.in_channels, conv.kernel_size[0], conv.stride[0],
                     conv.padding[0], conv.groups, conv.dilation[0])


@torch.no_grad()
def _copy(source: ConvWeights, target: ConvAndNorm) -> None:
    conv, norm = target
    conv.weight.copy_(torch.from_numpy(source.weight))
    bias = torch.from_numpy(source.bias)
    if norm is None:
        conv.bias.copy_(bias)
        return
    only_add(norm, bias)
