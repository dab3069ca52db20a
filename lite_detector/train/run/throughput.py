# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Training speed of a machine in images per second, and its distribution over the work."""

from __future__ import annotations

from collections.abc import Callable
from statistics import median
import time
from typing import Any, TypeVar

from lite_detector.train.run.engine import Engine
from lite_detector.train.run.learner import Learner
from msgspec import Struct
import torch

T = TypeVar('T')

WARM_UP_STEPS = 2
MIN_STEPS = 5


class Throughput(Struct):
    """Medians over the steps of a measurement."""

    batch_size: int
    device: str
    threads: int
    step_images_per_second: float
    """Speed of training steps with batches that are already prepared."""
    loader_images_per_second: float
    """Speed of preparing batches in this process alone."""
    loader_ratio: float
    """Speed of the loader / speed of the step; above 1, one free core is enough for the loader."""
    loss_share: float
    """Share of the step for assigning objects and computing losses, in [0, 1]."""


def measure_throughput(engine: Engine, seconds: float) -> Throughput:
    """
    Measure the time of the loader and of the training step of a run, alternating.

    :param engine: Engine of the run; its weights change and are useless afterwards.
    :param seconds: Duration of the measurement in seconds, after a warm-up.
    """
    plan, learner = engine.plan, engine.learner
    epoch = plan.epochs[0]
    loader = plan.loader(epoch)
    device = learner.device
    loss_seconds = _time_losses(learner)
    learner.start_epoch(epoch)
    loads, steps = [], []
    number, began = 0, time.monotonic()
    while number < WARM_UP_STEPS + MIN_STEPS or time.monotonic() - began < seconds:
        if number == WARM_UP_STEPS:
            began = time.monotonic()
        spent, batch = _timed(device, loader.make_batch, number % epoch.batches)
        loads.append(spent)
        steps.append(_timed(device, learner.step, batch, number, epoch)[0])
        number += 1
    loads, steps, loss_seconds = (each[WARM_UP_STEPS:] for each in (loads, steps, loss_seconds))
    images = len(batch.images)
    step, load = images / median(steps), images / median(loads)
    return Throughput(images, str(device), torch.get_num_threads(), round(step, 1), round(load, 1),
                      round(load / step, 2), round(median(loss_seconds) / median(steps), 3))


def _time_losses(learner: Learner) -> list[float]:
    """Return a list that grows by the seconds of each computation of the losses."""
    found: list[float] = []
    objective, device = learner.objective, learner.device
    losses = objective.losses

    def timed_losses(*arguments: Any) -> Any:
        spent, result = _timed(device, losses, *arguments)
        found.append(spent)
        return result

    # of this one object, which is not used after the measurement
    objective.losses = timed_losses  # type: ignore[method-assign, assignment]
    return found


def _timed(device: torch.device, work: Callable[..., T], *arguments: Any) -> tuple[float, T]:
    _wait_for(device)
    began = time.perf_counter()
    result = work(*arguments)
    _wait_for(device)
    return time.perf_counter() - began, result


def _wait_for(device: torch.device) -> None:
    if device.type == 'cuda':
        torch.cuda.synchronize(device)
