# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Export a torch network to ONNX, for ONNX Runtime and the dnn module of OpenCV 5."""

from __future__ import annotations

from collections.abc import Sequence
import io
from pathlib import Path
from typing import Any
import warnings

from lite_detector.core.model_card import OnnxFiles
from lite_detector.core.types import ImageSize
from lite_detector.export.half_weights import in_half, sums_many
from lite_detector.train.models.rep_conv import fold
from lite_detector.train.torch_workarounds import onnx_integer, onnx_sizes
import numpy as np
import onnx
from onnx import helper, numpy_helper
import torch
from torch import nn
from torch.onnx import register_custom_op_symbolic

OPSET = 13
FIXED_FILE = 'model.fixed.onnx'


def write_onnx(model: nn.Module, folder: Path, input_size: ImageSize,
               outputs: Sequence[str]) -> OnnxFiles:
    """
    Write ``model.onnx``: one image, any height and width that are multiples of the stride.

    Weights are stored in half precision, as described in :func:`store_half_onnx`.

    :param model: Network on the CPU; it stays unchanged, a folded copy is written.
    :param folder: Output folder.
    :param input_size: Input size of the trace in network pixels.
    :param outputs: Names of the outputs.
    :return: File entry of the card.
    :raises ModelError: if a weight is beyond the range of half precision.
    :raises OSError: if it cannot be written.
    """
    files = OnnxFiles('model.onnx', 'images', tuple(outputs))
    axes = {files.input: {2: 'height', 3: 'width'}}
    axes |= {name: {2: f'{name}_rows', 3: f'{name}_columns'} for name in outputs}
    graph = _onnx_graph(model, input_size, files, axes)
    store_half_onnx(graph)
    (folder / files.file).write_bytes(graph.SerializeToString())
    return files


def write_fixed_onnx(model: nn.Module, folder: Path, input_size: ImageSize,
                     outputs: Sequence[str]) -> OnnxFiles:
    """
    Write ``model.fixed.onnx``: one image of one size, the form for NPU compilers.

    Every shape is a constant and every weight is in single precision.

    :param model: Network on the CPU; it stays unchanged, a folded copy is written.
    :param folder: Output folder.
    :param input_size: The only input size of the file, in network pixels.
    :param outputs: Names of the outputs.
    :return: File entry of a card.
    :raises OSError: if it cannot be written.
    """
    files = OnnxFiles(FIXED_FILE, 'images', tuple(outputs))
    graph = _onnx_graph(model, input_size, files, None)
    (folder / files.file).write_bytes(graph.SerializeToString())
    return files


def _onnx_graph(model: nn.Module, input_size: ImageSize, files: OnnxFiles,
                axes: dict[str, dict[int, str]] | None) -> onnx.ModelProto:
    data: Any = io.BytesIO()  # which torch takes too; its types name only paths
    register_custom_op_symbolic('aten::channel_shuffle', _shuffle, OPSET)
    with warnings.catch_warnings():
        # The recommended exporter needs onnxscript and more; this one is enough for networks of
        # convolutions.
        warnings.simplefilter('ignore')
        torch.onnx.export(fold(model), (torch.zeros(1, 3, *input_size),), data, dynamo=False,
                          opset_version=OPSET, input_names=[files.input],
                          output_names=list(files.outputs), dynamic_axes=axes)
    return onnx.load_from_string(data.getvalue())


def _shuffle(graph: Any, features: Any, groups: Any) -> Any:
    """
    Return a channel shuffle of one image as Reshape / Transpose / Reshape.

    All shapes are constants. The equivalent Gather with a constant permutation is computed wrongly
    by
    OpenVINO 2025.4 and 2026.4: they fold it into the next convolution with the inverse permutation
    (AP 0.01). Shapes read from the tensor would be 40 operations.
    """
    count = onnx_integer(groups, 'groups')
    _, channels, height, width = onnx_sizes(features)
    assert channels is not None, 'a convolution made them'

    def reshape(value: Any, shape: list[int]) -> Any:
        return graph.op('Reshape', value, graph.op('Constant', value_t=torch.tensor(shape)))

    if height is None or width is None:
        # 0 keeps the width, -1 infers the height; with two zeros torch 2.13 fails an assertion
        apart, order, joined = [count, channels // count, -1, 0], [1, 0, 2, 3], [-1, 0]
    else:  # the form that compilers recognise
        apart = [1, count, channels // count, height, width]
        order, joined = [0, 2, 1, 3, 4], [height, width]
    turned = graph.op('Transpose', reshape(features, apart), perm_i=order)
    shuffled = reshape(turned, [1, channels, *joined])
    shuffled.setType(features.type())  # torch loses the channels, which the next shuffle needs
    return shuffled


def store_half_onnx(model: onnx.ModelProto) -> None:
    """
    Store the weights of convolutions in half precision where an output sums many products.

    A Cast node precedes each weight. ONNX Runtime runs it once, when it loads the network, and
    computes in single precision.

    :param model: Model with convolutions in single precision; changed in place.
    :raises ModelError: if a weight is beyond the range of half precision.
    """
    graph = model.graph
    weights = {name for node in graph.node if node.op_type == 'Conv' for name in node.input[1:2]}
    casts = []
    for stored in graph.initializer:
        weight = numpy_helper.to_array(stored)
        if stored.name in weights and weight.dtype == np.float32 and sums_many(weight):
            half = f'{stored.name}_half'
            casts.append(helper.make_node('Cast', [half], [stored.name],
                                          to=onnx.TensorProto.FLOAT))
            stored.CopyFrom(numpy_helper.from_array(in_half(weight, stored.name), half))
    for cast in reversed(casts):
        graph.node.insert(0, cast)
