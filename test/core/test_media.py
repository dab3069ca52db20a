# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from pathlib import Path
import struct
import zlib

import cv2
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.media import (
    decode_image,
    FILE_PIXELS,
    find_media,
    is_video,
    read_image,
    VideoReader,
    VideoWriter,
)
import numpy as np
import pytest


def noise(height: int, width: int, channels: int = 3, dtype=np.uint8) -> np.ndarray:
    limit = np.iinfo(dtype).max + 1
    shape = (height, width, channels)[:3 if channels > 1 else 2]
    return np.random.default_rng(0).integers(0, limit, shape, dtype)


def png(image: np.ndarray) -> bytes:
    return cv2.imencode('.png', image)[1].tobytes()


def jpeg_turned(image: np.ndarray, orientation: int) -> bytes:
    """Return a JPEG whose EXIF block says how the camera was held."""
    tiff = b'II*\0' + struct.pack('<IHHHIII', 8, 1, 0x0112, 3, 1, orientation, 0)
    block = b'Exif\0\0' + tiff
    data = cv2.imencode('.jpg', image)[1].tobytes()
    return data[:2] + b'\xff\xe1' + struct.pack('>H', len(block) + 2) + block + data[2:]


def write_video(path: Path, frames: int, size: tuple[int, int] = (48, 64), rate_hz=12.5) -> Path:
    with VideoWriter(path, rate_hz) as video:
        for index in range(frames):
            video.write(np.full((*size, 3), 20 * index, np.uint8))
    return path


def test_find_media_in_an_empty_folder_says_so(tmp_path):
    with pytest.raises(DataError, match=f'{tmp_path}: no image or video'):
        find_media([tmp_path])


def test_find_media_keeps_the_order_of_files_and_sorts_folders(tmp_path):
    folder = tmp_path / 'folder'
    (folder / 'deeper.jpg').mkdir(parents=True)
    for name in ('b.JPG', 'a.png', 'c.mp4', 'notes.txt', 'deeper.jpg/d.png'):
        (folder / name).touch()
    single = tmp_path / 'z.webp'
    single.touch()
    assert find_media([single, folder, single]) == [
        single, folder / 'a.png', folder / 'b.JPG', folder / 'c.mp4', single]


@pytest.mark.parametrize(('name', 'message'), [
    ('absent.jpg', 'absent.jpg: no such file or folder'),
    ('notes.txt', 'notes.txt: neither image nor video; expected one of .avi .bmp'),
])
def test_find_media_with_a_wrong_file_names_it(tmp_path, name, message):
    (tmp_path / 'notes.txt').touch()
    with pytest.raises(DataError, match=message):
        find_media([tmp_path / name])


@pytest.mark.parametrize(('name', 'wanted'), [('a.mp4', True), ('a.MOV', True), ('a.jpg', False),
                                              ('mp4', False)])
def test_is_video_looks_at_the_suffix(name, wanted):
    assert is_video(Path(name)) is wanted


@pytest.mark.parametrize('name', ['a.png', 'a.bmp', 'caf\u00e9 \u56fe.png'])
def test_read_image_gives_the_pixels_that_were_written(tmp_path, name):
    image = noise(30, 41)
    (tmp_path / name).write_bytes(cv2.imencode(Path(name).suffix, image)[1].tobytes())
    read = read_image(tmp_path / name)
    np.testing.assert_array_equal(read, image)
    assert read.dtype == np.uint8


@pytest.mark.parametrize('image', [noise(30, 41, 1), noise(30, 41, 4),
                                   noise(30, 41, 1, np.uint16), noise(30, 41, 3, np.uint16)],
                         ids=['gray', 'alpha', 'gray16', 'color16'])
def test_read_image_of_any_kind_gives_three_channels_of_8_bits(tmp_path, image):
    (tmp_path / 'a.png').write_bytes(png(image))
    read = read_image(tmp_path / 'a.png')
    assert (read.shape, read.dtype) == ((30, 41, 3), np.uint8)


@pytest.mark.parametrize(('orientation', 'turn'), [
    (1, lambda image: image),
    (3, lambda image: np.rot90(image, 2)),
    (6, lambda image: np.rot90(image, -1)),
    (8, lambda image: np.rot90(image, 1)),
])
def test_read_image_of_a_turned_camera_is_upright(tmp_path, orientation, turn):
    image = np.zeros((32, 48, 3), np.uint8)
    image[:16, :16] = 255
    (tmp_path / 'a.jpg').write_bytes(jpeg_turned(image, orientation))
    read = read_image(tmp_path / 'a.jpg')
    np.testing.assert_allclose(read, turn(image).astype(float), atol=30)


@pytest.mark.parametrize(('data', 'message'), [
    (b'', '0 bytes that do not decode'),
    (b'not a picture', '13 bytes that do not decode'),
    (png(noise(30, 41))[:40], '40 bytes that do not decode'),
], ids=['empty', 'text', 'cut'])
def test_read_image_of_a_damaged_file_names_it(tmp_path, data, message):
    (tmp_path / 'a.png').write_bytes(data)
    with pytest.raises(ImageError, match=f'a.png: {message}'):
        read_image(tmp_path / 'a.png')
    with pytest.raises(ImageError, match=f'camera: {message}'):
        decode_image(np.frombuffer(data, np.uint8), 'camera')


def test_read_image_of_an_absent_file_or_a_folder_names_it(tmp_path):
    with pytest.raises(ImageError, match='a.png: No such file'):
        read_image(tmp_path / 'a.png')
    with pytest.raises(ImageError, match=f'{tmp_path}: Is a directory'):
        read_image(tmp_path)


def jpeg_of_size(height: int, width: int) -> bytes:
    data = cv2.imencode('.jpg', noise(8, 8))[1].tobytes()
    place = data.index(b'\xff\xc0') + 5
    return data[:place] + struct.pack('>HH', height, width) + data[place + 4:]


def png_of_size(height: int, width: int) -> bytes:
    data = png(noise(8, 8))
    chunk = b'IHDR' + struct.pack('>II', width, height) + data[24:29]
    return data[:12] + chunk + struct.pack('>I', zlib.crc32(chunk)) + data[33:]


def test_decode_image_lets_a_file_have_more_pixels_than_a_message(monkeypatch):
    monkeypatch.setattr(cv2, 'imdecode', lambda *_: None)
    data = np.frombuffer(png_of_size(12000, 12000), np.uint8)
    with pytest.raises(ImageError, match='12000x12000 pixels; .* at most 67108864 pixels'):
        decode_image(data, 'camera')
    with pytest.raises(ImageError, match='do not decode'):
        decode_image(data, 'a.png', FILE_PIXELS)


@pytest.mark.parametrize('count', range(2, 30))
def test_decode_image_that_ends_in_its_header_does_not_decode(count):
    for data in (jpeg_of_size(8, 9), png_of_size(8, 9)):
        with pytest.raises(ImageError, match='do not decode'):
            decode_image(np.frombuffer(data[:count], np.uint8), 'camera')


def test_decode_image_of_an_allowed_size_still_decodes():
    turned = np.frombuffer(jpeg_turned(noise(20, 31), 6), np.uint8)
    assert decode_image(turned, 'camera').shape == (31, 20, 3)
    assert decode_image(np.frombuffer(png(noise(9, 16384)), np.uint8), 'x').shape == (9, 16384, 3)


def test_video_there_and_back_keeps_frames_size_and_rate(tmp_path):
    path = write_video(tmp_path / 'a.mp4', frames=5)
    with VideoReader(path) as video:
        frames = list(video)
        assert (video.rate_hz, video.frame_count) == (12.5, 5)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 5
    np.testing.assert_allclose([frame.mean() for frame in frames], [0, 20, 40, 60, 80], atol=4)


@pytest.mark.parametrize('data', [b'', b'not a video' * 100], ids=['empty', 'text'])
def test_video_reader_of_a_damaged_file_names_it(tmp_path, data):
    (tmp_path / 'a.mp4').write_bytes(data)
    with pytest.raises(ImageError, match='a.mp4: cannot be opened as a video'):
        VideoReader(tmp_path / 'a.mp4')


def test_video_writer_in_an_absent_folder_names_the_file(tmp_path):
    with pytest.raises(DataError, match='absent/a.mp4: cannot be written'):
        write_video(tmp_path / 'absent' / 'a.mp4', frames=1)


@pytest.mark.parametrize('frames', [0, 2])
def test_video_writer_without_a_path_writes_nothing(tmp_path, monkeypatch, frames):
    monkeypatch.chdir(tmp_path)
    write_video(None, frames)
    assert not list(tmp_path.iterdir())


def test_video_writer_without_frames_writes_no_file(tmp_path):
    assert not write_video(tmp_path / 'a.mp4', frames=0).exists()
