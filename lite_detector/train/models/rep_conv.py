# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parts that train as several branches and are served as one convolution."""

from __future__ import annotations

import copy
from typing import Protocol, runtime_checkable

from lite_detector.train.models.blocks import Activation, conv_bn
import torch
from torch import nn, Tensor
from torch.nn import functional


@runtime_checkable
class Foldable(Protocol):
    """A part of a network that has a cheaper form for serving."""

    def folded(self) -> nn.Module:
        """Return a part that gives the same in evaluation mode; this one stays as it is."""


def fold(model: nn.Module) -> nn.Module:
    """
    Return a copy of a network in evaluation mode in which every part is folded that can be.

    :param model: left as it is; checkpoints keep this form, because only it can be trained.
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
    A 3x3 and a 1x1 convolution side by side, whose results are added before the activation.

    RepVGG (Ding et al., 2021, arXiv:2101.03697) without the branch that only passes the input,
    as in DAMO-YOLO.

    :param stride: 1 or 2.
    :param activation: None leaves it out.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int = 1,
                 activation: Activation | None = None) -> None:
        super().__init__()
        self.dense = nn.Sequential(*conv_bn(in_channels, out_channels, 3, stride=stride))
        self.point = nn.Sequential(*conv_bn(in_channels, out_channels, stride=stride))
        self.activation = nn.Identity() if activation is None else activation()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return shape (n, out_channels, h / stride, w / stride)."""
        return self.activation(self.dense(inputs) + self.point(inputs))

    @torch.no_grad()
    def folded(self) -> nn.Module:
        """Return one 3x3 convolution, with the statistics of batch norm that there are now."""
        dense, _ = self.dense
        (kernel, bias), (point, point_bias) = map(_fused, (self.dense, self.point))
        conv = nn.Conv2d(dense.in_channels, dense.out_channels, 3, dense.stride, 1)
        conv.to(kernel)
        # the 1x1 kernel is a 3x3 kernel that looks at its middle only
        conv.weight.copy_(kernel + functional.pad(point, (1, 1, 1, 1)))
        conv.bias.copy_(bias + point_bias)
        folded = nn.Sequential(conv, self.activation)
        return folded.train(self.training)


def _fused(branch: nn.Sequential) -> tuple[Tensor, Tensor]:
    """Return weight and bias of a convolution that does what it and its batch norm do."""
    conv, norm = branch
    gain = norm.weight / (norm.running_var + norm.eps).sqrt()
    return conv.weight * gain[:, None, None, None], norm.bias - gain * norm.running_mean
