# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from collections import defaultdict
from collections.abc import Callable
import threading
import time
from typing import Any

from lite_detector.ros.frames import FrameSlots
import pytest

TIMEOUT_S = 20.0
BLOCKED_S = 0.05
"""Long enough for a worker that should not be let go to show that it was."""


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


class Worker:
    """Calls a function in a thread of its own."""

    def __init__(self, function: Callable[[], Any]) -> None:
        self._answer: list[Any] = []
        self._thread = threading.Thread(target=lambda: self._answer.append(function()),
                                        daemon=True)
        self._thread.start()

    def is_blocked(self) -> bool:
        self._thread.join(BLOCKED_S)
        return self._thread.is_alive()

    def answer(self) -> Any:
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self._answer[0]


@pytest.fixture
def clock():
    return Clock()


def test_take_without_a_frame_waits_for_the_first_one():
    slots = FrameSlots(['front'])
    worker = Worker(slots.take)
    assert worker.is_blocked()
    assert slots.put('front', 1) is False
    assert worker.answer() == ('front', 1)


def test_put_replaces_a_frame_that_nobody_took_and_says_so():
    slots = FrameSlots(['front'])
    assert [slots.put('front', frame) for frame in (1, 2, 3)] == [False, True, True]
    assert slots.take() == ('front', 3)
    assert slots.put('front', 4) is False
    assert slots.take() == ('front', 4)


def test_put_of_one_camera_replaces_no_frame_of_another():
    slots = FrameSlots(['front', 'rear'])
    assert slots.put('front', 1) is False
    assert slots.put('rear', 2) is False
    assert {slots.take(), slots.take()} == {('front', 1), ('rear', 2)}


def test_take_serves_a_slow_camera_next_to_a_fast_one():
    slots = FrameSlots(['fast', 'slow'])
    served = []
    for frame in range(6):
        slots.put('fast', frame)
        if frame in (1, 4):
            slots.put('slow', frame)
        served.append(slots.take())
    assert served == [('fast', 0), ('slow', 1), ('fast', 2), ('fast', 3), ('slow', 4), ('fast', 5)]


def test_take_serves_first_who_waits_longest():
    slots = FrameSlots(['a', 'b', 'c'])
    for camera in 'abc':
        slots.put(camera, 0)
    assert [slots.take()[0] for _ in 'abc'] == ['a', 'b', 'c']
    slots.put('c', 1)
    slots.put('b', 1)
    slots.put('a', 1)
    assert slots.take()[0] == 'a'
    slots.put('a', 2)
    assert [slots.take()[0] for _ in 'abc'] == ['b', 'c', 'a']


def test_max_rate_takes_no_frame_that_comes_too_early(clock):
    slots = FrameSlots(['front'], max_rate_hz=100, clock=clock)
    assert slots.put('front', 1) is False
    assert slots.take() == ('front', 1)
    clock.now_s += 0.004
    assert slots.put('front', 2) is True  # and so it is counted
    worker = Worker(slots.take)
    assert worker.is_blocked()
    clock.now_s += 0.007
    assert worker.is_blocked(), 'the frame is gone: the next one is newer'
    assert slots.put('front', 3) is False
    assert worker.answer() == ('front', 3)


@pytest.mark.parametrize(('camera_hz', 'max_rate_hz', 'taken_hz'), [
    (30, 10, 10), (10, 9.5, 9.5), (10, 10, 10), (10, 30, 10), (30, 20, 20), (30, 0.5, 0.5)])
def test_max_rate_keeps_the_mean_rate_of_a_camera(clock, camera_hz, max_rate_hz, taken_hz):
    slots = FrameSlots(['front'], max_rate_hz, clock)
    taken = 0
    for frame in range(100 * camera_hz):
        # the clock jitters by a tenth of a period
        clock.now_s = 100 + (frame + 0.1 * (frame % 2)) / camera_hz
        taken += not slots.put('front', frame)
        slots.clear()
    assert taken == pytest.approx(100 * taken_hz, abs=2)


def test_max_rate_limits_each_camera_by_itself(clock):
    slots = FrameSlots(['front', 'rear'], max_rate_hz=10, clock=clock)
    slots.put('front', 1)
    assert slots.put('front', 2) is True
    assert slots.put('rear', 1) is False
    assert [slots.take(), slots.take()] == [('front', 1), ('rear', 1)]


def test_take_with_max_rate_never_exceeds_it_on_a_real_clock():
    slots = FrameSlots(['front'], max_rate_hz=50)
    taken_s = []

    def work() -> None:
        while slots.take():
            taken_s.append(time.monotonic())

    worker = Worker(work)
    begin_s = time.monotonic()
    while time.monotonic() < begin_s + 0.3:
        slots.put('front', 0)
        time.sleep(0.001)
    slots.close()
    worker.answer()
    span_s = time.monotonic() - begin_s
    assert 2 <= len(taken_s) <= 50 * span_s + 1


@pytest.mark.parametrize('max_rate_hz', [0.0, 1000.0])
def test_set_max_rate_holds_from_the_next_frame_on(clock, max_rate_hz):
    slots = FrameSlots(['front'], max_rate_hz=0.001, clock=clock)
    assert slots.put('front', 1) is False
    clock.now_s += 1
    assert slots.put('front', 2) is True
    slots.set_max_rate(max_rate_hz)
    assert slots.max_rate_hz == max_rate_hz
    assert slots.put('front', 3) is True  # in place of 1
    assert slots.take() == ('front', 3)


def test_close_wakes_a_blocked_take():
    slots = FrameSlots(['front'])
    worker = Worker(slots.take)
    assert worker.is_blocked()
    slots.close()
    assert worker.answer() is None


def test_take_after_close_returns_none_even_with_a_frame_left():
    slots = FrameSlots(['front'])
    slots.put('front', 1)
    slots.close()
    assert slots.take() is None
    assert slots.take() is None


def test_frames_of_several_threads_are_taken_or_counted_as_replaced():
    cameras, count = ('a', 'b', 'c'), 3000
    slots = FrameSlots(cameras)
    replaced = dict.fromkeys(cameras, 0)
    taken = defaultdict(list)
    complete = threading.Event()

    def work() -> None:
        while (served := slots.take()) is not None:
            taken[served[0]].append(served[1])
            if all(taken[camera][-1:] == [count - 1] for camera in cameras):
                complete.set()

    def feed(camera: str) -> None:
        for frame in range(count):
            replaced[camera] += slots.put(camera, frame)
            if frame % 7 == 0:
                time.sleep(0)

    worker = Worker(work)
    feeders = [Worker(lambda camera=camera: feed(camera)) for camera in cameras]
    for feeder in feeders:
        feeder.answer()
    # a lost wake-up leaves the last frame of a camera behind
    assert complete.wait(TIMEOUT_S)
    slots.close()
    worker.answer()
    for camera in cameras:
        assert taken[camera] == sorted(set(taken[camera]))
        assert len(taken[camera]) + replaced[camera] == count


def test_every_frame_of_a_camera_that_waits_for_its_turn_is_taken():
    slots = FrameSlots(['front'])
    answers = FrameSlots(['front'])

    def work() -> None:
        while (served := slots.take()) is not None:
            answers.put(*served)

    worker = Worker(work)

    def ask() -> list[int]:
        answered = []
        for frame in range(2000):
            assert slots.put('front', frame) is False
            answered.append(answers.take()[1])
        return answered

    assert Worker(ask).answer() == list(range(2000))
    slots.close()
    worker.answer()


def test_rate_near_zero_takes_one_frame_until_it_is_changed():
    slots = FrameSlots(['front'], max_rate_hz=1e-12)
    assert [slots.put('front', frame) for frame in range(3)] == [False, True, True]
    assert slots.take() == ('front', 0)
    slots.set_max_rate(0.0)
    assert slots.put('front', 3) is False


def test_clear_forgets_what_nobody_took_and_names_its_cameras():
    slots = FrameSlots(['front', 'rear'])
    assert slots.clear() == []
    slots.put('rear', 1)
    assert slots.clear() == ['rear']
    worker = Worker(slots.take)
    assert worker.is_blocked()
    slots.put('front', 2)
    assert worker.answer() == ('front', 2)
