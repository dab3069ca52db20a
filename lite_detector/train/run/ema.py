# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Averages of weights: over the run, and between its start and its end."""

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
    A copy of a network whose weights follow the trained ones slowly.

    Batch norm statistics are averaged like weights. The decay ramps up, so that the first steps
    are not remembered for long.

    :param model: what is trained.
    :param spec: how slowly; None follows at once, and the copy equals the network.
    """

    def __init__(self, model: nn.Module, spec: EmaSpec | None) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._spec = spec

    @torch.no_grad()
    def update(self, model: nn.Module, iteration: int) -> None:
        """
        Take in the weights after a step.

        :param iteration: of that step, from 0.
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
    Return start + factor * (end - start), weight by weight.

    :param start: a state dict.
    :param end: another one of the same network; what is no float is taken from here.
    :param factor: 0 is the start, 1 the end.
    """
    return {name: torch.lerp(start[name].to(value), value, factor)
            if value.dtype.is_floating_point else value.clone() for name, value in end.items()}
