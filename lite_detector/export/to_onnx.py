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
import torch
from torch import nn

OPSET = 13


def write_onnx(model: nn.Module, folder: Path, input_size: ImageSize,
               outputs: Sequence[str]) -> OnnxFiles:
    """
    Write ``model.onnx``: one image, any height and width on the grid of the network.

    :param model: on the CPU; put into evaluation mode.
    :param folder: where the file goes.
    :param input_size: network input to trace it with.
    :param outputs: a name per output.
    :return: what the card has to say.
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
        torch.onnx.export(model.eval(), (torch.zeros(1, 3, *input_size),), data, dynamo=False,
                          opset_version=OPSET, input_names=[files.input],
                          output_names=list(outputs), dynamic_axes=axes)
    (folder / files.file).write_bytes(data.getvalue())
    return files
