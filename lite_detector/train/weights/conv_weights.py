# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A convolution as stored in files: weights, bias and shape."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lite_detector.core.types import FloatArray

INT8_MAX = 127
WINOGRAD_MAX = 31
"""
Largest int8 weight of a 3 x 3 convolution at stride 1: 6 bits leave room for the sums of weights
in Winograd's transform.
"""
FEW_PRODUCTS = 32
"""Largest number of products per output of layers that are stored in single precision."""


class ConvShape(NamedTuple):
    """Shape of a convolution; two convolutions of equal shape can exchange weights."""

    out_channels: int
    in_channels: int
    kernel_size: int
    stride: int
    padding: int
    groups: int
    dilation: int = 1

    @property
    def int8_levels(self) -> int:
        """Return the largest absolute int8 value of a weight."""
        winograd = (self.kernel_size, self.stride, self.dilation) == (3, 1, 1)
        return WINOGRAD_MAX if winograd else INT8_MAX

    def __str__(self) -> str:
        """Format as in ``3x3 convolution 24 -> 58, stride 2, padding 1, groups 1``."""
        dilation = f', dilation {self.dilation}' if self.dilation > 1 else ''
        return (f'{self.kernel_size}x{self.kernel_size} convolution {self.in_channels} -> '
                f'{self.out_channels}, stride {self.stride}, padding {self.padding}, '
                f'groups {self.groups}{dilation}')


@dataclass(frozen=True, eq=False)
class ConvWeights:
    """
    One convolution, with its batch norm fused into it.

    :param name: Name of the layer in its file.
    :param shape: Shape of the convolution.
    :param weight: Weights, float32, shape (out, in / groups, kernel, kernel).
    :param bias: Biases, float32, shape (out,).
    """

    name: str
    shape: ConvShape
    weight: FloatArray
    bias: FloatArray
