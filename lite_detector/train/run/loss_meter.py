# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The losses of an epoch, summed without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lite_detector.train.run.figures import LOSS
import torch
from torch import Tensor


class LossMeter:
    """
    Sums of the terms of the loss over an epoch, in this process.

    :param mean: Function that averages a number over the processes.
    """

    def __init__(self, mean: Callable[[Tensor], Tensor]) -> None:
        self._mean = mean
        self._sums: dict[str, Tensor] = {}

    def add(self, terms: Mapping[str, Tensor]) -> None:
        """Add the terms of a step."""
        for name, term in terms.items():
            self._sums[name] = self._sums.get(name, 0) + term

    def figures(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Return terms averaged over the processes; every process must call it."""
        return {LOSS + name: self._mean(term).item() for name, term in terms.items()}

    def end_epoch(self, batches: int) -> dict[str, float]:
        """Return the means over the batches of an epoch, and start a new one."""
        means = self.figures({name: total / batches for name, total in self._sums.items()})
        self._sums = {}
        return means

    def state(self) -> dict[str, float]:
        """Return the sums, for the state of the run."""
        return {name: total.item() for name, total in self._sums.items()}

    def load_state(self, sums: Mapping[str, float], device: torch.device) -> None:
        """Resume from the result of :meth:`state`."""
        self._sums = {name: torch.tensor(total, device=device) for name, total in sums.items()}
