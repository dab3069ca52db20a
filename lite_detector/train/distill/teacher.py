# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The teacher network, which runs on the student's images with its own preprocessing."""

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
    Outputs of a teacher for a batch.

    :param levels: Feature maps of its neck, one per stride, shape (n, channels, h, w).
    :param heads: Raw heads; None if not requested.
    """

    levels: list[Tensor]
    heads: list[Tensor] | None


class Teacher:
    """
    A network that is never trained.

    It is not an ``nn.Module``, so that optimizer, state dict, training mode and process group do
    not include it.

    :param checkpoint: Checkpoint of any family.
    :param student: Preprocessing of the input images.
    :param input_size: Size to which the images are resized; None keeps their size.
    """

    def __init__(self, checkpoint: Checkpoint, student: PreprocessSpec,
                 input_size: ImageSize | None = None) -> None:
        self.card = checkpoint.card
        self.spec = checkpoint.spec
        self._model = checkpoint.model().eval().requires_grad_(False)
        # torch's own types lack memory_format
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.strides: tuple[int, ...] = self._model.strides
        self.level_channels: tuple[int, ...] = self._model.level_channels
        self._flip = student.color != self.card.preprocess.color
        self._gain, self._shift = _renormalization(student, self.card.preprocess)
        self._input_size = input_size

    @torch.no_grad()
    def look(self, images: Tensor, with_heads: bool) -> Lesson:
        """
        Run the network.

        :param images: Pixels with the student's preprocessing, shape (n, 3, h, w).
        :param with_heads: Whether to return raw heads.
        """
        if images.device != self._gain.device:
            self._model.to(images.device)
            self._gain = self._gain.to(images.device)
            self._shift = self._shift.to(images.device)
        levels = self._model.pyramids(self.translate(images))[1]
        return Lesson(levels, self._model.raw_heads(levels) if with_heads else None)

    def translate(self, images: Tensor) -> Tensor:
        """Return the images with the teacher's own preprocessing, at its input size."""
        if self._flip:
            images = images.flip(1)
        images = images * self._gain + self._shift
        if self._input_size is None:
            return images
        return resized(images, self._input_size)


def load_teacher(spec: DistillSpec, student: PreprocessSpec) -> Teacher:
    """
    Read the teacher of a configuration.

    :param spec: Settings of the distillation.
    :param student: Preprocessing of the student.
    :raises LiteDetectorError: if the file is missing, malformed or not a checkpoint.
    """
    size = spec.input_size
    try:
        return Teacher(load_checkpoint(Path(spec.teacher)), student,
                       None if size is None else ImageSize(size.height, size.width))
    except ModelError as error:
        raise ModelError(f'distill.teacher: {error}') from None


def resized(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize feature maps (n, channels, h, w) without aliasing."""
    if tuple(maps.shape[2:]) == tuple(size):
        return maps
    return functional.interpolate(maps, tuple(size), mode='bilinear', antialias=True)


def _renormalization(student: PreprocessSpec,
                     teacher: PreprocessSpec) -> tuple[Tensor, Tensor]:
    """Return factor and offset, each shape (3, 1, 1), in the teacher's channel order."""
    constants = torch.tensor((student.mean, student.std), dtype=torch.float64)
    mean, std = constants if student.color == teacher.color else constants.flip(1)
    own_mean, own_std = torch.tensor((teacher.mean, teacher.std), dtype=torch.float64)
    gain, shift = std / own_std, (mean - own_mean) / own_std
    return gain.float()[:, None, None], shift.float()[:, None, None]
