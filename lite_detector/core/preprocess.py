# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From an image to the network input; the one function that serving and training share."""

from __future__ import annotations

import cv2
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import FloatArray, ImageArray, ImageSize
import numpy as np


class BlobBuffers:
    """
    Memory for the network input of one letterbox, to be used again for the next image.

    Fresh memory of this size comes from the system page by page, which costs as much as the
    work that is done in it. The padding, which never changes, is written here once.

    :param letterbox: sizes and place of the image in the input.
    :param spec: value of the padding.
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
    Resize, pad and normalise an image.

    :param image_bgr: uint8, shape (height, width, 3), of the letterbox's source size.
    :param letterbox: where the image goes.
    :param spec: colour order and normalisation.
    :param buffers: memory made for this letterbox and spec; the result lies in it.
    :return: normalised pixels, float32, C-contiguous, shape (3, height, width) of the input.
    """
    buffers = buffers or BlobBuffers(letterbox, spec)
    height, width = letterbox.resized_size
    resized = image_bgr
    if letterbox.resized_size != letterbox.source_size:
        resized = cv2.resize(image_bgr, (width, height), dst=buffers.resized,
                             interpolation=cv2.INTER_LINEAR)
    planes = cv2.split(resized, buffers.planes)
    # A table per channel converts and normalises in one pass: half the time of doing both.
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
    Reuses the network input of each camera size; owned by one thread.

    :param spec: the preprocessing of the model.
    """

    MAX_ENTRIES = 8

    def __init__(self, spec: PreprocessSpec) -> None:
        self._spec = spec
        self._buffers: dict[Letterbox, BlobBuffers] = {}

    def make(self, image_bgr: ImageArray, letterbox: Letterbox) -> FloatArray:
        """
        Fill and return the blob of this letterbox; valid until its next use.

        :param image_bgr: uint8, shape (height, width, 3).
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
