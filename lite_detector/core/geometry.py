# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Geometry of boxes, and the transform between camera pixels and network pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from lite_detector.core.model_card import PreprocessSpec, RECT_RESIZES
from lite_detector.core.types import FloatArray, ImageSize
import numpy as np


def clip_boxes(boxes_xyxy: FloatArray, size: ImageSize) -> FloatArray:
    """
    Clip boxes to the image.

    Coordinates are continuous: 0 is the left edge of the first pixel, width the right edge of
    the last.

    :param boxes_xyxy: Corners in pixels, float32, shape (n, 4).
    :param size: Size of the image in pixels.
    :return: New array of the same shape.
    """
    limits = np.array((size.width, size.height, size.width, size.height), np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limits)


def rotate_boxes_back(boxes_xyxy: FloatArray, angle: int, size: ImageSize) -> FloatArray:
    """
    Transform boxes of a rotated image to the original image.

    :param boxes_xyxy: Corners in pixels of the rotated image, float32, shape (n, 4).
    :param angle: Clockwise rotation of the image in degrees: 0, 90, 180 or 270.
    :param size: Size of the original image in pixels.
    :return: New array of the same shape; the same array for angle 0.
    """
    if not angle:
        return boxes_xyxy
    left, top, right, bottom = boxes_xyxy.T
    height, width = np.float32(size.height), np.float32(size.width)
    sides = {90: (top, height - right, bottom, height - left),
             180: (width - right, height - bottom, width - left, height - top),
             270: (width - bottom, left, width - top, right)}
    return np.stack(sides[angle], axis=1)


def iou_matrix(boxes_a: FloatArray, boxes_b: FloatArray) -> FloatArray:
    """
    Compute the IoU of all pairs of boxes.

    :param boxes_a: Corners x1, y1, x2, y2 in pixels, float32, shape (n, 4).
    :param boxes_b: Corners x1, y1, x2, y2 in pixels, float32, shape (m, 4).
    :return: Intersection over union, 0 to 1, shape (n, m); 0 where both areas are 0.
    """
    left_a, top_a, right_a, bottom_a = boxes_a.T[:, :, None]
    left_b, top_b, right_b, bottom_b = boxes_b.T[:, None, :]
    # separate planes and in-place operations are three times as fast as arrays of shape (n, m, 2)
    intersection = np.minimum(right_a, right_b)
    intersection -= np.maximum(left_a, left_b)
    height = np.minimum(bottom_a, bottom_b)
    height -= np.maximum(top_a, top_b)
    np.maximum(intersection, 0, out=intersection)
    np.maximum(height, 0, out=height)
    intersection *= height
    union = (right_a - left_a) * (bottom_a - top_a) + (right_b - left_b) * (bottom_b - top_b)
    union -= intersection
    np.maximum(union, np.finfo(np.float32).tiny, out=union)
    return np.divide(intersection, union, out=intersection)


def ceil_to(value: int, multiple: int) -> int:
    """Round up to a multiple."""
    return -(-value // multiple) * multiple


@dataclass(frozen=True)
class Letterbox:
    """
    Transform between camera pixels and network pixels for one image size.

    :param source_size: Size of the camera image in pixels.
    :param resized_size: Size of the resized image inside the network input, in network pixels.
    :param input_size: Size of the full network input, padding included.
    :param left: First column of the image in the network input.
    :param top: First row of the image in the network input.
    :param scale_x: Network pixels per camera pixel, horizontally.
    :param scale_y: Network pixels per camera pixel, vertically; equal to ``scale_x`` unless
        stretched.
    """

    source_size: ImageSize
    resized_size: ImageSize
    input_size: ImageSize
    left: int
    top: int
    scale_x: float
    scale_y: float

    @classmethod
    @lru_cache(maxsize=64)
    def fit(cls, source_size: ImageSize, input_size: ImageSize, spec: PreprocessSpec,
            stride: int) -> Letterbox:
        """
        Compute how the model's preprocessing fits an image into the network input.

        :param source_size: Size of the camera image in pixels.
        :param input_size: Size of the network input; for the rect modes the bounding size.
        :param spec: Preprocessing: resize mode and position of the padding.
        :param stride: Multiple that the rect modes round both sides up to.
        """
        resized, padded = _fit_inside(source_size, input_size), input_size
        if spec.resize in RECT_RESIZES:
            padded = ImageSize(ceil_to(resized.height, stride), ceil_to(resized.width, stride))
        if spec.resize in ('stretch', 'stretch_rect'):
            return cls(source_size, padded, padded, 0, 0, padded.width / source_size.width,
                       padded.height / source_size.height)
        # One scale for both axes, as in training and in the reference decoders, although the
        # short side is rounded down to a full network pixel.
        scale = min(input_size.width / source_size.width, input_size.height / source_size.height)
        left = top = 0
        if spec.pad == 'center':
            left = (padded.width - resized.width) // 2
            top = (padded.height - resized.height) // 2
        return cls(source_size, resized, padded, left, top, scale, scale)

    def to_input(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Transform boxes from camera pixels to network pixels.

        :param boxes_xyxy: Corners in camera pixels, float32, shape (n, 4).
        """
        return boxes_xyxy * self._scale + self._offset

    def to_source(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Transform boxes from network pixels to camera pixels; the inverse of ``to_input``.

        :param boxes_xyxy: Corners in network pixels, float32, shape (n, 4).
        """
        return (boxes_xyxy - self._offset) / self._scale

    @cached_property
    def _scale(self) -> FloatArray:
        return np.array((self.scale_x, self.scale_y, self.scale_x, self.scale_y), np.float32)

    @cached_property
    def _offset(self) -> FloatArray:
        return np.array((self.left, self.top, self.left, self.top), np.float32)


def _fit_inside(source: ImageSize, box: ImageSize) -> ImageSize:
    # Integer arithmetic: a float scale can lose the last pixel of a side (427 * (320 / 427)).
    if source.height * box.width <= source.width * box.height:
        return ImageSize(max(1, source.height * box.width // source.width), box.width)
    return ImageSize(box.height, max(1, source.width * box.height // source.height))
