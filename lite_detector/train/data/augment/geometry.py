# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Deterministic steps that draw an image into the network input.

A step transforms the pixels and the boxes of one image. Coordinates are continuous, as in
``core.geometry``. The pixels are interpolated only once. Without rotation the step is the
``cv2.resize`` of the deployment pipeline, which is 3.5 times as fast as ``cv2.warpAffine``.
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
    """A rectangle of pixels of the network input: all of it, or a quarter of a mosaic."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def of(cls, size: ImageSize) -> Region:
        """Return the window that covers the full input."""
        return cls(0, 0, size.width, size.height)

    def cut(self, canvas: ImageArray) -> ImageArray:
        """Return a view of this part of an image."""
        return canvas[self.top:self.bottom, self.left:self.right]


class Extent(NamedTuple):
    """Rectangle of the full image in network pixels; it may exceed the input."""

    center_x: float
    center_y: float
    width: float
    height: float


@dataclass(frozen=True)
class Placement:
    """
    A part of an image, resized into a part of the network input, optionally mirrored.

    :param source: Visible part, in pixels of the image.
    :param window: Target rectangle in the input.
    :param flip: Whether to mirror left and right.
    """

    source: Region
    window: Region
    flip: bool = False

    def apply_image(self, image_bgr: ImageArray, canvas: ImageArray, color: ColorStep) -> None:
        """
        Draw the image into the input; pixels outside the window stay.

        :param image_bgr: BGR image, uint8, shape (height, width, 3).
        :param canvas: Full network input, uint8.
        :param color: Colour change to apply.
        """
        target = self.window.cut(canvas)
        size = target.shape[1::-1]
        pixels = cv2.resize(self.source.cut(image_bgr), size, interpolation=cv2.INTER_LINEAR)
        if self.flip:
            pixels = cv2.flip(pixels, 1)
        target[:] = color.apply_image(pixels)

    def apply_boxes(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Transform boxes like the pixels, without clipping.

        :param boxes_xyxy: Boxes in pixels of the image, float32, shape (n, 4).
        :return: Boxes in network pixels, float32, shape (n, 4).
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
    An image that is rotated into the network input.

    :param matrix: Affine matrix from image pixels to network pixels, shape (2, 3).
    :param window: Part of the input that the image may cover.
    """

    matrix: tuple[tuple[float, float, float], tuple[float, float, float]]
    window: Region

    def apply_image(self, image_bgr: ImageArray, canvas: ImageArray, color: ColorStep) -> None:
        """
        Draw the image into the input; pixels that it does not cover stay.

        :param image_bgr: BGR image, uint8, shape (height, width, 3).
        :param canvas: Full network input, uint8.
        :param color: Colour change to apply.
        """
        target = self.window.cut(canvas)
        matrix = np.array(self.matrix)
        # cv2 puts the origin at the centre of the first pixel, this package at its edge
        matrix[:, 2] += matrix[:, :2].sum(axis=1) / 2 - 0.5
        matrix[:, 2] -= self.window[:2]
        # the canvas is blank here, so any of its pixels has the padding colour
        fill = canvas[self.window.top, self.window.left].tolist()
        target[:] = cv2.warpAffine(color.apply_image(image_bgr), matrix, target.shape[1::-1],
                                   flags=cv2.INTER_LINEAR, borderValue=fill)

    def apply_boxes(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Return the upright bounding boxes of the rotated boxes, without clipping.

        :param boxes_xyxy: Boxes in pixels of the image, float32, shape (n, 4).
        :return: Boxes in network pixels, float32, shape (n, 4).
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
    Return the step that draws an image into a frame, limited to a window.

    :param image_size: Size of the image in pixels.
    :param frame: Rectangle of the full image in network pixels.
    :param window: Part of the input that may be covered.
    :param flip: Whether to mirror left and right.
    :param degrees: Rotation around the centre of the frame.
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
    # One axis: first and last visible pixel of the image, and their targets. Both are integers,
    # so that a plain resize is enough; the boxes follow the rounded values.
    scale, start = extent / length, center - extent / 2
    first = min(max(0, math.floor((low - start) / scale)), length - 1)
    last = max(min(length, math.ceil((high - start) / scale)), first + 1)
    to = min(max(low, round(start + first * scale)), high - 1)
    return first, last, to, max(min(high, round(start + last * scale)), to + 1)
