# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A network in training: one step, and the state that it changes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from accelerate import Accelerator
from lite_detector.core.errors import DataError
from lite_detector.train.config.training import TrainConfig
from lite_detector.train.data.loader import Batch
from lite_detector.train.distill.distillation import Distillation
from lite_detector.train.distill.teacher import Teacher
from lite_detector.train.losses.objectives.build import build_objective
from lite_detector.train.losses.objectives.objective import Objective
from lite_detector.train.run.ema import Ema
from lite_detector.train.run.machine import explained
from lite_detector.train.run.optimizer import build_optimizer, set_rates, set_training
from lite_detector.train.run.plan import Epoch
from lite_detector.train.run.prepare import PreparedNetwork
from lite_detector.train.run.schedule import lr_factor
import torch
from torch import nn, Tensor


class Learner:
    """
    A network with its losses, its optimizer and its weight average.

    A step depends only on the configuration, the epoch and the iteration.

    :param config: Configuration of the run.
    :param network: Network with its initial weights.
    :param total_steps: Number of steps of the run.
    :param accelerator: Devices and processes.
    :param teacher: Teacher of ``config.distill``, or None.
    """

    def __init__(self, config: TrainConfig, network: PreparedNetwork, total_steps: int,
                 accelerator: Accelerator, teacher: Teacher | None = None) -> None:
        self._config = config
        self._total_steps = total_steps
        self._accelerator = accelerator
        objective = build_objective(network.model, network.card, config.loss, self.mean)
        if teacher is not None:
            assert config.distill is not None, 'it names the teacher'
            objective.distillation = Distillation(config.distill, teacher, network.model,
                                                  network.card, self.mean)
        if accelerator.num_processes > 1 and accelerator.device.type == 'cuda':
            objective = nn.SyncBatchNorm.convert_sync_batchnorm(objective)
        optimizer = build_optimizer(objective, config.optimizer)
        self._objective, self._optimizer = accelerator.prepare(objective, optimizer)
        self._ema = Ema(self.objective.model, config.ema)

    def start_epoch(self, epoch: Epoch) -> None:
        """Set the network to the mode of an epoch."""
        self.objective.start_epoch(epoch.number)
        set_training(self._objective, self._config.start.freeze_batch_norm)

    @explained()
    def step(self, batch: Batch, iteration: int, epoch: Epoch) -> dict[str, Tensor]:
        """
        Train on one batch.

        :param batch: Images and labels.
        :param iteration: Index of the step in the run, from 0.
        :param epoch: Epoch of the batch.
        :return: Terms of the loss in this process.
        :raises DataError: if the loss is not finite.
        """
        set_rates(self._optimizer, epoch.phase.learning_rate_factor
                  * lr_factor(iteration, self._total_steps, self._config.schedule))
        self.objective.start_step(iteration, self._total_steps)
        device = self.device
        images = batch.images.to(device, memory_format=torch.channels_last, non_blocking=True)
        truths = [type(truth)(*(part.to(device) for part in truth)) for truth in batch.truths]
        terms = self._objective(images, truths)
        loss = sum(terms.values())
        if not torch.isfinite(loss):
            names = ', '.join(dict.fromkeys(str(path) for paths in batch.image_paths
                                            for path in paths))
            raise DataError(f'the loss is {loss.item()} in epoch {epoch.number + 1}, step '
                            f'{iteration}; lower optimizer.learning_rate, or check the images '
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
        """Return the network with its losses, without the wrapper for several processes."""
        return self._accelerator.unwrap_model(self._objective)

    @property
    def averaged(self) -> nn.Module:
        """Return the network with the averaged weights, which are validated and saved."""
        return self._ema.model

    @property
    def device(self) -> torch.device:
        """Return the device of the training."""
        return self._accelerator.device

    @property
    def learning_rate(self) -> float:
        """Return the learning rate of the last step."""
        return self._optimizer.param_groups[-1]['lr']

    def mean(self, value: Tensor) -> Tensor:
        """Average a number over the processes."""
        if self._accelerator.num_processes == 1:
            return value
        return self._accelerator.reduce(value, 'mean')

    def state(self) -> dict[str, Any]:
        """Return the state from which a run resumes."""
        return {'objective': self.objective.state_dict(), 'ema': self.averaged.state_dict(),
                'optimizer': self._optimizer.state_dict(), 'rng': torch.get_rng_state(),
                'scaler': self._scaler().state_dict()}

    def load_state(self, tensors: Mapping[str, Any]) -> None:
        """Resume from the result of :meth:`state`."""
        self.objective.load_state_dict(tensors['objective'])
        self.averaged.load_state_dict(tensors['ema'])
        self._optimizer.load_state_dict(tensors['optimizer'])
        self._scaler().load_state_dict(tensors['scaler'])
        torch.set_rng_state(tensors['rng'])

    def _scaler(self) -> Any:
        """Return the loss scaler for fp16, or a substitute without state."""
        return self._accelerator.scaler or torch.amp.GradScaler('cpu', enabled=False)
