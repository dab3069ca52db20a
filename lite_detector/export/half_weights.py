# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Store the weights of an exported network in half precision where that costs no accuracy.

In an output that is the sum of hundreds of products, rounding errors cancel. Depthwise
convolutions and the first one sum only nine to 27 products and have few weights, so they stay in
single precision. This makes the file 2 % larger and the largest output difference 6 times smaller.
With all layers in half precision, 3 of 513 boxes are not matched. (Measured on NanoDet-m and
YOLOv5-Lite s.)
"""

from __future__ import annotations

from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.export.import_ncnn import read_convolutions
from lite_detector.export.ncnn_files import tagged
from lite_detector.train.weights.conv_weights import FEW_PRODUCTS
import numpy as np
import numpy.typing as npt


def store_half(param: Path, source: Path, target: Path) -> None:
    """
    Rewrite the weights of convolutions, in half precision where an output sums many products.

    :param param: Graph file (``.param``).
    :param source: File of its weights in single precision.
    :param target: Output file, different from ``source``.
    :raises ModelError: if the network has layers with weights other than convolutions, or weights
        beyond the range of half precision.
    :raises OSError: if it cannot be written.
    """
    chunks = []
    for layer in read_convolutions(param, source):
        half = sums_many(layer.weight)
        stored = in_half(layer.weight, layer.name) if half else layer.weight.astype('<f4')
        chunks += [tagged(stored), layer.bias.astype('<f4').tobytes()]
    target.write_bytes(b''.join(chunks))
    read_convolutions(param, target)  # raises an error for a layer without bias


def sums_many(weight: npt.NDArray[np.float32]) -> bool:
    """Return whether half precision is accurate; shape (outputs, inputs, height, width)."""
    return weight[0].size > FEW_PRODUCTS


def in_half(weight: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float16]:
    """
    Return a weight in half precision.

    :param weight: Weights in single precision.
    :param name: Name of the layer.
    :raises ModelError: if a value is beyond the range of half precision.
    """
    with np.errstate(over='ignore'):
        half = weight.astype('<f2')
    if not np.isfinite(half).all():
        raise ModelError(f'layer {name} has a weight of {np.abs(weight).max():.3g}; expected '
                         'finite weights of at most 65504; the training diverged')
    return half
