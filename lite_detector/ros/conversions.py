# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Conversions between ROS image messages and arrays.

cv_bridge converts only encodings that ``core.encodings`` does not know.
"""

from __future__ import annotations

import array

import cv2
from lite_detector.core.encodings import (
    check_sides,
    compressed_to_bgr,
    image_to_bgr,
    known_encodings,
    unknown_encoding,
)
from lite_detector.core.errors import ImageError
from lite_detector.core.types import ImageArray
import numpy as np
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

KNOWN_ENCODINGS = frozenset(known_encodings())


def image_msg_to_bgr(msg: Image) -> ImageArray:
    """
    Convert an image message to BGR.

    :param msg: Image message of any encoding.
    :return: Image, uint8, shape (height, width, 3). With bgr8 it is a view of the memory of the
        message, which stays valid as long as the array.
    :raises ImageError: if sizes, step, data and encoding are inconsistent.
    """
    if msg.encoding in KNOWN_ENCODINGS:
        return image_to_bgr(msg)
    check_sides(msg)
    return _through_cv_bridge(msg)


def compressed_msg_to_bgr(msg: CompressedImage) -> ImageArray:
    """
    Decode a message with a JPEG, PNG, BMP, TIFF or WebP image.

    :param msg: Compressed image message.
    :return: Image, uint8, shape (height, width, 3).
    :raises ImageError: if the data cannot be decoded, or the size is out of range.
    """
    return compressed_to_bgr(msg)


def bgr_to_image_msg(image_bgr: ImageArray, header: Header) -> Image:
    """
    Create an image message.

    :param image_bgr: Image, uint8, shape (height, width, 3).
    :param header: Header with stamp and frame.
    """
    height, width = image_bgr.shape[:2]
    # rclpy uses an array.array directly; it checks bytes or a list element by element
    data = array.array('B', image_bgr.tobytes())
    return Image(header=header, height=height, width=width, encoding='bgr8', step=3 * width,
                 is_bigendian=0, data=data)


def bgr_to_compressed_msg(image_bgr: ImageArray, header: Header,
                          jpeg_quality: int = 80) -> CompressedImage:
    """
    Create a compressed image message with a JPEG image.

    :param image_bgr: Image, uint8, shape (height, width, 3).
    :param header: Header with stamp and frame.
    :param jpeg_quality: JPEG quality, 1 to 100.
    """
    _, jpeg = cv2.imencode('.jpg', image_bgr, (cv2.IMWRITE_JPEG_QUALITY, jpeg_quality))
    return CompressedImage(header=header, format='bgr8; jpeg compressed bgr8',
                           data=array.array('B', jpeg.tobytes()))


def _through_cv_bridge(msg: Image) -> ImageArray:
    unknown = unknown_encoding(msg)
    try:
        from cv_bridge import CvBridge
    except Exception as error:  # a broken installation raises other errors than ImportError
        raise ImageError(f'{unknown}; cv_bridge is not available: {error}') from None
    try:
        return np.asarray(CvBridge().imgmsg_to_cv2(msg, 'bgr8'))
    except Exception as error:  # cv_bridge does not document its errors
        raise ImageError(f'{unknown}; cv_bridge cannot convert it: {error}') from None
