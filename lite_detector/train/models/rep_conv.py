# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parts that train as several branches and are served as one convolution."""

from __future__ import annotations

from collections import OrderedDict
import copy
from typing import Protocol, runtime_checkable

from lite_detector.train.models.batch_norm import absorbed
from lite_detector.train.models.blocks import conv_bn, MakeActivation
import torch
from torch import nn, Tensor
from torch.nn import functional


@runtime_checkable
class Foldable(Protocol):
    """A part of a network that has a cheaper form for serving."""

    def folded(self) -> nn.Module:
        """
        Return a part that gives the same in evaluation mode; this one stays as it is.

        Its convolutions have the names that they have here.
        """


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
                 activation: MakeActivation | None = None) -> None:
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
        weight, bias = self._as_one()
        conv = nn.Conv2d(dense.in_channels, dense.out_channels, 3, dense.stride, 1)
        conv.to(weight)
        conv.weight.copy_(weight)
        conv.bias.copy_(bias)
        folded = nn.Sequential(OrderedDict(dense=nn.Sequential(conv), activation=self.activation))
        return folded.train(self.training)

    def _as_one(self) -> tuple[Tensor, Tensor]:
        """Return weight and bias of a 3x3 convolution that does what both do."""
        (kernel, bias), (point, point_bias) = (absorbed(*branch)
                                               for branch in (self.dense, self.point))
        # the 1x1 kernel is a 3x3 kernel that looks at its middle only
        return kernel + functional.pad(point, (1, 1, 1, 1)), bias + point_bias
