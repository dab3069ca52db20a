# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Convolutions that train with what int8 will make of them.

Weights and inputs are rounded as in the int8 form of the exported network, and stay float: the
network feels what int8 costs and learns to do with it (Jacob et al., 2018, arXiv:1712.05877).
"""

from __future__ import annotations

from collections.abc import Mapping
import math

from lite_detector.core.types import ImageSize
from lite_detector.train.models.batch_norm import absorbed, only_add
from lite_detector.train.models.conv_weights import FEW_PRODUCTS, INT8_MAX
from lite_detector.train.models.fused import convolutions, shape_of
from lite_detector.train.models.layers import run_order
from lite_detector.train.models.rep_conv import fold, Foldable
import torch
from torch import nn, Tensor
from torch.nn import functional

THRESHOLD = 'log2_threshold'
"""Name of the parameter that a convolution in int8 has more than others."""
PROBE = ImageSize(128, 128)
"""An input of which no map is a single cell but those behind a mean over the whole map."""


def fake_quantize(values: Tensor, scale: Tensor, levels: int) -> Tensor:
    """
    Return values as int8 tells them apart: whole numbers of steps of 1 / scale.

    For the gradient a rounding is none (Bengio et al., 2013, arXiv:1308.3432). So a value has the
    gradient of what comes out, or none where it is beyond the range; and that of the scale is as
    in LSQ (Esser et al., 2020, arXiv:1902.08153).

    :param values: of any shape, float32.
    :param scale: steps per unit, above 0; its shape can be broadcast to that of the values.
    :param levels: how many steps there are either way; values beyond get the last one.
    """
    inside = (values * scale).clamp(-levels, levels)
    return (inside + (inside.round() - inside).detach()) / scale


@torch.no_grad()
def weight_scales(weight: Tensor, levels: int) -> Tensor:
    """
    Return the scale of each output channel, with which its largest weight takes the last step.

    :param weight: shape (out, in, kernel, kernel).
    :return: shape (out, 1, 1, 1); ``levels`` for a channel of zeros, for which any will do.
    """
    peaks = weight.abs().amax((1, 2, 3), keepdim=True)
    return levels / torch.where(peaks > 0, peaks, 1)


class Int8Conv(nn.Conv2d):
    """
    A convolution that gives what ncnn will give in int8, up to the order of sums.

    The scales of its weights follow from the weights, as export has it. The threshold, the
    largest input that it can tell from larger ones, is learnt: as its logarithm, which has no
    sign to lose and moves by the same share of any threshold (Jain et al., 2020,
    arXiv:1903.08066).

    :param conv: without groups, whose parameters it takes over.
    :param threshold: above 0.
    """

    def __init__(self, conv: nn.Conv2d, threshold: float) -> None:
        super().__init__(conv.in_channels, conv.out_channels, conv.kernel_size, conv.stride,
                         conv.padding, conv.dilation, bias=conv.bias is not None, device='meta')
        self.weight, self.bias = conv.weight, conv.bias
        self.log2_threshold = nn.Parameter(
            torch.tensor(math.log2(threshold), device=conv.weight.device),
            requires_grad=conv.weight.requires_grad)
        self.train(conv.training)

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what a convolution does."""
        inputs = inputs.float()  # half precision could not hold the gradient of the threshold
        # so many values pull at one number: the factor of LSQ makes its gradient like that of a
        # weight, lest it fill the norm that gradients are clipped by
        log2_threshold = with_gradient_times(self.log2_threshold,
                                             (inputs.numel() * INT8_MAX) ** -0.5)
        inputs = fake_quantize(inputs, INT8_MAX * torch.exp2(-log2_threshold), INT8_MAX)
        return functional.conv2d(inputs, self.int8_weight(), self.bias, self.stride,
                                 self.padding, self.dilation)

    def int8_weight(self) -> Tensor:
        """Return the weight as int8 holds it; its gradient is that of the weight itself."""
        levels = shape_of(self).int8_levels
        stored = self.weight.detach()
        if stored[0].numel() > FEW_PRODUCTS:
            stored = stored.half().float()  # as the exported file has it
        rounded = fake_quantize(stored, weight_scales(stored, levels), levels)
        return self.weight + (rounded - self.weight).detach()


def with_gradient_times(value: Tensor, factor: float) -> Tensor:
    """Return a value as it is, whose gradient is ``factor`` times as large."""
    scaled = value * factor
    return scaled + (value - scaled).detach()


def int8_candidates(model: nn.Module) -> dict[str, nn.Conv2d]:
    """
    Return name -> convolution, in the order in which they run, of all that int8 computes.

    That is what ncnn calls a Convolution in the exported network: without groups, and not behind
    a mean over the whole map.

    :param model: left as it was.
    """
    folded = fold(model)
    names = {layer: name for name, layer in folded.named_modules()}
    return {names[conv]: model.get_submodule(names[conv])
            for conv, shape in run_order(folded, (nn.Conv2d,), PROBE)
            if conv.groups == 1 and shape[2:] != (1, 1)}


@torch.no_grad()
def settle(model: nn.Module) -> None:
    """
    Put into the convolutions what export will fuse with them, and keep what the network gives.

    Re-parameterised branches become one, and batch norms that do nothing but add a bias, whose
    statistics stay. So the weights that are rounded are those of the exported file. The layout is
    as it was: the parameters that are left over no longer learn.

    :param model: changed in place.
    """
    for part in [*model.modules()]:
        if isinstance(part, Foldable):
            part.settle()
    for conv, norm in convolutions(model):
        if norm is not None:
            weight, bias = absorbed(conv, norm)
            conv.weight.copy_(weight)
            only_add(norm, bias)
            norm.weight.requires_grad_(False)


def put_in_int8(model: nn.Module, thresholds: Mapping[str, float]) -> None:
    """
    Let convolutions compute in int8.

    :param model: settled; changed in place.
    :param thresholds: name of each, one of :func:`int8_candidates` -> its largest input.
    """
    for name, threshold in thresholds.items():
        parent, _, last = name.rpartition('.')
        setattr(model.get_submodule(parent), last,
                Int8Conv(model.get_submodule(name), threshold))


def thresholds_of(weights: Mapping[str, Tensor]) -> dict[str, float]:
    """
    Return name -> threshold of the convolutions in int8; none of a network in float.

    :param weights: a state dict.
    """
    return {name.removesuffix(f'.{THRESHOLD}'): 2 ** float(value)
            for name, value in weights.items() if name.endswith(f'.{THRESHOLD}')}


def without_thresholds(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict as the network in float has it."""
    return {name: value for name, value in weights.items() if not name.endswith(f'.{THRESHOLD}')}
