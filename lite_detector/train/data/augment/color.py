# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Brightness, contrast, saturation and hue in one pass over the pixels."""

from __future__ import annotations

from dataclasses import dataclass
import math

import cv2
from lite_detector.core.types import ImageArray
import numpy as np

LUMA_BGR = (0.114, 0.587, 0.299)
"""How bright the three channels look (ITU-R BT.601)."""
MIDDLE = 127.5
"""The grey that contrast leaves as it is."""


@dataclass(frozen=True)
class ColorStep:
    """
    A change of colours: all four kinds are linear, so together they are one matrix.

    :param brightness: grey levels to add.
    :param contrast: factor around middle grey.
    :param saturation: factor of the distance from grey; 0 is a grey image.
    :param hue: turn around the grey axis, degrees.
    """

    brightness: float = 0.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0

    def apply_image(self, image_bgr: ImageArray) -> ImageArray:
        """
        Return the image in new colours; where nothing changes, the same array.

        :param image_bgr: uint8, shape (height, width, 3).
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
    # Rodrigues' formula around (1, 1, 1): greys stay, pure colours go round
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) / math.sqrt(3)
    return (math.cos(angle) * np.eye(3) + math.sin(angle) * cross
            + (1 - math.cos(angle)) * np.full((3, 3), 1 / 3))
