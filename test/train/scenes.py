# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images with a painted rectangle, so that a test can find the box again in the pixels."""

from pathlib import Path

from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Sample
import numpy as np

INPUT = ImageSize(192, 256)
PLAIN = PreprocessSpec(resize='letterbox_square', color='bgr', mean=(0.0, 0.0, 0.0),
                       std=(1.0, 1.0, 1.0), pad_value=114)
SIZE = ImageSize(150, 240)
BOX = (60, 40, 180, 110)
"""Of the painted rectangle: left, top, right, bottom."""


def painted(size: ImageSize = SIZE, box: tuple[int, ...] = BOX,
            class_id: int = 0, ignore: bool = False) -> Sample:
    """Return a black image with one white box."""
    image_bgr = np.zeros((*size, 3), np.uint8)
    left, top, right, bottom = box
    image_bgr[top:bottom, left:right] = 255
    return Sample(Path(f'{class_id}.png'), image_bgr, np.array([box], np.float32),
                  np.array([class_id]), np.array([ignore]), np.ones(1, np.float32))


def noise(size: ImageSize, count: int = 0, seed: int = 0) -> Sample:
    """Return an image of noise with some boxes of ten classes, each third of them ignored."""
    rng = np.random.default_rng(seed)
    corners = np.sort(rng.uniform(0, 1, (count, 2, 2)), axis=1) * (size.width, size.height)
    return Sample(Path(f'noise{seed}.png'), rng.integers(0, 256, (*size, 3), np.uint8),
                  corners.reshape(-1, 4).astype(np.float32), np.arange(count) % 10,
                  np.arange(count) % 3 == 2, rng.uniform(0, 1, count).astype(np.float32))


def find_white(image_bgr: np.ndarray) -> np.ndarray:
    """Return the box of the white pixels."""
    white = image_bgr[..., 0] > 190
    columns, rows = np.flatnonzero(white.any(axis=0)), np.flatnonzero(white.any(axis=1))
    return np.array((columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), float)
