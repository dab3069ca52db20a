# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A torch network as ncnn files: TorchScript, then pnnx."""

from __future__ import annotations

from collections.abc import Sequence
import io
from pathlib import Path
import warnings

from lite_detector.core.model_card import NcnnFiles
from lite_detector.core.types import ImageSize
from lite_detector.export.pnnx_tool import convert
from lite_detector.train.models.rep_conv import fold
import torch
from torch import nn


def write_ncnn(model: nn.Module, folder: Path, input_size: ImageSize,
               outputs: Sequence[str]) -> NcnnFiles:
    """
    Write ``model.param`` and ``model.bin``, weights in half precision, batch norm fused.

    The trace has a fixed size, because pnnx knows the channel shuffle only then (with a free
    size: 26 times slower). A network of convolutions that ends in raw heads is right at any
    other size all the same; the parity check looks at one.

    :param model: on the CPU; left as it is, what is written is folded.
    :param folder: where the files go.
    :param input_size: network input to trace it with.
    :param outputs: a name per output.
    :return: what the card has to say.
    :raises ModelError: if pnnx fails or makes something that ncnn does not know.
    :raises OSError: if a file cannot be written.
    """
    files = NcnnFiles('model.param', 'model.bin', 'images', tuple(outputs))
    data = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # that sizes become constants is what is wanted
        traced = torch.jit.trace(fold(model), torch.zeros(1, 3, *input_size), check_trace=False)
        torch.jit.save(traced, data)
    convert(data.getvalue(), folder, input_size, files)
    return files
