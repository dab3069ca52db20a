# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Losses between the heads of a student and the same cells of a teacher."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NetworkCard
from lite_detector.train.config.distill import HeadSpec
from lite_detector.train.losses.loss_functions import quality_focal_loss
from lite_detector.train.losses.objectives.gfl import flat_heads
from lite_detector.train.losses.objectives.objective import ReduceMean
import torch
from torch import Tensor

CELLS = ('reg_max', 'grid_offset')
"""Decoding values that two networks must share to have comparable distances."""


class HeadImitation:
    """
    Class and localization distillation of generalized focal loss.

    The weight of a cell is the teacher's best score there. So the teacher's objects decide, also
    those without labels (Zheng et al., 2022, arXiv:2102.12252, weight regions instead).

    :param spec: Settings of the losses.
    :param student: Model card of the student.
    :param teacher: Model card of the teacher; classes are matched by name, the others have only
        their labels.
    :param pairs: Indices of matching levels, as (student's, teacher's).
    :param reduce_mean: Function that averages over processes.
    :raises ConfigError: if the distances are not comparable, or no class is common.
    """

    def __init__(self, spec: HeadSpec, student: NetworkCard, teacher: NetworkCard,
                 pairs: Sequence[tuple[int, int]], reduce_mean: ReduceMean) -> None:
        got = [', '.join(f'{key} {_plain(getattr(card.decode, key))}' for key in CELLS)
               for card in (student, teacher)]
        if got[0] != got[1] or student.decode.reg_max is None:
            raise ConfigError(f'distill.heads: {got[0]} in the student, {got[1]} in the teacher; '
                              'expected two networks with the same distance distributions and '
                              'cells; remove heads to distil features alone')
        self._own = [index for index, name in enumerate(student.class_names)
                     if name in teacher.class_names]
        if not self._own:
            raise ConfigError(f'distill.heads: the teacher {teacher.name} has no class of the '
                              f'student, such as {student.class_names[0]!r}')
        self.matched = tuple(student.class_names[index] for index in self._own)
        self._known = [teacher.class_names.index(name) for name in self.matched]
        self._spec = spec
        self._pairs = list(zip(*pairs, strict=True))
        self._classes = len(student.class_names), len(teacher.class_names)
        self._reduce_mean = reduce_mean

    def terms(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> dict[str, Tensor]:
        """
        Return the weighted losses ``distill_score`` and ``distill_distribution``.

        :param student: Raw heads, one per stride, shape (n, classes + 4 * (reg_max + 1), h, w).
        :param teacher: Raw heads of the teacher, with its own classes.
        """
        own, known = (flat_heads([heads[level] for level in levels], classes)
                      for heads, levels, classes
                      in zip((student, teacher), self._pairs, self._classes, strict=True))
        logits = own.logits[..., self._own].flatten(0, 1)
        scores = known.logits[..., self._known].sigmoid().flatten(0, 1)
        weights = scores.amax(dim=1)
        total = self._reduce_mean(weights.sum())
        spec = self._spec
        return {
            'distill_score': spec.score_weight * quality_focal_loss(
                logits, scores, torch.ones_like(weights), total),
            'distill_distribution': spec.distribution_weight * distribution_kl(
                own.bins.flatten(0, 1), known.bins.flatten(0, 1), weights, total,
                spec.temperature)}


def distribution_kl(student: Tensor, teacher: Tensor, weights: Tensor, normalizer: Tensor,
                    temperature: float) -> Tensor:
    """
    Compute KL(teacher || student) * temperature^2 of the distances, as a weighted mean.

    :param student: Bins before the softmax, shape (cells, 4, reg_max + 1).
    :param teacher: Bins of the teacher, same shape.
    :param weights: Weights of the cells, shape (cells,).
    :param normalizer: Sum of the weights in all processes.
    :param temperature: Softmax temperature, above 0.
    """
    logs, wanted = ((bins / temperature).log_softmax(dim=2) for bins in (student, teacher))
    divergence = (wanted.exp() * (wanted - logs)).sum(dim=2).mean(dim=1)
    tiny = torch.finfo(normalizer.dtype).tiny
    return (divergence * weights).sum() * temperature ** 2 / normalizer.clamp(min=tiny)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
