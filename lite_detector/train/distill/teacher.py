# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The network that is learnt from: it sees what the student sees, in its own words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import ImageSize
from lite_detector.train.config.distill import DistillSpec
from lite_detector.train.weights.checkpoint import Checkpoint, load_checkpoint
import torch
from torch import Tensor
from torch.nn import functional


class Lesson(NamedTuple):
    """
    What a teacher says of a batch.

    :param levels: maps of its neck, one per stride, shape (n, channels, h, w).
    :param heads: its raw heads; None if nobody asked.
    """

    levels: list[Tensor]
    heads: list[Tensor] | None


class Teacher:
    """
    A network that is never trained.

    It is no ``nn.Module``, so that no optimiser, state, mode or process group takes it for a
    part of what is trained.

    :param checkpoint: of any family.
    :param student: preprocessing of the images that it will get.
    :param input_size: to which these are resized; None leaves them as they are.
    """

    def __init__(self, checkpoint: Checkpoint, student: PreprocessSpec,
                 input_size: ImageSize | None = None) -> None:
        self.card = checkpoint.card
        self.spec = checkpoint.spec
        self._model = checkpoint.model().eval().requires_grad_(False)
        self._model.to(memory_format=torch.channels_last)
        self.strides: tuple[int, ...] = self._model.strides
        self.level_channels: tuple[int, ...] = self._model.level_channels
        self._flip = student.color != self.card.preprocess.color
        self._gain, self._shift = _renormalization(student, self.card.preprocess)
        self._input_size = input_size

    @torch.no_grad()
    def look(self, images: Tensor, with_heads: bool) -> Lesson:
        """
        Run the network.

        :param images: pixels as the student's preprocessing has them, shape (n, 3, h, w).
        :param with_heads: whether its raw heads are wanted.
        """
        if images.device != self._gain.device:
            self._model.to(images.device)
            self._gain = self._gain.to(images.device)
            self._shift = self._shift.to(images.device)
        levels = self._model.pyramids(self.translate(images))[1]
        return Lesson(levels, self._model.raw_heads(levels) if with_heads else None)

    def translate(self, images: Tensor) -> Tensor:
        """Return the images as the teacher's own preprocessing has them, at its size."""
        if self._flip:
            images = images.flip(1)
        images = images * self._gain + self._shift
        if self._input_size is None:
            return images
        return resized(images, self._input_size)


def load_teacher(spec: DistillSpec, student: PreprocessSpec) -> Teacher:
    """
    Read the teacher of a configuration.

    :param student: preprocessing of the network that learns.
    :raises LiteDetectorError: if it is absent, damaged or no checkpoint.
    """
    size = spec.input_size
    try:
        return Teacher(load_checkpoint(Path(spec.teacher)), student,
                       None if size is None else ImageSize(size.height, size.width))
    except ModelError as error:
        raise ModelError(f'distill.teacher: {error}') from None


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Return maps (n, channels, h, w) of another height and width, without aliasing."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode='bilinear', antialias=True)


def _renormalization(student: PreprocessSpec,
                     teacher: PreprocessSpec) -> tuple[Tensor, Tensor]:
    """Return what to multiply by and to add, each shape (3, 1, 1), in the teacher's order."""
    constants = torch.tensor((student.mean, student.std), dtype=torch.float64)
    mean, std = constants if student.color == teacher.color else constants.flip(1)
    own_mean, own_std = torch.tensor((teacher.mean, teacher.std), dtype=torch.float64)
    gain, shift = std / own_std, (mean - own_mean) / own_std
    return gain.float()[:, None, None], shift.float()[:, None, None]
