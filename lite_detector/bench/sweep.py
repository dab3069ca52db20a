# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure many settings of several models on an idle and on a loaded board.

Settings are measured in turn, image by image. OpenMP reads its environment once and keeps a pool
of threads. So each wait policy and number of threads has its own process, which is restarted for
each turn, because a pool with active waiting would slow down all others. A board heats up and then
slows down, so the results are from the second half of the turns. On a loaded board, a process may
share its core for seconds. So turns are short, and p95 is that of the worst turn.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
import math
from pathlib import Path
import tempfile
import time
from typing import NamedTuple

from lite_detector.bench.heat import Heat, HeatWatch
from lite_detector.bench.load import busy_processes
from lite_detector.bench.setting import Setting
from lite_detector.bench.speed import Progress
from lite_detector.bench.sweep_process import Job, measure_apart
from lite_detector.core.types import ImageArray
import msgspec
import numpy as np

TURN_S, MIN_TURNS = 5.0, 4
"""Maximum duration of a turn in seconds, and minimum number of turns."""
SAMPLE_S = 1.0
"""Interval of temperature samples in seconds."""


class Latency(msgspec.Struct, frozen=True):
    """Times of one image, from image to detections."""

    wall_ms: float
    """Median of the wall time in ms."""
    p95_ms: float
    """95th percentile of the wall time in the worst turn in ms."""
    cpu_ms: float
    """Median of the CPU time in ms, summed over the threads."""
    ratio: float | None = None
    """Median ratio of the CPU time to the reference in the same round; None: no reference."""


class ApOnImages(msgspec.Struct, frozen=True):
    """AP in percent on one set of labelled images."""

    ap: float
    by_size: tuple[float | None, ...] = ()
    """AP of small, medium and large objects; None: no objects of that size."""
    difference: tuple[float, float, float] | None = None
    """AP minus AP of the reference, and its 95 % interval; None: not measured."""


class Row(msgspec.Struct, frozen=True):
    """Results of one setting."""

    setting: Setting
    ap: float | None
    """AP in percent for this input size, resize mode and precision; None: unknown."""
    idle: Latency
    loaded: Latency | None
    """Latency under CPU load; None: not measured."""
    ap_on: dict[str, ApOnImages] = {}
    """Title of the labelled images -> AP, as measured by ``compare``."""

    @property
    def decisive(self) -> Latency:
        """Latency under the highest measured load."""
        return self.loaded or self.idle


class HeatSample(msgspec.Struct, frozen=True):
    """State of the board at one moment."""

    seconds: float
    """Seconds since the start of the sweep."""
    busy_processes: int
    heat: Heat


class Sweep(msgspec.Struct, frozen=True):
    """Results of a sweep."""

    busy_processes: int
    """Number of busy processes on the loaded board; 0: only the idle board was measured."""
    rows: list[Row]
    slowdown: dict[str, float]
    """idle, loaded -> ratio of times, second half to first half; median over the settings."""
    samples: list[HeatSample]
    reference: Setting | None = None
    """Setting that ratio and difference refer to."""
    left_out: dict[str, tuple[str, ...]] = {}
    """Title of the labelled images -> models with fewer of their classes."""


def run_sweep(job: Job, image_bgr: ImageArray, load: int, progress: Progress,
              reference: Setting | None = None) -> Sweep:
    """
    Measure settings on the idle board, then under CPU load.

    :param job: Settings to measure; ``seconds`` is the time per setting, ``image`` is set here.
    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    :param load: Number of busy processes; 0: measure the idle board only.
    :param progress: Callback with the seconds since the last call.
    :param reference: Setting that ``ratio`` refers to; None: no reference.
    :return: Results in the order of the settings, without AP.
    :raises LiteDetectorError: if a setting does not work.
    """
    watch = _Watch(progress)
    measured: dict[str, list[Latency]] = {}
    slowdown = {}
    with tempfile.TemporaryDirectory(prefix='lite_detector_') as scratch:
        image = Path(scratch) / 'image.npy'
        np.save(image, image_bgr)
        job = msgspec.structs.replace(job, image=str(image))
        for name, count in {'idle': 0, **({'loaded': load} if load else {})}.items():
            watch.load = count
            with busy_processes(count):
                measured[name], slowdown[name] = _measure(job, watch.pass_on, reference)
    loaded: Sequence[Latency | None] = measured.get('loaded') or [None] * len(job.settings)
    rows = [Row(setting, None, idle, busy) for setting, idle, busy
            in zip(job.settings, measured['idle'], loaded, strict=True)]
    return Sweep(load, rows, slowdown, watch.samples, reference)


def pareto_front(rows: Iterable[Row], title: str) -> list[Row]:
    """
    Return the Pareto-optimal rows in AP and time, the fastest first.

    Of rows with equal AP the faster one is on the front; of equal rows the first one.

    :param rows: Results of settings.
    :param title: Title of the images whose AP counts.
    """
    known = [row for row in rows if title in row.ap_on]
    front: list[Row] = []
    for row in sorted(known, key=lambda row: (row.decisive.wall_ms, -row.ap_on[title].ap)):
        if not front or row.ap_on[title].ap > front[-1].ap_on[title].ap:
            front.append(row)
    return front


class _Watch:
    """Samples the state of the board during the measurement."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._heat = HeatWatch()
        self._begin_s = time.monotonic()
        self._next_s = 0.0
        self.load = 0
        self.samples: list[HeatSample] = []

    def pass_on(self, seconds: float) -> None:
        """Report the elapsed seconds, and take a sample if it is due."""
        self._progress(seconds)
        now_s = time.monotonic() - self._begin_s
        if now_s >= self._next_s:
            self.samples.append(HeatSample(round(now_s, 2), self.load, self._heat.read()))
            self._next_s = now_s + SAMPLE_S


def _measure(job: Job, progress: Progress,
             reference: Setting | None) -> tuple[list[Latency], float]:
    groups = defaultdict(list)
    for setting in job.settings:
        groups[setting.threads, setting.wait_policy].append(setting)
    turns = max(MIN_TURNS, math.ceil(job.seconds * len(job.settings) / (TURN_S * len(groups))))
    found: dict[Setting, list[_Turn]] = defaultdict(list)
    for _ in range(turns):
        for group in groups.values():
            times = measure_apart(msgspec.structs.replace(
                job, settings=group, seconds=job.seconds * len(group) / turns), progress)
            base_ms = times.cpu_ms[group.index(reference)] if reference in group else None
            for setting, wall_ms, cpu_ms in zip(group, times.wall_ms, times.cpu_ms, strict=True):
                found[setting].append(_Turn(wall_ms, cpu_ms, base_ms))
    slower = [np.median(_joined(found[setting][turns // 2:], 'wall_ms'))
              / np.median(_joined(found[setting][:turns // 2], 'wall_ms'))
              for setting in job.settings]
    return ([_latency(found[setting][turns // 2:]) for setting in job.settings],
            round(float(np.median(slower)), 3))


class _Turn(NamedTuple):
    """Times of each image of one setting in one process, in ms."""

    wall_ms: list[float]
    cpu_ms: list[float]
    base_cpu_ms: list[float] | None
    """CPU times of the reference in the same rounds; None: measured in another process."""


def _joined(turns: Sequence[_Turn], field: str) -> list[float]:
    return [time_ms for turn in turns for time_ms in getattr(turn, field)]


def _latency(turns: Sequence[_Turn]) -> Latency:
    cpu_ms = _joined(turns, 'cpu_ms')
    worst_ms = max(float(np.percentile(turn.wall_ms, 95)) for turn in turns)
    ratio = None
    if turns[0].base_cpu_ms is not None:
        ratio = round(float(np.median(np.divide(cpu_ms, _joined(turns, 'base_cpu_ms')))), 4)
    return Latency(round(float(np.median(_joined(turns, 'wall_ms'))), 3), round(worst_ms, 3),
                   round(float(np.median(cpu_ms)), 3), ratio)
