# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The distillation losses that a teacher adds to an objective."""

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
from lite_detector.train.models.pyramid_network import PyramidNetwork
import torch
from torch import nn, Tensor
from torch.nn import functional


class Distillation(nn.Module):
    """
    A part of an objective; its convolutions are trained and resumed with it, and never exported.

    Feature maps are paired by the pixels of the student that their cells cover. The weight of all
    terms falls along a cosine over the full run. It depends only on the number of the step, so a
    resumed run continues with the same weight.

    :param spec: Settings of the distillation.
    :param teacher: Teacher network.
    :param model: Student network.
    :param card: Model card of the student.
    :param reduce_mean: Function that averages over processes.
    :raises ConfigError: if the two networks share no stride or no class.
    """

    def __init__(self, spec: DistillSpec, teacher: Teacher, model: PyramidNetwork,
                 card: NetworkCard, reduce_mean: ReduceMean = identity) -> None:
        super().__init__()
        self._spec = spec
        self._teacher = teacher
        self.zoom = spec.zoom
        self._pairs = [(model.strides.index(stride), teacher.strides.index(stride * spec.zoom))
                       for stride in model.strides if stride * spec.zoom in teacher.strides
                       and (spec.strides is None or stride in spec.strides)]
        if not self._pairs:
            raise ConfigError(f'distill.teacher: {teacher.card.name} has feature maps at strides '
                              f'{list(teacher.strides)}, the student at {list(model.strides)}; '
                              f'expected at least one pair at zoom {spec.zoom}')
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

        :param iteration: Index of the step in the run, from 0.
        :param total: Number of steps of the run.
        """
        self._iteration = iteration
        self._factor = cosine(iteration / max(1, total - 1), self._spec.final_factor)

    def for_student(self, images: Tensor, truths: Sequence[GroundTruth]
                    ) -> tuple[Tensor, Sequence[GroundTruth]]:
        """
        Return images and labels in the size of the student's input.

        The mean of ``zoom`` x ``zoom`` pixels equals the preprocessing of the deployment pipeline
        for
        a camera image that is ``zoom`` times as large.

        :param images: Images in the size of the teacher's input, shape (n, 3, zoom * h, zoom * w).
        :param truths: Labels in pixels of these images.
        """
        if self.zoom == 1:
            return images, truths
        return functional.avg_pool2d(images, self.zoom), [
            truth._replace(boxes_xyxy=truth.boxes_xyxy / self.zoom,
                           ignored_xyxy=truth.ignored_xyxy / self.zoom) for truth in truths]

    def forward(self, images: Tensor, levels: Sequence[Tensor],
                heads: Sequence[Tensor]) -> dict[str, Tensor]:
        """
        Return name -> weighted loss, float32 scalars.

        :param images: Images for the teacher, shape (n, 3, zoom * h, zoom * w).
        :param levels: Feature maps of the student's neck, one per stride.
        :param heads: Raw heads of the student.
        """
        lesson = self._teacher.look(images, self._heads is not None)
        terms: dict[str, Tensor] = {}
        with torch.autocast(images.device.type, enabled=False):
            if self.features is not None and self._spec.features is not None:
                terms['distill_features'] = self._spec.features.weight * sum(
                    loss(levels[own].float(), resized(lesson.levels[other].float(),
                                                      levels[own].shape[2:]), self._iteration)
                    for loss, (own, other) in zip(self.features, self._pairs, strict=True))
            if self._heads is not None and lesson.heads is not None:
                terms |= self._heads.terms(heads, lesson.heads)
        return {name: self._factor * term for name, term in terms.items()}

    def describe(self) -> str:
        """Return one line of text on teacher and losses."""
        teacher = self._teacher
        parts = []
        if self._spec.features is not None:
            parts.append(f'{self._spec.features.kind} of feature maps')
        if self._heads is not None:
            matched = len(self._heads.matched)
            parts.append(f'scores of {matched} classes and distances')
        strides = ', '.join(str(teacher.strides[other]) for _, other in self._pairs)
        size = f' at {self.zoom} times the input size' if self.zoom > 1 else ''
        return (f'teacher {teacher.card.name}, {teacher.spec.label}'
                f'{size}, strides {strides}: ' + '; '.join(parts))
