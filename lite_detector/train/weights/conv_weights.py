# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A convolution as files hold it: weights, bias and how it is applied."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from lite_detector.core.types import FloatArray

INT8_MAX = 127
WINOGRAD_MAX = 31
"""
3 x 3 at stride 1 goes through Winograd's transform, which adds up weights: 6 bits leave it room.
"""
FEW_PRODUCTS = 32
"""Layers whose outputs sum up no more products than this are stored in single precision."""


class ConvShape(NamedTuple):
    """Two convolutions with the same shape can hold each other's weights."""

    out_channels: int
    in_channels: int
    kernel_size: int
    stride: int
    padding: int
    groups: int
    dilation: int = 1

    @property
    def int8_levels(self) -> int:
        """Return how many steps either way int8 has for a weight."""
        winograd = (self.kernel_size, self.stride, self.dilation) == (3, 1, 1)
        return WINOGRAD_MAX if winograd else INT8_MAX

    def __str__(self) -> str:
        """Print as in ``3x3 convolution 24 -> 58, stride 2, padding 1, groups 1``."""
        dilation = f', dilation {self.dilation}' if self.dilation > 1 else ''
        return (f'{self.kernel_size}x{self.kernel_size} convolution {self.in_channels} -> '
                f'{self.out_channels}, stride {self.stride}, padding {self.padding}, '
                f'groups {self.groups}{dilation}')


@dataclass(frozen=True, eq=False)
class ConvWeights:
    """
    One convolution, with the batch norm that followed it fused into it.

    :param name: of the layer in its file.
    :param shape: what it is.
    :param weight: float32, shape (out, in / groups, kernel, kernel).
    :param bias: float32, shape (out,).
    """

    name: str
    shape: ConvShape
    weight: FloatArray
    bias: FloatArray
