# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The pixels of image messages, from whatever brought them: a ROS subscription or a recording.

numpy and OpenCV read the common encodings themselves: cv_bridge breaks wherever pip brings
another numpy than the distribution's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import re
from typing import Protocol

import cv2
from lite_detector.core.errors import ImageError
from lite_detector.core.media import decode_image
from lite_detector.core.types import ImageArray, MAX_SIDE
import numpy as np

# encoding -> channels per pixel and OpenCV's conversion to BGR (None: it is BGR). OpenCV names a
# Bayer pattern after its second row and column, ROS after its first.
PACKED = {
    'bgr8': (3, None),
    '8UC3': (3, None),
    'rgb8': (3, cv2.COLOR_RGB2BGR),
    'bgra8': (4, cv2.COLOR_BGRA2BGR),
    'rgba8': (4, cv2.COLOR_RGBA2BGR),
    'mono8': (1, cv2.COLOR_GRAY2BGR),
    '8UC1': (1, cv2.COLOR_GRAY2BGR),
    'bayer_rggb8': (1, cv2.COLOR_BayerBG2BGR),
    'bayer_bggr8': (1, cv2.COLOR_BayerRG2BGR),
    'bayer_gbrg8': (1, cv2.COLOR_BayerGR2BGR),
    'bayer_grbg8': (1, cv2.COLOR_BayerGB2BGR),
}
GRAY16 = ('mono16', '16UC1')
YUV422 = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY,
    'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2,
    'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}
COLOUR = re.compile(r'(rgb|bgr|bayer|yuv|uyvy|yuyv|nv\d)|\d+[US]C[34]$')
"""Encodings of cameras that see colours."""
LONGEST_NAME = 60
"""Characters of what a message calls itself that an error repeats."""
YUV420 = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/msg/Image`` that say what its pixels are."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Sequence[int]


class CompressedMessage(Protocol):
    """The fields of ``sensor_msgs/msg/CompressedImage``."""

    format: str  # noqa: A003
    data: Sequence[int]


def image_to_bgr(msg: ImageMessage) -> ImageArray:
    """
    Read the pixels of an image message.

    :return: uint8, shape (height, width, 3). For bgr8 a view of the message's memory, which
        stays valid as long as the array.
    :raises ImageError: if sizes, step, data and encoding do not fit each other, or the encoding
        is not one of :func:`known_encodings`.
    """
    check_sides(msg)
    for encodings, convert in READERS:
        if msg.encoding in encodings:
            return convert(msg)
    raise ImageError(unknown_encoding(msg))


def compressed_to_bgr(msg: CompressedMessage) -> ImageArray:
    """
    Decode a message with a JPEG, PNG, BMP, TIFF or WebP.

    :return: uint8, shape (height, width, 3).
    :raises ImageError: if it does not decode, or claims to be larger than is sane.
    """
    return decode_image(np.frombuffer(msg.data, np.uint8), f'format {msg.format[:LONGEST_NAME]!r}')


def lost_colour(msg: CompressedMessage) -> str:
    """
    Return the encoding of the camera where its images were compressed without their colours.

    The format that image_transport writes names both: ``yuv422_yuy2; jpeg compressed mono8``.

    :return: empty: nothing was lost, or the format does not tell.
    """
    source, _, rest = msg.format[:LONGEST_NAME].partition(';')
    words = rest.split()
    return source.strip() if words and words[-1].startswith('mono') and COLOUR.match(
        source.strip()) else ''


def check_sides(msg: ImageMessage) -> None:
    """Raise ImageError for an image of no size, or of more than MAX_SIDE."""
    if not (1 <= msg.height <= MAX_SIDE and 1 <= msg.width <= MAX_SIDE):
        raise ImageError(f'image is {msg.width}x{msg.height}, wanted sides of 1 to {MAX_SIDE}')


def known_encodings() -> list[str]:
    """Return the names of the encodings that are read here."""
    return [str(name) for encodings, _ in READERS for name in encodings]


def unknown_encoding(msg: ImageMessage) -> str:
    """Say that an encoding is none of those that are read here."""
    return f'encoding {msg.encoding[:LONGEST_NAME]!r} is not one of {", ".join(known_encodings())}'


def _pixels(msg: ImageMessage, channels: int, dtype: type = np.uint8, height: int | None = None,
            width: int | None = None, first_row: int = 0) -> np.ndarray:
    """Return a view (height, width, channels) of the data, padding of the rows left out."""
    height = msg.height if height is None else height
    width = msg.width if width is None else width
    item = np.dtype(dtype)
    if item.itemsize > 1:
        item = item.newbyteorder('>' if msg.is_bigendian else '<')
    pixel = channels * item.itemsize
    row = width * pixel
    if msg.step < row:
        raise ImageError(f'step is {msg.step} bytes, a row of {msg.encoding} at width '
                         f'{msg.width} has {row}')
    # the padding behind the last row may be missing
    first = first_row * msg.step
    wanted = first + (height - 1) * msg.step + row
    if len(msg.data) < wanted:
        raise ImageError(f'data has {len(msg.data)} bytes, {msg.width}x{msg.height} '
                         f'{msg.encoding} at step {msg.step} has {wanted}')
    return np.ndarray((height, width, channels), item, msg.data, first,
                      (msg.step, pixel, item.itemsize))


def _packed_to_bgr(msg: ImageMessage) -> ImageArray:
    channels, code = PACKED[msg.encoding]
    pixels = _pixels(msg, channels)
    if code is None:
        return pixels
    if msg.encoding.startswith('bayer') and min(msg.height, msg.width) < 3:
        # OpenCV would return black: it interpolates inside a border of one pixel
        raise ImageError(f'{msg.encoding} of {msg.width}x{msg.height} is too small for its '
                         'colours, wanted sides of 3 and more')
    return cv2.cvtColor(pixels, code)


def _gray16_to_bgr(msg: ImageMessage) -> ImageArray:
    # native byte order first: OpenCV knows no other; then full range to full range
    pixels = _pixels(msg, 1, np.uint16).astype(np.uint16)
    return cv2.cvtColor(cv2.convertScaleAbs(pixels, alpha=255 / 65535), cv2.COLOR_GRAY2BGR)


def _yuv422_to_bgr(msg: ImageMessage) -> ImageArray:
    pixels = _pixels(msg, 2)
    if msg.width % 2:
        # The last pixel of an odd row has only one of the two chroma values that a pair
        # shares; the pixel two before it carries the other.
        if msg.width < 3:
            raise ImageError(f'{msg.encoding} of width {msg.width} has no whole pixel pair')
        pixels = np.concatenate((pixels, pixels[:, -2:-1]), axis=1)
    return cv2.cvtColor(pixels, YUV422[msg.encoding])[:, :msg.width]


def _yuv420_to_bgr(msg: ImageMessage) -> ImageArray:
    half_height, half_width = (msg.height + 1) // 2, (msg.width + 1) // 2
    luma = _pixels(msg, 1)[..., 0]
    chroma = _pixels(msg, 2, height=half_height, width=half_width, first_row=msg.height)
    even = np.pad(luma, ((0, msg.height % 2), (0, msg.width % 2)), 'edge')
    image = cv2.cvtColorTwoPlane(even, np.ascontiguousarray(chroma), YUV420[msg.encoding])
    return image[:msg.height, :msg.width]


READERS: tuple[tuple[object, Callable[[ImageMessage], ImageArray]], ...] = (
    (PACKED, _packed_to_bgr),
    (GRAY16, _gray16_to_bgr),
    (YUV422, _yuv422_to_bgr),
    (YUV420, _yuv420_to_bgr),
)
