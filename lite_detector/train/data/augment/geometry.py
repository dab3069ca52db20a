# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Deterministic steps from an image to its place in the network input.

A step moves the pixels and the boxes of one image. Coordinates are continuous, as in
``core.geometry``. There is one interpolation from the stored image to the network input, and
where nothing turns it is the ``cv2.resize`` of serving: 3.5 times as fast as ``cv2.warpAffine``.
"""

from __future__ import annotations

from dataclasses import dataclass
import math
from typing import NamedTuple

import cv2
from lite_detector.core.types import FloatArray, ImageArray, ImageSize
from lite_detector.train.data.augment.color import ColorStep
import numpy as np


class Region(NamedTuple):
    """Whole pixels of the network input: all of it, or a quarter of a mosaic."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, size: ImageSize) -> Region:
        """Return all of an input."""
        return cls(0, 0, size.width, size.height)

    def cut(self, canvas: ImageArray) -> ImageArray:
        """Return this part of an image, to read or to paint."""
        return canvas[self.top:self.bottom, self.left:self.right]


class Extent(NamedTuple):
    """Where a whole image would lie in the network input, in view or not."""

    center_x: float
    center_y: float
    width: float
    height: float


@dataclass(frozen=True)
class Placement:
    """
    A part of an image, resized into a part of the network input, perhaps mirrored.

    :param source: the part in view, in pixels of the image.
    :param window: where it lies in the input.
    :param flip: whether left and right change places within the window.
    """

    source: Region
    window: Region
    flip: bool = False

    def apply_image(self, image_bgr: ImageArray, canvas: ImageArray, color: ColorStep) -> None:
        """
        Paint the image into the input; what lies outside of the window stays.

        :param image_bgr: uint8, shape (height, width, 3).
        :param canvas: uint8, all of the network input.
        :param color: what happens to the colours on the way.
        """
        target = self.window.cut(canvas)
        size = target.shape[1::-1]
        pixels = cv2.resize(self.source.cut(image_bgr), size, interpolation=cv2.INTER_LINEAR)
        if self.flip:
            pixels = cv2.flip(pixels, 1)
        target[:] = color.apply_image(pixels)

    def apply_boxes(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Move boxes along with the pixels; they are not cut.

        :param boxes_xyxy: in pixels of the image, float32, shape (n, 4).
        :return: in network pixels, float32, shape (n, 4).
        """
        source, window = self.source, self.window
        scale_x = (window.right - window.left) / (source.right - source.left)
        scale_y = (window.bottom - window.top) / (source.bottom - source.top)
        left, top, right, bottom = boxes_xyxy.T
        left = (left - source.left) * scale_x + window.left
        right = (right - source.left) * scale_x + window.left
        if self.flip:
            left, right = window.left + window.right - right, window.left + window.right - left
        return np.stack((left, (top - source.top) * scale_y + window.top,
                         right, (bottom - source.top) * scale_y + window.top),
                        axis=1).astype(np.float32)


@dataclass(frozen=True)
class Warp:
    """
    An image that is turned on its way into the network input.

    :param matrix: image pixels -> network pixels, two rows of three.
    :param window: the part of the input that the image may paint.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    window: Region

    def apply_image(self, image_bgr: ImageArray, canvas: ImageArray, color: ColorStep) -> None:
        """
        Paint the image into the input; what it does not reach stays.

        :param image_bgr: uint8, shape (height, width, 3).
        :param canvas: uint8, all of the network input.
        :param color: what happens to the colours on the way.
        """
        target = self.window.cut(canvas)
        matrix = np.array(self.matrix)
        # cv2 counts from the middle of the first pixel, we from its edge
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        matrix[:, 2] -= self.window[:2]
        # the canvas is blank here, so any pixel of it is the padding
        fill = canvas[self.window.top, self.window.left].tolist()
        target[:] = cv2.warpAffine(color.apply_image(image_bgr), matrix, target.shape[1::-1],
                                   flags=cv2.INTER_LINEAR, borderValue=fill)

    def apply_boxes(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Return the upright hulls of the turned boxes; they are not cut.

        :param boxes_xyxy: in pixels of the image, float32, shape (n, 4).
        :return: in network pixels, float32, shape (n, 4).
        """
        matrix = np.array(self.matrix)
        corners = boxes_xyxy[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        corners = corners @ matrix[:, :2].T + matrix[:, 2]
        return np.concatenate((corners.min(axis=1), corners.max(axis=1)),
                              axis=1).astype(np.float32)


GeometryStep = Placement | Warp


def place(image_size: ImageSize, frame: Extent, window: Region, flip: bool = False,
          degrees: float = 0.0) -> GeometryStep:
    """
    Lay an image into a frame of the network input, as far as a window shows it.

    :param image_size: pixels of the image.
    :param frame: where all of it would lie.
    :param window: what may be painted.
    :param flip: whether to mirror it.
    :param degrees: turn around the middle of the frame.
    """
    if degrees:
        return Warp(_turned(image_size, frame, flip, math.radians(degrees)), window)
    columns = _snap(image_size.width, frame.center_x, frame.width, window.left, window.right)
    rows = _snap(image_size.height, frame.center_y, frame.height, window.top, window.bottom)
    return Placement(Region(columns[0], rows[0], columns[1], rows[1]),
                     Region(columns[2], rows[2], columns[3], rows[3]), flip)


def _turned(image_size: ImageSize, frame: Extent, flip: bool, angle: float
            ) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    scale_x = frame.width / image_size.width * (-1 if flip else 1)
    scale_y = frame.height / image_size.height
    cos, sin = math.cos(angle), math.sin(angle)
    xx, xy, yx, yy = cos * scale_x, -sin * scale_y, sin * scale_x, cos * scale_y
    x, y = image_size.width / 2, image_size.height / 2
    return ((xx, xy, frame.center_x - xx * x - xy * y), (yx, yy, frame.center_y - yx * x - yy * y))


def _snap(length: int, center: float, extent: float, low: int, high: int
          ) -> tuple[int, int, int, int]:
    # One axis: first and last pixel of the image in view, and where they go. Whole pixels on both
    # sides, so that a plain resize does it; the boxes follow the rounded map, not the wish.
    scale, start = extent / length, center - extent / 2
    first = min(max(0, math.floor((low - start) / scale)), length - 1)
    last = max(min(length, math.ceil((high - start) / scale)), first + 1)
    to = min(max(low, round(start + first * scale)), high - 1)
    return first, last, to, max(min(high, round(start + last * scale)), to + 1)
