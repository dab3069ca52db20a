# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
JPEG images decoded at a half, a quarter or an eighth of their size.

The decoder leaves out the coefficients that the smaller image does not need, which takes about
half the time; a network whose input is that much smaller loses nothing it could see.
"""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.geometry import clip_boxes
from lite_detector.core.image_header import claimed_size, is_jpeg
from lite_detector.core.media import decode_image, REDUCTIONS
from lite_detector.core.types import Detections, ImageArray, ImageSize, size_of
import numpy as np


class Reduced(NamedTuple):
    """An image that may be smaller than the camera's."""

    image_bgr: ImageArray
    """uint8, shape (height, width, 3)."""
    factor: int
    """Full pixels per pixel, in both directions; 1: the image is whole."""
    full_size: ImageSize

    def to_full(self, found: Detections) -> Detections:
        """
        Return detections in full pixels.

        :param found: boxes in pixels of the reduced image.
        """
        if self.factor == 1:
            return found
        boxes = clip_boxes(found.boxes_xyxy * np.float32(self.factor), self.full_size)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # the last pixel may not be whole
        return found.with_boxes(boxes).select(inside)


def reduction_to(full_size: ImageSize, least: ImageSize) -> int:
    """
    Return by how much an image may be reduced without becoming smaller than another.

    :param full_size: of the image.
    :param least: size that is to be kept.
    :return: a key of ``REDUCTIONS``.
    """
    return max((factor for factor in REDUCTIONS
                if full_size.height // factor >= least.height
                and full_size.width // factor >= least.width), default=1)


def jpeg_size(data: ImageArray) -> ImageSize | None:
    """
    Return the size in the header of a JPEG; None: it is none, or its header is damaged.

    :param data: the file's bytes, uint8, shape (n,).
    """
    size = claimed_size(data) if is_jpeg(data) else None
    return size if size and min(size) > 0 else None


def decode_reduced(data: ImageArray, where: str, full_size: ImageSize, factor: int) -> Reduced:
    """
    Decode a JPEG at a part of its size.

    :param data: the file's bytes, uint8, shape (n,).
    :param where: name for the message.
    :param full_size: what its header says.
    :param factor: a key of ``REDUCTIONS``.
    :raises ImageError: as :func:`lite_detector.core.media.decode_image`.
    """
    image_bgr = decode_image(data, where, factor=factor)
    height, width = size_of(image_bgr)
    turned = ImageSize(full_size.width, full_size.height)  # as its EXIF data may say
    for size in (full_size, turned):
        if (-(-size.height // factor), -(-size.width // factor)) == (height, width):
            return Reduced(image_bgr, factor, size)
    return Reduced(image_bgr, factor, ImageSize(factor * height, factor * width))
