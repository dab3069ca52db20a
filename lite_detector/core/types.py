# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Data types shared by all packages."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float32]
DoubleArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]
ImageArray = npt.NDArray[np.uint8]

MIN_SIDE, MAX_SIDE = 8, 16384
"""Minimum and maximum length of an image side in pixels."""
MAX_THREADS = 64
"""Maximum number of threads per inference; OpenMP aborts with tens of thousands."""
DEVICE_PATTERN = r'^(cpu|auto|(gpu|tensorrt|cuda)(:\d{1,2})?|openvino|coreml)$'
DEVICES = ('cpu, gpu, gpu:N, auto; with runtime onnx also tensorrt, tensorrt:N, cuda, cuda:N, '
           'openvino, coreml')
"""Description of DEVICE_PATTERN for messages."""


class ImageSize(NamedTuple):
    """Height and width in pixels; used instead of a tuple to avoid a wrong order."""

    height: int
    width: int

    def __str__(self) -> str:
        """Return width x height."""
        return f'{self.width}x{self.height}'


def size_of(image: npt.NDArray[np.generic]) -> ImageSize:
    """
    Return the size of an image array.

    :param image: Array of shape (height, width, ...).
    """
    return ImageSize(int(image.shape[0]), int(image.shape[1]))


@dataclass(frozen=True)
class Detections:
    """
    Detections in one image, best score first.

    :param boxes_xyxy: Left, top, right, bottom in pixels, float32, shape (n, 4).
    :param scores: Scores, 0 to 1, float32, shape (n,).
    :param class_ids: Index into the class names of the model, int64, shape (n,).
    :raises ValueError: if the shapes do not match.
    """

    boxes_xyxy: FloatArray
    scores: FloatArray
    class_ids: IntArray

    def __post_init__(self) -> None:
        count = len(self.scores)
        for name, wanted in (('boxes_xyxy', (count, 4)), ('scores', (count,)),
                             ('class_ids', (count,))):
            got = getattr(self, name).shape
            if got != wanted:
                raise ValueError(f'Detections.{name}: shape {got}; expected {wanted}')

    @classmethod
    def empty(cls) -> Detections:
        """Return the result of an image without detections."""
        return cls(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.int64))

    def __len__(self) -> int:
        return len(self.scores)

    def select(self, index: npt.NDArray[np.generic]) -> Detections:
        """
        Return the rows selected by an index or a mask, in its order.

        :param index: Indices of any length, or bool mask of shape (n,).
        """
        return Detections(self.boxes_xyxy[index], self.scores[index], self.class_ids[index])

    def with_boxes(self, boxes_xyxy: FloatArray) -> Detections:
        """Return the same detections with other boxes, for example in other coordinates."""
        return replace(self, boxes_xyxy=boxes_xyxy)
