# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A torch network as ONNX, for ONNX Runtime and the dnn module of OpenCV 5."""

from __future__ import annotations

from collections.abc import Sequence
import io
from pathlib import Path
import warnings

from lite_detector.core.model_card import OnnxFiles
from lite_detector.core.types import ImageSize
from lite_detector.export.half_weights import in_half, sums_many
from lite_detector.train.models.rep_conv import fold
import numpy as np
import onnx
from onnx import helper, numpy_helper
import torch
from torch import nn

OPSET = 13


def write_onnx(model: nn.Module, folder: Path, input_size: ImageSize,
               outputs: Sequence[str]) -> OnnxFiles:
    """
    Write ``model.onnx``: one image, any height and width on the grid of the network.

    Weights are stored in half precision, as :func:`store_half_onnx` says.

    :param model: on the CPU; left as it is, what is written is folded.
    :param folder: where the file goes.
    :param input_size: network input to trace it with.
    :param outputs: a name per output.
    :return: what the card has to say.
    :raises ModelError: if half precision cannot hold a weight.
    :raises OSError: if it cannot be written.
    """
    files = OnnxFiles('model.onnx', 'images', tuple(outputs))
    axes = {files.input: {2: 'height', 3: 'width'}}
    axes |= {name: {2: f'{name}_rows', 3: f'{name}_columns'} for name in outputs}
    data = io.BytesIO()
    with warnings.catch_warnings():
        # The exporter that is recommended instead needs onnxscript and more; this one is enough
        # for networks of convolutions.
        warnings.simplefilter('ignore')
        torch.onnx.export(fold(model), (torch.zeros(1, 3, *input_size),), data, dynamo=False,
                          opset_version=OPSET, input_names=[files.input],
                          output_names=list(outputs), dynamic_axes=axes)
    graph = onnx.load_from_string(data.getvalue())
    store_half_onnx(graph)
    (folder / files.file).write_bytes(graph.SerializeToString())
    return files


def store_half_onnx(model: onnx.ModelProto) -> None:
    """
    Store the weights of convolutions in half precision where an output sums up many.

    A cast stands before each, which ONNX Runtime does once, when it loads the network: what it
    computes, it computes in single precision.

    :param model: with convolutions in single precision; changed in place.
    :raises ModelError: if a weight is too large for half precision.
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
