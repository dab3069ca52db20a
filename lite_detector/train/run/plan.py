# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The epochs of a run and their batches."""

from __future__ import annotations

from collections.abc import Sequence
import os
from typing import NamedTuple

from accelerate import Accelerator
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Sample
from lite_detector.train.config.training import PhaseSpec, TrainConfig
from lite_detector.train.data.loader import EpochLoader
from lite_detector.train.data.shared_memory import fitting_workers, MORE_SHARED_MEMORY
from lite_detector.train.run.console import Console
import torch

BYTES_PER_PIXEL = 3 * 4
"""Bytes per pixel of a network input: three float32."""


class Epoch(NamedTuple):
    """One epoch of the plan."""

    phase: PhaseSpec
    number: int
    """Index in the run, from 0."""
    in_phase: int
    """Index in the phase, from 0."""
    batch_size: int
    batches: int
    first_iteration: int


class Plan:
    """
    All epochs of a run, which depend on its configuration and the number of its samples.

    :param config: Configuration of the run.
    :param samples: Training samples, one for each index in an epoch.
    :param card: Card of the network.
    :param accelerator: Devices and processes.
    :param console: Output of a warning if memory is short.
    """

    def __init__(self, config: TrainConfig, samples: Sequence[Sample], card: NetworkCard,
                 accelerator: Accelerator, console: Console) -> None:
        self.samples = samples
        self._config = config
        self._card = card
        self._accelerator = accelerator
        self._console = console
        self._is_short_of_memory = False
        self.epochs: list[Epoch] = []
        iteration = 0
        for phase in config.phases:
            batch_size = phase.batch_size or config.batch_size
            for in_phase in range(phase.epochs):
                epoch = Epoch(phase, len(self.epochs), in_phase, batch_size, 0, iteration)
                epoch = epoch._replace(batches=len(self.loader(epoch)))
                iteration += epoch.batches
                self.epochs.append(epoch)
        self.total_steps = iteration

    def loader(self, epoch: Epoch, start_batch: int = 0) -> EpochLoader:
        """Return the batches of an epoch for this process."""
        phase, config = epoch.phase, self._config
        size = phase.input_size or config.network.input_size
        augment = (phase.augment or config.augment).at(epoch.in_phase, phase.epochs)
        world = self._accelerator.num_processes
        image_size = ImageSize(config.zoom * size.height, config.zoom * size.width)
        return EpochLoader(
            self.samples, self._card.preprocess, image_size, config.zoom * self._card.padded_to,
            augment, epoch.batch_size, config.seed, epoch.number,
            rank=self._accelerator.process_index, world=world,
            workers=self._workers(image_size, epoch.batch_size // world), start_batch=start_batch)

    def _workers(self, size: ImageSize, images: int) -> int:
        """Return the number of loader processes, with one warning if memory is short."""
        workers = self._config.data.workers
        if workers is None:
            workers = spare_cores() if self._accelerator.device.type == 'cuda' else 0
        batch_bytes = images * size.height * size.width * BYTES_PER_PIXEL
        fitting = fitting_workers(workers, batch_bytes)
        if fitting < workers and not self._is_short_of_memory:
            self._is_short_of_memory = True
            self._console.say(
                f'warning: /dev/shm has room for {fitting} of {workers} loader processes '
                f'(a batch takes {batch_bytes / 1e6:.0f} MB); training may wait for images: '
                + MORE_SHARED_MEMORY)
        return fitting


def spare_cores() -> int:
    """Return the number of loader processes per training process; 0 on two cores."""
    here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # torchrun: processes on this machine
    cores = len(os.sched_getaffinity(0)) // here
    return min(cores - 2, 8) if torch.cuda.is_available() and cores > 2 else 0
