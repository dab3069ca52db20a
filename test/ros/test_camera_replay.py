# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import importlib.util
from itertools import islice
from pathlib import Path
from types import SimpleNamespace

import cv2
from lite_detector.core.errors import DataError, ImageError
from lite_detector.ros import camera_replay
from lite_detector.ros.camera_replay import (
    frames_of,
    pan_zoom,
    photo_files,
    PHOTO_NAMES,
    ReplaySettings,
)
from lite_detector.ros.conversions import compressed_msg_to_bgr, image_msg_to_bgr
from node_process import assert_one_error_line, Client, RELIABLE, ros_arguments
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image

HEIGHT, WIDTH = 48, 64
GREYS = {'a_dark': 40, 'b_grey': 120, 'c_light': 200}
PHASES = np.linspace(0, 1, 97)


def grey(level: int) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), level, np.uint8)


def write_video(path: Path, levels: list[int], rate_hz: float = 25.0) -> Path:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), rate_hz, (WIDTH, HEIGHT))
    if not writer.isOpened():
        pytest.skip('this OpenCV writes no video')
    for level in levels:
        writer.write(grey(level))
    writer.release()
    return path


def cut_video(path: Path) -> Path:
    """Keep the header of a video, and remove its frames."""
    data = write_video(path, [40]).read_bytes()
    path.write_bytes(data[:data.index(b'movi') + 4])
    return path


@pytest.fixture
def photos(tmp_path) -> Path:
    """Return a folder of grey pictures."""
    folder = tmp_path / 'photos'
    folder.mkdir()
    for name, level in GREYS.items():
        cv2.imwrite(str(folder / f'{name}.png'), grey(level))
    return folder


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()


def levels_of(frames) -> list[tuple[str, int]]:
    """Return name and brightness of each frame; a video is not quite exact."""
    return [(name, round(float(image.mean()) / 10) * 10) for name, image in frames]


def test_frames_of_no_file_is_empty():
    assert list(frames_of([], ReplaySettings(loop=True))) == []
    assert list(frames_of([], ReplaySettings(loop=False))) == []


def test_frames_of_once_gives_every_image_and_every_frame_of_a_video(photos, tmp_path):
    video = write_video(tmp_path / 'clip.avi', [20, 60, 100])
    files = [photos / 'a_dark.png', video, photos / 'b_grey.png']
    frames = list(frames_of(files, ReplaySettings(loop=False)))
    assert levels_of(frames) == [('a_dark', 40), ('clip', 20), ('clip', 60), ('clip', 100),
                                 ('b_grey', 120)]
    for _, image in frames:
        assert (image.shape, image.dtype) == ((HEIGHT, WIDTH, 3), np.uint8)


def test_frames_of_loop_begins_again(photos, tmp_path):
    files = [photos / 'a_dark.png', write_video(tmp_path / 'clip.avi', [20, 60])]
    frames = islice(frames_of(files, ReplaySettings(loop=True)), 8)
    assert levels_of(frames) == 2 * [('a_dark', 40), ('clip', 20), ('clip', 60)] + [
        ('a_dark', 40), ('clip', 20)]


def test_frames_of_with_pan_zoom_shows_each_image_that_often(photos):
    files = [photos / 'a_dark.png', photos / 'b_grey.png']
    frames = list(frames_of(files, ReplaySettings(loop=False, pan_zoom=3)))
    assert levels_of(frames) == 3 * [('a_dark', 40)] + 3 * [('b_grey', 120)]


def test_frames_of_with_pan_zoom_shows_a_video_as_it_is(tmp_path):
    video = write_video(tmp_path / 'clip.avi', [20, 60])
    assert len(list(frames_of([video], ReplaySettings(loop=False, pan_zoom=5)))) == 2


@pytest.mark.parametrize('loop', [False, True])
def test_frames_of_a_video_without_a_frame_is_an_error_and_no_endless_loop(tmp_path, loop):
    path = cut_video(tmp_path / 'cut.avi')
    with pytest.raises(ImageError, match=r'cut\.avi: '):
        list(frames_of([path], ReplaySettings(loop=loop)))


def test_frames_of_a_file_that_does_not_decode_is_an_error(tmp_path):
    (tmp_path / 'bad.jpg').write_bytes(b'no image')
    with pytest.raises(ImageError, match=r'bad\.jpg: 8 bytes that do not decode as an image'):
        list(frames_of([tmp_path / 'bad.jpg'], ReplaySettings(loop=True)))


def test_pan_zoom_at_phase_0_and_1_is_the_whole_image():
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), np.uint8)
    for phase in (0, 1):
        np.testing.assert_array_equal(pan_zoom(image, phase), image)


@pytest.mark.parametrize(('height', 'width'), [(37, 53), (53, 37), (1, 1), (120, 160)])
def test_pan_zoom_keeps_the_shape_and_shows_no_border(height, width):
    white = np.full((height, width, 3), 255, np.uint8)
    for phase in PHASES:
        view = pan_zoom(white, phase)
        assert (view.shape, view.dtype) == (white.shape, np.uint8)
        assert view.min() == 255, phase


@pytest.mark.parametrize('axis', [0, 1])
def test_pan_zoom_never_looks_beside_the_image(axis):
    # 4 more from pixel to pixel; where the view leaves the image, the edge would be repeated
    ramp = (4 * np.indices((40, 60, 3))[axis]).astype(np.uint8)
    for phase in PHASES:
        assert np.diff(pan_zoom(ramp, phase).astype(int), axis=axis).min() >= 2, phase


def test_pan_zoom_moves_all_the_time():
    image = cv2.resize(np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8),
                       (WIDTH, HEIGHT))
    views = [pan_zoom(image, phase).astype(int) for phase in np.arange(12) / 12]
    for view, following in zip(views, views[1:] + views[:1], strict=True):
        assert np.abs(view - following).mean() > 1


def test_photo_files_without_the_package_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(DataError, match='^source: photos; expected an installed scikit-image: run '
                                        '`python3 -m pip install .*`, or set another source$'):
        photo_files()


def use_package(monkeypatch, folder: Path) -> None:
    spec = SimpleNamespace(submodule_search_locations=[str(folder)])
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: spec)


def test_photo_files_of_a_package_without_photographs_is_an_error(monkeypatch, tmp_path):
    use_package(monkeypatch, tmp_path)
    with pytest.raises(DataError, match='expected an installed scikit-image'):
        photo_files()


def test_photo_files_are_found_in_the_package_in_their_order(monkeypatch, tmp_path):
    use_package(monkeypatch, tmp_path)
    (tmp_path / 'data').mkdir()
    paths = [tmp_path / 'data' / f'{name}.png' for name in PHOTO_NAMES]
    for path in [*paths, tmp_path / 'data' / 'other.png', tmp_path / 'data' / 'cameraman.txt']:
        path.write_bytes(b'')
    assert photo_files() == paths


def test_photo_files_are_real_images():
    if importlib.util.find_spec('skimage') is None:
        pytest.skip('scikit-image is not installed here')
    files = photo_files()
    assert [path.stem for path in files] == list(PHOTO_NAMES)
    assert all(cv2.imread(str(path)) is not None for path in files)


def test_natural_rate_is_that_of_the_first_video(photos, tmp_path):
    image, video = photos / 'a_dark.png', write_video(tmp_path / 'clip.avi', [20, 60], 12.5)
    assert camera_replay._natural_rate_hz([image]) == 10
    assert camera_replay._natural_rate_hz([image, video]) == pytest.approx(12.5)


def test_camera_replay_in_a_loop_publishes_raw_images_until_ctrl_c(client, photos):
    write_video(photos / 'd_clip.avi', [80], rate_hz=32)
    wanted = {**GREYS, 'd_clip': 80}
    messages = client.listen('image', Image)
    process = client.start('camera_replay', *ros_arguments(source=str(photos), frame_id=''))
    # more than one round of four, and none of the files left out
    client.spin_until(lambda: len(messages) > 5
                      and {msg.header.frame_id for msg in messages} == set(wanted))
    assert process.is_running()
    process.interrupt()
    status, stdout, stderr = process.result()
    assert (status, stdout) == (0, '')
    assert '4 files on /image at 32.0 Hz' in stderr
    assert 'Traceback' not in stderr
    for msg in messages:
        assert msg.encoding == 'bgr8'
        image = image_msg_to_bgr(msg)
        assert image.shape == (HEIGHT, WIDTH, 3)
        np.testing.assert_allclose(image, wanted[msg.header.frame_id], atol=3)
    stamps = [(msg.header.stamp.sec, msg.header.stamp.nanosec) for msg in messages]
    assert stamps == sorted(set(stamps))
    assert stamps[0][0] > 0


def test_camera_replay_once_publishes_compressed_images_and_ends(client, photos):
    messages = client.listen('front/image/compressed', CompressedImage, RELIABLE)
    process = client.start('camera_replay', *ros_arguments(
        '-r', 'image:=front/image', source=str(photos), rate_hz=20, loop=False, pan_zoom=3,
        transport='compressed', reliability='reliable', wait_for_subscriber=True,
        frame_id='lens'))
    client.spin_until(lambda: not process.is_running())
    status, stdout, stderr = process.result()
    assert (status, stdout) == (0, '')
    assert '3 files on /front/image/compressed at 20.0 Hz' in stderr
    assert 'Traceback' not in stderr
    assert {msg.header.frame_id for msg in messages} == {'lens'}
    assert all('jpeg' in msg.format for msg in messages)
    images = [compressed_msg_to_bgr(msg) for msg in messages]
    assert all(image.shape == (HEIGHT, WIDTH, 3) for image in images)
    # each file in its turn and no second round; the first frames may precede our connection
    levels = [level for _, level in levels_of(('', image) for image in images)]
    assert levels == sorted(levels)
    assert {120, 200} <= set(levels) <= {40, 120, 200}
    assert len(levels) <= 9


@pytest.mark.parametrize(('parameters', 'parts'), [
    ({'source': 'nowhere'}, ['nowhere: no such file or folder']),
    ({'source': 'bad.jpg', 'rate_hz': 100}, ['bad.jpg: 8 bytes that do not decode']),
    ({'source': 'bad.jpg', 'transport': 'pigeon'}, ['transport', 'pigeon', 'raw, compressed']),
], ids=['absent', 'not an image', 'parameter'])
def test_camera_replay_with_a_wrong_source_or_parameter_ends_with_one_line(
        run_python, tmp_path, parameters, parts):
    (tmp_path / 'bad.jpg').write_bytes(b'no image')
    parameters = {**parameters, 'source': str(tmp_path / parameters['source'])}
    done = run_python('-m', 'lite_detector', 'camera_replay', *ros_arguments(**parameters))
    assert done.returncode == 2
    assert_one_error_line(done.stderr, *parts)
