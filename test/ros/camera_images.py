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
YUV444 = ['nv24']
BAYER16 = [name.replace('8', '16') for name in BAYER]
COLOUR16 = {'bgr16': 'bgr8', '16UC3': '8UC3', 'rgb16': 'rgb8', 'bgra16': 'bgra8',
            '16UC4': '8UC4', 'rgba16': 'rgba8', **dict(zip(BAYER16, BAYER, strict=True))}
COLOUR = ['bgr8', '8UC3', 'rgb8', 'bgra8', '8UC4', 'rgba8', *BAYER, *COLOUR16, *YUV422, *YUV420,
          *YUV444]
EVERY = GREY + COLOUR


def image_msg(encoding: str, height: int, width: int, data: bytes, step: int,
              is_bigendian: bool = False) -> Image:
    return Image(encoding=encoding, height=height, width=width, step=step,
                 is_bigendian=is_bigendian, data=array.array('B', data))


def rows_of(encoding: str, height: int, width: int, colour: str) -> np.ndarray:
    """Return the bytes of each row of an image of one colour, as a camera driver makes them."""
    if encoding in COLOUR16:  # twice the same byte is the same share of the full range
        return rows_of(COLOUR16[encoding], height, width, colour).repeat(2, axis=1)
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
    if encoding in YUV444:
        return np.vstack((np.full((height, width), luma),
                          np.tile((cb, cr), (height, width)).reshape(-1, width))).astype(np.uint8)
    if encoding in YUV422:
        pair = [luma, cb, luma, cr] if 'yuy' in encoding[-4:] else [cb, luma, cr, luma]
        return np.tile(pair, (height, width // 2 + 1))[:, :2 * width].astype(np.uint8)
    pixel = {'bgr8': (blue, green, red), '8UC3': (blue, green, red), 'rgb8': (red, green, blue),
             'bgra8': (blue, green, red, 9), '8UC4': (blue, green, red, 9),
             'rgba8': (red, green, blue, 9)}.get(
                 encoding, (blue,) * (2 if '16' in encoding else 1))
    return np.tile(pixel, (height, width)).astype(np.uint8)


def scene_msg(encoding: str, height: int = 4, width: int = 6, colour: str = 'white',
              padding: int = 0) -> Image:
    """Create an image of one colour, with random bytes in the padding."""
    rows = rows_of(encoding, height, width, colour).astype(np.uint8)
    if encoding in YUV444:  # a row of chroma is as long as two of luma, and so is its padding
        luma, chroma = np.split(rows, [height])
        chroma = np.pad(chroma.reshape(height, -1), ((0, 0), (0, 2 * padding)),
                        constant_values=77).reshape(-1, width + padding)
        luma = np.pad(luma, ((0, 0), (0, padding)), constant_values=77)
        data = luma.tobytes() + chroma.tobytes()
        return image_msg(encoding, height, width, data[:len(data) - padding], luma.shape[1])
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=77)
    return image_msg(encoding, height, width, rows.tobytes(), rows.shape[1])


def solid(height: int, width: int, colour: str) -> np.ndarray:
    return np.full((height, width, 3), COLOURS[colour], np.uint8)
