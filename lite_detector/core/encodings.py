# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The pixels of image messages, from whatever brought them: a ROS subscription or a recording.

numpy and OpenCV read the common encodings themselves: cv_bridge breaks wherever pip brings
another numpy than the distribution's.
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
# Bayer pattern after its second row and column, ROS after its first.
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
"""Read as 8 bits: full range to full range."""
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
YUV444 = ('nv24',)
YUV_TO_BGR = np.array([[1.164, 2.018, 0, -276.93], [1.164, -0.391, -0.813, 135.488],
                       [1.164, 0, 1.596, -222.912]], np.float32)
"""ITU-R BT.601 of limited range, as OpenCV converts nv12: Y, U, V, 1 -> B, G, R."""


Octets = bytes | bytearray | memoryview | array


class ImageMessage(Protocol):
    """The fields of ``sensor_msgs/msg/Image`` that say what its pixels are."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int

    @property
    def data(self) -> Octets:
        """Return the rows of pixels."""


class CompressedMessage(Protocol):
    """The fields of ``sensor_msgs/msg/CompressedImage``."""

    format: str  # noqa: A003

    @property
    def data(self) -> Octets:
        """Return the bytes of the file."""


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
    return decode_image(np.frombuffer(msg.data, np.uint8), _format_of(msg))


def compressed_to_reduced(msg: CompressedMessage,
                          least_size: Callable[[ImageSize], ImageSize]) -> Reduced:
    """
    Decode a message; a JPEG as small as is of use.

    :param least_size: from the full size to the least one that is of use.
    :raises ImageError: as :func:`compressed_to_bgr`.
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
    return [name for encodings, _ in READERS for name in encodings]


def unknown_encoding(msg: ImageMessage) -> str:
    """Say that an encoding is none of those that are read here."""
    return f'encoding {msg.encoding[:LONGEST_NAME]!r} is not one of {", ".join(known_encodings())}'


def image_view(msg: ImageMessage, channels: int, dtype: type = np.uint8,
               height: int | None = None, width: int | None = None, first_row: int = 0,
               all_rows: int | None = None, tight_step: int | None = None,
               rows_together: int = 1) -> np.ndarray:
    """
    Return a view (height, width, channels) of the data, padding of the rows left out.

    :param first_row: of the plane, in rows of ``step`` bytes.
    :param all_rows: of all planes; by default those of the image.
    :param tight_step: step without padding; by default that of the plane.
    :param rows_together: steps that a row of the plane takes.
    :raises ImageError: if sizes, step and data do not fit each other.
    """
    height = msg.height if height is None else height
    width = msg.width if width is None else width
    item = np.dtype(dtype)
    if item.itemsize > 1:
        item = item.newbyteorder('>' if msg.is_bigendian else '<')
    pixel = channels * item.itemsize
    row = width * pixel
    step = msg.step
    if not step:  # some drivers leave it out; what has no padding needs none
        tight = row if tight_step is None else tight_step
        has_tight = len(msg.data) == tight * (msg.height if all_rows is None else all_rows)
        step = tight if has_tight else 0
    if step * rows_together < row:
        raise ImageError(f'step is {msg.step} bytes, a row of {msg.encoding} at width '
                         f'{msg.width} has {row}'
                         + ('' if msg.step else f'; data has {len(msg.data)} bytes'))
    # the padding behind the last row may be missing
    first = first_row * step
    step *= rows_together
    wanted = first + (height - 1) * step + row
    if len(msg.data) < wanted:
        raise ImageError(f'data has {len(msg.data)} bytes, {msg.width}x{msg.height} '
                         f'{msg.encoding} at step {msg.step} has {wanted}')
    return np.ndarray((height, width, channels), item, msg.data, first,
                      (step, pixel, item.itemsize))


def _packed_to_bgr(msg: ImageMessage) -> ImageArray:
    channels, code = PACKED[msg.encoding]
    return _colored(image_view(msg, channels), code, msg)


def _packed16_to_bgr(msg: ImageMessage) -> ImageArray:
    channels, code = PACKED16[msg.encoding]
    # native byte order first: OpenCV knows no other; then full range to full range
    pixels = image_view(msg, channels, np.uint16).astype(np.uint16)
    return _colored(cv2.convertScaleAbs(pixels, alpha=255 / 65535), code, msg)


def _colored(pixels: ImageArray, code: int | None, msg: ImageMessage) -> ImageArray:
    if code is None:
        return pixels
    if msg.encoding.startswith('bayer') and min(msg.height, msg.width) < 3:
        # OpenCV would return black: it interpolates inside a border of one pixel
        raise ImageError(f'{msg.encoding} of {msg.width}x{msg.height} is too small for its '
                         'colours, wanted sides of 3 and more')
    return cv2.cvtColor(pixels, code)


def _yuv422_to_bgr(msg: ImageMessage) -> ImageArray:
    pixels = image_view(msg, 2)
    if msg.width % 2:
        # The last pixel of an odd row has only one of the two chroma values that a pair
        # shares; the pixel two before it carries the other.
        if msg.width < 3:
            raise ImageError(f'{msg.encoding} of width {msg.width} has no whole pixel pair')
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
