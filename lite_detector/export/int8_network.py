# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Write the int8 form of an ncnn network, as ncnn's own tools do.

A convolution in int8 has one scale per output channel for its weights and one for all that it
reads: ``int8 = round(scale * float)``. ncnn turns what a layer reads into int8, sums up in int32
and gives float again, so layers in float and in int8 stand side by side. In the files: parameter
8 of the layer is 2, the weights have the tag of int8, and behind the bias follow the scales of
the weights and that of the input, in float32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lite_detector.core.types import FloatArray
from lite_detector.export.import_ncnn import StoredLayer
from lite_detector.export.ncnn_files import param_text, tagged
from lite_detector.train.models.conv_weights import ConvWeights
import numpy as np
import numpy.typing as npt

INT8_TERM = 8
"""Number of the parameter that says whether a layer is in int8."""
PER_CHANNEL = 2
INT8_MAX = 127
WINOGRAD_MAX = 31
"""
3 x 3 at stride 1 goes through Winograd's transform, which adds up weights: 6 bits leave it room.
"""


class NcnnText(NamedTuple):
    """The two files of a network."""

    param: str
    weights: bytes


def candidates(network: Sequence[StoredLayer]) -> list[StoredLayer]:
    """
    Return the layers that can be int8: all convolutions but depthwise and linear ones.

    Depthwise convolutions cost accuracy and are slower in int8 than in float.
    """
    return [stored for stored in network if stored.layer.kind == 'Convolution']


def quantize_weight(convolution: ConvWeights) -> tuple[npt.NDArray[np.int8], FloatArray]:
    """
    Return a weight in int8 and its scales.

    :return: int8 of the weight's shape; scale of each output channel, float32, shape (out,).
    """
    shape, weight = convolution.shape, convolution.weight
    winograd = (shape.kernel_size, shape.stride, shape.dilation) == (3, 1, 1)
    peaks = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    # a channel of zeros has no range: any scale will do
    scales = (WINOGRAD_MAX if winograd else INT8_MAX) / np.where(peaks > 0, peaks, 1)
    scales = scales.astype(np.float32)
    return np.rint(weight * scales[:, None, None, None]).astype(np.int8), scales


def write_int8(network: Sequence[StoredLayer], thresholds: Mapping[str, float]) -> NcnnText:
    """
    Return the files of a network with some layers in int8.

    :param network: in float.
    :param thresholds: name of each layer that is to be int8, one of :func:`candidates` -> the
        largest absolute input that it can tell from larger ones, above 0.
    """
    layers, chunks = [], []
    for layer, convolution, data in network:
        if layer.name in thresholds:
            layer = layer.with_option(INT8_TERM, PER_CHANNEL)
            weight, scales = quantize_weight(convolution)
            bias = convolution.bias if layer.option(5) else convolution.bias[:0]
            data = b''.join((tagged(weight), bias.astype('<f4').tobytes(),
                             scales.astype('<f4').tobytes(),
                             np.array(INT8_MAX / thresholds[layer.name], '<f4').tobytes()))
        layers.append(layer)
        chunks.append(data)
    return NcnnText(param_text(layers), b''.join(chunks))


def calibration_table(network: Sequence[StoredLayer], thresholds: Mapping[str, float]) -> str:
    """
    Return the scales as the text that ncnn's tools exchange (``ncnn2table``, ``ncnn2int8``).

    First a line per layer with the scales of its weights, then one with that of its input.
    """
    chosen = [stored for stored in network if stored.layer.name in thresholds]
    lines = [' '.join((f'{layer.name}_param_0', *(f'{scale:.6f}' for scale
                                                  in quantize_weight(convolution)[1])))
             for layer, convolution, _ in chosen]
    lines += [f'{layer.name} {INT8_MAX / thresholds[layer.name]:.6f}' for layer, _, _ in chosen]
    return '\n'.join(lines) + '\n'
