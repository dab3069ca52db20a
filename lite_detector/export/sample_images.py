# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images to compare runtimes on if none are given."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import cv2
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageArray, ImageSize
import numpy as np

PHOTOGRAPHS = ('astronaut.png', 'chelsea.png', 'coffee.png', 'rocket.jpg', 'motorcycle_left.png',
               'motorcycle_right.png', 'horse.png', 'coins.png', 'hubble_deep_field.jpg',
               'retina.jpg')
DRAWN_SIZES = (ImageSize(480, 640), ImageSize(360, 640), ImageSize(640, 480), ImageSize(300, 300))


def sample_images() -> tuple[str, list[ImageArray]]:
    """
    Return photographs of scikit-image, or drawn images if it is not installed.

    :return: Text on the source of the images; and the images, uint8 BGR.
    """
    spec = find_spec('skimage')
    folder = Path(spec.origin).parent / 'data' if spec and spec.origin else None
    paths = [folder / name for name in PHOTOGRAPHS if (folder / name).is_file()] if folder else []
    if paths:
        return 'photographs of scikit-image', [read_image(path) for path in paths]
    return 'drawn images', [draw_image(size, seed) for seed, size
                            in enumerate(DRAWN_SIZES + DRAWN_SIZES)]


def draw_image(size: ImageSize, seed: int) -> ImageArray:
    """
    Draw an image with the statistics of a photograph: noise at every scale, and shapes.

    :param size: Size of the image in pixels.
    :param seed: Random seed.
    :return: BGR image, uint8, shape (height, width, 3).
    """
    random = np.random.default_rng(seed)
    image = np.zeros((*size, 3), np.float32)
    for cells in (2, 4, 8, 16, 32, 64, 128):
        # half the scale has half the amplitude: the 1/f spectrum of natural images
        noise = random.normal(0, 1 / cells, (cells, cells, 3)).astype(np.float32)
        image += cv2.resize(noise, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    image = np.clip(127 + 127 * image / np.abs(image).max(), 0, 255).astype(np.uint8)
    for _ in range(6):
        x, y = random.integers(0, (size.width, size.height)).tolist()
        axes = random.integers(12, min(size) // 4, 2).tolist()
        color = random.integers(0, 256, 3).tolist()
        cv2.ellipse(image, (x, y), axes, float(random.integers(180)), 0, 360, color, -1,
                    cv2.LINE_AA)
    return image
