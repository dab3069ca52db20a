# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Brightness, contrast, saturation and hue in one step over the pixels."""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
from lite_detector.core.types import ImageArray
import numpy as np

LUMA_BGR = (0.114, 0.587, 0.299)
"""Luminance weights of the three channels (ITU-R BT.601)."""
MIDDLE = 127.5
"""Grey level that contrast does not change."""


@dataclass(frozen=True)
class ColorStep:
    """
    A colour change. All four kinds are linear, so together they are one matrix.

    :param brightness: Grey levels to add.
    :param contrast: Factor around middle grey.
    :param saturation: Factor on the distance from grey; 0 gives a grey image.
    :param hue: Rotation around the grey axis in degrees.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    def apply_image(self, image_bgr: ImageArray) -> ImageArray:
        """
        Return the image with changed colours; without a change, the same array.

        :param image_bgr: BGR image, uint8, shape (height, width, 3).
        """
        if self == UNCHANGED:
            return image_bgr
        offset = self.brightness + MIDDLE * (1 - self.contrast)
        mixing = self.contrast * (_saturate(self.saturation) @ _turn_hue(math.radians(self.hue)))
        matrix = np.concatenate((mixing, np.full((3, 1), offset)), axis=1)
        return cv2.transform(image_bgr, matrix)


UNCHANGED = ColorStep()


def _saturate(factor: float) -> np.ndarray:
    return factor * np.eye(3) + (1 - factor) * np.array([LUMA_BGR] * 3)


def _turn_hue(angle: float) -> np.ndarray:
    # Rodrigues' rotation formula around (1, 1, 1), which keeps greys
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return (math.cos(angle) * np.eye(3) + math.sin(angle) * cross
            + (1 - math.cos(angle)) * np.full((3, 3), 1 / 3))
