# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Many ways to run some models, measured on an idle and on a busy board.

What is compared is measured in turn, image by image. OpenMP reads its environment once and keeps a
pool of threads, so each wait policy and number of threads has a process of its own, started anew
for each turn: a pool that waits actively would burden all others. A board gets hot and then slow,
so the figures are those of the second half of the turns. On a busy board a process may share its
core with others or not, for seconds: so turns are short, and p95 is that of the worst one.
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
"""For so long at most, and so often at least, one process measures before the next one."""
SAMPLE_S = 1.0
"""Between two looks at the temperature."""


class Latency(msgspec.Struct, frozen=True):
    """What one image took, from the image to the detections."""

    wall_ms: float
    """Median."""
    p95_ms: float
    """Wall time that 19 of 20 images keep to in the worst turn."""
    cpu_ms: float
    """Time on a processor, summed over the threads; median."""
    ratio: float | None = None
    """CPU time to that of the reference in the same round; median. None: no reference."""


class ApOnImages(msgspec.Struct, frozen=True):
    """AP in percent on one set of labelled images."""

    ap: float
    by_size: tuple[float | None, ...] = ()
    """AP of small, medium and large objects; None: there are none of that size."""
    difference: tuple[float, float, float] | None = None
    """AP minus that of the reference, and its 95 % interval; None: not measured."""


class Row(msgspec.Struct, frozen=True):
    """One setting and what is known of it."""

    setting: Setting
    ap: float | None
    """AP in percent of this input size, resize and precision; None: unknown."""
    idle: Latency
    loaded: Latency | None
    """Beside busy processes; None: not measured."""
    ap_on: dict[str, ApOnImages] = {}
    """Title of the labelled images -> AP, where ``compare`` measured it."""

    @property
    def decisive(self) -> Latency:
        """Return what was measured beside the most load."""
        return self.loaded or self.idle


class HeatSample(msgspec.Struct, frozen=True):
    """The state of the board at some moment."""

    seconds: float
    """Since the begin of the sweep."""
    busy_processes: int
    heat: Heat


class Sweep(msgspec.Struct, frozen=True):
    """All that was measured."""

    busy_processes: int
    """Of the loaded board; 0: it was idle all the time."""
    rows: list[Row]
    slowdown: dict[str, float]
    """idle, loaded -> time of the second half to the first one; median of the settings."""
    samples: list[HeatSample]
    reference: Setting | None = None
    """What ratio and difference refer to."""
    left_out: dict[str, tuple[str, ...]] = {}
    """Title of the labelled images -> models that know fewer of their classes."""


def run_sweep(job: Job, image_bgr: ImageArray, load: int, progress: Progress,
              reference: Setting | None = None) -> Sweep:
    """
    Measure settings on the idle board, then beside busy processes.

    :param job: ``seconds`` are those of each setting, idle and loaded; the image is put into it.
    :param image_bgr: uint8, shape (height, width, 3).
    :param load: number of busy processes; 0: measure the idle board alone.
    :param progress: called with the seconds that passed since the last call.
    :param reference: one of the settings, to which ``ratio`` refers.
    :return: rows in the order of the settings, without AP.
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
    Return the rows that no other one beats in both AP and time, the fastest first.

    Of two that are as good, the faster one is on it; of two that are equal, the first one.

    :param title: of the images whose AP counts.
    """
    known = [row for row in rows if title in row.ap_on]
    front: list[Row] = []
    for row in sorted(known, key=lambda row: (row.decisive.wall_ms, -row.ap_on[title].ap)):
        if not front or row.ap_on[title].ap > front[-1].ap_on[title].ap:
            front.append(row)
    return front


class _Watch:
    """Looks at the board while time passes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._heat = HeatWatch()
        self._begin_s = time.monotonic()
        self._next_s = 0.0
        self.load = 0
        self.samples: list[HeatSample] = []

    def pass_on(self, seconds: float) -> None:
        """Tell the seconds that passed, and look whether it is time."""
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
    """The milliseconds of each image of one setting, in one process."""

    wall_ms: list[float]
    cpu_ms: list[float]
    base_cpu_ms: list[float] | None
    """Of the reference in the same rounds; None: it was measured in another process."""


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
