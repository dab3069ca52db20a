# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Batch norm: fold it into a convolution, and measure its statistics."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn, Tensor


@torch.no_grad()
def absorbed(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """
    Return weight and bias of a convolution that replaces a convolution and its batch norm.

    :param conv: Convolution without a bias.
    :param norm: Batch norm after it, with its current statistics.
    """
    running_mean, running_var = _statistics(norm)
    gain = norm.weight / (running_var + norm.eps).sqrt()
    return conv.weight * gain[:, None, None, None], norm.bias - gain * running_mean


@torch.no_grad()
def only_add(norm: nn.BatchNorm2d, bias: Tensor) -> None:
    """Make a batch norm add only a bias in evaluation mode."""
    norm.weight.fill_(1.0)
    norm.bias.copy_(bias)
    running_mean, running_var = _statistics(norm)
    running_mean.zero_()
    running_var.fill_(1.0 - norm.eps)


@torch.no_grad()
def measure_batch_norm(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """
    Measure the statistics of every batch norm; the network's function stays the same.

    An imported batch norm only adds a bias: its stored statistics are mean 0 and variance 1. In
    training mode it would divide by the true deviation and so change the trained function. This
    function adjusts scale and shift to the new statistics. In evaluation mode the outputs stay
    the same, in training mode nearly the same.

    :param model: Network; it stays in evaluation mode.
    :param batches: Network inputs, shape (n, 3, h, w); some hundred images in all.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    sums = {norm: torch.zeros(3, norm.num_features, dtype=torch.float64) for norm in norms}

    def add(norm: nn.BatchNorm2d, inputs: tuple[Tensor, ...]) -> None:
        values = inputs[0].double()
        count = torch.full((norm.num_features,), values.numel() / norm.num_features)
        sums[norm] += torch.stack((count.to(values), values.sum((0, 2, 3)),
                                   values.square().sum((0, 2, 3)))).cpu()

    hooks = [norm.register_forward_pre_hook(add) for norm in norms]
    try:
        model.eval()
        for images in batches:
            model(images)
    finally:
        for hook in hooks:
            hook.remove()
    for norm, (count, total, squares) in sums.items():
        running_mean, running_var = _statistics(norm)
        mean = (total / count).to(running_mean)
        variance = (squares / count - (total / count) ** 2).clamp(min=0).to(running_var)
        gain = norm.weight / (running_var + norm.eps).sqrt()
        norm.bias.add_(gain * (mean - running_mean))
        norm.weight.copy_(gain * (variance + norm.eps).sqrt())
        running_mean.copy_(mean)
        running_var.copy_(variance)


@torch.no_grad()
def renew_statistics(model: nn.Module, batches: Iterable[Tensor]) -> None:
    """
    Measure the statistics of every batch norm, with constant scale and shift.

    After channels are removed before it, a batch norm then outputs the mean and the deviation that
    it was trained for.

    :param model: Network; it stays in training mode.
    :param batches: Network inputs, shape (n, 3, h, w); some hundred images in all.
    """
    norms = [layer for layer in model.modules() if isinstance(layer, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the mean over all batches
    model.train()
    for images in batches:
        model(images)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


def has_statistics(model: nn.Module) -> bool:
    """Return whether the batch norms of a network have measured statistics."""
    return any(_statistics(layer)[0].any() for layer in model.modules()
               if isinstance(layer, nn.BatchNorm2d))


def _statistics(norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Return the running mean and variance, which every batch norm here has."""
    assert norm.running_mean is not None and norm.running_var is not None
    return norm.running_mean, norm.running_var
