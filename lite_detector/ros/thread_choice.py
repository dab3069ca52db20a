# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Choice of the number of threads for ``num_threads: auto``, measured at start."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
import os
from pathlib import Path
import time
from typing import Any, NamedTuple

from lite_detector.core.draw import generated_image
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
import numpy as np

COUNTS = (1, 2, 4)
"""Candidates, up to the number of cores; small networks do not gain from more threads."""
MIN_GAIN = 1.25
"""Minimum speedup by twice the threads, because other processes need the cores too."""
ROUNDS, SECONDS = 30, 1.5
"""Number of measurements of each count, and maximum wall time for all of them in s."""
LEAST_ROUNDS = 7
CAMERA = ImageSize(480, 640)


class Timed(NamedTuple):
    """Measurement of one number of threads."""

    threads: int
    ms: float
    """Median wall time of the network in ms under the current load."""

    def __str__(self) -> str:
        """Return a text such as ``2: 5.1 ms``."""
        return f'{self.threads}: {self.ms:.1f} ms'


def with_threads(folder: Path, options: Mapping[str, Any],
                 quiet: AbstractContextManager | None = None) -> tuple[dict[str, Any], str]:
    """
    Replace ``num_threads: auto`` by the number that suits this board and its present load.

    :param folder: Folder with ``card.yaml`` and the weights.
    :param options: Keyword arguments of ``Detector.from_folder``; ``num_threads`` may be auto.
    :param quiet: Context manager that is active during the timing, but not while models load.
    :return: Options with a number, and log message about the choice; empty if there was no choice.
    :raises LiteDetectorError: see ``Detector.from_folder``.
    """
    if options['num_threads'] != 'auto':
        return dict(options), ''
    cores = len(os.sched_getaffinity(0))
    counts = [count for count in COUNTS if count <= cores]
    if len(counts) == 1:
        return {**options, 'num_threads': 1}, 'num_threads auto: chose 1, because there is 1 core'
    detectors = {count: Detector.from_folder(folder, **{**options, 'num_threads': count})
                 for count in counts}
    first = detectors[1]
    image_bgr = generated_image(CAMERA)
    blob = first.make_blob(image_bgr, first.fit(image_bgr))
    with quiet or nullcontext():
        timed = time_each({count: partial(detector.backend.infer, blob)
                           for count, detector in detectors.items()})
    chosen = choose(timed)
    return {**options, 'num_threads': chosen}, (
        f'num_threads auto: chose {chosen} of ' + ', '.join(map(str, timed)))


def time_each(steps: Mapping[int, Callable[[], object]]) -> list[Timed]:
    """
    Time steps, interleaved.

    :param steps: Number of threads -> function to time.
    """
    for step in steps.values():
        step()
    times: dict[int, list[float]] = {count: [] for count in steps}
    begin = time.perf_counter()
    for done in range(ROUNDS):
        for count, step in steps.items():
            start = time.perf_counter()
            step()
            times[count].append(time.perf_counter() - start)
        if time.perf_counter() - begin > SECONDS and done + 1 >= LEAST_ROUNDS:
            break
    return [Timed(count, 1000 * float(np.median(each))) for count, each in times.items()]


def choose(timed: Sequence[Timed]) -> int:
    """
    Return the largest number of threads up to which each increase gives the minimum speedup.

    :param timed: Measurements, the fewest threads first.
    """
    best = timed[0]
    for more in timed[1:]:
        if more.ms * MIN_GAIN > best.ms:
            break
        best = more
    return best.threads
