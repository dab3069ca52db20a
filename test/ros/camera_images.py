# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Image messages of one colour in every encoding, as camera drivers make them."""

import array

import numpy as np
from sensor_msgs.msg import Image

COLOURS = {'red': (0, 0, 255), 'green': (0, 255, 0), 'blue': (255, 0, 0),
           'black': (0, 0, 0), 'white': (255, 255, 255)}
# ITU-R BT.601: black is 16 and white 235, colours around 128
YUV = {'red': (81, 90, 240), 'green': (145, 54, 34), 'blue': (41, 240, 110),
       'black': (16, 128, 128), 'white': (235, 128, 128)}
GREY = ['mono8', '8UC1', 'mono16', '16UC1']
BAYER = ['bayer_rggb8', 'bayer_bggr8', 'bayer_gbrg8', 'bayer_grbg8']
YUV422 = ['yuv422', 'uyvy', 'yuv422_yuy2', 'yuyv']
YUV420 = ['nv12', 'nv21']
COLOUR = ['bgr8', '8UC3', 'rgb8', 'bgra8', 'rgba8', *BAYER, *YUV422, *YUV420]
EVERY = GREY + COLOUR


def image_msg(encoding: str, height: int, width: int, data: bytes, step: int,
              is_bigendian: bool = False) -> Image:
    return Image(encoding=encoding, height=height, width=width, step=step,
                 is_bigendian=is_bigendian, data=array.array('B', data))


def rows_of(encoding: str, height: int, width: int, colour: str) -> np.ndarray:
    """Return the bytes of each row of an image of one colour, as a camera driver makes them."""
    blue, green, red = COLOURS[colour]
    luma, cb, cr = YUV[colour]
    if encoding in BAYER:
        cell = [{'r': red, 'g': green, 'b': blue}[letter] for letter in encoding[6:10]]
        cells = np.tile(np.reshape(cell, (2, 2)), (height // 2 + 1, width // 2 + 1))
        return cells[:height, :width].astype(np.uint8)
    if encoding in YUV420:
        chroma = np.tile((cb, cr) if encoding == 'nv12' else (cr, cb),
                         ((height + 1) // 2, (width + 1) // 2))
        # at an odd width a row of chroma is one byte longer than one of luma
        pixels = np.pad(np.full((height, width), luma), ((0, 0), (0, width % 2)))
        return np.vstack((pixels, chroma)).astype(np.uint8)
    if encoding in YUV422:
        pair = [luma, cb, luma, cr] if 'yuy' in encoding[-4:] else [cb, luma, cr, luma]
        return np.tile(pair, (height, width // 2 + 1))[:, :2 * width].astype(np.uint8)
    pixel = {'bgr8': (blue, green, red), '8UC3': (blue, green, red), 'rgb8': (red, green, blue),
             'bgra8': (blue, green, red, 9), 'rgba8': (red, green, blue, 9)}.get(
                 encoding, (blue,) * (2 if '16' in encoding else 1))
    return np.tile(pixel, (height, width)).astype(np.uint8)


def scene_msg(encoding: str, height: int = 4, width: int = 6, colour: str = 'white',
              padding: int = 0) -> Image:
    """Make an image of one colour; there is rubbish in the padding."""
    rows = rows_of(encoding, height, width, colour).astype(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return image_msg(encoding, height, width, rows.tobytes(), rows.shape[1])


def solid(height: int, width: int, colour: str) -> np.ndarray:
    return np.full((height, width, 3), COLOURS[colour], np.uint8)
