# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read the convolutions of an ncnn network, to train or to quantize them."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.export.ncnn_files import Layer, read_layers, WeightFile
from lite_detector.train.models.conv_weights import ConvShape, ConvWeights
import numpy as np

LINEAR = 'InnerProduct'
"""What pnnx makes of a pointwise convolution behind a mean over the whole map."""
CONVOLUTIONS = ('Convolution', 'ConvolutionDepthWise', LINEAR)
WITHOUT_WEIGHTS = frozenset((
    'BinaryOp', 'Clip', 'Concat', 'Crop', 'Dropout', 'Eltwise', 'Flatten', 'HardSigmoid',
    'HardSwish', 'Input', 'Interp', 'Mish', 'Noop', 'Padding', 'Permute', 'Pooling', 'ReLU',
    'Reshape', 'ShuffleChannel', 'Sigmoid', 'Slice', 'Softmax', 'Split', 'Swish', 'UnaryOp'))


class StoredLayer(NamedTuple):
    """
    A layer of a network as it lies in its files.

    :param layer: its line of the ``.param``.
    :param convolution: its weights; None: it has none.
    :param data: its part of the ``.bin``.
    """

    layer: Layer
    convolution: ConvWeights | None
    data: bytes


def read_convolutions(param_path: Path, bin_path: Path) -> list[ConvWeights]:
    """
    Return the convolutions of a network in the order in which they run.

    :param param_path: the graph.
    :param bin_path: the weights, fp16 or fp32.
    :return: linear layers among them: pointwise convolutions of a single cell.
    :raises ModelError: as :func:`read_network`.
    """
    return [stored.convolution for stored in read_network(param_path, bin_path)
            if stored.convolution is not None]


def read_network(param_path: Path, bin_path: Path) -> list[StoredLayer]:
    """
    Return the layers of a network in the order in which they run.

    :param param_path: the graph.
    :param bin_path: the weights, fp16 or fp32.
    :raises ModelError: if a file is none of ncnn's, cut short or too long, or if any layer but
        convolutions and linear ones has weights.
    """
    layers, weights = read_layers(param_path), WeightFile(bin_path)
    network = []
    for layer in layers:
        start, convolution = weights.position, None
        if layer.kind in CONVOLUTIONS:
            convolution = _convolution(layer, weights, param_path)
        elif layer.kind not in WITHOUT_WEIGHTS:
            raise ModelError(f'{param_path}: layer {layer.name} is a {layer.kind}, which none of '
                             'the networks here has')
        network.append(StoredLayer(layer, convolution, weights.stored(start)))
    weights.check_end()
    return network


def _convolution(layer: Layer, weights: WeightFile, path: Path) -> ConvWeights:
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
        raise ModelError(f'{path}: layer {layer.name} is not square, which every convolution '
                         'here is')
    shape = ConvShape(out_channels, count // per_channel * groups, kernel_size,
                      layer.option(3, 1), layer.option(4), groups, dilation)
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
    sides = (shape.out_channels, shape.in_channels // shape.groups, shape.kernel_size,
             shape.kernel_size)
    weight = weights.weights(prod(sides), layer.name).reshape(sides)
    bias = (weights.bias(shape.out_channels, layer.name) if has_bias
            else np.zeros(shape.out_channels, np.float32))
    return ConvWeights(layer.name, shape, weight, bias)
