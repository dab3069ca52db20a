# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""When and what a run saves."""

from __future__ import annotations

from collections.abc import Mapping
import time
from typing import Any

from lite_detector.train.run.learner import Learner
from lite_detector.train.run.loss_meter import LossMeter
from lite_detector.train.run.prepare import PreparedNetwork
from lite_detector.train.run.run_folder import LAST_FILE, RunFolder, RunState
from torch import Tensor


class Saver:
    """
    Writer of the checkpoints of a run and the state to resume from.

    :param folder: Folder of the run.
    :param network: Network whose structure and card go into the checkpoints.
    :param is_main: Whether this process writes.
    :param minutes: Time between two saves in minutes, within and between epochs.
    """

    def __init__(self, folder: RunFolder, network: PreparedNetwork, is_main: bool,
                 minutes: float) -> None:
        self._folder = folder
        self._network = network
        self._is_main = is_main
        self._seconds = 60 * minutes
        self._saved_at = time.monotonic()

    def save_weights(self, name: str, weights: Mapping[str, Tensor], state: RunState,
                     figures: Mapping[str, float] = {}, **more: Any) -> None:
        """Write a checkpoint; see :meth:`RunFolder.save_weights`."""
        if self._is_main:
            self._folder.save_weights(name, self._network, weights, state, figures, **more)

    def save(self, state: RunState, learner: Learner, meter: LossMeter) -> None:
        """Write the averaged weights, and the full state of the run."""
        self._saved_at = time.monotonic()
        self.save_weights(LAST_FILE, learner.averaged.state_dict(), state)
        if self._is_main:
            state.loss_sums = meter.state()
            self._folder.save_state(state, learner.state())

    def save_when_due(self, state: RunState, learner: Learner, meter: LossMeter) -> None:
        """Save if the last save is long enough ago."""
        if time.monotonic() - self._saved_at > self._seconds:
            self.save(state, learner, meter)
