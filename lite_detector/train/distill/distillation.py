# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The losses that a teacher adds to an objective."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NetworkCard
from lite_detector.train.config.curves import cosine
from lite_detector.train.config.distill import DistillSpec
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.distill.features import FEATURE_LOSSES
from lite_detector.train.distill.heads import HeadImitation
from lite_detector.train.distill.teacher import resized, Teacher
from lite_detector.train.losses.objectives.objective import identity, ReduceMean
import torch
from torch import nn, Tensor
from torch.nn import functional


class Distillation(nn.Module):
    """
    A part of an objective: its convolutions are trained and resumed with it, and never exported.

    Maps are paired by the pixels of the student that their cells cover. The weight of all terms
    falls along a cosine over the whole run; it follows from the number of the step, so that a
    resumed run goes on with the same.

    :param spec: what is learnt.
    :param teacher: from whom.
    :param model: the network that learns.
    :param card: its card.
    :param reduce_mean: averages over processes.
    :raises ConfigError: if the two have nothing in common.
    """

    def __init__(self, spec: DistillSpec, teacher: Teacher, model: nn.Module, card: NetworkCard,
                 reduce_mean: ReduceMean = identity) -> None:
        super().__init__()
        self._spec = spec
        self._teacher = teacher
        self.zoom = spec.zoom
        self._pairs = [(model.strides.index(stride), teacher.strides.index(stride * spec.zoom))
                       for stride in model.strides if stride * spec.zoom in teacher.strides
                       and (spec.strides is None or stride in spec.strides)]
        if not self._pairs:
            raise ConfigError(f'distill.teacher: {teacher.card.name} has maps at strides '
                              f'{list(teacher.strides)}, the student at {list(model.strides)}; '
                              f'wanted at least one pair at zoom {spec.zoom}')
        self.features = None if spec.features is None else nn.ModuleList(
            FEATURE_LOSSES[spec.features.kind](model.level_channels[own],
                                               teacher.level_channels[other], spec.features)
            for own, other in self._pairs)
        self._heads = None if spec.heads is None else HeadImitation(
            spec.heads, card, teacher.card, self._pairs, reduce_mean)
        self._iteration = 0
        self._factor = 1.0

    def start_step(self, iteration: int, total: int) -> None:
        """
        Set the weight of a step.

        :param iteration: of the run, from 0.
        :param total: steps of the run.
        """
        self._iteration = iteration
        self._factor = cosine(iteration / max(1, total - 1), self._spec.final_factor)

    def for_student(self, images: Tensor, truths: Sequence[GroundTruth]
                    ) -> tuple[Tensor, Sequence[GroundTruth]]:
        """
        Return images and labels at the size that the student sees.

        The mean of ``zoom`` x ``zoom`` pixels is what serving makes of a camera image that is
        ``zoom`` times as large.

        :param images: at the size that the teacher sees, shape (n, 3, zoom * h, zoom * w).
        :param truths: in pixels of these.
        """
        if self.zoom == 1:
            return images, truths
        return functional.avg_pool2d(images, self.zoom), [
            truth._replace(boxes_xyxy=truth.boxes_xyxy / self.zoom,
                           ignored_xyxy=truth.ignored_xyxy / self.zoom) for truth in truths]

    def forward(self, images: Tensor, levels: Sequence[Tensor],
                heads: Sequence[Tensor]) -> dict[str, Tensor]:
        """
        Return name -> weighted loss, scalars in float32.

        :param images: for the teacher, shape (n, 3, zoom * h, zoom * w).
        :param levels: maps of its neck, one per stride.
        :param heads: its raw heads.
        """
        lesson = self._teacher.look(images, self._heads is not None)
        terms: dict[str, Tensor] = {}
        with torch.autocast(images.device.type, enabled=False):
            if self.features is not None:
                terms['distill_features'] = self._spec.features.weight * sum(
                    loss(levels[own].float(), resized(lesson.levels[other].float(),
                                                      levels[own].shape[2:]), self._iteration)
                    for loss, (own, other) in zip(self.features, self._pairs, strict=True))
            if self._heads is not None:
                terms |= self._heads.terms(heads, lesson.heads)
        return {name: self._factor * term for name, term in terms.items()}

    def describe(self) -> str:
        """Return in one line what is learnt from whom."""
        teacher = self._teacher
        parts = []
        if self.features is not None:
            parts.append(f'{self._spec.features.kind} of maps')
        if self._heads is not None:
            matched = len(self._heads.matched)
            parts.append(f'scores of {matched} classes and distances')
        strides = ', '.join(str(teacher.strides[other]) for _, other in self._pairs)
        seen = f' at {self.zoom} times the size' if self.zoom > 1 else ''
        return (f'teacher {teacher.card.name}, {teacher.spec.label}'
                f'{seen}, strides {strides}: ' + '; '.join(parts))
