# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import array
from functools import partial
import sys
from types import ModuleType, SimpleNamespace

from camera_images import (
    BAYER,
    BAYER16,
    COLOURS,
    EVERY,
    GREY,
    image_msg,
    scene_msg,
    solid,
    YUV420,
    YUV422,
    YUV444,
)
import cv2
from lite_detector.core.encodings import known_encodings
from lite_detector.core.errors import ImageError
from lite_detector.core.types import MAX_SIDE
from lite_detector.ros.conversions import (
    bgr_to_compressed_msg,
    bgr_to_image_msg,
    compressed_msg_to_bgr,
    image_msg_to_bgr,
)
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

GREYS = ('black', 'white')
SIZES = [(4, 6), (5, 7), (3, 3), (3, 8), (8, 3)]


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def assert_image(image: np.ndarray, wanted: np.ndarray, tolerance: int = 0) -> None:
    assert (image.shape, image.dtype) == (wanted.shape, np.uint8)
    np.testing.assert_allclose(image.astype(int), wanted.astype(int), atol=tolerance)


def test_every_encoding_of_the_reader_tables_is_tested():
    assert set(known_encodings()) == set(EVERY)


@pytest.mark.parametrize(('encodings', 'data', 'wanted'), [
    (['bgr8', '8UC3'], [1, 2, 3, 4, 5, 6], [[1, 2, 3], [4, 5, 6]]),
    (['rgb8'], [1, 2, 3, 4, 5, 6], [[3, 2, 1], [6, 5, 4]]),
    (['bgra8'], [1, 2, 3, 9, 4, 5, 6, 9], [[1, 2, 3], [4, 5, 6]]),
    (['rgba8'], [1, 2, 3, 9, 4, 5, 6, 9], [[3, 2, 1], [6, 5, 4]]),
    (['mono8', '8UC1'], [7, 200], [[7, 7, 7], [200, 200, 200]]),
    # the luma of the two pixels differs: which of the bytes is which shows
    (['yuv422', 'uyvy'], [128, 16, 128, 235], [[0, 0, 0], [255, 255, 255]]),
    (['yuv422_yuy2', 'yuyv'], [16, 128, 235, 128], [[0, 0, 0], [255, 255, 255]]),
], ids=str)
def test_image_msg_to_bgr_reads_two_pixels(encodings, data, wanted):
    for encoding in encodings:
        msg = image_msg(encoding, 1, 2, bytes(data), len(data))
        assert_image(image_msg_to_bgr(msg), np.array([wanted]))


@pytest.mark.parametrize('encoding', YUV420)
def test_image_msg_to_bgr_reads_two_cells_of_yuv420(encoding):
    red, blue = (90, 240), (240, 110)
    if encoding == 'nv21':
        red, blue = red[::-1], blue[::-1]
    msg = image_msg(encoding, 2, 4, bytes([81, 81, 41, 41] * 2 + [*red, *blue]), 4)
    row = [COLOURS['red']] * 2 + [COLOURS['blue']] * 2
    assert_image(image_msg_to_bgr(msg), np.array([row, row]), tolerance=1)


@pytest.mark.parametrize('encoding', ['mono16', '16UC1'])
@pytest.mark.parametrize('byte_order', ['little', 'big'])
def test_image_msg_to_bgr_scales_16_bit_to_the_full_range(encoding, byte_order):
    for value, wanted in ((0x0000, 0), (0xFFFF, 255), (0x8080, 128), (0x0101, 1), (0xFF00, 254),
                          (0x00FF, 1), (0x007F, 0)):
        row = 3 * value.to_bytes(2, byte_order) + b'\x12'
        msg = image_msg(encoding, 2, 3, 2 * row, 7, byte_order == 'big')
        assert_image(image_msg_to_bgr(msg), np.full((2, 3, 3), wanted))


@pytest.mark.parametrize('encoding', EVERY)
@pytest.mark.parametrize('padding', [0, 5])
def test_image_msg_to_bgr_returns_the_colour_at_every_size(encoding, padding):
    tolerance = 2 if encoding in YUV422 + YUV420 + YUV444 else 0
    for colour in GREYS if encoding in GREY else COLOURS:
        for height, width in SIZES:
            image = image_msg_to_bgr(scene_msg(encoding, height, width, colour, padding))
            assert_image(image, solid(height, width, colour), tolerance)


@pytest.mark.parametrize(('encoding', 'top_left', 'bottom_right'), [
    ('bayer_rggb8', 'red', 'blue'), ('bayer_bggr8', 'blue', 'red'),
])
def test_image_msg_to_bgr_reads_the_first_letters_of_bayer_from_the_first_row(
        encoding, top_left, bottom_right):
    mosaic = np.zeros((6, 6), np.uint8)
    mosaic[::2, ::2] = 200
    first = image_msg_to_bgr(image_msg(encoding, 6, 6, mosaic.tobytes(), 6))
    assert_image(first, (np.array(COLOURS[top_left]) // 255 * 200 * np.ones((6, 6, 1))))
    last = image_msg_to_bgr(image_msg(encoding, 6, 6, mosaic[::-1, ::-1].tobytes(), 6))
    assert_image(last, (np.array(COLOURS[bottom_right]) // 255 * 200 * np.ones((6, 6, 1))))


@pytest.mark.parametrize('encoding', ['bgr8', '8UC3', 'rgb8', 'bgra8', 'rgba8'])
def test_image_msg_to_bgr_keeps_every_pixel_apart(encoding):
    wanted = noise(5, 7)
    pixels = wanted[..., ::-1] if encoding.startswith('rgb') else wanted
    if encoding.endswith('a8'):
        pixels = np.concatenate((pixels, noise(5, 7, seed=1)[..., :1]), axis=2)
    rows = np.pad(pixels.reshape(5, -1), ((0, 0), (0, 3)))
    msg = image_msg(encoding, 5, 7, rows.tobytes(), rows.shape[1])
    assert_image(image_msg_to_bgr(msg), wanted)


@pytest.mark.parametrize('encoding', EVERY)
def test_image_msg_to_bgr_accepts_a_last_row_without_padding_or_with_more(encoding):
    msg = scene_msg(encoding, padding=5)
    whole = msg.data
    for data in (whole[:-5], whole[:-1], whole + array.array('B', bytes(100))):
        msg.data = data
        assert_image(image_msg_to_bgr(msg), solid(4, 6, 'white'), tolerance=1)


@pytest.mark.parametrize('encoding', ['bgr8', '8UC3'])
@pytest.mark.parametrize('padding', [0, 5])
def test_image_msg_to_bgr_of_bgr_is_a_view_that_outlives_the_message(encoding, padding):
    msg = scene_msg(encoding, colour='red', padding=padding)
    image = image_msg_to_bgr(msg)
    assert np.shares_memory(np.frombuffer(msg.data, np.uint8), image)
    del msg
    assert_image(image, solid(4, 6, 'red'))


def test_image_msg_to_bgr_reads_data_given_as_a_list_or_bytes():
    pixels = list(range(6))
    for data in (pixels, bytes(pixels)):
        msg = Image(encoding='bgr8', height=1, width=2, step=6, data=data)
        assert_image(image_msg_to_bgr(msg), np.arange(6).reshape(1, 2, 3))


def too_many_pixels(step: int, msg: Image) -> tuple[dict, str]:
    return ({'height': MAX_SIDE, 'width': MAX_SIDE, 'step': step},
            f'data has {len(msg.data)} bytes')


def short_step(step: int, msg: Image) -> tuple[dict, str]:
    return {'step': step}, (
        f'step is {step} bytes; expected at least .* for a row of {msg.encoding} at width 6')


MISFITS = {  # of a message with 5 bytes of padding: the fields that change, and the message
    'one byte missing': lambda msg: (
        {'data': msg.data[:-6]}, f'data has {len(msg.data) - 6} bytes; expected '
                                 f'{len(msg.data) - 5} for 6x4 {msg.encoding} at step {msg.step}'),
    'no data': lambda msg: ({'data': array.array('B')}, 'data has 0 bytes'),
    'no step': partial(short_step, 0),
    'step of 1': partial(short_step, 1),
    'step below a row': lambda msg: short_step(msg.step - 6, msg),
    'many pixels': partial(too_many_pixels, 8 * MAX_SIDE),
    'many pixels, endless step': partial(too_many_pixels, 2**32 - 1),
}


@pytest.mark.parametrize('misfit', MISFITS.values(), ids=MISFITS)
def test_image_msg_to_bgr_whose_data_do_not_fit_is_refused(misfit):
    for encoding in EVERY:
        msg = scene_msg(encoding, padding=5)
        fields, words = misfit(msg)
        for name, value in fields.items():
            setattr(msg, name, value)
        with pytest.raises(ImageError, match=words):
            image_msg_to_bgr(msg)


@pytest.mark.parametrize('encoding', ['bgr8', 'nv12', 'unknown'])
@pytest.mark.parametrize(('height', 'width'), [
    (0, 0), (0, 6), (4, 0), (MAX_SIDE + 1, 6), (4, MAX_SIDE + 1), (2**32 - 1, 2**32 - 1),
])
def test_image_msg_to_bgr_with_an_impossible_size_is_refused(encoding, height, width):
    msg = image_msg(encoding, height, width, bytes(1000), 100)
    with pytest.raises(ImageError, match=f'image is {width}x{height}; expected sides of 1 to'):
        image_msg_to_bgr(msg)


@pytest.mark.parametrize(('encoding', 'sizes', 'words'), [
    *((each, [(1, 1), (2, 2), (2, 9), (9, 2)], 'expected sides of') for each in BAYER + BAYER16),
    *((each, [(4, 1)], 'expected at least one full') for each in YUV422)])
def test_image_msg_to_bgr_too_small_for_its_colours_is_refused(encoding, sizes, words):
    for height, width in sizes:
        with pytest.raises(ImageError, match=f'{encoding} of .*{width}.* {words}'):
            image_msg_to_bgr(scene_msg(encoding, height, width))


@pytest.mark.parametrize('encoding', sorted(set(EVERY) - {*BAYER, *BAYER16, *YUV422}))
def test_image_msg_to_bgr_of_a_single_row_or_column(encoding):
    for height, width in ((1, 1), (1, 5), (5, 1)):
        image = image_msg_to_bgr(scene_msg(encoding, height, width))
        assert_image(image, solid(height, width, 'white'), tolerance=1)


def test_image_msg_to_bgr_of_rubbish_raises_image_error_or_returns_an_image():
    random = np.random.default_rng(0)
    count = 0
    for _ in range(3000):
        height, width = (int(side) for side in random.integers(0, 9, 2))
        encoding = str(random.choice([*EVERY, '', 'jpeg']))
        msg = image_msg(encoding, height, width, random.bytes(int(random.integers(0, 200))),
                        int(random.integers(0, 40)), bool(random.integers(0, 2)))
        try:
            image = image_msg_to_bgr(msg)
        except ImageError:
            continue
        count += 1
        assert (image.shape, image.dtype) == ((height, width, 3), np.uint8)
    assert count > 100


@pytest.fixture
def unknown() -> Image:
    return image_msg('32FC1', 2, 3, bytes(24), 12)


def test_unknown_encoding_without_cv_bridge_names_it_and_what_is_known(monkeypatch, unknown):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    with pytest.raises(ImageError, match="^encoding '32FC1' is not one of bgr8, ") as caught:
        image_msg_to_bgr(unknown)
    message = str(caught.value)
    known, _, reason = message.partition('is not one of ')[2].partition('; ')
    assert set(known.split(', ')) == set(EVERY)
    assert reason.startswith('cv_bridge is not available: ')
    assert '\n' not in message


@pytest.mark.parametrize('statement', [
    'raise ImportError("libopencv.so.4.5d: cannot open shared object file")',
    'raise AttributeError("_ARRAY_API not found")',
    'raise RuntimeError("module compiled against API version 0xf but this version is 0x10")',
    'raise ValueError("numpy.dtype size changed")',
    'import a_module_that_nobody_has',
    'this is no Python',
    'pass',
])
def test_unknown_encoding_with_a_cv_bridge_that_does_not_import_is_an_image_error(
        monkeypatch, tmp_path, unknown, statement):
    (tmp_path / 'cv_bridge.py').write_text(statement + '\n')
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, 'cv_bridge', raising=False)
    with pytest.raises(ImageError, match="'32FC1'.*; cv_bridge is not available: "):
        image_msg_to_bgr(unknown)
    # what stays of it must not reach another test
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)


def use_cv_bridge(monkeypatch, imgmsg_to_cv2) -> None:
    module = ModuleType('cv_bridge')
    module.CvBridge = lambda: SimpleNamespace(imgmsg_to_cv2=imgmsg_to_cv2)
    monkeypatch.setitem(sys.modules, 'cv_bridge', module)


@pytest.mark.parametrize('error', [
    RuntimeError('not the same depth'), cv2.error('assertion failed'), TypeError('float'),
    KeyError('32FC1'), SystemError('bad argument'), AttributeError('_ARRAY_API not found'),
])
def test_unknown_encoding_that_cv_bridge_refuses_is_an_image_error(monkeypatch, unknown, error):
    def fail(msg: Image, encoding: str) -> None:
        raise error

    use_cv_bridge(monkeypatch, fail)
    with pytest.raises(ImageError, match="'32FC1'.*; cv_bridge cannot convert it: "):
        image_msg_to_bgr(unknown)


def test_unknown_encoding_is_read_by_a_working_cv_bridge(monkeypatch, unknown):
    asked = []

    def convert(msg: Image, encoding: str) -> np.ndarray:
        asked.append((msg, encoding))
        return noise(2, 3)

    use_cv_bridge(monkeypatch, convert)
    assert_image(image_msg_to_bgr(unknown), noise(2, 3))
    assert asked == [(unknown, 'bgr8')]


@pytest.mark.parametrize('encoding', EVERY)
def test_known_encoding_does_not_touch_a_broken_cv_bridge(monkeypatch, encoding):
    monkeypatch.setitem(sys.modules, 'cv_bridge', None)
    assert_image(image_msg_to_bgr(scene_msg(encoding)), solid(4, 6, 'white'), tolerance=1)


def compressed(data: bytes) -> CompressedImage:
    return CompressedImage(format='jpeg', data=array.array('B', data))


def gradient(height: int, width: int) -> np.ndarray:
    """Return a picture that JPEG can keep."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack((rows, columns, (rows + columns) // 2), axis=2).astype(np.uint8)


def test_jpeg_message_comes_back_nearly_the_same():
    image = gradient(48, 64)
    header = Header(frame_id='lens')
    msg = bgr_to_compressed_msg(image, header, jpeg_quality=95)
    assert msg.header == header
    assert msg.format == 'bgr8; jpeg compressed bgr8'
    assert isinstance(msg.data, array.array)
    assert bytes(msg.data[:3]) == b'\xff\xd8\xff'
    assert_image(compressed_msg_to_bgr(msg), image, tolerance=6)


def test_jpeg_quality_decides_about_the_size():
    image = noise(48, 64)
    sizes = [len(bgr_to_compressed_msg(image, Header(), quality).data) for quality in (10, 80, 95)]
    assert sizes == sorted(set(sizes))
    assert len(bgr_to_compressed_msg(image, Header()).data) == sizes[1]


@pytest.mark.parametrize(('pixels', 'wanted'), [
    (noise(5, 7), noise(5, 7)),
    (noise(5, 7)[..., 0], noise(5, 7)[..., :1].repeat(3, 2)),
    (np.dstack((noise(5, 7), noise(5, 7)[..., :1])), noise(5, 7)),
    (noise(5, 7).astype(np.uint16) * 256, noise(5, 7)),
], ids=['bgr', 'grey', 'with alpha', '16 bit'])
def test_png_message_comes_back_the_same(pixels, wanted):
    msg = compressed(cv2.imencode('.png', pixels)[1].tobytes())
    assert_image(compressed_msg_to_bgr(msg), wanted)


@pytest.mark.parametrize('data', [b'', b'\x00', b'no image', b'\xff\xd8\xff', bytes(5000),
                                  b'\x89PNG\r\n\x1a\n' + bytes(50)])
def test_compressed_message_that_does_not_decode_is_refused(data):
    with pytest.raises(ImageError, match=f"^format 'jpeg': {len(data)} bytes that do not decode"):
        compressed_msg_to_bgr(compressed(data))


@pytest.mark.parametrize('suffix', ['.jpg', '.png'])
def test_compressed_message_cut_anywhere_raises_image_error_or_returns_an_image(suffix):
    data = cv2.imencode(suffix, gradient(9, 16))[1].tobytes()
    for length in range(0, len(data), 7):
        try:
            image = compressed_msg_to_bgr(compressed(data[:length]))
        except ImageError:
            continue
        assert (image.shape, image.dtype) == ((9, 16, 3), np.uint8)


def test_bgr_to_image_msg_fills_every_field():
    header = Header(frame_id='lens')
    header.stamp.sec = 7
    image = noise(2, 5)
    msg = bgr_to_image_msg(image, header)
    assert msg.header == header
    assert (msg.height, msg.width, msg.encoding, msg.step) == (2, 5, 'bgr8', 15)
    assert msg.is_bigendian == 0
    assert isinstance(msg.data, array.array)
    assert msg.data.typecode == 'B'
    assert msg.data.tobytes() == image.tobytes()


@pytest.mark.parametrize('view', [
    noise(6, 8),
    noise(6, 8)[::2, ::-1],
    noise(6, 8)[1:5, 2:6],
    noise(6, 8)[..., ::-1],
    noise(6, 8).transpose(1, 0, 2),
], ids=['whole', 'mirrored', 'cut out', 'swapped', 'turned'])
def test_messages_of_a_view_hold_its_pixels(view):
    assert_image(image_msg_to_bgr(bgr_to_image_msg(view, Header())), view)
    decoded = compressed_msg_to_bgr(bgr_to_compressed_msg(view, Header()))
    wanted = compressed_msg_to_bgr(bgr_to_compressed_msg(view.copy(), Header()))
    assert_image(decoded, wanted)
