# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The training loop.

What a step does follows from the configuration and from the number of the epoch and the batch
alone, so a run that was cut goes on as if nothing had happened.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import os
from pathlib import Path
import time
from typing import Any, NamedTuple

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.data.coco import CocoDataset, to_coco
from lite_detector.data.dataset import Dataset, Sample
from lite_detector.train.config.training import PhaseSpec, TrainConfig
from lite_detector.train.data.batch_pictures import draw_batch
from lite_detector.train.data.loader import Batch, EpochLoader
from lite_detector.train.data.shared_memory import fitting_workers, MORE_SHARED_MEMORY
from lite_detector.train.data.sources import report_set
from lite_detector.train.distill.distillation import Distillation
from lite_detector.train.distill.teacher import Teacher
from lite_detector.train.losses.objectives.build import build_objective
from lite_detector.train.losses.objectives.objective import Objective
from lite_detector.train.run.console import Console, describe_epoch, describe_metrics, SILENT
from lite_detector.train.run.ema import Ema
from lite_detector.train.run.figures import LOSS, MAIN
from lite_detector.train.run.machine import explained
from lite_detector.train.run.monitor import Monitor
from lite_detector.train.run.optimizer import build_optimizer, set_rates, set_training
from lite_detector.train.run.outcome import (
    against_start,
    best_mixture,
    Candidate,
    figures_of,
    is_final,
    reported,
)
from lite_detector.train.run.prepare import Network
from lite_detector.train.run.run_folder import (
    BEST_FILE,
    LAST_FILE,
    RunFolder,
    RunState,
    START_FILE,
)
from lite_detector.train.run.schedule import rate_factor
from lite_detector.train.run.validation import Validation
import torch
from torch import nn, Tensor

BYTES_PER_PIXEL = 3 * 4
"""Of a network input: three float32."""
LOG_EVERY = 20
"""Steps from one point of the curves in TensorBoard to the next."""


class Epoch(NamedTuple):
    """One epoch of the plan."""

    phase: PhaseSpec
    number: int
    """Of the run, from 0."""
    in_phase: int
    """Of its phase, from 0."""
    batch_size: int
    batches: int
    first_iteration: int


class Engine:
    """
    One run.

    :param config: what to do.
    :param network: where it starts.
    :param samples: one for each place in an epoch.
    :param select: the selection set, on which AP is measured; None: never.
    :param folder: of the run.
    :param accelerator: the devices and processes.
    :param console: what the user sees.
    :param teacher: whom ``config.distill`` names.
    """

    def __init__(self, config: TrainConfig, network: Network, samples: Sequence[Sample],
                 select: Dataset | None, folder: RunFolder, accelerator: Accelerator,
                 console: Console = SILENT, teacher: Teacher | None = None) -> None:
        self._config = config
        self._network = network
        self._samples = samples
        self._folder = folder
        self._accelerator = accelerator
        self._console = console
        self._validation = None if select is None else self._measuring(to_coco(select), Path('/'))
        self._is_main = accelerator.is_main_process
        objective = build_objective(network.model, network.card, config.loss, self._mean)
        if teacher is not None:
            objective.distillation = Distillation(config.distill, teacher, network.model,
                                                  network.card, self._mean)
            console.say(objective.distillation.describe())
        if accelerator.num_processes > 1 and accelerator.device.type == 'cuda':
            objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)
        optimizer = build_optimizer(objective, config.optimizer)
        self._objective, self._optimizer = accelerator.prepare(objective, optimizer)
        self._ema = Ema(self.objective.model, config.ema)
        self._state = RunState()
        self._sums: dict[str, Tensor] = {}  # of the terms of the loss in this epoch
        self._saved_at = time.monotonic()
        self._is_short_of_memory = False
        self.plan = self._make_plan()

    def run(self, resume: bool = False) -> Path:
        """
        Train to the end.

        :param resume: go on where the run in this folder stopped.
        :return: the checkpoint with the best weights, or the last ones if nothing is measured.
        :raises DataError: if the loss is no number any more, naming the images of the batch.
        :raises LiteDetectorError: if an image cannot be read or a file cannot be written.
        """
        if resume:
            self._load()
        else:
            self._save_weights(START_FILE, self.objective.model.state_dict(),
                               is_fine_tuned=self._network.is_fine_tuned)
            if self._validation is not None and self._network.is_detector:
                self._state.start = self._measure()
                self._console.say(f'start: {describe_metrics(self._state.start)}')
        monitor = Monitor(self._folder.path, self._state.iteration) if self._is_main else None
        try:
            while self._state.epoch < len(self.plan) and not self._is_stale():
                self._train_epoch(self.plan[self._state.epoch], monitor)
                self._finish_epoch(monitor)
        finally:
            if monitor is not None:
                monitor.close()
        state = self._state
        minutes = f'{state.seconds / 60:.1f} minutes of training'
        if self._validation is None:
            self._console.say(minutes)
        else:
            self._console.say(f'{minutes}; best AP {state.best_ap:.2f} after epoch '
                              f'{state.best_epoch}')
            if self._is_main:
                self._end()
        self._accelerator.wait_for_everyone()
        return self._folder.path / (LAST_FILE if self._validation is None else BEST_FILE)

    def loader(self, epoch: Epoch, start_batch: int = 0) -> EpochLoader:
        """Return the batches of an epoch that this process trains on."""
        phase, config = epoch.phase, self._config
        size = phase.input_size or config.network.input_size
        augment = (phase.augment or config.augment).at(epoch.in_phase, phase.epochs)
        world = self._accelerator.num_processes
        image_size = ImageSize(config.zoom * size.height, config.zoom * size.width)
        return EpochLoader(
            self._samples, self._network.card.preprocess, image_size,
            augment, epoch.batch_size, config.seed, epoch.number,
            rank=self._accelerator.process_index, world=world,
            workers=self._workers(image_size, epoch.batch_size // world), start_batch=start_batch)

    def _workers(self, size: ImageSize, images: int) -> int:
        """Return how many loader processes to use, warning once if memory is short."""
        workers = self._config.data.workers
        if workers is None:
            workers = spare_cores() if self.device.type == 'cuda' else 0
        batch_bytes = images * size.height * size.width * BYTES_PER_PIXEL
        fitting = fitting_workers(workers, batch_bytes)
        if fitting < workers and not self._is_short_of_memory:
            self._is_short_of_memory = True
            self._console.say(
                f'warning: /dev/shm has room for {fitting} of {workers} loader processes '
                f'(a batch takes {batch_bytes / 1e6:.0f} MB); training may wait for images: '
                + MORE_SHARED_MEMORY)
        return fitting

    def begin(self, epoch: Epoch) -> None:
        """Put the network into the mode of an epoch."""
        self.objective.start_epoch(epoch.number)
        set_training(self._objective, self._config.start.freeze_batch_norm)

    @explained()
    def step(self, batch: Batch, iteration: int, epoch: Epoch) -> dict[str, Tensor]:
        """
        Learn from one batch.

        :param iteration: of the run, from 0.
        :return: the terms of the loss in this process.
        :raises DataError: if they are no numbers.
        """
        total_steps = self.plan[-1].first_iteration + self.plan[-1].batches
        set_rates(self._optimizer, epoch.phase.learning_rate_factor
                  * rate_factor(iteration, total_steps, self._config.schedule))
        self.objective.start_step(iteration, total_steps)
        device = self.device
        images = batch.images.to(device, memory_format=torch.channels_last, non_blocking=True)
        truths = [type(truth)(*(part.to(device) for part in truth)) for truth in batch.truths]
        terms = self._objective(images, truths)
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            names = ', '.join(dict.fromkeys(str(path) for paths in batch.image_paths
                                            for path in paths))
            raise DataError(f'the loss became {loss.item()} in epoch {epoch.number + 1}, step '
                            f'{iteration}: lower optimizer.learning_rate, or look at the images '
                            f'of this batch: {names}')
        self._optimizer.zero_grad(set_to_none=True)
        self._accelerator.backward(loss)
        if self._config.optimizer.clip_norm is not None:
            self._accelerator.clip_grad_norm_(self._objective.parameters(),
                                              self._config.optimizer.clip_norm)
        self._optimizer.step()
        self._ema.update(self.objective.model, iteration)
        return {name: term.detach() for name, term in terms.items()}

    @property
    def objective(self) -> Objective:
        """Return the network with its losses, without what several processes put around it."""
        return self._accelerator.unwrap_model(self._objective)

    @property
    def device(self) -> torch.device:
        """Return where the training runs."""
        return self._accelerator.device

    def _make_plan(self) -> list[Epoch]:
        plan: list[Epoch] = []
        iteration = 0
        for phase in self._config.phases:
            batch_size = phase.batch_size or self._config.batch_size
            for in_phase in range(phase.epochs):
                epoch = Epoch(phase, len(plan), in_phase, batch_size, 0, iteration)
                epoch = epoch._replace(batches=len(self.loader(epoch)))
                iteration += epoch.batches
                plan.append(epoch)
        return plan

    def _train_epoch(self, epoch: Epoch, monitor: Monitor | None) -> None:
        state = self._state
        self.begin(epoch)
        first = state.batch
        began = now = time.monotonic()
        title = f'epoch {epoch.number + 1}/{len(self.plan)}'
        for batch in self._console.progress(self.loader(epoch, first), title):
            if monitor is not None and not state.iteration:
                monitor.picture('train_batch', self._draw(batch), 0)
            terms = self.step(batch, state.iteration, epoch)
            if state.iteration % LOG_EVERY == 0:
                self._log(terms, monitor)
            for name, term in terms.items():
                self._sums[name] = self._sums.get(name, 0) + term
            state.batch, state.iteration = state.batch + 1, state.iteration + 1
            before, now = now, time.monotonic()
            state.seconds += now - before
            if state.batch < epoch.batches:  # else the epoch is finished first
                self._save_now_and_then()
        images = (state.batch - first) * min(epoch.batch_size, len(self._samples))
        state.history.append({
            'epoch': epoch.number + 1, 'iteration': state.iteration,
            'learning_rate': self._optimizer.param_groups[-1]['lr'],
            'images_per_second': images / max(now - began, 1e-9),
            **self._losses({name: total / state.batch for name, total in self._sums.items()})})
        self._sums = {}

    def _log(self, terms: Mapping[str, Tensor], monitor: Monitor | None) -> None:
        figures = self._losses(terms)  # in every process, since it averages over them
        if monitor is not None:
            monitor.step(self._state.iteration, figures
                         | {'learning_rate': self._optimizer.param_groups[-1]['lr']})

    def _losses(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        return {LOSS + name: self._mean(term).item() for name, term in terms.items()}

    def _finish_epoch(self, monitor: Monitor | None) -> None:
        state = self._state
        state.epoch, state.batch = state.epoch + 1, 0
        is_due = (state.epoch % self._config.validation.every_epochs == 0
                  or state.epoch == len(self.plan))
        if self._validation is not None and is_due:
            state.history[-1] |= self._validate()
        self._console.say(describe_epoch(state.history[-1], len(self.plan)))
        if monitor is not None and is_due:
            monitor.epoch(state.history)
        if is_due:
            self._save()
        else:
            self._save_now_and_then()

    def _validate(self) -> dict[str, float]:
        """Measure the averaged weights, and keep them if they are the best so far."""
        state = self._state
        figures = self._measure()
        state.stale += 1
        if state.best_ap is None or figures[MAIN] > state.best_ap:
            state.best_ap, state.best_epoch, state.stale = figures[MAIN], state.epoch, 0
            self._save_weights(BEST_FILE, self._ema.model.state_dict(), figures)
        return figures

    def _measure(self) -> dict[str, float]:
        """Measure the averaged weights; every process gets the same figures."""
        found = [self._validation.measure(self._ema.model) if self._is_main else None]
        return broadcast_object_list(found)[0]

    def _measuring(self, coco: CocoDataset, folder: Path) -> Validation:
        return Validation(coco, folder, self._network.card,
                          lambda images: self._console.progress(images, 'measure AP'))

    def _draw(self, batch: Batch) -> ImageArray:
        card = self._network.card
        return draw_batch(batch, card.preprocess, card.class_names)

    def _is_stale(self) -> bool:
        patience = self._config.validation.patience
        return 0 < patience <= self._state.stale

    def _end(self) -> None:
        """Choose between the start, the best epoch and their mixtures, and report the choice."""
        checkpoint = self._folder.load_weights(BEST_FILE)
        if is_final(checkpoint.training):
            return  # the run was complete already
        start, model = self._folder.load_weights(START_FILE).state_dict, self._ema.model
        best = chosen = Candidate(checkpoint.state_dict, figures_of(checkpoint))
        if self._network.is_fine_tuned:
            chosen = best_mixture(start, best, self._config.validation.wise_factors, model,
                                  self._validation.measure, self._console.say)
        if self._state.start.get(MAIN):
            chosen = against_start(Candidate(start, self._state.start), chosen, self._console.say)
        report = report_set(self._config.data)
        if report is not None:
            model.load_state_dict(chosen.weights)
            coco = report.open_as_coco(self._network.card.class_names)
            chosen = reported(chosen, self._measuring(coco, report.images).evaluate(model),
                              report.annotations.name, self._console.say)
        if chosen is not best:
            self._save_weights(BEST_FILE, *chosen[:2], **chosen.origin)

    def _save_weights(self, name: str, weights: Mapping[str, Tensor],
                      figures: Mapping[str, float] = {}, **more: Any) -> None:
        if self._is_main:
            self._folder.save_weights(name, self._network, weights, self._state, figures, **more)

    def _save_now_and_then(self) -> None:
        if time.monotonic() - self._saved_at > 60 * self._config.save_every_minutes:
            self._save()

    def _save(self) -> None:
        """Keep the averaged weights, and everything from which the run goes on."""
        self._saved_at = time.monotonic()
        self._save_weights(LAST_FILE, self._ema.model.state_dict())
        if self._is_main:
            self._state.loss_sums = {name: total.item() for name, total in self._sums.items()}
            self._folder.save_state(self._state, {
                'objective': self.objective.state_dict(), 'ema': self._ema.model.state_dict(),
                'optimizer': self._optimizer.state_dict(), 'rng': torch.get_rng_state(),
                'scaler': self._scaler().state_dict()})

    def _load(self) -> None:
        self._state, tensors = self._folder.load_state()
        self._sums = {name: torch.tensor(total, device=self.device)
                      for name, total in self._state.loss_sums.items()}
        self.objective.load_state_dict(tensors['objective'])
        self._ema.model.load_state_dict(tensors['ema'])
        self._optimizer.load_state_dict(tensors['optimizer'])
        self._scaler().load_state_dict(tensors['scaler'])
        torch.set_rng_state(tensors['rng'])
        self._console.say(f'resumed after epoch {self._state.epoch}, step {self._state.iteration}')

    def _scaler(self) -> Any:
        """Return what scales the loss for fp16, or a stand-in without state."""
        return self._accelerator.scaler or torch.amp.GradScaler('cpu', enabled=False)

    def _mean(self, value: Tensor) -> Tensor:
        """Average a number over the processes."""
        if self._accelerator.num_processes == 1:
            return value
        return self._accelerator.reduce(value, 'mean')


def spare_cores() -> int:
    """Return how many loader processes each process may have; 0 on two cores."""
    here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # torchrun's: processes on this machine
    cores = len(os.sched_getaffinity(0)) // here
    return min(cores - 2, 8) if torch.cuda.is_available() and cores > 2 else 0
