# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A torch network as ncnn files: TorchScript, then pnnx."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import io
from pathlib import Path
import warnings

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import NcnnFiles
from lite_detector.core.types import FloatArray, ImageSize
from lite_detector.export.import_ncnn import StoredLayer
from lite_detector.export.pnnx_tool import convert
from lite_detector.train.models.batch_norm import absorbed
from lite_detector.train.models.conv_weights import ConvWeights
from lite_detector.train.models.fused import convolutions
from lite_detector.train.models.rep_conv import fold
import numpy as np
import torch
from torch import nn

HALF = 1e-3
"""Of the largest weight, which half precision may change."""


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


def ncnn_thresholds(model: nn.Module, thresholds: Mapping[str, float],
                    network: Sequence[StoredLayer]) -> dict[str, float]:
    """
    Return thresholds of convolutions by the names that their layers have in the ncnn files.

    :param model: what was written.
    :param thresholds: name of a convolution in torch -> threshold.
    :param network: what :func:`write_ncnn` made of it.
    :raises ModelError: if the convolutions of both are not the same ones in the same order.
    """
    folded = fold(model)
    names = {layer: name for name, layer in folded.named_modules()}
    convs = convolutions(folded)
    written = [stored.convolution for stored in network if stored.convolution is not None]
    if len(convs) != len(written):
        raise ModelError(f'{len(written)} convolutions in the ncnn files, but {len(convs)} in '
                         'torch: cannot tell whose the thresholds are')
    found = {}
    for (conv, norm), stored in zip(convs, written, strict=True):
        if names[conv] in thresholds:
            weight = conv.weight if norm is None else absorbed(conv, norm)[0]
            _check_same(names[conv], weight.detach().numpy(), stored)
            found[stored.name] = thresholds[names[conv]]
    return found


def _check_same(name: str, weight: FloatArray, stored: ConvWeights) -> None:
    """Raise ModelError if a weight is not, but for its precision, what a file has."""
    if weight.shape == stored.weight.shape and np.allclose(
            weight, stored.weight, rtol=0, atol=HALF * np.abs(weight).max()):
        return
    raise ModelError(f'layer {stored.name} of the ncnn files, a {stored.shape}, has other weights '
                     f'than {name} in torch: cannot tell whose the thresholds are')
