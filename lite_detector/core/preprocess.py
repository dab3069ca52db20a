# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Convert an image to the network input; serving and training share this code."""

from __future__ import annotations

import cv2
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import FloatArray, ImageArray, ImageSize
import numpy as np


class BlobBuffers:
    """
    Reusable memory for the network input of one letterbox.

    New memory of this size is mapped page by page, which takes as long as the processing. The
    padding never changes and is written once.

    :param letterbox: Sizes and position of the image in the network input.
    :param spec: Preprocessing with the padding value.
    """

    def __init__(self, letterbox: Letterbox, spec: PreprocessSpec) -> None:
        height, width = letterbox.resized_size
        top, left = letterbox.top, letterbox.left
        self.blob = np.empty((3, *letterbox.input_size), np.float32)
        self.tables, self.blob[:] = _tables(spec)
        self.inside = self.blob[:, top:top + height, left:left + width]
        self.resized = np.empty((height, width, 3), np.uint8)
        self.planes = list(np.empty((3, height, width), np.uint8))


def make_blob(image_bgr: ImageArray, letterbox: Letterbox, spec: PreprocessSpec,
              buffers: BlobBuffers | None = None) -> FloatArray:
    """
    Resize, pad and normalize an image.

    :param image_bgr: BGR image of the letterbox's source size, uint8, shape (height, width, 3).
    :param letterbox: Transform from the image to the network input.
    :param spec: Preprocessing: colour order and normalization.
    :param buffers: Memory for this letterbox and spec, which holds the result; None: new memory.
    :return: Normalized pixels, float32, C-contiguous, shape (3, height, width) of the input.
    """
    buffers = buffers or BlobBuffers(letterbox, spec)
    height, width = letterbox.resized_size
    resized = image_bgr
    if letterbox.resized_size != letterbox.source_size:
        resized = cv2.resize(image_bgr, (width, height), dst=buffers.resized,
                             interpolation=cv2.INTER_LINEAR)
    planes = cv2.split(resized, buffers.planes)
    # One table per channel converts and normalizes in one step, in half the time of two steps.
    for channel, plane in enumerate(planes if spec.color == 'bgr' else planes[::-1]):
        cv2.LUT(plane, buffers.tables[channel], dst=buffers.inside[channel])
    return buffers.blob


def _tables(spec: PreprocessSpec) -> tuple[FloatArray, FloatArray]:
    mean = np.array(spec.mean, np.float32)[:, None]
    std = np.array(spec.std, np.float32)[:, None]
    tables = (np.arange(256, dtype=np.float32)[None, :] - mean) / std
    return tables, tables[:, spec.pad_value].reshape(3, 1, 1)


class BlobCache:
    """
    A cache of buffers for each camera size; it must be used by one thread only.

    :param spec: Preprocessing of the model.
    """

    MAX_ENTRIES = 8

    def __init__(self, spec: PreprocessSpec) -> None:
        self._spec = spec
        self._buffers: dict[Letterbox, BlobBuffers] = {}

    def make(self, image_bgr: ImageArray, letterbox: Letterbox) -> FloatArray:
        """
        Fill and return the blob of this letterbox; the next call overwrites it.

        :param image_bgr: BGR image, uint8, shape (height, width, 3).
        :param letterbox: Transform from the image to the network input.
        """
        buffers = self._buffers.get(letterbox)
        if buffers is None:
            if len(self._buffers) >= self.MAX_ENTRIES:
                self._buffers.clear()
            buffers = self._buffers[letterbox] = BlobBuffers(letterbox, self._spec)
        return make_blob(image_bgr, letterbox, self._spec, buffers)


def blank_blob(input_size: ImageSize) -> FloatArray:
    """Return an all-zero network input, for warm-up; shape (3, height, width)."""
    return np.zeros((3, *input_size), np.float32)
