# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The optimizer, and modules that are not trained."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.errors import ConfigError
from lite_detector.train.config.training import OptimizerSpec
import torch
from torch import nn

BACKBONE = 'backbone'
BatchNorms = (nn.BatchNorm2d, nn.SyncBatchNorm)


def build_optimizer(objective: nn.Module, spec: OptimizerSpec) -> torch.optim.Optimizer:
    """
    Return an optimizer of all parameters that require a gradient.

    Each group has ``base_rate``, its learning rate without the schedule.

    :param objective: Objective with the network as its ``model``; other parameters are only used
        in
        training.
    :param spec: AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) or SGD.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = spec.learning_rate
        if name.startswith(f'model.{BACKBONE}.'):
            rate *= spec.backbone_factor
        # one axis: a bias, or gain or shift of a norm; weight decay on these reduces accuracy
        decay = spec.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    settings = [{'params': parameters, 'lr': rate, 'base_rate': rate, 'weight_decay': decay}
                for (rate, decay), parameters in groups.items()]
    if not settings:
        raise ConfigError('start.freeze: all modules; expected at least one left to train')
    if spec.kind == 'sgd':
        return torch.optim.SGD(settings, momentum=spec.momentum,
                               nesterov=spec.nesterov and spec.momentum > 0)
    return torch.optim.AdamW(settings)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set the learning rate of every group to ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group['lr'] = group['base_rate'] * factor


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """
    Exclude modules from training, by their dotted names in the network.

    :raises ConfigError: if there is no such module.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules or not name:
            known = ', '.join(key for key, _ in model.named_children())
            raise ConfigError(f'start.freeze: no module {name!r}; expected one of {known}')
        modules[name].requires_grad_(False)


def set_training(objective: nn.Module, freeze_batch_norm: bool) -> None:
    """
    Set a network to training mode, except for batch norms with fixed statistics.

    These are all batch norms, or those that :func:`freeze` excluded.
    """
    objective.train()
    for module in objective.modules():
        if isinstance(module, BatchNorms) and (freeze_batch_norm
                                               or not module.weight.requires_grad):
            module.eval()
