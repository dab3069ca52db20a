# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read the convolutions of an ncnn network, to train or to quantize them."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.export.ncnn_files import Layer, read_layers, WeightFile
from lite_detector.train.weights.conv_graph import reads_in_order
from lite_detector.train.weights.conv_weights import ConvShape, ConvWeights
import numpy as np

LINEAR = 'InnerProduct'
"""Layer type in pnnx of a pointwise convolution after global average pooling."""
INT8_TERM = 8
"""Number of the parameter that marks an int8 layer and its number of scales."""
ONE_SCALE = (2, 102)
"""Values of this parameter for a depthwise convolution with one scale for all weights."""
INT8_OUTPUT = 100
"""Offset of this parameter for a layer with int8 output, which has one more scale."""
CONVOLUTIONS = ('Convolution', 'ConvolutionDepthWise', LINEAR)
WITHOUT_WEIGHTS = frozenset((
    'BinaryOp', 'Clip', 'Concat', 'Crop', 'Dropout', 'Eltwise', 'Flatten', 'HardSigmoid',
    'HardSwish', 'Input', 'Interp', 'Mish', 'Noop', 'Padding', 'Permute', 'Pooling', 'ReLU',
    'Reshape', 'ShuffleChannel', 'Sigmoid', 'Slice', 'Softmax', 'Split', 'Swish', 'UnaryOp'))


class StoredLayer(NamedTuple):
    """
    A layer of a network as stored in its files.

    :param layer: Line of the layer in the ``.param`` file.
    :param convolution: Weights of the layer; None: it has none.
    :param data: Bytes of the layer in the ``.bin`` file.
    """

    layer: Layer
    convolution: ConvWeights | None
    data: bytes

    @property
    def weights(self) -> ConvWeights:
        """Return the weights of a layer that has some."""
        assert self.convolution is not None, 'a layer with weights'
        return self.convolution


def read_convolutions(param_path: Path, bin_path: Path) -> list[ConvWeights]:
    """
    Return the convolutions of a network in order of execution.

    :param param_path: Graph file.
    :param bin_path: Weight file, fp16 or fp32.
    :return: Convolutions; linear layers are included as pointwise convolutions of a single cell.
    :raises ModelError: as :func:`read_network`.
    """
    return [stored.convolution for stored in read_network(param_path, bin_path)
            if stored.convolution is not None]


def read_graph(param_path: Path, bin_path: Path,
               outputs: Sequence[str]) -> dict[ConvWeights, frozenset[ConvWeights]]:
    """
    Return the convolutions of a network, independent of the order of its file.

    :param param_path: Graph file.
    :param bin_path: Weight file: fp16, fp32, or int8, which is converted to float by its scales.
    :param outputs: Names of the output blobs in the order of the strides.
    :return: Convolution -> convolutions that it reads, in the order of a walk from the outputs.
    :raises ModelError: as :func:`read_network`, or if an output is missing.
    """
    network = read_network(param_path, bin_path, allow_int8=True)
    makers = {top: stored for stored in network for top in stored.layer.tops}
    missing = [name for name in outputs if name not in makers]
    if missing:
        raise ModelError(f'{param_path}: no output blob {missing[0]!r}, which is in the card; the '
                         'file belongs to another network')
    by_layer = {stored.layer.name: stored for stored in network}

    def inputs(name: str) -> list[str]:
        return [makers[bottom].layer.name for bottom in by_layer[name].layer.bottoms]

    reads = reads_in_order([makers[name].layer.name for name in outputs], inputs,
                           lambda name: by_layer[name].convolution is not None)
    return {by_layer[name].weights: frozenset(by_layer[each].weights for each in found)
            for name, found in reads.items()}


def read_network(param_path: Path, bin_path: Path, allow_int8: bool = False) -> list[StoredLayer]:
    """
    Return the layers of a network in order of execution.

    :param param_path: Graph file.
    :param bin_path: Weight file, fp16 or fp32.
    :param allow_int8: Whether to accept int8 weights too; weight = int8 value / scale of its
        output channel.
    :raises ModelError: if a file is malformed, truncated or too long, or if any layer except
        convolutions and linear layers has weights.
    """
    layers, weights = read_layers(param_path), WeightFile(bin_path)
    network = []
    for layer in layers:
        start, convolution = weights.position, None
        if layer.kind in CONVOLUTIONS:
            convolution = _convolution(layer, weights, param_path, allow_int8)
        elif layer.kind not in WITHOUT_WEIGHTS:
            raise ModelError(f'{param_path}: layer {layer.name} is a {layer.kind}, which no '
                             'network of the package has')
        network.append(StoredLayer(layer, convolution, weights.stored(start)))
    weights.check_end()
    return network


def _convolution(layer: Layer, weights: WeightFile, path: Path,
                 allow_int8: bool) -> ConvWeights:
    if layer.kind == LINEAR:
        return _linear(layer, weights, path)
    out_channels, kernel_size = layer.option(0), layer.option(1)
    groups = layer.option(7, 1) if layer.kind == 'ConvolutionDepthWise' else 1
    dilation = layer.option(2, 1)
    square = (layer.option(11, kernel_size) == kernel_size
              and layer.option(12, dilation) == dilation
              and layer.option(13, layer.option(3, 1)) == layer.option(3, 1)
              and layer.option(14, layer.option(4)) == layer.option(4))
    count = layer.option(6)
    per_channel = out_channels * kernel_size ** 2
    if not square or per_channel <= 0 or count % per_channel:
        raise ModelError(f'{path}: layer {layer.name} is not square; expected only square '
                         'convolutions')
    shape = ConvShape(out_channels, count // per_channel * groups, kernel_size,
                      layer.option(3, 1), layer.option(4), groups, dilation)
    if allow_int8 and layer.option(INT8_TERM) and weights.is_int8(layer.name):
        return _read_int8(layer, weights, shape, path)
    return _read_weights(layer, weights, shape, has_bias=bool(layer.option(5)))


def _linear(layer: Layer, weights: WeightFile, path: Path) -> ConvWeights:
    out_channels, count = layer.option(0), layer.option(2)
    if out_channels <= 0 or count % out_channels:
        raise ModelError(f'{path}: layer {layer.name} has {count} weights for {out_channels} '
                         'outputs')
    shape = ConvShape(out_channels, count // out_channels, 1, 1, 0, 1)
    return _read_weights(layer, weights, shape, has_bias=bool(layer.option(1)))


def _read_weights(layer: Layer, weights: WeightFile, shape: ConvShape,
                  has_bias: bool) -> ConvWeights:
    sides = _sides(shape)
    weight = weights.weights(prod(sides), layer.name).reshape(sides)
    bias = (weights.bias(shape.out_channels, layer.name) if has_bias
            else np.zeros(shape.out_channels, np.float32))
    return ConvWeights(layer.name, shape, weight, bias)


def _read_int8(layer: Layer, weights: WeightFile, shape: ConvShape, path: Path) -> ConvWeights:
    """
    Read an int8 convolution and return it in float.

    After the bias follow the scales of the weights, of the input and, for int8 output, the output.
    """
    sides = _sides(shape)
    weight = weights.int8_weights(prod(sides), layer.name).reshape(sides).astype(np.float32)
    bias = (weights.bias(shape.out_channels, layer.name) if layer.option(5)
            else np.zeros(shape.out_channels, np.float32))
    term = layer.option(INT8_TERM)
    is_depthwise = layer.kind == 'ConvolutionDepthWise'
    count = shape.out_channels
    if is_depthwise:
        count = 1 if term in ONE_SCALE else shape.groups
    scales = weights.bias(count, layer.name)
    weights.bias(1 + (term > INT8_OUTPUT), layer.name)
    if count not in (1, shape.out_channels) or not (scales >= 0).all():
        raise ModelError(f'{path}: layer {layer.name} has no int8 scale above 0 for each output '
                         'channel')
    # a channel of zeros may have an infinite scale, or 0
    factors = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    return ConvWeights(layer.name, shape, weight * factors.reshape(-1, 1, 1, 1), bias)


def _sides(shape: ConvShape) -> tuple[int, int, int, int]:
    return (shape.out_channels, shape.in_channels // shape.groups, shape.kernel_size,
            shape.kernel_size)
