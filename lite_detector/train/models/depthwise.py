# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Depthwise convolution that also trains fast in bf16 on a CPU."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn, Tensor
from torch.nn import functional
from torch.nn.grad import conv2d_weight

TAPS = 3
"""Side of the kernels whose weight gradient is fast on a CPU."""


class DepthwiseConv2d(nn.Conv2d):
    """
    A convolution of each channel with its own kernel, without bias.

    In bf16 on a CPU, torch is slow at the gradients of stride 2 and of 5 x 5 kernels: they took
    half of a training step of NanoDet-Plus-m. There this layer computes the same gradients from
    operations that are fast. Replace it by ``nn.Conv2d`` when torch has fast ones.

    :param channels: Number of channels.
    :param kernel_size: Side of the kernel, odd.
    :param stride: Stride.
    """

    def __init__(self, channels: int, kernel_size: int, stride: int = 1) -> None:
        super().__init__(channels, channels, kernel_size, stride, (kernel_size - 1) // 2,
                         groups=channels, bias=False)
        self._is_slow = kernel_size in (3, 5) and (stride > 1 or kernel_size > TAPS)

    def forward(self, features: Tensor) -> Tensor:
        """Return the feature map, shape (n, channels, h / stride, w / stride)."""
        if (self._is_slow and features.dtype == torch.bfloat16 and features.is_cpu
                and torch.is_grad_enabled() and not torch.jit.is_tracing()):
            return _Depthwise.apply(features, self.weight.to(features.dtype), self.stride[0])
        return super().forward(features)


class _Depthwise(torch.autograd.Function):
    """The convolution with gradients from 3 x 3 kernels and convolutions of stride 1."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(features, weight)
        ctx.stride = stride
        return functional.conv2d(features, weight, None, stride, weight.shape[2] // 2,
                                 groups=len(weight))

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        features, weight = ctx.saved_tensors
        gradient = gradients[0].contiguous(memory_format=torch.channels_last)
        wants_features, wants_weight, _ = ctx.needs_input_grad
        return (_feature_gradient(gradient, features, weight, ctx.stride)
                if wants_features else None,
                _weight_gradient(gradient, features, weight, ctx.stride)
                if wants_weight else None, None)


def _feature_gradient(gradient: Tensor, features: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve the gradient, with zeros between its cells, with the mirrored kernel."""
    if stride > 1:
        spread = torch.zeros_like(features, memory_format=torch.channels_last)
        spread[:, :, ::stride, ::stride] = gradient
        gradient = spread
    return functional.conv2d(gradient, weight.flip(2, 3), None, 1, weight.shape[2] // 2,
                             groups=len(weight))


def _weight_gradient(gradient: Tensor, features: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Compute the gradient of a kernel from those of the 3 x 3 kernels at its corners."""
    side = weight.shape[2]
    margin = side // 2
    padded = functional.pad(features, (margin,) * 4)
    height, width = ((size - 1) * stride + TAPS for size in gradient.shape[2:])
    taps = weight[:, :, :TAPS, :TAPS].contiguous()
    result = torch.empty_like(weight)
    for top in {0, side - TAPS}:
        for left in {0, side - TAPS}:
            part = padded[:, :, top:top + height, left:left + width].contiguous(
                memory_format=torch.channels_last)
            result[:, :, top:top + TAPS, left:left + TAPS] = conv2d_weight(
                part, taps.shape, gradient, stride, groups=len(weight))
    return result
