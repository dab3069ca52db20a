# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Inspect a network: the order of its layers, their cost, and the graph of its operations."""

from __future__ import annotations

from lite_detector.core.types import ImageSize
import torch
from torch import fx, nn, Tensor

SMALLEST = ImageSize(64, 64)
"""Size whose sides are multiples of every stride."""


class LayerTracer(fx.Tracer):
    """A tracer for which every convolution and batch norm is one operation, also a subclass."""

    def is_leaf_module(self, module: nn.Module, name: str) -> bool:
        """Return whether a module is one operation of the graph."""
        return isinstance(module, (nn.Conv2d, nn.BatchNorm2d)) or super().is_leaf_module(
            module, name)


@torch.no_grad()
def run_order(model: nn.Module, kinds: tuple[type[nn.Module], ...],
              input_size: ImageSize = SMALLEST) -> list[tuple[nn.Module, tuple[int, ...]]]:
    """
    Return the layers of these kinds in the order of execution.

    :param model: Network; it stays unchanged, batch norm statistics included.
    :param kinds: Layer types, for example ``(nn.Conv2d,)``.
    :param input_size: Size of the test image.
    :return: Pairs of a layer and its output shape, batch axis included.
    """
    order: list[tuple[nn.Module, tuple[int, ...]]] = []

    def note(layer: nn.Module, _: object, output: Tensor) -> None:
        order.append((layer, tuple(output.shape)))

    hooks = [layer.register_forward_hook(note) for layer in model.modules()
             if isinstance(layer, kinds)]
    was_training = model.training
    try:
        model.eval()(torch.zeros(1, 3, *input_size, device=next(model.parameters()).device))
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    return order


def count_parameters(model: nn.Module) -> int:
    """Return the number of trainable parameters; batch norm has two per channel."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, input_size: ImageSize) -> int:
    """
    Return the multiply-accumulate operations of one image in convolutions and linear layers.

    Some authors (DAMO-YOLO for one) print twice this number and call it FLOPs.

    :param model: Network whose input is an image.
    :param input_size: Input size in network pixels.
    """
    macs = 0
    for layer, shape in run_order(model, (nn.Conv2d, nn.Linear), input_size):
        # each weight is used once per position; a linear layer has one position
        positions = shape[2] * shape[3] if isinstance(layer, nn.Conv2d) else 1
        macs += layer.get_parameter('weight').numel() * positions
    return macs
