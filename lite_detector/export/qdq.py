# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The int8 form of an ONNX network: QuantizeLinear and DequantizeLinear around float layers (QDQ).

Layers, scales and rounding are those of the ncnn form (int8_network.py). Layer inputs are uint8
around 128 for OpenVINO and the CPU, or int8 around 0. TensorRT takes only int8 around 0, and
OpenVINO 2025.4 computes it with an error of 33 %.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.core.types import FloatArray
from lite_detector.export.import_ncnn import StoredLayer
from lite_detector.export.int8_network import quantize_weight
from lite_detector.train.weights.conv_weights import INT8_MAX
import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

HALF = 1e-3
"""Tolerance of equal weights, as a share of the largest one, for files in half precision."""


def write_qdq(path: Path, network: Sequence[StoredLayer], thresholds: Mapping[str, float],
              signed: bool) -> bytes:
    """
    Return an ONNX file with some convolutions in int8.

    :param path: Network in float, as ``export`` writes it.
    :param network: Layers of the same network from ncnn's files.
    :param thresholds: Name of each ncnn layer to convert -> its largest absolute input.
    :param signed: Whether layer inputs are int8 around 0.
    :raises ModelError: if it is not an ONNX file or one of these layers is missing.
    """
    try:
        model = onnx.load(path)
    except Exception:  # an error of protobuf, in one of two libraries
        raise ModelError(f'{path}: not an ONNX file') from None
    graph = model.graph
    left = [stored for stored in network if stored.layer.name in thresholds]
    zero = np.int8(0) if signed else np.uint8(128)
    read: dict[tuple[str, float], str] = {}  # layers with the same input share its rounding
    nodes: list[onnx.NodeProto] = []
    weights = _weights(graph)
    for node in graph.node:
        stored = _find(left, weights.get(node.input[1])) if node.op_type == 'Conv' else None
        if stored is not None:
            left.remove(stored)
            name = stored.layer.name
            scale = thresholds[name] / INT8_MAX
            key = node.input[0], scale
            if key not in read:
                nodes += _rounded(graph, node.input[0], name, np.float32(scale), zero)
                read[key] = f'{name}_read'
            weight, scales = quantize_weight(stored.weights)
            nodes.append(_dequantize(graph, name, weight, np.float32(1) / scales))
            node.input[0], node.input[1] = read[key], f'{name}_weight'
        nodes.append(node)
    if left:
        raise ModelError(f'{path}: no convolution with the weights of {left[0].layer.name} in the '
                         'ncnn files; expected files of the same network')
    used = {name for node in nodes for name in node.input}
    nodes = [node for node in nodes if node.op_type != 'Cast' or node.output[0] in used]
    used = {name for node in nodes for name in node.input}
    kept = [stored for stored in graph.initializer if stored.name in used]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    return model.SerializeToString()


def _weights(graph: onnx.GraphProto) -> dict[str, FloatArray]:
    """Return name -> weights in single precision, including the outputs of Cast nodes."""
    arrays = {stored.name: numpy_helper.to_array(stored) for stored in graph.initializer}
    for node in graph.node:
        if node.op_type in ('Cast', 'Identity') and node.input[0] in arrays:
            arrays[node.output[0]] = arrays[node.input[0]].astype(np.float32)
    return arrays


def _find(layers: Sequence[StoredLayer], weight: FloatArray | None) -> StoredLayer | None:
    if weight is None:
        return None
    for stored in layers:
        other = stored.weights.weight
        if weight.shape == other.shape and np.allclose(weight, other, rtol=0,
                                                       atol=HALF * np.abs(other).max()):
            return stored
    return None


def _rounded(graph: onnx.GraphProto, source: str, name: str, scale: np.float32,
             zero: np.generic) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that round a layer input to int8 and convert it back to float."""
    parameters = [f'{name}_scale', f'{name}_zero']
    graph.initializer.extend(numpy_helper.from_array(np.array(value), parameter) for value,
                             parameter in zip((scale, zero), parameters, strict=True))
    yield helper.make_node('QuantizeLinear', [source, *parameters], [f'{name}_int8'])
    yield helper.make_node('DequantizeLinear', [f'{name}_int8', *parameters], [f'{name}_read'])


def _dequantize(graph: onnx.GraphProto, name: str, weight: npt.NDArray[np.int8],
                scales: FloatArray) -> onnx.NodeProto:
    parts: dict[str, npt.NDArray[np.generic]] = {
        f'{name}_weight_int8': weight, f'{name}_weight_scale': scales.astype(np.float32),
        f'{name}_weight_zero': np.zeros(len(scales), np.int8)}
    graph.initializer.extend(numpy_helper.from_array(value, part)
                             for part, value in parts.items())
    return helper.make_node('DequantizeLinear', list(parts), [f'{name}_weight'], axis=0)
