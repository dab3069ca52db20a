# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Load convolutions with fused batch norm into a network with separate batch norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from lite_detector.core.errors import ModelError
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.backbones.squeezenet import FIRES, SqueezeNetClassifier
from lite_detector.train.models.batch_norm import only_add
from lite_detector.train.models.blocks import bias_of
from lite_detector.train.models.build import build_model
from lite_detector.train.models.layers import LayerTracer, run_order
from lite_detector.train.weights.conv_graph import reads_in_order
from lite_detector.train.weights.conv_weights import ConvShape, ConvWeights
import torch
from torch import fx, nn

ConvAndNorm = tuple[nn.Conv2d, nn.BatchNorm2d | None]


Reads = Mapping[ConvWeights, frozenset[ConvWeights]]


def model_of(graph: Reads, specs: Sequence[ModelSpec]) -> tuple[ModelSpec, nn.Module]:
    """
    Return the network that these convolutions belong to, with their weights.

    :param graph: Convolution -> convolutions that it reads, in the order of
        :func:`lite_detector.train.weights.conv_graph.reads_in_order`.
    :param specs: Possible structures, at least one.
    :return: Matching structure, and the network in training mode.
    :raises ModelError: if none matches; with the first difference from the closest structure.
    """
    differences = []
    for spec in specs:
        model = build_model(spec)
        convs = traced_convolutions(model)
        difference = _fill(list(convs), list(graph)) or _first_other_edge(graph, convs)
        if difference is None:
            return spec, model
        differences.append((*difference, spec))
    _, reason, spec = max(differences, key=lambda difference: difference[0])
    raise ModelError(f'not a {spec.family} of {spec.num_classes} classes; the closest variant is '
                     f'{spec.variant}, but {reason}')


def squeezenet_of(weights: Sequence[ConvWeights]) -> tuple[str, SqueezeNetClassifier]:
    """
    Return the version of SqueezeNet with these convolutions, and the network with their weights.

    :param weights: Convolutions in order of execution.
    :raises ModelError: if no version matches; with the first difference from the closest one.
    """
    if not weights:
        raise ModelError('not a SqueezeNet: there is no convolution')
    last = weights[-1].shape
    differences = []
    for version in FIRES:
        model = SqueezeNetClassifier(version, num_classes=last.out_channels,
                                     head_padding=last.padding)
        difference = _fill(convolutions(model), weights)
        if difference is None:
            return version, model
        differences.append((*difference, version))
    _, reason, version = max(differences)
    raise ModelError(f'not a SqueezeNet; the closest version is {version}, but {reason}')


def convolutions(model: nn.Module) -> list[ConvAndNorm]:
    """Return every convolution in order of execution, with its batch norm."""
    pairs: list[ConvAndNorm] = []
    for layer, _ in run_order(model, (nn.Conv2d, nn.BatchNorm2d)):
        if isinstance(layer, nn.Conv2d):
            pairs.append((layer, None))
        elif isinstance(layer, nn.BatchNorm2d):
            pairs[-1] = (pairs[-1][0], layer)
    return pairs


def traced_convolutions(model: nn.Module) -> dict[ConvAndNorm, frozenset[ConvAndNorm]]:
    """
    Return every convolution with its batch norm -> convolutions that it reads.

    :return: Convolutions in the order of a walk from the outputs, not of execution.
    """
    modules = dict(model.named_modules())
    nodes = list(_Tracer().trace(model).nodes)
    norms = {node.args[0]: modules[node.target] for node in nodes if node.op == 'call_module'
             and isinstance(modules[node.target], nn.BatchNorm2d)}
    pairs = {node: (modules[node.target], norms.get(node)) for node in nodes
             if node.op == 'call_module' and isinstance(modules[node.target], nn.Conv2d)}
    outputs = nodes[-1].all_input_nodes
    reads = reads_in_order(outputs, _tensors, pairs.__contains__)
    return {pairs[node]: frozenset(pairs[each] for each in found)
            for node, found in reads.items()}


class _Tracer(LayerTracer):
    def iter(self, obj: fx.Proxy) -> Iterator[fx.Proxy]:  # noqa: A003
        if obj.node.op != 'get_attr':
            return super().iter(obj)
        parameter = dict(self.root.named_parameters())[str(obj.node.target)]
        proxy: Any = obj  # has all operators; its types name none
        return (proxy[index] for index in range(len(parameter)))


def _tensors(node: fx.Node) -> list[fx.Node]:
    """Return the nodes whose values a node reads; reading only a size does not count."""
    is_size = ((node.op == 'call_function' and node.target is getattr and node.args[1] == 'shape')
               or (node.op == 'call_method' and node.target == 'size'))
    return [] if is_size else node.all_input_nodes


def _first_other_edge(graph: Reads, convs: Mapping[ConvAndNorm, frozenset[ConvAndNorm]]
                      ) -> tuple[int, str] | None:
    """Return the index of the first convolution that reads other ones, and a message."""
    places = [{each: index for index, each in enumerate(part)} for part in (graph, convs)]
    for index, (source, target) in enumerate(zip(graph.items(), convs.items(), strict=True)):
        got, expected = ({place[each] for each in part[1]}
                         for place, part in zip(places, (source, target), strict=True))
        if got != expected:
            return index, f'layer {source[0].name} reads other layers'
    return None


def _fill(convs: Sequence[ConvAndNorm],
          weights: Sequence[ConvWeights]) -> tuple[int, str] | None:
    """Fill convolutions, or return the index of the first difference and a message."""
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
            return index, f'layer {source.name} is a {source.shape}; expected a {wanted}'
    if len(weights) != len(convs):
        return (min(len(weights), len(convs)),
                f'there are {len(weights)} convolutions; expected {len(convs)}')
    return None


def shape_of(conv: nn.Conv2d) -> ConvShape:
    """Return the shape of a convolution with a square kernel."""
    assert not isinstance(conv.padding, str), 'a number of pixels in all networks'
    return ConvShape(conv.out_channels, conv.in_channels, conv.kernel_size[0], conv.stride[0],
                     conv.padding[0], conv.groups, conv.dilation[0])


@torch.no_grad()
def _copy(source: ConvWeights, target: ConvAndNorm) -> None:
    conv, norm = target
    conv.weight.copy_(torch.from_numpy(source.weight))
    bias = torch.from_numpy(source.bias)
    if norm is None:
        bias_of(conv).copy_(bias)
        return
    only_add(norm, bias)
