# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read the size of a compressed image from its header, without decoding."""

from __future__ import annotations

from collections.abc import Callable
from struct import error as StructError
from struct import unpack_from

from lite_detector.core.types import ImageArray, ImageSize

FORMATS = 'JPEG, PNG, BMP, TIFF or WebP'
"""Image formats with a known header, for messages."""

JPEG_MAGIC = b'\xff\xd8'
JPEG_FRAMES = {*range(0xc0, 0xd0)} - {0xc4, 0xc8, 0xcc}
"""Second byte of the segments that contain the size."""
JPEG_BARE = {0xff, 0x00, 0x01, *range(0xd0, 0xd9)}
"""Second byte of fill bytes and of markers without a length."""
JPEG_PIXELS = {0xd9, 0xda}
JPEG_STEPS = 1000
"""Maximum number of segments and stray bytes to read, so that malformed data take no time."""

TIFF_WIDTHS, TIFF_HEIGHTS = (256, 322), (257, 323)
"""Tags of the sides of the image and of its tiles; tiles are decoded completely."""
TIFF_NUMBERS = {1: 'B', 3: 'H', 4: 'I'}
"""Type of a value -> struct format."""

BMP_OS2_HEAD = 12
"""Length of the oldest header in bytes; its sides have 16 bits."""


def is_jpeg(data: ImageArray) -> bool:
    """Return whether bytes start like a JPEG; uint8, shape (n,)."""
    return bytes(data[:2]) == JPEG_MAGIC


def claimed_size(data: ImageArray | bytes) -> ImageSize | None:
    """
    Return the size of a compressed image according to its header.

    :param data: Content of the file, bytes or a uint8 array of shape (n,).
    :return: Size for which the decoder would allocate memory; None: the format is not one of
        ``FORMATS`` or the header is incomplete, so the image cannot be decoded.
    """
    view = memoryview(data)
    for magic, read in READERS.items():
        if view[:len(magic)] == magic:
            try:
                return read(view)
            except StructError:  # the file ends in its header
                return None
    return None


def kind_of_content(data: ImageArray) -> str:
    """
    Return the kind of a file that is not a supported image; empty: unknown.

    :param data: Content of the file, uint8, shape (n,).
    """
    head = bytes(memoryview(data)[:64])
    if head[4:8] == b'ftyp':
        brand = head[8:12].decode('latin-1').strip()
        return 'AVIF' if brand.startswith('avi') else (
            'HEIC' if brand.startswith(('hei', 'hev', 'mif', 'msf')) else 'a video')
    return next((name for magic, name in OTHER_CONTENT.items()
                 if head.lstrip().lower().startswith(magic)), '')


def _jpeg_size(view: memoryview) -> ImageSize | None:
    place = 2
    for _ in range(JPEG_STEPS):
        mark, kind, length = unpack_from('>BBH', view, place)
        if mark != 0xff or kind in JPEG_BARE:
            place += 1
        elif kind in JPEG_FRAMES:
            return ImageSize(*unpack_from('>HH', view, place + 5))
        elif kind in JPEG_PIXELS:
            return None
        else:
            place += 2 + length
    return ImageSize(0xffff, 0xffff)  # no size found: assume the largest possible one


def _png_size(view: memoryview) -> ImageSize:
    width, height = unpack_from('>II', view, 16)
    return ImageSize(height, width)


def _bmp_size(view: memoryview) -> ImageSize:
    head, = unpack_from('<I', view, 14)
    width, height = unpack_from('<HH' if head == BMP_OS2_HEAD else '<ii', view, 18)
    return ImageSize(abs(height), abs(width))  # a negative height means rows from the top


def _tiff_size(view: memoryview) -> ImageSize | None:
    order = '<' if view[0] == ord('I') else '>'
    place, = unpack_from(f'{order}I', view, 4)
    count, = unpack_from(f'{order}H', view, place)
    widths, heights = [0], [0]
    for entry in range(place + 2, place + 2 + 12 * count, 12):
        tag, kind, values = unpack_from(f'{order}HHI', view, entry)
        if tag not in TIFF_WIDTHS + TIFF_HEIGHTS:
            continue
        if kind not in TIFF_NUMBERS or values != 1:
            return None
        side, = unpack_from(order + TIFF_NUMBERS[kind], view, entry + 8)
        (widths if tag in TIFF_WIDTHS else heights).append(side)
    return ImageSize(max(heights), max(widths))


def _webp_size(view: memoryview) -> ImageSize | None:
    kind = bytes(view[8:16])
    if kind == b'WEBPVP8X':  # extended format: 24 bits each, minus 1
        low_width, high_width, low_height, high_height = unpack_from('<HBHB', view, 24)
        return ImageSize((low_height | high_height << 16) + 1, (low_width | high_width << 16) + 1)
    if kind == b'WEBPVP8L':  # lossless: 14 bits each, minus 1, after one byte
        sides, = unpack_from('<I', view, 21)
        return ImageSize((sides >> 14 & 0x3fff) + 1, (sides & 0x3fff) + 1)
    if kind == b'WEBPVP8 ':  # lossy: 14 bits each, above them 2 bits of scale
        width, height = unpack_from('<HH', view, 26)
        return ImageSize(height & 0x3fff, width & 0x3fff)
    return None


def _gif_size(view: memoryview) -> ImageSize:
    width, height = unpack_from('<HH', view, 6)
    return ImageSize(height, width)


READERS: dict[bytes, Callable[[memoryview], ImageSize | None]] = {
    JPEG_MAGIC: _jpeg_size,
    b'\x89PNG\r\n\x1a\n': _png_size,
    b'BM': _bmp_size,
    b'II*\0': _tiff_size,
    b'MM\0*': _tiff_size,
    b'RIFF': _webp_size,
    b'GIF87a': _gif_size,
    b'GIF89a': _gif_size,
}
OTHER_CONTENT = {
    b'gif8': 'a GIF', b'<!doctype html': 'an HTML page', b'<html': 'an HTML page',
    b'<svg': 'SVG', b'<?xml': 'XML', b'%pdf': 'a PDF', b'pk\x03\x04': 'a ZIP archive',
    b'version https://git-lfs': 'a Git LFS pointer; fetch the file with `git lfs pull`',
    b'\0\0\0\x0cjp': 'JPEG 2000', b'8bps': 'a Photoshop file',
}
"""First bytes of a file in lower case -> kind of the file."""
