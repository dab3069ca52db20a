# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What is trained, how fast, and what is left as it is."""

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
    Return an optimiser of all parameters that want a gradient.

    Each group says ``base_rate``, its learning rate before any schedule.

    :param objective: has the network as its ``model``; other parameters only help to train.
    :param spec: AdamW (Loshchilov and Hutter, 2019, arXiv:1711.05101) or SGD.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in objective.named_parameters():
        if not parameter.requires_grad:
            continue
        rate = spec.learning_rate
        if name.startswith(f'model.{BACKBONE}.'):
            rate *= spec.backbone_factor
        # one axis: a bias, or a gain or shift of a norm; decaying these only costs accuracy
        decay = spec.weight_decay if parameter.ndim > 1 else 0.0
        groups.setdefault((rate, decay), []).append(parameter)
    settings = [{'params': parameters, 'lr': rate, 'base_rate': rate, 'weight_decay': decay}
                for (rate, decay), parameters in groups.items()]
    if not settings:
        raise ConfigError('start.freeze: nothing is left to train')
    if spec.kind == 'sgd':
        return torch.optim.SGD(settings, momentum=spec.momentum,
                               nesterov=spec.nesterov and spec.momentum > 0)
    return torch.optim.AdamW(settings)


def set_rates(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Let every group learn at ``factor`` times its base rate."""
    for group in optimizer.param_groups:
        group['lr'] = group['base_rate'] * factor


def freeze(model: nn.Module, names: Sequence[str]) -> None:
    """
    Take modules out of the training, by their dotted names in the network.

    :raises ConfigError: if there is no such module.
    """
    modules = dict(model.named_modules())
    for name in names:
        if name not in modules or not name:
            known = ', '.join(key for key, _ in model.named_children())
            raise ConfigError(f'start.freeze: the network has no module {name!r}; it has {known}')
        modules[name].requires_grad_(False)


def set_training(objective: nn.Module, freeze_batch_norm: bool) -> None:
    """
    Put a network into training mode, but the batch norms whose statistics have to stay.

    These are all of them, or those that :func:`freeze` took out.
    """
    objective.train()
    for module in objective.modules():
        if isinstance(module, BatchNorms) and (freeze_batch_norm
                                               or not module.weight.requires_grad):
            module.eval()
