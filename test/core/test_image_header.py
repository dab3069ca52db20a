# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Headers by hand, 9 pixels high and 300 wide unless they say otherwise, and those of encoders."""

import struct

import cv2
from lite_detector.core.errors import ImageError
from lite_detector.core.image_header import claimed_size
from lite_detector.core.media import decode_image
import numpy as np
import pytest

SHORT, LONG, RATIONAL = 3, 4, 5


def size_of_bytes(data: bytes) -> tuple[int, int] | None:
    return claimed_size(np.frombuffer(data, np.uint8))


def jpeg(height: int = 9, width: int = 300, before: bytes = b'') -> bytes:
    return b'\xff\xd8' + before + b'\xff\xc0\0\x11\x08' + struct.pack('>HH', height, width)


def png(height: int = 9, width: int = 300) -> bytes:
    return b'\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR' + struct.pack('>II', width, height)


def bmp(height: int = 9, width: int = 300) -> bytes:
    return b'BM' + bytes(12) + struct.pack('<Iii', 40, width, height)


def bmp_os2(height: int = 9, width: int = 300) -> bytes:
    return b'BM' + bytes(12) + struct.pack('<IHH', 12, width, height)


def tiff(height: int = 9, width: int = 300, kind: int = LONG, order: str = '<',
         more: tuple[tuple[int, int], ...] = ()) -> bytes:
    """Return a file whose directory stands behind a gap; ``more`` are tags and their values."""
    tags = ((254, 0), (256, width), (257, height), *more)
    value = 'H2x' if kind == SHORT else 'I'
    entries = [struct.pack(f'{order}HHI{value}', tag, kind, 1, side) for tag, side in tags]
    return ((b'II*\0' if order == '<' else b'MM\0*') + struct.pack(f'{order}I', 11) + b'gap'
            + struct.pack(f'{order}H', len(entries)) + b''.join(entries))


def webp(kind: bytes, head: bytes) -> bytes:
    return b'RIFF\x40\0\0\0WEBP' + kind + b'\x30\0\0\0' + head


def webp_lossy(height: int = 9, width: int = 300) -> bytes:
    # frame tag, start code; the two bits above a side ask for scaling, which nobody does
    return webp(b'VP8 ', b'\x10\0\0\x9d\x01\x2a' + struct.pack('<HH', width | 1 << 14,
                                                               height | 3 << 14))


def webp_lossless(height: int = 9, width: int = 300) -> bytes:
    return webp(b'VP8L', b'\x2f' + struct.pack('<I', width - 1 | height - 1 << 14 | 1 << 28))


def webp_extended(height: int = 9, width: int = 300) -> bytes:
    return webp(b'VP8X', b'\x10\0\0\0' + struct.pack('<I', width - 1)[:3]
                + struct.pack('<I', height - 1)[:3])


def gif(height: int = 9, width: int = 300) -> bytes:
    return b'GIF89a' + struct.pack('<HH', width, height)


HEADERS = (jpeg, png, bmp, bmp_os2, tiff, webp_lossy, webp_lossless, webp_extended, gif)


@pytest.mark.parametrize('data', [
    b'', b'\xff', b'RIFF', b'# notes', b'GIF88a\x2c\x01\x09\0', b'P6 300 9 255\n', bytes(100),
    b'RIFF\x40\0\0\0WAVEfmt \x10\0\0\0' + bytes(20), webp(b'ALPH', bytes(20))])
def test_what_is_none_of_the_formats_claims_nothing(data):
    assert size_of_bytes(data) is None


@pytest.mark.parametrize('header', HEADERS)
def test_claimed_size_is_height_and_width(header):
    assert size_of_bytes(header()) == (9, 300)
    assert size_of_bytes(header(301, 2)) == (301, 2)


@pytest.mark.parametrize('header', HEADERS)
def test_header_that_is_not_whole_claims_nothing(header):
    data = header()
    assert {size_of_bytes(data[:count]) for count in range(len(data))} == {None}


@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('kind', [SHORT, LONG])
def test_tiff_of_both_byte_orders_and_kinds_of_numbers(order, kind):
    assert size_of_bytes(tiff(kind=kind, order=order)) == (9, 300)


def test_tiff_claims_the_largest_that_it_says():
    # a tile of 512x16, and the width once more
    assert size_of_bytes(tiff(more=((322, 512), (323, 16)))) == (16, 512)
    assert size_of_bytes(tiff(more=((256, 70000),))) == (9, 70000)


@pytest.mark.parametrize('data', [
    tiff(kind=RATIONAL),
    tiff().replace(struct.pack('<HHI', 256, LONG, 1), struct.pack('<HHI', 256, LONG, 2)),
    b'II*\0\xff\xff\xff\xff' + bytes(50)], ids=['fraction', 'two widths', 'directory outside'])
def test_tiff_whose_sides_are_no_plain_numbers_claims_nothing(data):
    assert size_of_bytes(data) is None


def test_gif_of_the_older_version_is_read():
    assert size_of_bytes(gif().replace(b'89a', b'87a')) == (9, 300)


def test_bmp_from_the_top_has_the_same_height():
    assert size_of_bytes(bmp(-9)) == (9, 300)


@pytest.mark.parametrize(('before', 'wanted'), [
    (b'\xff\xff\xff', (9, 300)), (b'\xff\xfe\0\x07hello', (9, 300)), (b'\0' * 900, (9, 300)),
    (b'\0' * 2000, (65535, 65535)), (b'\xff\xda\0\x02', None)],
    ids=['filling', 'comment', 'stray bytes', 'many stray bytes', 'pixels first'])
def test_jpeg_finds_the_size_behind_whatever_stands_before_it(before, wanted):
    assert size_of_bytes(jpeg(before=before)) == wanted


@pytest.mark.parametrize(('suffix', 'options'), [
    ('.jpg', ()), ('.jpg', (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)), ('.png', ()), ('.bmp', ()),
    ('.tiff', ()), ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 80)),
    ('.webp', (cv2.IMWRITE_WEBP_QUALITY, 101))])
@pytest.mark.parametrize('channels', [1, 3, 4])
def test_claimed_size_is_that_of_what_opencv_writes_and_reads(suffix, options, channels):
    image = np.random.default_rng(0).integers(0, 256, (13, 22, channels)).astype(np.uint8)
    data = cv2.imencode(suffix, image, options)[1].ravel()
    assert claimed_size(data) == (13, 22)
    assert decode_image(data, 'camera').shape == (13, 22, 3)


@pytest.mark.parametrize(('header', 'height', 'width'), [
    (header, height, width) for header in HEADERS
    for height, width in ((16385, 8), (8, 16385), (12000, 12000))
    # with 14 bits WebP cannot say more than 16384 a side
    if header not in (webp_lossy, webp_lossless) or height == width])
def test_what_claims_to_be_huge_is_refused_before_it_is_decoded(header, height, width,
                                                                monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', None)
    data = np.frombuffer(header(height, width) + bytes(100), np.uint8)
    with pytest.raises(ImageError, match=f'camera: {len(data)} bytes with a header of '
                                         f'{width}x{height} pixels; expected sides up to'):
        decode_image(data, 'camera')


@pytest.mark.parametrize('header', [png, bmp, tiff, webp_lossy])
@pytest.mark.parametrize(('height', 'width'), [(0, 300), (9, 0), (9, 300)])
def test_header_without_an_image_does_not_decode(header, height, width):
    with pytest.raises(ImageError, match='.* bytes that do not decode as an image; expected '
                                         'JPEG, PNG, BMP, TIFF or WebP'):
        decode_image(np.frombuffer(header(height, width), np.uint8), 'camera')
