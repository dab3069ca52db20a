# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the cells of a student learn from the same cells of a teacher."""

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
"""Of the decoding: what two networks must share to measure distances alike."""


class HeadImitation:
    """
    Class and localization distillation of generalized focal loss.

    Cells count as much as the best score that the teacher gives them, so that the teacher's
    objects decide and the labels need not name them (Zheng et al., 2022, arXiv:2102.12252, weigh
    regions instead).

    :param student: its card.
    :param teacher: its card; classes are matched by name, the others learn from labels alone.
    :param pairs: which levels lie on each other, as (the student's, the teacher's).
    :param reduce_mean: averages over processes.
    :raises ConfigError: if the cells measure differently, or no class is known to both.
    """

    def __init__(self, spec: HeadSpec, student: NetworkCard, teacher: NetworkCard,
                 pairs: Sequence[tuple[int, int]], reduce_mean: ReduceMean) -> None:
        got = [', '.join(f'{key} {_plain(getattr(card.decode, key))}' for key in CELLS)
               for card in (student, teacher)]
        if got[0] != got[1] or student.decode.reg_max is None:
            raise ConfigError('distill.heads: wanted two networks with distributions of distances '
                              f'in the same cells; got {got[0]} for the student and {got[1]} for '
                              'the teacher; leave heads out to learn from features alone')
        self._own = [index for index, name in enumerate(student.class_names)
                     if name in teacher.class_names]
        if not self._own:
            raise ConfigError(f'distill.heads: the teacher {teacher.name} knows none of the '
                              f'classes of the student, such as {student.class_names[0]!r}')
        self.matched = tuple(student.class_names[index] for index in self._own)
        self._known = [teacher.class_names.index(name) for name in self.matched]
        self._spec = spec
        self._pairs = list(zip(*pairs, strict=True))
        self._classes = len(student.class_names), len(teacher.class_names)
        self._reduce_mean = reduce_mean

    def terms(self, student: Sequence[Tensor], teacher: Sequence[Tensor]) -> dict[str, Tensor]:
        """
        Return the weighted losses ``distill_score`` and ``distill_distribution``.

        :param student: raw heads, per stride (n, classes + 4 * (reg_max + 1), h, w).
        :param teacher: the same with its own classes.
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

    :param student: bins before the softmax, shape (cells, 4, reg_max + 1).
    :param teacher: the same shape.
    :param weights: of each cell, shape (cells,).
    :param normalizer: the sum of the weights in all processes.
    """
    logs, wanted = ((bins / temperature).log_softmax(dim=2) for bins in (student, teacher))
    divergence = (wanted.exp() * (wanted - logs)).sum(dim=2).mean(dim=1)
    tiny = torch.finfo(normalizer.dtype).tiny
    return (divergence * weights).sum() * temperature ** 2 / normalizer.clamp(min=tiny)


def _plain(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value
