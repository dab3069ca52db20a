# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which frames are worth a label, and a folder that keeps the best of them."""

import os
from pathlib import Path
import shutil
import threading
import time
from types import SimpleNamespace

import cv2
from lite_detector.core.types import Detections, ImageSize
from lite_detector.ros import capture as module
from lite_detector.ros.capture import Capture, interest_of, Seen
import numpy as np
import pytest

SIZE = ImageSize(100, 200)
MIDDLE, BESIDE, CORNER = (80, 40, 100, 60), (95, 40, 115, 60), (2, 40, 22, 60)
IMAGE = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)


def view(*found: tuple[float, tuple[float, ...]], stamp_ms: int = 0, class_id: int = 0,
         names: tuple[str, ...] = ('cup', 'dog'), threshold: float | np.ndarray = 0.35,
         lost: tuple[tuple[float, tuple[float, ...]], ...] = (), complete: bool = True) -> Seen:
    """Return a view of (score, left-top-right-bottom)."""
    return Seen(stamp_ms * 1_000_000, boxes(found, class_id), SIZE, names, threshold,
                boxes(lost, class_id), complete)


def boxes(found: tuple[tuple[float, tuple[float, ...]], ...], class_id: int) -> Detections:
    return Detections(np.array([box for _, box in found], np.float32).reshape(-1, 4),
                      np.array([score for score, _ in found], np.float32),
                      np.full(len(found), class_id, np.int64))


def test_frame_without_detections_is_worth_nothing():
    assert interest_of(view(), None) is None
    assert interest_of(view(stamp_ms=33), view()) is None


def test_frame_with_sure_detections_is_worth_nothing():
    assert interest_of(view((0.9, MIDDLE)), None) is None


@pytest.mark.parametrize(('scores', 'value'), [
    ((0.35,), 0.5), ((0.4,), 0.25), ((0.9, 0.4), 0.25), ((0.44, 0.4), 0.25)])
def test_score_near_the_threshold_is_worth_a_look(scores, value):
    interest = interest_of(view(*((score, MIDDLE) for score in scores)), None)
    assert interest.reason == 'margin'
    assert interest.value == pytest.approx(value, abs=1e-3)


def test_object_that_is_gone_without_leaving_is_flicker():
    interest = interest_of(view(stamp_ms=33), view((0.8, MIDDLE)))
    assert (interest.reason, interest.value) == ('flicker', pytest.approx(0.9))


def test_margin_goes_by_the_threshold_of_the_class():
    thresholds = np.array([0.35, 0.75], np.float32)  # of cup and dog
    assert interest_of(view((0.8, MIDDLE), threshold=thresholds), None) is None
    interest = interest_of(view((0.8, MIDDLE), class_id=1, threshold=thresholds), None)
    assert (interest.reason, interest.value) == ('margin', pytest.approx(0.25))
    # the threshold of its class went up
    before = view((0.8, MIDDLE), class_id=1)
    assert interest_of(view(stamp_ms=33, threshold=thresholds), before) is None


@pytest.mark.parametrize(('now', 'before'), [
    # moved by less than its size
    (view((0.8, BESIDE), stamp_ms=33), view((0.8, MIDDLE))),
    # at the border: it left
    (view(stamp_ms=33), view((0.8, CORNER))),
    # never sure of it
    (view(stamp_ms=33), view((0.44, MIDDLE))),
    # long ago, or the clock was set back
    (view(stamp_ms=600), view((0.8, MIDDLE))),
    (view(stamp_ms=33), view((0.8, MIDDLE), stamp_ms=50)),
    # another model
    (view(stamp_ms=33), view((0.8, MIDDLE), names=('dog', 'cup'))),
    # the threshold went up
    (view(stamp_ms=33, threshold=0.8), view((0.8, MIDDLE))),
])
def test_object_that_may_have_gone_is_no_flicker(now, before):
    assert interest_of(now, before) is None


def test_object_of_another_class_does_not_stand_in():
    now = view((0.9, MIDDLE), stamp_ms=33, class_id=1)
    assert interest_of(now, view((0.8, MIDDLE))).reason == 'flicker'


def test_track_that_is_lost_is_worth_half_of_its_last_score_more():
    # another object of its class is in the same place: no flicker
    now = view((0.9, BESIDE), stamp_ms=33, lost=((0.4, MIDDLE), (0.6, MIDDLE)))
    interest = interest_of(now, view((0.9, MIDDLE)))
    assert (interest.reason, interest.value) == ('lost', pytest.approx(0.8))


def test_lost_track_outdoes_margin_and_the_surer_of_lost_and_flicker_counts():
    before = view((0.8, MIDDLE))
    assert interest_of(view((0.35, CORNER), stamp_ms=33, lost=((0.5, MIDDLE),)),
                       view()).reason == 'lost'
    for score, reason in ((0.8, 'lost'), (0.7, 'flicker')):
        interest = interest_of(view(stamp_ms=33, lost=((score, MIDDLE),)), before)
        assert (interest.reason, interest.value) == (reason, pytest.approx(0.9))


@pytest.mark.parametrize('now', [
    # it was about to leave
    view(stamp_ms=33, lost=((0.8, CORNER),)),
    # the threshold went up
    view(stamp_ms=33, lost=((0.8, MIDDLE),), threshold=0.9),
    # long ago; another model; its tile had no turn
    view(stamp_ms=600, lost=((0.8, MIDDLE),)),
    view(stamp_ms=33, lost=((0.8, MIDDLE),), names=('dog', 'cup')),
    view(stamp_ms=33, lost=((0.8, MIDDLE),), complete=False),
])
def test_track_that_may_have_gone_is_not_worth_a_look(now):
    # unsure itself before, so no flicker
    assert interest_of(now, view((0.44, MIDDLE))) is None


def test_margin_counts_also_while_tiles_take_turns():
    now = view((0.4, MIDDLE), stamp_ms=33, lost=((0.8, MIDDLE),), complete=False)
    assert interest_of(now, view((0.8, MIDDLE))).reason == 'margin'


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def open_capture(tmp_path, warnings):
    """Return a function that opens a capture into tmp_path/kept; all are closed at the end."""
    opened = []

    def make(max_files: int = 100, max_mb: int = 100, folder: Path = tmp_path / 'kept') -> Capture:
        opened.append(Capture(folder, max_files, max_mb, warnings.append))
        return opened[-1]
    yield make
    for capture in opened:
        capture.close(5)


def look(capture: Capture, second: int, score: float, camera: str = 'front') -> None:
    """Pass a frame with a score, and wait until it is written."""
    capture.look(camera, IMAGE, view((score, MIDDLE), stamp_ms=1000 * second))
    capture._jobs.join()


def kept(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_capture_writes_what_is_worth_it(open_capture, tmp_path):
    capture = open_capture()
    look(capture, 1, 0.4)
    look(capture, 2, 0.9)
    look(capture, 3, 0.35, '/camera/image raw')
    capture.close()
    assert kept(tmp_path / 'kept') == ['1_000000000_front_margin_025.jpg',
                                       '3_000000000_camera-image-raw_margin_050.jpg']
    read = cv2.imread(str(tmp_path / 'kept' / '1_000000000_front_margin_025.jpg'))
    assert read.shape == IMAGE.shape


def test_capture_keeps_one_frame_a_second_of_each_camera(open_capture, tmp_path):
    capture = open_capture()
    for stamp_ms, camera in ((5000, 'front'), (5500, 'front'), (5500, 'rear'), (6000, 'front'),
                             (100, 'front')):  # the clock was set back
        capture.look(camera, IMAGE, view((0.4, MIDDLE), stamp_ms=stamp_ms))
        capture._jobs.join()
    capture.close()
    assert [name[:18].rstrip('_m') for name in kept(tmp_path / 'kept')] == [
        '0_100000000_front', '5_000000000_front', '5_500000000_rear', '6_000000000_front']


def test_capture_that_is_full_keeps_the_most_interesting_and_the_newest(open_capture, tmp_path):
    capture = open_capture(max_files=2)
    for second, score in ((1, 0.40), (2, 0.35), (3, 0.44), (4, 0.40), (5, 0.40)):
        look(capture, second, score)
    capture.close()
    # 3 is worth less than what is there; 4 and 5 as much as 1, and newer
    assert kept(tmp_path / 'kept') == ['2_000000000_front_margin_050.jpg',
                                       '5_000000000_front_margin_025.jpg']


def test_capture_is_bounded_in_bytes_too(open_capture, tmp_path):
    image = np.random.default_rng(0).integers(0, 256, (600, 800, 3), np.uint8)
    capture = open_capture(max_mb=1)
    for second in range(1, 6):
        capture.look('front', image, view((0.4, MIDDLE), stamp_ms=1000 * second))
        capture._jobs.join()
    capture.close()
    sizes = [path.stat().st_size for path in (tmp_path / 'kept').iterdir()]
    assert sizes and sum(sizes) <= 10 ** 6
    assert kept(tmp_path / 'kept')[-1].startswith('5_')


def test_capture_counts_earlier_flights_and_leaves_other_files_alone(open_capture, tmp_path):
    folder = tmp_path / 'kept'
    folder.mkdir()
    for name in ('1_000000000_front_margin_010.jpg', '2_000000000_front_flicker_090.jpg',
                 '3_000000000_front_lost_090.jpg', 'notes.txt', 'holiday.jpg'):
        (folder / name).write_bytes(b'x')
    capture = open_capture(max_files=3)
    look(capture, 9, 0.4)
    capture.close()
    assert kept(folder) == ['2_000000000_front_flicker_090.jpg',
                            '3_000000000_front_lost_090.jpg',
                            '9_000000000_front_margin_025.jpg', 'holiday.jpg', 'notes.txt']


@pytest.fixture
def clock(monkeypatch) -> SimpleNamespace:
    """Return a clock of the capture that stands still."""
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(module, 'time', SimpleNamespace(monotonic=lambda: now.s))
    return now


def test_capture_on_a_full_disk_warns_once_and_goes_on_later(open_capture, tmp_path, warnings,
                                                             monkeypatch, clock):
    write_bytes, full = Path.write_bytes, [True]

    def write(path: Path, data: bytes) -> int:
        if full[0]:
            write_bytes(path, data[:10])
            raise OSError(28, os.strerror(28), str(path))
        return write_bytes(path, data)
    monkeypatch.setattr(Path, 'write_bytes', write)
    capture = open_capture()
    for second in (1, 2):
        look(capture, second, 0.4)
    clock.s += module.RETRY_S + 1
    look(capture, 3, 0.4)
    full[0] = False
    look(capture, 4, 0.4)  # it waits for the next try
    clock.s += module.RETRY_S + 1
    look(capture, 5, 0.4)
    capture.close()
    assert len(warnings) == 1
    assert warnings[0].startswith(f'capture_folder {tmp_path}/kept: No space left on device; ')
    assert kept(tmp_path / 'kept') == ['5_000000000_front_margin_025.jpg'], 'and nothing half'


def test_capture_into_what_is_no_folder_warns_once(open_capture, tmp_path, warnings):
    (tmp_path / 'file').write_text('notes')
    capture = open_capture(folder=tmp_path / 'file' / 'kept')
    look(capture, 1, 0.4)
    capture.close()
    assert len(warnings) == 1 and 'Not a directory' in warnings[0]


def test_capture_makes_its_folder_anew_after_somebody_deleted_it(open_capture, tmp_path, warnings,
                                                                 clock):
    capture = open_capture()
    look(capture, 1, 0.4)
    shutil.rmtree(tmp_path / 'kept')
    look(capture, 2, 0.4)
    clock.s += module.RETRY_S + 1
    look(capture, 3, 0.4)
    capture.close()
    assert len(warnings) == 1 and 'No such file' in warnings[0]
    assert kept(tmp_path / 'kept') == ['3_000000000_front_margin_025.jpg']


def test_capture_that_is_full_goes_on_after_somebody_emptied_its_folder(open_capture, tmp_path,
                                                                        warnings):
    capture = open_capture(max_files=1)
    look(capture, 1, 0.36)
    look(capture, 2, 0.44)  # worth less
    assert kept(tmp_path / 'kept') == ['1_000000000_front_margin_045.jpg']
    (tmp_path / 'kept' / '1_000000000_front_margin_045.jpg').unlink()
    look(capture, 3, 0.44)
    capture.close()
    assert kept(tmp_path / 'kept') == ['3_000000000_front_margin_005.jpg'] and warnings == []


def test_capture_never_waits_for_a_slow_disk(open_capture, tmp_path, monkeypatch):
    go_on = threading.Event()
    write_bytes = Path.write_bytes
    monkeypatch.setattr(Path, 'write_bytes',
                        lambda path, data: go_on.wait(20) and write_bytes(path, data))
    capture = open_capture()
    begin = time.monotonic()
    for second in range(1, 50):
        capture.look('front', IMAGE, view((0.4, MIDDLE), stamp_ms=1000 * second))
    assert time.monotonic() - begin < 2
    go_on.set()
    capture.close()
    # one in work, two that wait
    assert 2 <= len(kept(tmp_path / 'kept')) <= 3
