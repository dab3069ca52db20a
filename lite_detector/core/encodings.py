# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Convert the pixels of image messages, from a ROS subscription or from a recording.

NumPy and OpenCV convert the common encodings, because cv_bridge fails when pip has replaced the
NumPy of the distribution.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Collection
import re
from typing import Protocol

import cv2
from lite_detector.core.errors import ImageError
from lite_detector.core.media import decode_image
from lite_detector.core.reduction import decode_reduced, jpeg_size, Reduced, reduction_to
from lite_detector.core.types import ImageArray, ImageSize, MAX_SIDE, size_of
import numpy as np

# encoding -> channels per pixel and OpenCV's conversion to BGR (None: it is BGR). OpenCV names a
# Bayer pattern by its second row and column, ROS by its first.
BAYER = {'rggb': cv2.COLOR_BayerBG2BGR, 'bggr': cv2.COLOR_BayerRG2BGR,
         'gbrg': cv2.COLOR_BayerGR2BGR, 'grbg': cv2.COLOR_BayerGB2BGR}
PACKED = {
    'bgr8': (3, None),
    '8UC3': (3, None),
    'rgb8': (3, cv2.COLOR_RGB2BGR),
    'bgra8': (4, cv2.COLOR_BGRA2BGR),
    '8UC4': (4, cv2.COLOR_BGRA2BGR),
    'rgba8': (4, cv2.COLOR_RGBA2BGR),
    'mono8': (1, cv2.COLOR_GRAY2BGR),
    '8UC1': (1, cv2.COLOR_GRAY2BGR),
    **{f'bayer_{pattern}8': (1, code) for pattern, code in BAYER.items()},
}
PACKED16 = {
    'mono16': (1, cv2.COLOR_GRAY2BGR),
    '16UC1': (1, cv2.COLOR_GRAY2BGR),
    'bgr16': (3, None),
    '16UC3': (3, None),
    'rgb16': (3, cv2.COLOR_RGB2BGR),
    'bgra16': (4, cv2.COLOR_BGRA2BGR),
    '16UC4': (4, cv2.COLOR_BGRA2BGR),
    'rgba16': (4, cv2.COLOR_RGBA2BGR),
    **{f'bayer_{pattern}16': (1, code) for pattern, code in BAYER.items()},
}
"""Encodings of 16 bits, which are scaled to 8 bits over the full range."""
YUV422 = {
    'yuv422': cv2.COLOR_YUV2BGR_UYVY,
    'uyvy': cv2.COLOR_YUV2BGR_UYVY,
    'yuv422_yuy2': cv2.COLOR_YUV2BGR_YUY2,
    'yuyv': cv2.COLOR_YUV2BGR_YUY2,
}
COLOUR = re.compile(r'(rgb|bgr|bayer|yuv|uyvy|yuyv|nv\d)|\d+[US]C[34]$')
"""Pattern of colour encodings."""
LONGEST_NAME = 60
"""Maximum number of characters of an encoding that an error message repeats."""
YUV420 = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}
YUV444 = ('nv24',)
YUV_TO_BGR = np.array([[1.164, 2.018, 0, -276.93], [1.164, -0.391, -0.813, 135.488],
                       [1.164, 0, 1.596, -222.912]], np.float32)
"""Matrix of ITU-R BT.601, limited range, as OpenCV uses it for nv12: Y, U, V, 1 -> B, G, R."""


Octets = bytes | bytearray | memoryview | array


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/msg/Image`` that describe its pixels."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int

    @property
    def data(self) -> Octets:
        """Rows of pixels."""


class CompressedMessage(Protocol):
    """The fields of ``sensor_msgs/msg/CompressedImage``."""

    format: str  # noqa: A003

    @property
    def data(self) -> Octets:
        """Bytes of the compressed file."""


def image_to_bgr(msg: ImageMessage) -> ImageArray:
    """
    Convert the pixels of an image message to BGR.

    :param msg: Image message.
    :return: BGR image, uint8, shape (height, width, 3). For bgr8 it is a view of the
        message and keeps its memory alive.
    :raises ImageError: if sizes, step, data and encoding do not match, or the encoding is not one
        of :func:`known_encodings`.
    """
    check_sides(msg)
    for encodings, convert in READERS:
        if msg.encoding in encodings:
            return convert(msg)
    raise ImageError(unknown_encoding(msg))


def compressed_to_bgr(msg: CompressedMessage) -> ImageArray:
    """
    Decode a compressed image message (JPEG, PNG, BMP, TIFF or WebP).

    :param msg: Compressed image message.
    :return: BGR image, uint8, shape (height, width, 3).
    :raises ImageError: if the data cannot be decoded, or the image exceeds the size limits.
    """
    return decode_image(np.frombuffer(msg.data, np.uint8), _format_of(msg))


def compressed_to_reduced(msg: CompressedMessage,
                          least_size: Callable[[ImageSize], ImageSize]) -> Reduced:
    """
    Decode a compressed image message; a JPEG at the smallest sufficient size.

    :param msg: Compressed image message.
    :param least_size: Function from the full size to the smallest sufficient size.
    :raises ImageError: see :func:`compressed_to_bgr`.
    """
    data = np.frombuffer(msg.data, np.uint8)
    full_size = jpeg_size(data)
    factor = reduction_to(full_size, least_size(full_size)) if full_size else 1
    if full_size is None or factor == 1:
        image_bgr = decode_image(data, _format_of(msg))
        return Reduced(image_bgr, 1, size_of(image_bgr))
    return decode_reduced(data, _format_of(msg), full_size, factor)


def _format_of(msg: CompressedMessage) -> str:
    return f'format {msg.format[:LONGEST_NAME]!r}'


def lost_colour(msg: CompressedMessage) -> str:
    """
    Return the colour encoding of a camera whose images were compressed as grey images.

    The format field of image_transport contains both: ``yuv422_yuy2; jpeg compressed mono8``.

    :param msg: Compressed image message.
    :return: Encoding of the camera; empty: no colour was lost, or the format is unknown.
    """
    source, _, rest = msg.format[:LONGEST_NAME].partition(';')
    words = rest.split()
    return source.strip() if words and words[-1].startswith('mono') and COLOUR.match(
        source.strip()) else ''


def check_sides(msg: ImageMessage) -> None:
    """Raise ImageError if a side of the image is outside of 1 to MAX_SIDE."""
    if not (1 <= msg.height <= MAX_SIDE and 1 <= msg.width <= MAX_SIDE):
        raise ImageError(f'image is {msg.width}x{msg.height}; expected sides of 1 to {MAX_SIDE}')


def known_encodings() -> list[str]:
    """Return the names of the supported encodings."""
    return [name for encodings, _ in READERS for name in encodings]


def unknown_encoding(msg: ImageMessage) -> str:
    """Return the error message for an unsupported encoding."""
    return f'encoding {msg.encoding[:LONGEST_NAME]!r} is not one of {", ".join(known_encodings())}'


def image_view(msg: ImageMessage, channels: int, dtype: type = np.uint8,
               height: int | None = None, width: int | None = None, first_row: int = 0,
               all_rows: int | None = None, tight_step: int | None = None,
               rows_together: int = 1) -> np.ndarray:
    """
    Return a view (height, width, channels) of the data, without the padding of the rows.

    :param msg: Image message.
    :param channels: Number of channels.
    :param dtype: Type of a channel.
    :param height: Rows of the plane; None: those of the message.
    :param width: Columns of the plane; None: those of the message.
    :param first_row: First row of the plane, in rows of ``step`` bytes.
    :param all_rows: Number of rows of all planes; None: those of the image.
    :param tight_step: Step without padding in bytes; None: that of the plane.
    :param rows_together: Number of steps for each row of the plane.
    :raises ImageError: if sizes, step and data do not match.
    """
    height = msg.height if height is None else height
    width = msg.width if width is None else width
    item = np.dtype(dtype)
    if item.itemsize > 1:
        item = item.newbyteorder('>' if msg.is_bigendian else '<')
    pixel = channels * item.itemsize
    row = width * pixel
    step = msg.step
    if not step:  # some drivers do not set it; rows without padding do not need it
        tight = row if tight_step is None else tight_step
        has_tight = len(msg.data) == tight * (msg.height if all_rows is None else all_rows)
        step = tight if has_tight else 0
    if step * rows_together < row:
        raise ImageError(f'step is {msg.step} bytes; expected at least {row} for a row of '
                         f'{msg.encoding} at width {msg.width}'
                         + ('' if msg.step else f'; data has {len(msg.data)} bytes'))
    # the padding after the last row may be missing
    first = first_row * step
    step *= rows_together
    wanted = first + (height - 1) * step + row
    if len(msg.data) < wanted:
        raise ImageError(f'data has {len(msg.data)} bytes; expected {wanted} for '
                         f'{msg.width}x{msg.height} {msg.encoding} at step {msg.step}')
    return np.ndarray((height, width, channels), item, msg.data, first,
                      (step, pixel, item.itemsize))


def _packed_to_bgr(msg: ImageMessage) -> ImageArray:
    channels, code = PACKED[msg.encoding]
    return _colored(image_view(msg, channels), code, msg)


def _packed16_to_bgr(msg: ImageMessage) -> ImageArray:
    channels, code = PACKED16[msg.encoding]
    # convert to native byte order, which OpenCV requires; then scale the full range to 8 bits
    pixels = image_view(msg, channels, np.uint16).astype(np.uint16)
    return _colored(cv2.convertScaleAbs(pixels, alpha=255 / 65535), code, msg)


def _colored(pixels: ImageArray, code: int | None, msg: ImageMessage) -> ImageArray:
    if code is None:
        return pixels
    if msg.encoding.startswith('bayer') and min(msg.height, msg.width) < 3:
        # OpenCV would return a black image, because it interpolates only inside a border of 1
        raise ImageError(f'{msg.encoding} of {msg.width}x{msg.height}; expected sides of at least '
                         '3 pixels for a Bayer pattern')
    return cv2.cvtColor(pixels, code)


def _yuv422_to_bgr(msg: ImageMessage) -> ImageArray:
    pixels = image_view(msg, 2)
    if msg.width % 2:
        # The last pixel of an odd row has only one of the two chroma values of a pair; the
        # pixel two columns before it has the other one.
        if msg.width < 3:
            raise ImageError(f'{msg.encoding} of width {msg.width}; expected at least one full '
                             'pixel pair')
        pixels = np.concatenate((pixels, pixels[:, -2:-1]), axis=1)
    return cv2.cvtColor(pixels, YUV422[msg.encoding])[:, :msg.width]


def _yuv420_to_bgr(msg: ImageMessage) -> ImageArray:
    half_height, half_width = (msg.height + 1) // 2, (msg.width + 1) // 2
    rows, step = msg.height + half_height, 2 * half_width
    luma = image_view(msg, 1, all_rows=rows, tight_step=step)[..., 0]
    chroma = image_view(msg, 2, height=half_height, width=half_width, first_row=msg.height,
                        all_rows=rows, tight_step=step)
    even = np.pad(luma, ((0, msg.height % 2), (0, msg.width % 2)), 'edge')
    image = cv2.cvtColorTwoPlane(even, np.ascontiguousarray(chroma), YUV420[msg.encoding])
    return image[:msg.height, :msg.width]


def _yuv444_to_bgr(msg: ImageMessage) -> ImageArray:
    rows = 3 * msg.height
    luma = image_view(msg, 1, all_rows=rows)
    chroma = image_view(msg, 2, first_row=msg.height, all_rows=rows, tight_step=msg.width,
                        rows_together=2)
    return cv2.transform(np.concatenate((luma, chroma), axis=2), YUV_TO_BGR)


READERS: tuple[tuple[Collection[str], Callable[[ImageMessage], ImageArray]], ...] = (
    (PACKED, _packed_to_bgr),
    (PACKED16, _packed16_to_bgr),
    (YUV422, _yuv422_to_bgr),
    (YUV420, _yuv420_to_bgr),
    (YUV444, _yuv444_to_bgr),
)
