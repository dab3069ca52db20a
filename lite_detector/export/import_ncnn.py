# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Read the convolutions of an ncnn network: ``.param`` (text) and ``.bin`` (weights), by numpy alone.

A ``.bin`` holds, layer by layer in the order of the ``.param``: a tag of 4 bytes, the weights
padded to 4 bytes, then the bias as float32 without a tag (measured on the public files).
"""

from __future__ import annotations

from math import prod
from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.core.types import FloatArray
from lite_detector.train.models.conv_weights import ConvShape, ConvWeights
import numpy as np
import numpy.typing as npt

PARAM_MAGIC = '7767517'
WEIGHT_TYPES = {0x00000000: '<f4', 0x01306B47: '<f2'}
"""Tag -> how the weights are stored."""
INT8_TAG = 0x000D4B38
LINEAR = 'InnerProduct'
"""What pnnx makes of a pointwise convolution behind a mean over the whole map."""
CONVOLUTIONS = ('Convolution', 'ConvolutionDepthWise', LINEAR)
WITHOUT_WEIGHTS = frozenset((
    'BinaryOp', 'Clip', 'Concat', 'Crop', 'Dropout', 'Eltwise', 'Flatten', 'HardSigmoid',
    'HardSwish', 'Input', 'Interp', 'Mish', 'Noop', 'Padding', 'Permute', 'Pooling', 'ReLU',
    'Reshape', 'ShuffleChannel', 'Sigmoid', 'Slice', 'Softmax', 'Split', 'Swish', 'UnaryOp'))


def read_convolutions(param_path: Path, bin_path: Path) -> list[ConvWeights]:
    """
    Return the convolutions of a network in the order in which they run.

    :param param_path: the graph.
    :param bin_path: the weights, fp16 or fp32.
    :return: linear layers among them: pointwise convolutions of a single cell.
    :raises ModelError: if a file is none of ncnn's, cut short or too long, or if any other layer
        has weights.
    """
    layers = _read_layers(param_path)
    weights = _WeightFile(bin_path)
    convolutions = []
    for layer in layers:
        if layer.kind in CONVOLUTIONS:
            convolutions.append(_convolution(layer, weights, param_path))
        elif layer.kind not in WITHOUT_WEIGHTS:
            raise ModelError(f'{param_path}: layer {layer.name} is a {layer.kind}, which none of '
                             'the networks here has')
    weights.check_end()
    return convolutions


class _Layer:
    """One line of a ``.param`` file: type, name, blobs, and numbered parameters."""

    def __init__(self, line: str, path: Path) -> None:
        try:
            self.kind, self.name, bottoms, tops, *rest = line.split()
            options = (option.split('=') for option in rest[int(bottoms) + int(tops):])
            # floats and arrays (ids below 0) describe resizes, activations and slices
            self._options = {int(key): int(value) for key, value in options
                             if key.isdecimal() and value.lstrip('-').isdecimal()}
        except ValueError:
            raise ModelError(f'{path}: line {line[:60]!r} is not an ncnn layer') from None

    def option(self, number: int, default: int = 0) -> int:
        return self._options.get(number, default)


class _WeightFile:
    """A ``.bin`` file, read from its beginning to its end."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = _read(path)
        self._position = 0

    def weights(self, count: int, layer: str) -> FloatArray:
        """Return the next values behind the tag that says how they are stored."""
        tag = int(self._take('<u4', 1, layer)[0])
        if tag == INT8_TAG:
            raise ModelError(f'{self._path}: layer {layer} is int8; only networks in fp16 or fp32 '
                             'can be trained further')
        if tag not in WEIGHT_TYPES:
            raise ModelError(f'{self._path}: layer {layer} starts with tag 0x{tag:08X}, which is '
                             'neither fp16 nor fp32; the file belongs to another network')
        return self._take(WEIGHT_TYPES[tag], count, layer).astype(np.float32)

    def bias(self, count: int, layer: str) -> FloatArray:
        """Return the next values, which are float32 and have no tag."""
        return self._take('<f4', count, layer).astype(np.float32)

    def check_end(self) -> None:
        left = len(self._data) - self._position
        if left > 0:
            raise ModelError(f'{self._path}: {left} bytes are left over after the last layer; '
                             'the file belongs to another network')

    def _take(self, dtype: str, count: int, layer: str) -> npt.NDArray[np.generic]:
        size = np.dtype(dtype).itemsize * count
        if self._position + size > len(self._data):
            raise ModelError(f'{self._path}: ends inside layer {layer}; the file is cut short or '
                             'belongs to another network')
        values = np.frombuffer(self._data, dtype, count, self._position)
        self._position += size + -size % 4
        return values


def _read_layers(path: Path) -> list[_Layer]:
    lines = _read(path).decode('ascii', errors='replace').splitlines()
    if not lines or lines[0].strip() != PARAM_MAGIC:
        raise ModelError(f'{path}: not an ncnn .param text file')
    layers = [_Layer(line, path) for line in lines[2:] if line.strip()]
    counts = lines[1].split() if len(lines) > 1 else []
    if not counts or counts[0] != str(len(layers)):
        raise ModelError(f'{path}: {len(layers)} layers, but line 2 says {" ".join(counts)}; the '
                         'file is cut short')
    return layers


def _convolution(layer: _Layer, weights: _WeightFile, path: Path) -> ConvWeights:
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


def _linear(layer: _Layer, weights: _WeightFile, path: Path) -> ConvWeights:
    out_channels, count = layer.option(0), layer.option(2)
    if out_channels <= 0 or count % out_channels:
        raise ModelError(f'{path}: layer {layer.name} has {count} weights for {out_channels} '
                         'outputs')
    shape = ConvShape(out_channels, count // out_channels, 1, 1, 0, 1)
    return _read_weights(layer, weights, shape, has_bias=bool(layer.option(1)))


def _read_weights(layer: _Layer, weights: _WeightFile, shape: ConvShape,
                  has_bias: bool) -> ConvWeights:
    sides = (shape.out_channels, shape.in_channels // shape.groups, shape.kernel_size,
             shape.kernel_size)
    weight = weights.weights(prod(sides), layer.name).reshape(sides)
    bias = (weights.bias(shape.out_channels, layer.name) if has_bias
            else np.zeros(shape.out_channels, np.float32))
    return ConvWeights(layer.name, shape, weight, bias)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
