# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Between messages and arrays.

numpy and OpenCV read the common encodings themselves: cv_bridge breaks wherever pip brings
another numpy than the distribution's. It is only asked for encodings that are not known here.
"""

from __future__ import annotations

import array
from collections.abc import Callable

import cv2
from lite_detector.core.errors import ImageError
from lite_detector.core.media import decode_image
from lite_detector.core.types import ImageArray
from lite_detector.detector import MAX_SIDE
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

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
YUV420 = {'nv12': cv2.COLOR_YUV2BGR_NV12, 'nv21': cv2.COLOR_YUV2BGR_NV21}


def image_msg_to_bgr(msg: Image) -> ImageArray:
    """
    Read an image message.

    :return: uint8, shape (height, width, 3). For bgr8 a view of the message's memory, which
        stays valid as long as the array.
    :raises ImageError: if sizes, step, data and encoding do not fit each other.
    """
    if not (1 <= msg.height <= MAX_SIDE and 1 <= msg.width <= MAX_SIDE):
        raise ImageError(f'image is {msg.width}x{msg.height}, wanted sides of 1 to {MAX_SIDE}')
    for encodings, convert in READERS:
        if msg.encoding in encodings:
            return convert(msg)
    return _through_cv_bridge(msg)


def compressed_msg_to_bgr(msg: CompressedImage) -> ImageArray:
    """
    Decode a JPEG or PNG message.

    :return: uint8, shape (height, width, 3).
    :raises ImageError: if it does not decode.
    """
    return decode_image(np.frombuffer(msg.data, np.uint8), f'format {msg.format!r}')


def bgr_to_image_msg(image_bgr: ImageArray, header: Header) -> Image:
    """
    Make an image message.

    :param image_bgr: uint8, shape (height, width, 3).
    :param header: stamp and frame.
    """
    height, width = image_bgr.shape[:2]
    # an array.array is taken as it is; bytes or a list are checked element by element
    data = array.array('B', image_bgr.tobytes())
    return Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width,
                 is_bigendian=0, data=data)


def bgr_to_compressed_msg(image_bgr: ImageArray, header: Header,
                          jpeg_quality: int = 80) -> CompressedImage:
    """
    Make a JPEG message.

    :param image_bgr: uint8, shape (height, width, 3).
    :param header: stamp and frame.
    :param jpeg_quality: 1 .. 100.
    """
    _, jpeg = cv2.imencode('.jpg', image_bgr, (cv2.IMWRITE_JPEG_QUALITY, jpeg_quality))
    return CompressedImage(header=header, format='bgr8; jpeg compressed bgr8',
                           data=array.array('B', jpeg.tobytes()))


def _pixels(msg: Image, channels: int, dtype: type = np.uint8, height: int | None = None,
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


def _packed_to_bgr(msg: Image) -> ImageArray:
    channels, code = PACKED[msg.encoding]
    pixels = _pixels(msg, channels)
    if code is None:
        return pixels
    if msg.encoding.startswith('bayer') and min(msg.height, msg.width) < 3:
        # OpenCV would return black: it interpolates inside a border of one pixel
        raise ImageError(f'{msg.encoding} of {msg.width}x{msg.height} is too small for its '
                         'colours, wanted sides of 3 and more')
    return cv2.cvtColor(pixels, code)


def _gray16_to_bgr(msg: Image) -> ImageArray:
    # native byte order first: OpenCV knows no other; then full range to full range
    pixels = _pixels(msg, 1, np.uint16).astype(np.uint16)
    return cv2.cvtColor(cv2.convertScaleAbs(pixels, alpha=255 / 65535), cv2.COLOR_GRAY2BGR)


def _yuv422_to_bgr(msg: Image) -> ImageArray:
    pixels = _pixels(msg, 2)
    if msg.width % 2:
        # The last pixel of an odd row has only one of the two chroma values that a pair
        # shares; the pixel two before it carries the other.
        if msg.width < 3:
            raise ImageError(f'{msg.encoding} of width {msg.width} has no whole pixel pair')
        pixels = np.concatenate((pixels, pixels[:, -2:-1]), axis=1)
    return cv2.cvtColor(pixels, YUV422[msg.encoding])[:, :msg.width]


def _yuv420_to_bgr(msg: Image) -> ImageArray:
    half_height, half_width = (msg.height + 1) // 2, (msg.width + 1) // 2
    luma = _pixels(msg, 1)[..., 0]
    chroma = _pixels(msg, 2, height=half_height, width=half_width, first_row=msg.height)
    even = np.pad(luma, ((0, msg.height % 2), (0, msg.width % 2)), 'edge')
    image = cv2.cvtColorTwoPlane(even, np.ascontiguousarray(chroma), YUV420[msg.encoding])
    return image[:msg.height, :msg.width]


READERS: tuple[tuple[object, Callable[[Image], ImageArray]], ...] = (
    (PACKED, _packed_to_bgr),
    (GRAY16, _gray16_to_bgr),
    (YUV422, _yuv422_to_bgr),
    (YUV420, _yuv420_to_bgr),
)


def _through_cv_bridge(msg: Image) -> ImageArray:
    known = ', '.join(str(name) for encodings, _ in READERS for name in encodings)
    unknown = f'encoding {msg.encoding!r} is not one of {known}'
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # a broken installation raises far more than ImportError
        raise ImageError(f'{unknown}; cv_bridge cannot help: {error}') from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, 'bgr8'))
    except Exception as error:  # nor does it promise what it raises here
        raise ImageError(f'{unknown}; cv_bridge refused it: {error}') from None
