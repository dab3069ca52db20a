# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Many ways to run some models, measured on an idle and on a busy board.

What is compared is measured in turn, image by image. OpenMP reads its environment once and keeps a
pool of threads, so each wait policy and number of threads has a process of its own, started anew
for each turn: a pool that waits actively would burden all others. A board gets hot and then slow,
so the figures are those of the second half of the turns. On a busy board a process may share its
core with others or not, for seconds: so turns are short, and the worst one tells the late images.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from itertools import product
import math
import os
from pathlib import Path
import tempfile
import time
from typing import NamedTuple

from lite_detector.backends.base import INT8
from lite_detector.bench.heat import Heat, HeatWatch
from lite_detector.bench.load import busy_processes
from lite_detector.bench.speed import Progress
from lite_detector.bench.sweep_process import Job, measure_apart, Setting
from lite_detector.core.model_card import ModelCard
from lite_detector.core.types import ImageArray, ImageSize
import msgspec
import numpy as np

PASSIVE, ACTIVE = 'passive', 'active'
WAIT_POLICIES = (PASSIVE, ACTIVE)
"""Values of OMP_WAIT_POLICY; the package runs with the first one."""
TURN_S, MIN_TURNS = 5.0, 4
"""For so long at most, and so often at least, one process measures before the next one."""
SAMPLE_S = 1.0
"""Between two looks at the temperature."""


class Measured(msgspec.Struct, frozen=True):
    """What one image took, from the image to the detections."""

    wall_ms: float
    """Median."""
    p95_ms: float
    """Wall time that 19 of 20 images keep to in the worst turn."""
    cpu_ms: float
    """Time on a processor, summed over the threads; median."""


class Row(msgspec.Struct, frozen=True):
    """One setting and what is known of it."""

    setting: Setting
    ap: float | None
    """AP in percent of this input size, resize and precision; None: nobody tells it."""
    idle: Measured
    loaded: Measured | None
    """Beside busy processes; None: not measured."""

    @property
    def decisive(self) -> Measured:
        """Return what was measured beside the most load."""
        return self.loaded or self.idle


class Sample(msgspec.Struct, frozen=True):
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
    samples: list[Sample]


def settings_of(card: ModelCard, sizes: Sequence[ImageSize], resizes: Sequence[str],
                precisions: Sequence[str], threads: Sequence[int],
                wait_policies: Sequence[str]) -> list[Setting]:
    """
    Return the ways to run a model, each once; one thread waits for no other.

    :param wait_policies: of several threads.
    """
    return list(dict.fromkeys(
        Setting(card.name, size, resize, precision, count, policy if count > 1 else PASSIVE)
        for size, resize, precision, count, policy
        in product(sizes, resizes, precisions, threads, wait_policies)))


def ap_of(card: ModelCard, setting: Setting) -> float | None:
    """Return the AP that a card tells of a setting, or None; int8 has one of its own."""
    if setting.precision in INT8:
        quantized = card.quantization.get('metrics', {})
        ap = quantized.get('ap_int8') if _same_images(card.metrics, quantized) else None
    else:
        ap = card.metrics.get('ap')
    own = (setting.input_size, setting.resize) == (card.size, card.preprocess.resize)
    return float(ap) if own and isinstance(ap, (int, float)) else None


def _same_images(metrics: Mapping[str, object], quantized: Mapping[str, object]) -> bool:
    return all(metrics.get(key) == quantized.get(key) for key in ('annotations', 'images'))


def run_sweep(known_ap: Callable[[Setting], float | None], folders: Mapping[str, Path],
              runtime: str, settings: Sequence[Setting], image_bgr: ImageArray, load: int,
              seconds: float, progress: Progress) -> Sweep:
    """
    Measure settings on the idle board, then beside busy processes.

    :param known_ap: tells the AP of a setting, as of its card.
    :param folders: name of the model -> its folder.
    :param runtime: ncnn or onnx.
    :param image_bgr: uint8, shape (height, width, 3).
    :param load: number of busy processes; 0: measure the idle board alone.
    :param seconds: for each setting, idle and loaded.
    :param progress: told the seconds as they pass.
    :raises LiteDetectorError: if a setting does not work.
    """
    watch = _Watch(progress)
    measured: dict[str, list[Measured]] = {}
    slowdown = {}
    with tempfile.TemporaryDirectory(prefix='lite_detector_') as scratch:
        image = Path(scratch) / 'image.npy'
        np.save(image, image_bgr)
        job = Job(runtime, {name: str(folder.resolve()) for name, folder in folders.items()},
                  str(image), [], 0.0)
        for name, count in {'idle': 0, **({'loaded': load} if load else {})}.items():
            watch.load = count
            with busy_processes(count):
                measured[name], slowdown[name] = _measure(job, settings, seconds, watch.pass_on)
    loaded = measured.get('loaded') or [None] * len(settings)
    rows = [Row(setting, known_ap(setting), idle, busy)
            for setting, idle, busy in zip(settings, measured['idle'], loaded, strict=True)]
    return Sweep(load, rows, slowdown, watch.samples)


class _Watch:
    """Looks at the board while time passes."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._heat = HeatWatch()
        self._begin_s = time.monotonic()
        self._next_s = 0.0
        self.load = 0
        self.samples: list[Sample] = []

    def pass_on(self, seconds: float) -> None:
        """Tell the seconds that passed, and look whether it is time."""
        self._progress(seconds)
        now_s = time.monotonic() - self._begin_s
        if now_s >= self._next_s:
            self.samples.append(Sample(round(now_s, 2), self.load, self._heat.read()))
            self._next_s = now_s + SAMPLE_S


def _measure(job: Job, settings: Sequence[Setting], seconds: float,
             progress: Progress) -> tuple[list[Measured], float]:
    groups = defaultdict(list)
    for setting in settings:
        groups[setting.threads, setting.wait_policy].append(setting)
    turns = max(MIN_TURNS, math.ceil(seconds * len(settings) / (TURN_S * len(groups))))
    found: dict[Setting, list[_Turn]] = defaultdict(list)
    for _ in range(turns):
        for group in groups.values():
            times = measure_apart(msgspec.structs.replace(
                job, settings=group, seconds=seconds * len(group) / turns), progress)
            for setting, wall_ms, cpu_ms in zip(group, times.wall_ms, times.cpu_ms, strict=True):
                found[setting].append(_Turn(wall_ms, cpu_ms))
    slower = [np.median(_wall_ms(found[setting][turns // 2:]))
              / np.median(_wall_ms(found[setting][:turns // 2])) for setting in settings]
    return ([_figures(found[setting][turns // 2:]) for setting in settings],
            round(float(np.median(slower)), 3))


class _Turn(NamedTuple):
    """The milliseconds of each image of one setting, in one process."""

    wall_ms: list[float]
    cpu_ms: list[float]


def _wall_ms(turns: Sequence[_Turn]) -> list[float]:
    return [time_ms for turn in turns for time_ms in turn.wall_ms]


def _figures(turns: Sequence[_Turn]) -> Measured:
    cpu_ms = [time_ms for turn in turns for time_ms in turn.cpu_ms]
    worst_ms = max(float(np.percentile(turn.wall_ms, 95)) for turn in turns)
    return Measured(round(float(np.median(_wall_ms(turns))), 3), round(worst_ms, 3),
                    round(float(np.median(cpu_ms)), 3))


def default_threads() -> list[int]:
    """Return the numbers of threads worth a try on this board."""
    cores = len(os.sched_getaffinity(0))
    return [count for count in (1, 2, 4) if count <= cores]
