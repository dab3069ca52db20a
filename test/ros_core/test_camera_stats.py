# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import threading
from types import SimpleNamespace

from lite_detector.ros import camera_stats
from lite_detector.ros.camera_stats import CameraStats, WINDOW
import pytest


class Clock:
    """Stands still until a test moves it."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(camera_stats, 'time', SimpleNamespace(monotonic=clock.monotonic))
    return clock


def publish(stats: CameraStats, clock: Clock, count: int, period_s: float = 0.1,
            latency_s: float = 0.02) -> None:
    """Publish frames, the last of them now."""
    for index in range(count):
        clock.now_s += period_s if index else 0
        stats.on_published(latency_s)


def test_figures_without_a_frame_say_so(clock):
    stats = CameraStats()
    assert stats.figures() == {
        'received': '0',
        'published': '0',
        'dropped for a newer frame': '0',
        'dropped as unusable': '0',
        'last unusable frame': 'none',
        'rate (Hz)': '0.0',
        'age of last frame (s)': 'no frame yet',
        'latency p50 (ms)': 'none',
        'latency p95 (ms)': 'none',
        'work p50 (ms)': 'none',
        'work p95 (ms)': 'none',
    }


def test_figures_count_every_kind_of_frame(clock):
    stats = CameraStats()
    for _ in range(6):
        stats.on_received()
    stats.on_replaced()
    stats.on_replaced()
    stats.on_bad('no stamp')
    stats.on_bad('data is short')
    for latency_s in (0.05, 0.01, 0.03, 0.02, 0.04):
        stats.on_published(latency_s)
        stats.on_worked(latency_s / 2)
        clock.now_s += 0.1
    assert stats.figures() == {
        'received': '6',
        'published': '5',
        'dropped for a newer frame': '2',
        'dropped as unusable': '2',
        'last unusable frame': 'data is short',
        'rate (Hz)': '8.0',
        'age of last frame (s)': '0.50',
        'latency p50 (ms)': '30.0',
        # between the 4th and the 5th of five: 40 + 0.8 * 10
        'latency p95 (ms)': '48.0',
        'work p50 (ms)': '15.0',
        'work p95 (ms)': '24.0',
    }
    assert (stats.received, stats.published) == (6, 5)
    assert (stats.dropped_newer, stats.dropped_bad, stats.last_drop) == (2, 2, 'data is short')


@pytest.mark.parametrize(('count', 'period_s', 'wanted'), [
    (0, 0.1, '0.0'),
    (1, 0.1, '0.0'),
    (2, 0.1, '10.0'),
    (5, 0.04, '25.0'),
    # all of them at one moment have no rate
    (5, 0.0, '0.0'),
    (WINDOW + 50, 0.05, '20.0'),
])
def test_rate_is_that_of_the_published_frames(clock, count, period_s, wanted):
    stats = CameraStats()
    publish(stats, clock, count, period_s)
    assert stats.figures()['rate (Hz)'] == wanted


def test_rate_of_a_silent_camera_falls(clock):
    stats = CameraStats()
    publish(stats, clock, 11)
    rates = []
    for _ in range(3):
        rates.append(stats.figures()['rate (Hz)'])
        clock.now_s += 1
    assert rates == ['10.0', '5.0', '3.3']


def test_latency_looks_back_on_the_window_only(clock):
    stats = CameraStats()
    publish(stats, clock, 10, latency_s=9.0)
    publish(stats, clock, WINDOW, latency_s=0.004)
    assert stats.figures()['latency p50 (ms)'] == '4.0'
    assert stats.figures()['latency p95 (ms)'] == '4.0'


def test_silence_counts_from_the_start_then_from_the_last_message(clock):
    stats = CameraStats()
    clock.now_s += 2
    assert stats.silent_s() == pytest.approx(2)
    assert not stats.ever_received()
    stats.on_received()
    assert stats.silent_s() == pytest.approx(0)
    assert stats.ever_received()
    clock.now_s += 3
    assert stats.silent_s() == pytest.approx(3)
    assert stats.figures()['age of last frame (s)'] == '3.00'


def test_restart_waits_anew_and_keeps_the_counts(clock):
    stats = CameraStats()
    stats.on_received()
    publish(stats, clock, 3)
    clock.now_s += 10
    stats.restart()
    clock.now_s += 1
    assert stats.silent_s() == pytest.approx(1)
    assert not stats.ever_received()
    figures = stats.figures()
    assert figures['received'] == '1'
    assert figures['published'] == '3'
    assert figures['rate (Hz)'] == '0.0'
    assert figures['age of last frame (s)'] == 'no frame yet'
    publish(stats, clock, 2, period_s=0.5)
    assert stats.figures()['rate (Hz)'] == '2.0'


def test_counts_of_several_threads_add_up():
    stats = CameraStats()

    def work() -> None:
        for _ in range(1000):
            stats.on_received()
            stats.on_replaced()
            stats.on_bad('bad')
            stats.on_published(0.01)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        assert len(stats.figures()) == 11
    for thread in threads:
        thread.join()
    counts = (stats.received, stats.published, stats.dropped_newer, stats.dropped_bad)
    assert counts == (4000, 4000, 4000, 4000)
