# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Layers that train as several branches and are deployed as one convolution."""

from __future__ import annotations

from collections import OrderedDict
import copy
from typing import Protocol, runtime_checkable

from lite_detector.train.models.batch_norm import absorbed
from lite_detector.train.models.blocks import bias_of, conv_bn, MakeActivation
import torch
from torch import nn, Tensor
from torch.nn import functional


@runtime_checkable
class Foldable(Protocol):
    """A part of a network that has a cheaper form for deployment."""

    def folded(self) -> nn.Module:
        """
        Return a part with the same outputs in evaluation mode; this one stays unchanged.

        Its convolutions keep their names.
        """


def fold(model: nn.Module) -> nn.Module:
    """
    Return a copy of a network in evaluation mode with all foldable parts folded.

    :param model: Network; it stays unchanged, because only the unfolded form can be trained.
    """
    return _fold(copy.deepcopy(model).eval())


def _fold(part: nn.Module) -> nn.Module:
    if isinstance(part, Foldable):
        return part.folded()
    for name, child in part.named_children():
        setattr(part, name, _fold(child))
    return part


class RepConv(nn.Module):
    """
    A 3x3 and a 1x1 convolution in parallel, whose results are added before the activation.

    This is RepVGG (Ding et al., 2021, arXiv:2101.03697) without the identity branch, as in
    DAMO-YOLO.

    :param stride: Stride of both convolutions, 1 or 2.
    :param activation: Activation after the sum, or None.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1,
                 activation: MakeActivation | None = None) -> None:
        super().__init__()
        self.dense = nn.Sequential(*conv_bn(in_channels, out_channels, 3, stride=stride))
        self.point = nn.Sequential(*conv_bn(in_channels, out_channels, stride=stride))
        self.activation = nn.Identity() if activation is None else activation()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return a feature map, shape (n, out_channels, h / stride, w / stride)."""
        return self.activation(self.dense(inputs) + self.point(inputs))

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """Return one 3x3 convolution, with the current statistics of batch norm."""
        dense = self.dense[0]
        assert isinstance(dense, nn.Conv2d)
        weight, bias = self._as_one()
        conv = nn.Conv2d(dense.in_channels, dense.out_channels, 3, dense.stride[0], 1)
        conv.to(weight)
        conv.weight.copy_(weight)
        bias_of(conv).copy_(bias)
        folded = nn.Sequential(OrderedDict(dense=nn.Sequential(conv), activation=self.activation))
        return folded.train(self.training)

    def _as_one(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of one 3x3 convolution that replaces both."""
        (kernel, bias), (point, point_bias) = (absorbed(*branch)
                                               for branch in (self.dense, self.point))
        # a 1x1 kernel is a 3x3 kernel that is zero except in its centre
        return kernel + functional.pad(point, (1, 1, 1, 1)), bias + point_bias
