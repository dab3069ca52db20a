# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Write the int8 form of an ncnn network, as ncnn's own tools do.

An int8 convolution has one scale per output channel for its weights and one for its input:
``int8 = round(scale * float)``. ncnn converts the input of a layer to int8, sums in int32 and
returns float, so float and int8 layers can be mixed. In the files, parameter 8 of the layer is 2
and the weights have the int8 tag. After the bias follow the scales of the weights and that of the
input, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import math
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ConfigError
from lite_detector.core.types import FloatArray
from lite_detector.export.import_ncnn import INT8_TERM, StoredLayer
from lite_detector.export.ncnn_files import param_text, tagged
from lite_detector.train.weights.conv_weights import ConvWeights, INT8_MAX
import numpy as np
import numpy.typing as npt

TABLE_FILE = 'model.int8.table'
"""Name of a calibration table in a model folder."""
PER_CHANNEL = 2
WEIGHTS = '_param_0'
"""Suffix of a layer's name in a table for the scales of its weights."""
FLOAT_KINDS = ('ConvolutionDepthWise', 'InnerProduct')
"""Layers in tables of ncnn's own tool that stay in float here."""


class NcnnText(NamedTuple):
    """The texts and bytes of the two files of a network."""

    param: str
    weights: bytes


def candidates(network: Sequence[StoredLayer]) -> list[StoredLayer]:
    """
    Return the layers that can be int8: all convolutions except depthwise and linear ones.

    Depthwise convolutions lose accuracy and are slower in int8 than in float.
    """
    return [stored for stored in network if stored.layer.kind == 'Convolution']


def quantize_weight(convolution: ConvWeights) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """
    Return a weight in int8 and its scales.

    :return: Weights, int8, same shape; scale of each output channel, float32, shape (out,).
    """
    weight = convolution.weight
    peaks = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    # a channel of zeros has no range, so any scale is correct
    levels = convolution.shape.int8_levels
    scales = (levels / np.where(peaks > 0, peaks, 1)).astype(np.float32)
    return np.rint(weight * scales[:, None, None, None]).astype(np.int8), scales


def write_int8(network: Sequence[StoredLayer], thresholds: Mapping[str, float]) -> NcnnText:
    """
    Return the files of a network with some layers in int8.

    :param network: Layers of the network in float.
    :param thresholds: Name of each layer to convert, one of :func:`candidates` -> largest absolute
        input that is not clipped, above 0.
    """
    layers, chunks = [], []
    for stored in network:
        layer, data = stored.layer, stored.data
        if layer.name in thresholds:
            layer = layer.with_option(INT8_TERM, PER_CHANNEL)
            weight, scales = quantize_weight(stored.weights)
            bias = stored.weights.bias if layer.option(5) else stored.weights.bias[:0]
            data = b''.join((tagged(weight), bias.astype('<f4').tobytes(),
                             scales.astype('<f4').tobytes(),
                             np.array(INT8_MAX / thresholds[layer.name], '<f4').tobytes()))
        layers.append(layer)
        chunks.append(data)
    return NcnnText(param_text(layers), b''.join(chunks))


def calibration_table(network: Sequence[StoredLayer], thresholds: Mapping[str, float]) -> str:
    """
    Return the scales in the text format of ncnn's tools (``ncnn2table``, ``ncnn2int8``).

    First come lines with the scales of each layer's weights, then lines with the scale of its
    input.
    """
    chosen = [stored for stored in network if stored.layer.name in thresholds]
    lines = [' '.join((stored.layer.name + WEIGHTS, *(f'{scale:.6f}' for scale
                                                      in quantize_weight(stored.weights)[1])))
             for stored in chosen]
    lines += [f'{layer.name} {INT8_MAX / thresholds[layer.name]:.6f}' for layer, _, _ in chosen]
    return '\n'.join(lines) + '\n'


def read_table(path: Path, network: Sequence[StoredLayer]) -> dict[str, float]:
    """
    Return the thresholds of a calibration table.

    The scales of weights are ignored, because they follow from the weights. Layers that stay in
    float here (depthwise and inner products, which ``ncnn2table`` includes) are ignored too.

    :param path: Table file of :func:`calibration_table` or ``ncnn2table``.
    :param network: Layers in float of the network that the table was made for.
    :return: Name of each layer to convert -> its threshold.
    :raises ConfigError: if it cannot be read, is of another network, or contains no layer.
    """
    try:
        lines = path.read_text(encoding='ascii').splitlines()
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}') from None
    except UnicodeDecodeError:
        raise ConfigError(f'{path}: not a calibration table, which is plain text') from None
    known = {stored.layer.name for stored in candidates(network)}
    in_float = {stored.layer.name for stored in network if stored.layer.kind in FLOAT_KINDS}
    thresholds = {}
    for number, line in enumerate(lines, 1):
        name, *scales = line.split() or ['']
        if not name or name.endswith(WEIGHTS) or name in in_float:
            continue
        if name not in known:
            raise ConfigError(f'{path}: line {number}: the network has no convolution {name!r} '
                              'that can be int8; the table belongs to another network')
        if len(scales) != 1 or not _is_scale(scales[0]):
            raise ConfigError(f'{path}: line {number}: {line[:60]!r}; expected {name} and one '
                              'scale above 0')
        thresholds[name] = INT8_MAX / float(scales[0])
    if not thresholds:
        raise ConfigError(f'{path}: no line with the scale of an input; expected lines such as '
                          "'conv_0 25.4'")
    return thresholds


def _is_scale(text: str) -> bool:
    try:
        return 0 < float(text) < math.inf
    except ValueError:
        return False
