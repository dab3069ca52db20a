# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Boxes, and the map between camera pixels and network pixels."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import FloatArray, ImageSize
import numpy as np


def clip_boxes(boxes_xyxy: FloatArray, size: ImageSize) -> FloatArray:
    """
    Cut boxes at the image border.

    Coordinates are continuous: 0 is the left edge of the first pixel, width the right edge of
    the last.

    :param boxes_xyxy: corners in pixels, float32, shape (n, 4).
    :return: a new array of the same shape.
    """
    limits = np.array((size.width, size.height, size.width, size.height), np.float32)
    return np.clip(boxes_xyxy, np.float32(0), limits)


def rotate_boxes_back(boxes_xyxy: FloatArray, angle: int, size: ImageSize) -> FloatArray:
    """
    Map boxes of a rotated image to the image that was rotated.

    :param boxes_xyxy: corners in pixels of the rotated image, float32, shape (n, 4).
    :param angle: by which the image was rotated clockwise, in degrees: 0, 90, 180 or 270.
    :param size: of the image before the rotation.
    :return: a new array of the same shape, except for angle 0.
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
    Compute the overlap of every pair of boxes.

    :param boxes_a: xyxy corners in pixels, float32, shape (n, 4).
    :param boxes_b: xyxy corners in pixels, float32, shape (m, 4).
    :return: intersection over union in [0, 1], shape (n, m); 0 where both areas are 0.
    """
    left_a, top_a, right_a, bottom_a = boxes_a.T[:, :, None]
    left_b, top_b, right_b, bottom_b = boxes_b.T[:, None, :]
    # plane by plane and in place: three times as fast as arrays of shape (n, m, 2)
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
    How an image of one size lies in the network input, and the way back.

    :param source_size: camera pixels.
    :param resized_size: the image inside the input, in network pixels.
    :param input_size: the whole input, padding included.
    :param left: first column of the image in the input.
    :param top: first row of the image in the input.
    :param scale_x: network pixels per camera pixel.
    :param scale_y: the same, vertically; equal to ``scale_x`` where the ratio is kept.
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
        Lay an image into the network input the way the model was trained.

        :param source_size: camera pixels.
        :param input_size: the network input; for ``letterbox_rect`` the box to fit into.
        :param spec: resize mode and side of the padding.
        :param stride: largest stride of the model; ``letterbox_rect`` pads to its multiples.
        """
        scale_x = input_size.width / source_size.width
        scale_y = input_size.height / source_size.height
        if spec.resize == 'stretch':
            return cls(source_size, input_size, input_size, 0, 0, scale_x, scale_y)
        resized = _fit_inside(source_size, input_size)
        # One scale for both axes, as the networks are trained and their reference decoders do,
        # although the short side loses the fraction of a network pixel that does not fit.
        scale = min(scale_x, scale_y)
        padded = input_size
        if spec.resize == 'letterbox_rect':
            padded = ImageSize(ceil_to(resized.height, stride), ceil_to(resized.width, stride))
        left = top = 0
        if spec.pad == 'center':
            left = (padded.width - resized.width) // 2
            top = (padded.height - resized.height) // 2
        return cls(source_size, resized, padded, left, top, scale, scale)

    def to_input(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Map boxes from camera pixels to network pixels.

        :param boxes_xyxy: corners in source pixels, float32, shape (n, 4).
        """
        return boxes_xyxy * self._scale + self._offset

    def to_source(self, boxes_xyxy: FloatArray) -> FloatArray:
        """
        Map boxes from network pixels to camera pixels; the inverse of ``to_input``.

        :param boxes_xyxy: corners in network pixels, float32, shape (n, 4).
        """
        return (boxes_xyxy - self._offset) / self._scale

    @cached_property
    def _scale(self) -> FloatArray:
        return np.array((self.scale_x, self.scale_y, self.scale_x, self.scale_y), np.float32)

    @cached_property
    def _offset(self) -> FloatArray:
        return np.array((self.left, self.top, self.left, self.top), np.float32)


def _fit_inside(source: ImageSize, box: ImageSize) -> ImageSize:
    # In integers: a float scale can lose the last pixel of the fitted side (427 * (320 / 427)).
    if source.height * box.width <= source.width * box.height:
        return ImageSize(max(1, source.height * box.width // source.width), box.width)
    return ImageSize(box.height, max(1, source.width * box.height // source.height))
