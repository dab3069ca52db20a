# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure the speed of a detector on this board.

The processor of a robot is never idle: clock rates and load change. Therefore alternatives are
measured in turn, round by round in one run, and all figures are medians.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
import time

import cv2
from lite_detector.core.types import ImageArray, size_of
from lite_detector.detector import Detector
import msgspec
import numpy as np
import numpy.typing as npt

Clock = Callable[[], float]
Progress = Callable[[float], object]
"""Callback with the seconds since the last call."""

WARM_UP_ROUNDS = 3
MIN_ROUNDS = 5


class Speed(msgspec.Struct, frozen=True):
    """Results of a measurement; medians unless stated otherwise."""

    model: str
    threads: int
    image_size: str
    """Width x height of the source image in pixels."""
    forward_ms: float
    """Wall time of the forward pass in ms."""
    end_to_end_ms: float
    """Wall time from image to detections in ms."""
    end_to_end_p95_ms: float
    """95th percentile of the wall time from image to detections in ms."""
    overhead_ratio: float
    """Ratio of CPU times, end to end to forward; see :func:`measure_speed`."""
    forward_cpu_ms: float
    end_to_end_cpu_ms: float
    peak_rss_mb: float | None
    """Peak memory of this process in MB; None: not reported by the system."""
    fps: float
    """Images per second in sequential processing."""


@dataclass(frozen=True)
class Timing:
    """
    Times of one step for each round.

    :param wall_ms: Wall time in ms, shape (rounds,).
    :param cpu_ms: CPU time in ms, summed over threads, shape (rounds,).
    """

    wall_ms: npt.NDArray[np.float64]
    cpu_ms: npt.NDArray[np.float64]

    def cpu_ratio(self, other: Timing) -> float:
        """Return the median of the pairwise CPU time ratios to another step."""
        return float(np.median(self.cpu_ms / other.cpu_ms))


def interleave(steps: Mapping[str, Callable[[], object]], seconds: float, cpu_clock: Clock,
               progress: Progress | None = None, warm_up_rounds: int = WARM_UP_ROUNDS,
               min_rounds: int = MIN_ROUNDS) -> dict[str, Timing]:
    """
    Time several steps in turn, round by round, after warm-up rounds.

    :param steps: Name -> function to time.
    :param seconds: Wall time in seconds, without the warm-up rounds.
    :param cpu_clock: ``time.thread_time`` if steps run in this thread only, else
        ``time.process_time``.
    :param progress: Callback with the seconds since the last call.
    :param warm_up_rounds: Number of rounds that are not counted.
    :param min_rounds: Minimum number of rounds, regardless of the time.
    """
    rounds: list[list[tuple[float, float]]] = []
    for _ in range(warm_up_rounds):
        for step in steps.values():
            step()
    start = last = time.perf_counter()
    while last - start < seconds or len(rounds) < min_rounds:
        rounds.append([_time(step, cpu_clock) for step in steps.values()])
        now = time.perf_counter()
        if progress:
            progress(now - last)
        last = now
    times_ms = np.array(rounds).transpose(1, 2, 0) * 1000
    return {name: Timing(wall_ms, cpu_ms)
            for name, (wall_ms, cpu_ms) in zip(steps, times_ms, strict=True)}


def measure_speed(detector: Detector, image_bgr: ImageArray, num_threads: int, seconds: float,
                  progress: Progress | None = None) -> Speed:
    """
    Measure the forward pass and the time from image to detections, in turn.

    The overhead ratio is the median of the ratios of consecutive runs, which share their clock
    rate and disturbances. It is more stable than the ratio of two medians.

    :param detector: Detector that was loaded with ``num_threads``.
    :param image_bgr: BGR image, uint8, shape (height, width, 3). The time of decoding and NMS
        depends on its objects.
    :param num_threads: Number of threads per inference.
    :param seconds: Wall time in seconds.
    :param progress: Callback with the seconds since the last call.
    :raises LiteDetectorError: if the image or the network does not work.
    """
    with single_threaded_opencv():
        blob = detector.make_blob(image_bgr, detector.fit(image_bgr))
        timings = interleave({'forward': lambda: detector.backend.infer(blob),
                              'end_to_end': lambda: detector.detect(image_bgr)},
                             seconds, clock_for(num_threads), progress)
    forward, end_to_end = timings['forward'], timings['end_to_end']
    end_to_end_ms = float(np.median(end_to_end.wall_ms))
    peak_rss_mb = peak_memory_mb()
    return Speed(
        model=detector.card.name, threads=num_threads, image_size=str(size_of(image_bgr)),
        forward_ms=round(float(np.median(forward.wall_ms)), 3),
        end_to_end_ms=round(end_to_end_ms, 3),
        end_to_end_p95_ms=round(float(np.percentile(end_to_end.wall_ms, 95)), 3),
        overhead_ratio=round(end_to_end.cpu_ratio(forward), 4),
        forward_cpu_ms=round(float(np.median(forward.cpu_ms)), 3),
        end_to_end_cpu_ms=round(float(np.median(end_to_end.cpu_ms)), 3),
        peak_rss_mb=None if peak_rss_mb is None else round(peak_rss_mb, 1),
        fps=round(1000 / end_to_end_ms, 2))


def clock_for(num_threads: int) -> Clock:
    """Return the clock that covers all threads of an inference and little else."""
    return time.thread_time if num_threads == 1 else time.process_time


@contextmanager
def single_threaded_opencv() -> Iterator[None]:
    """Run OpenCV in the calling thread, because the thread clock ignores other threads."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def peak_memory_mb() -> float | None:
    """Return the peak memory of this process in MB of 10^6 bytes."""
    # Not getrusage, because its peak includes the parent process.
    try:
        lines = Path('/proc/self/status').read_text(encoding='ascii').splitlines()
    except OSError:
        return None
    kib = next((line.split()[1] for line in lines if line.startswith('VmHWM:')), None)
    return None if kib is None else int(kib) * 1024 / 1e6


def _time(step: Callable[[], object], cpu_clock: Clock) -> tuple[float, float]:
    cpu_start, wall_start = cpu_clock(), time.perf_counter()
    step()
    wall_end, cpu_end = time.perf_counter(), cpu_clock()
    return wall_end - wall_start, cpu_end - cpu_start
