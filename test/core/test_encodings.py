# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Pixels of image messages in encodings that ROS lists and few drivers use, without ROS."""

from types import SimpleNamespace

from lite_detector.core.encodings import image_to_bgr
from lite_detector.core.errors import ImageError
import numpy as np
import pytest

HEIGHT, WIDTH = 6, 8


def message(encoding: str, pixels: np.ndarray | bytes, step: int = 0,
            is_bigendian: int = 0) -> SimpleNamespace:
    data = pixels if isinstance(pixels, bytes) else pixels.tobytes()
    return SimpleNamespace(height=HEIGHT, width=WIDTH, encoding=encoding, step=step, data=data,
                           is_bigendian=is_bigendian)


def noise(channels: int, dtype: type = np.uint8) -> np.ndarray:
    high = np.iinfo(dtype).max + 1
    return np.random.default_rng(channels).integers(0, high, (HEIGHT, WIDTH, channels), dtype)


@pytest.mark.parametrize(('encoding', 'same', 'channels'), [
    ('rgb16', 'rgb8', 3), ('bgr16', 'bgr8', 3), ('16UC3', '8UC3', 3), ('rgba16', 'rgba8', 4),
    ('bgra16', 'bgra8', 4), ('16UC4', '8UC4', 4), ('mono16', 'mono8', 1), ('16UC1', '8UC1', 1),
    ('bayer_rggb16', 'bayer_rggb8', 1), ('bayer_bggr16', 'bayer_bggr8', 1),
    ('bayer_gbrg16', 'bayer_gbrg8', 1), ('bayer_grbg16', 'bayer_grbg8', 1)])
@pytest.mark.parametrize('order', ['<', '>'])
@pytest.mark.parametrize('padding', [None, 0, 6])
def test_16_bits_are_read_as_8_bits_full_range_to_full_range(encoding, same, channels, order,
                                                             padding):
    pixels = noise(channels)
    rows = (pixels.astype(np.uint16) * 257).astype(f'{order}u2').reshape(HEIGHT, -1)
    step = 0
    if padding is not None:
        data = np.pad(rows.view(np.uint8), ((0, 0), (0, padding)), constant_values=77)
        rows, step = data, data.shape[1]
    image = image_to_bgr(message(encoding, rows, step, order == '>'))
    np.testing.assert_array_equal(image, image_to_bgr(message(same, pixels, WIDTH * channels)))


def test_8uc4_is_bgra():
    pixels = noise(4)
    np.testing.assert_array_equal(image_to_bgr(message('8UC4', pixels, 4 * WIDTH)),
                                  pixels[..., :3])


@pytest.mark.parametrize('step', [0, WIDTH, WIDTH + 3])
def test_nv24_is_nv12_with_colours_of_each_pixel(step):
    rng = np.random.default_rng(0)
    luma = rng.integers(16, 236, (HEIGHT, WIDTH), np.uint8)
    half = rng.integers(60, 190, (HEIGHT // 2, WIDTH // 2, 2), np.uint8)
    full = half.repeat(2, axis=0).repeat(2, axis=1).reshape(HEIGHT, 2 * WIDTH)
    wanted = image_to_bgr(message('nv12', luma.tobytes() + half.tobytes()))
    padding = max(0, step - WIDTH)
    planes = [np.pad(plane, ((0, 0), (0, factor * padding)), constant_values=77).tobytes()
              for factor, plane in ((1, luma), (2, full))]
    image = image_to_bgr(message('nv24', b''.join(planes), step)).astype(int)
    assert np.abs(image - wanted).max() <= 1  # OpenCV rounds nv12 in integers


@pytest.mark.parametrize(('encoding', 'rows', 'row'), [
    ('bgr8', HEIGHT, 3 * WIDTH), ('mono8', HEIGHT, WIDTH), ('yuyv', HEIGHT, 2 * WIDTH),
    ('nv12', HEIGHT * 3 // 2, WIDTH), ('nv24', 3 * HEIGHT, WIDTH), ('rgb16', HEIGHT, 6 * WIDTH)])
def test_step_of_0_is_that_of_rows_without_padding(encoding, rows, row):
    data = np.random.default_rng(0).integers(0, 256, (rows, row), np.uint8)
    np.testing.assert_array_equal(image_to_bgr(message(encoding, data, 0)),
                                  image_to_bgr(message(encoding, data, row)))
    for wrong in (data.tobytes()[:-1], data.tobytes() + bytes(rows), b''):
        with pytest.raises(ImageError, match=f'step is 0 bytes; expected .* a row of {encoding}'):
            image_to_bgr(message(encoding, wrong, 0))
