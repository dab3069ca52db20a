# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Weight averages: over the run, and between its start and its end."""

from __future__ import annotations

from collections.abc import Mapping
import copy
import math

from lite_detector.train.config.training import EmaSpec
from lite_detector.train.torch_workarounds import lerp_all_
import torch
from torch import nn, Tensor


class Ema:
    """
    Exponential moving average of the weights of a network.

    Batch norm statistics are averaged like weights. The decay ramps up, so that the first steps
    lose their influence soon.

    :param model: Network in training.
    :param spec: Settings of the average; None: the copy equals the network.
    """

    def __init__(self, model: nn.Module, spec: EmaSpec | None) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._spec = spec

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """
        Update the average after a step.

        :param model: Network in training.
        :param iteration: Index of that step, from 0.
        """
        decay = 0.0
        if self._spec is not None:
            decay = self._spec.decay * (1 - math.exp(-(iteration + 1) / self._spec.ramp))
        old = self.model.state_dict()
        floats = [(old[name], new.detach()) for name, new in model.state_dict().items()
                  if new.dtype.is_floating_point]
        averages, values = (list(column) for column in zip(*floats, strict=True))
        lerp_all_(averages, values, 1 - decay)
        for name, new in model.state_dict().items():
            if not new.dtype.is_floating_point:
                old[name].copy_(new)


def interpolate(start: Mapping[str, Tensor], end: Mapping[str, Tensor],
                factor: float) -> dict[str, Tensor]:
    """
    Return start + factor * (end - start) for each weight.

    :param start: State dict.
    :param end: State dict of the same network; values that are not float are taken from here.
    :param factor: Factor between 0 (the start) and 1 (the end).
    """
    return {name: torch.lerp(start[name].to(value), value, factor)
            if value.dtype.is_floating_point else value.clone() for name, value in end.items()}
