# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The training loop.

A step depends only on the configuration and on the numbers of the epoch and the batch, so an
interrupted run resumes exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
import time

from accelerate import Accelerator
from accelerate.utils import broadcast_object_list
from lite_detector.data.coco import CocoDataset, to_coco
from lite_detector.data.dataset import Dataset, Sample
from lite_detector.train.config.training import TrainConfig
from lite_detector.train.data.batch_pictures import draw_batch
from lite_detector.train.data.sources import report_set
from lite_detector.train.distill.teacher import Teacher
from lite_detector.train.run.console import Console, describe_epoch, describe_metrics, SILENT
from lite_detector.train.run.figures import MAIN
from lite_detector.train.run.learner import Learner
from lite_detector.train.run.loss_meter import LossMeter
from lite_detector.train.run.monitor import Monitor
from lite_detector.train.run.outcome import (
    against_start,
    best_mixture,
    Candidate,
    figures_of,
    is_final,
    reported,
)
from lite_detector.train.run.plan import Epoch, Plan
from lite_detector.train.run.prepare import PreparedNetwork
from lite_detector.train.run.run_folder import (
    BEST_FILE,
    LAST_FILE,
    RunFolder,
    RunState,
    START_FILE,
)
from lite_detector.train.run.saver import Saver
from lite_detector.train.run.validation import Validation

LOG_EVERY = 20
"""Steps between two points of the curves in TensorBoard."""


class Engine:
    """
    One run.

    :param config: Configuration of the run.
    :param network: Network with its initial weights.
    :param samples: Training samples, one for each index in an epoch.
    :param select: Selection set, on which AP is measured; None: no measurements.
    :param folder: Folder of the run.
    :param accelerator: Devices and processes.
    :param console: Output to the user.
    :param teacher: Teacher of ``config.distill``, or None.
    """

    def __init__(self, config: TrainConfig, network: PreparedNetwork, samples: Sequence[Sample],
                 select: Dataset | None, folder: RunFolder, accelerator: Accelerator,
                 console: Console = SILENT, teacher: Teacher | None = None) -> None:
        self._config, self._network, self._folder = config, network, folder
        self._accelerator, self._console = accelerator, console
        self._is_main = accelerator.is_main_process
        self._validation = None if select is None else self._measuring(to_coco(select), Path('/'))
        self.plan = Plan(config, samples, network.card, accelerator, console)
        self.learner = Learner(config, network, self.plan.total_steps, accelerator, teacher)
        distillation = self.learner.objective.distillation
        if distillation is not None:
            console.say(distillation.describe())
        self._meter = LossMeter(self.learner.mean)
        self._saver = Saver(folder, network, self._is_main, config.save_every_minutes)
        self._state = RunState()

    def run(self, resume: bool = False) -> Path:
        """
        Train to the end.

        :param resume: Whether to continue the run in this folder.
        :return: Checkpoint with the best weights, or the last ones if nothing is measured.
        :raises DataError: if the loss is not finite; the message names the images of the batch.
        :raises LiteDetectorError: if an image cannot be read or a file cannot be written.
        """
        if resume:
            self._resume()
        else:
            self._start()
        state = self._state
        monitor = Monitor(self._folder.path, state.iteration) if self._is_main else None
        try:
            while state.epoch < len(self.plan.epochs) and not self._is_stale():
                self._train_epoch(self.plan.epochs[state.epoch], monitor)
                self._finish_epoch(monitor)
        finally:
            if monitor is not None:
                monitor.close()
        minutes = f'{state.seconds / 60:.1f} minutes of training'
        if self._validation is None:
            self._console.say(minutes)
        else:
            self._console.say(f'{minutes}; best AP {state.best_ap:.2f} after epoch '
                              f'{state.best_epoch}')
            if self._is_main:
                self._choose_weights()
        self._accelerator.wait_for_everyone()
        return self._folder.path / (LAST_FILE if self._validation is None else BEST_FILE)

    def _start(self) -> None:
        self._saver.save_weights(START_FILE, self.learner.objective.model.state_dict(),
                                 self._state, is_fine_tuned=self._network.is_fine_tuned)
        if self._validation is not None and self._network.is_detector:
            self._state.start = self._measure()
            self._console.say(f'start: {describe_metrics(self._state.start)}')

    def _resume(self) -> None:
        self._state, tensors = self._folder.load_state()
        self._meter.load_state(self._state.loss_sums, self.learner.device)
        self.learner.load_state(tensors)
        self._console.say(f'resumed after epoch {self._state.epoch}, step {self._state.iteration}')

    def _train_epoch(self, epoch: Epoch, monitor: Monitor | None) -> None:
        state, card = self._state, self._network.card
        self.learner.start_epoch(epoch)
        first = state.batch
        began = now = time.monotonic()
        title = f'epoch {epoch.number + 1}/{len(self.plan.epochs)}'
        for batch in self._console.progress(self.plan.loader(epoch, first), title):
            if monitor is not None and not state.iteration:
                monitor.picture('train_batch',
                                draw_batch(batch, card.preprocess, card.class_names), 0)
            terms = self.learner.step(batch, state.iteration, epoch)
            if state.iteration % LOG_EVERY == 0:
                figures = self._meter.figures(terms)
                if monitor is not None:
                    monitor.step(state.iteration,
                                 figures | {'learning_rate': self.learner.learning_rate})
            self._meter.add(terms)
            state.batch, state.iteration = state.batch + 1, state.iteration + 1
            before, now = now, time.monotonic()
            state.seconds += now - before
            if state.batch < epoch.batches:  # otherwise the epoch is finished first
                self._saver.save_when_due(state, self.learner, self._meter)
        images = (state.batch - first) * min(epoch.batch_size, len(self.plan.samples))
        state.history.append({
            'epoch': epoch.number + 1, 'iteration': state.iteration,
            'learning_rate': self.learner.learning_rate,
            'images_per_second': images / max(now - began, 1e-9),
            **self._meter.end_epoch(state.batch)})

    def _finish_epoch(self, monitor: Monitor | None) -> None:
        """Measure, print and save."""
        state, epochs = self._state, len(self.plan.epochs)
        state.epoch, state.batch = state.epoch + 1, 0
        is_due = (state.epoch % self._config.validation.every_epochs == 0
                  or state.epoch == epochs)
        if self._validation is not None and is_due:
            figures = self._measure()
            state.stale += 1
            if state.best_ap is None or figures[MAIN] > state.best_ap:
                state.best_ap, state.best_epoch, state.stale = figures[MAIN], state.epoch, 0
                self._saver.save_weights(BEST_FILE, self.learner.averaged.state_dict(), state,
                                         figures)
            state.history[-1] |= figures
        self._console.say(describe_epoch(state.history[-1], epochs))
        if monitor is not None and is_due:
            monitor.epoch(state.history)
        save = self._saver.save if is_due else self._saver.save_when_due
        save(state, self.learner, self._meter)

    def _is_stale(self) -> bool:
        return 0 < self._config.validation.patience <= self._state.stale

    def _measure(self) -> dict[str, float]:
        """Measure the averaged weights; every process gets the same figures."""
        assert self._validation is not None, 'there is a selection set'
        found = [self._validation.measure(self.learner.averaged) if self._is_main else None]
        return broadcast_object_list(found)[0]

    def _measuring(self, coco: CocoDataset, folder: Path) -> Validation:
        return Validation(coco, folder, self._network.card,
                          lambda images: self._console.progress(images, 'measure AP'))

    def _choose_weights(self) -> None:
        """Choose between the start, the best epoch and weight averages, and report the choice."""
        checkpoint = self._folder.load_weights(BEST_FILE)
        if is_final(checkpoint.training):
            return  # the run was complete already
        start, model = self._folder.load_weights(START_FILE).state_dict, self.learner.averaged
        best = chosen = Candidate(checkpoint.state_dict, figures_of(checkpoint))
        if self._network.is_fine_tuned:
            assert self._validation is not None, 'there is a selection set'
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
            self._saver.save_weights(BEST_FILE, chosen.weights, self._state, chosen.figures,
                                     **chosen.origin)
