# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Malformed image messages from a seed.

Half of them begin as valid messages of every encoding and are then corrupted in none to three
places, because the first check refuses a message that is wrong everywhere.
"""

from __future__ import annotations

import array
from collections.abc import Callable
import struct
from zlib import crc32

from builtin_interfaces.msg import Time
import cv2
from lite_detector.core.encodings import known_encodings
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

Random = np.random.Generator

LARGEST = 2 ** 32 - 1
ODD_SIDES = (0, 1, 2, 7, 8, 16384, 16385, 2 ** 16, 2 ** 31, LARGEST)
ODD_STEPS = (0, 1, 2 ** 16, 2 ** 31, LARGEST)
ODD_ENCODINGS = ('', ' ', 'bgr8 ', 'BGR8', 'rgb16', '32FC1', '8UC4', '64FC3', 'jpeg', 'bgr8\n',
                 'bayer_rggb16', 'nv24', 'yuv422_uyvy', '\u00e9' * 7, '%s %d {0}', 'x' * 20000)
ODD_SECONDS = (0, -1, -2 ** 31, 2 ** 31 - 1)
ODD_NANOSECONDS = (0, 10 ** 9 - 1, 10 ** 9, LARGEST)
ODD_FORMATS = ('', 'jpeg', 'png', 'bgr8; jpeg compressed bgr8', 'h264', 'jpeg\n', 'x' * 20000)
BYTES_PER_PIXEL = {'mono16': 2, '16UC1': 2, 'bgra8': 4, 'rgba8': 4, 'bgr8': 3, 'rgb8': 3,
                   '8UC3': 3, 'yuv422': 2, 'uyvy': 2, 'yuv422_yuy2': 2, 'yuyv': 2}


def random_image(random: Random, header: Header) -> Image:
    """Return a message that may be valid or corrupted."""
    height, width = random_sides(random)
    encoding = str(random.choice(known_encodings()))
    step = width * BYTES_PER_PIXEL.get(encoding, 1) + int(random.choice((0, 0, 1, 64)))
    rows = height + (height + 1) // 2 if encoding in ('nv12', 'nv21') else height
    msg = Image(header=header, height=height, width=width, encoding=encoding, step=step,
                is_bigendian=int(random.integers(2)), data=random_bytes(random, rows * step))
    for _ in range(random_count(random)):
        IMAGE_FAULTS[random.integers(len(IMAGE_FAULTS))](random, msg)
    return msg


def random_compressed(random: Random, header: Header) -> CompressedImage:
    """Return a compressed image of a supported format, or noise."""
    height, width = random_sides(random)
    kind = str(random.choice(('.jpg', '.png', '.bmp', '.tiff', '.webp', 'noise')))
    if kind == 'noise':
        data = random.bytes(int(random.integers(3000)))
    else:
        shape = (height, width, int(random.choice((1, 3, 4)))) if kind == '.png' else (
            height, width, 3)
        kinds = (np.uint8, np.uint16) if kind == '.png' else (np.uint8,)
        picture = random.integers(0, 256, shape).astype(kinds[random.integers(len(kinds))])
        encoded, data = cv2.imencode(kind, picture)
        if not encoded:  # WebP ends at 16383 pixels a side
            data = cv2.imencode('.bmp', picture)[1]
        data = data.tobytes()
    msg = CompressedImage(header=header, format=str(random.choice(ODD_FORMATS)))
    for _ in range(random_count(random)):
        data = DATA_FAULTS[random.integers(len(DATA_FAULTS))](random, data)
    msg.data = array.array('B', data)
    if random.random() < 0.1:
        _spoil_stamp(random, msg)
    return msg


def random_transport(random: Random, msg: Image | CompressedImage) -> bytes:
    """Return a message as it arrives; one in thirty is damaged on its way."""
    data = serialize_message(msg)
    if random.random() < 1 / 30:
        data = DATA_FAULTS[random.integers(len(DATA_FAULTS))](random, data)
    return data


def random_count(random: Random) -> int:
    """Return the number of corrupted places of a message."""
    return int(random.choice((0, 1, 2, 3), p=(0.5, 0.3, 0.15, 0.05)))


def random_sides(random: Random) -> tuple[int, int]:
    """Return height and width: mostly small, one in a hundred long and narrow."""
    if random.random() < 0.01:
        sides = (int(random.integers(1, 20)), int(random.integers(1000, 16500)))
        return sides if random.random() < 0.5 else sides[::-1]
    height, width = np.exp(random.uniform(np.log(5), np.log(150), 2)).astype(int).tolist()
    return height, width


def random_bytes(random: Random, count: int) -> array.array:
    """Return pixels without a pattern."""
    return array.array('B', random.bytes(count))


def _spoil_side(random: Random, msg: Image) -> None:
    name = ('height', 'width')[random.integers(2)]
    odd = ODD_SIDES[random.integers(len(ODD_SIDES))]
    setattr(msg, name, odd if random.random() < 0.5 else int(random.integers(300)))


def _spoil_step(random: Random, msg: Image) -> None:
    odd = ODD_STEPS[random.integers(len(ODD_STEPS))]
    msg.step = odd if random.random() < 0.5 else max(0, msg.step + int(random.integers(-5, 6)))


def _spoil_encoding(random: Random, msg: Image) -> None:
    names = ODD_ENCODINGS if random.random() < 0.5 else known_encodings()
    msg.encoding = str(names[random.integers(len(names))])


def _spoil_data(random: Random, msg: Image) -> None:
    count = len(msg.data)
    counts = 0, count // 2, max(0, count - 1), count + 1, int(random.integers(2 * count + 2))
    msg.data = random_bytes(random, int(counts[random.integers(len(counts))]))


def _spoil_order(random: Random, msg: Image) -> None:
    msg.is_bigendian = int(random.integers(256))


def _spoil_stamp(random: Random, msg: Image | CompressedImage) -> None:
    msg.header = Header(
        frame_id=str(random.choice(('', 'lens', 'x' * 300, '\u00e9\n'))),
        stamp=Time(sec=ODD_SECONDS[random.integers(len(ODD_SECONDS))],
                   nanosec=ODD_NANOSECONDS[random.integers(len(ODD_NANOSECONDS))]))


IMAGE_FAULTS: tuple[Callable[[Random, Image], None], ...] = (
    _spoil_side, _spoil_step, _spoil_encoding, _spoil_data, _spoil_order, _spoil_stamp)


def _cut(random: Random, data: bytes) -> bytes:
    return data[:int(random.integers(len(data) + 1))]


def _flip(random: Random, data: bytes) -> bytes:
    spoiled = bytearray(data)
    for _ in range(int(random.integers(1, 30)) if data else 0):
        # the header is where it hurts
        reach = len(data) if random.random() < 0.5 else min(len(data), 200)
        spoiled[random.integers(reach)] ^= 1 << int(random.integers(8))
    return bytes(spoiled)


def _lie_about_size(random: Random, data: bytes) -> bytes:
    """Claim another size in the header of a JPEG or a PNG."""
    height, width = (int(side) for side in random.choice((0, 1, 8000, 20000, 65535), 2))
    place = data.find(b'\xff\xc0')
    if place > 0:
        return data[:place + 5] + struct.pack('>HH', height, width) + data[place + 9:]
    place = data.find(b'IHDR')
    if place > 0:
        chunk = b'IHDR' + struct.pack('>II', width, height) + data[place + 12:place + 17]
        return data[:place] + chunk + struct.pack('>I', crc32(chunk)) + data[place + 21:]
    return data


def _append(random: Random, data: bytes) -> bytes:
    return data + random.bytes(int(random.integers(100)))


DATA_FAULTS: tuple[Callable[[Random, bytes], bytes], ...] = (_cut, _flip, _lie_about_size, _append)
