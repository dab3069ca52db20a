# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Decode JPEG images at a half, a quarter or an eighth of their size.

The decoder skips the coefficients that the smaller image does not need, which halves the time. If
the network input is at least that much smaller, no detail is lost.
"""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.geometry import clip_boxes
from lite_detector.core.image_header import claimed_size, is_jpeg
from lite_detector.core.media import decode_image, REDUCTIONS
from lite_detector.core.types import Detections, ImageArray, ImageSize, size_of
import numpy as np


class Reduced(NamedTuple):
    """An image that may be smaller than the original one."""

    image_bgr: ImageArray
    """BGR image, uint8, shape (height, width, 3)."""
    factor: int
    """Original pixels per pixel in both directions; 1: not reduced."""
    full_size: ImageSize

    def to_full(self, found: Detections) -> Detections:
        """
        Return detections in pixels of the original image.

        :param found: Detections in pixels of the reduced image.
        """
        if self.factor == 1:
            return found
        boxes = clip_boxes(found.boxes_xyxy * np.float32(self.factor), self.full_size)
        inside = (boxes[:, 2:] > boxes[:, :2]).all(axis=1)  # the last pixel may be incomplete
        return found.with_boxes(boxes).select(inside)


def reduction_to(full_size: ImageSize, least: ImageSize) -> int:
    """
    Return the largest reduction factor that keeps an image at least as large as a size.

    :param full_size: Size of the image in pixels.
    :param least: Minimum size after the reduction, in pixels.
    :return: Reduction factor, a key of ``REDUCTIONS``.
    """
    return max((factor for factor in REDUCTIONS
                if full_size.height // factor >= least.height
                and full_size.width // factor >= least.width), default=1)


def jpeg_size(data: ImageArray) -> ImageSize | None:
    """
    Return the size in the header of a JPEG; None: not a JPEG, or the header is damaged.

    :param data: Content of the file, uint8, shape (n,).
    """
    size = claimed_size(data) if is_jpeg(data) else None
    return size if size and min(size) > 0 else None


def decode_reduced(data: ImageArray, where: str, full_size: ImageSize, factor: int) -> Reduced:
    """
    Decode a JPEG at a reduced size.

    :param data: Content of the file, uint8, shape (n,).
    :param where: File name or source, for messages.
    :param full_size: Size according to the header, in pixels.
    :param factor: Reduction factor, a key of ``REDUCTIONS``.
    :raises ImageError: see :func:`lite_detector.core.media.decode_image`.
    """
    image_bgr = decode_image(data, where, factor=factor)
    height, width = size_of(image_bgr)
    turned = ImageSize(full_size.width, full_size.height)  # after an EXIF rotation
    for size in (full_size, turned):
        if (-(-size.height // factor), -(-size.width // factor)) == (height, width):
            return Reduced(image_bgr, factor, size)
    return Reduced(image_bgr, factor, ImageSize(factor * height, factor * width))
