# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Export a torch network to ncnn files: TorchScript, then pnnx."""

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

    The trace has a fixed size, because only then pnnx recognises the channel shuffle (with a
    variable size the network is 26 times slower). A network of convolutions that ends in raw heads
    is still correct at any other size; the parity check tests one.

    :param model: Network on the CPU; it stays unchanged, a folded copy is written.
    :param folder: Output folder.
    :param input_size: Input size of the trace in network pixels.
    :param outputs: Names of the outputs.
    :return: File entry of the card.
    :raises ModelError: if pnnx fails or writes operations that ncnn does not have.
    :raises OSError: if a file cannot be written.
    """
    files = NcnnFiles('model.param', 'model.bin', 'images', tuple(outputs))
    data = io.BytesIO()
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter('ignore')  # sizes become constants on purpose
        traced = torch.jit.trace(fold(model), torch.zeros(1, 3, *input_size), check_trace=False)
        torch.jit.save(traced, data)
    convert(data.getvalue(), folder, input_size, files)
    return files
