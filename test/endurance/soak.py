# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Long flights: memory, drops and ages, without and with CPU load."""

from __future__ import annotations

from collections.abc import Iterator

from figures import at_most, Figure, told
from flight import Flight, flight
from lite_detector.bench.load import busy_processes
import numpy as np
from passes import forward_passes

BUSY_PROCESSES = 2
WARM_UP_S = 2.0
DIAGNOSED_S = 3.0
"""Time for the diagnostics with the counters of the node, which come once a second."""
GROWTH_MB = 5.0
PASSES = 2.0
"""Oldest detections, in forward passes: one may be under way when an image arrives."""
PASSES_UNDER_LOAD = 4.0
"""The process that measures passes sleeps most of the time, so the system serves it sooner than
the node, which hardly ever does."""
FEW_DROPS = 0.01
"""Of the frames, dropped or lost on their way: the machine itself stumbles."""
BUSY = 0.5
"""Share of the time in forward passes from which on frames have to be dropped."""


def soak(model: str, length: float) -> Iterator[Figure]:
    """
    Fly for a while with nothing else to do.

    :param length: in minutes.
    """
    yield from _soak(model, length, PASSES)


def under_load(model: str, length: float) -> Iterator[Figure]:
    """Fly with processes that compute without a pause."""
    with busy_processes(BUSY_PROCESSES):
        yield from _soak(model, length, PASSES_UNDER_LOAD)


def _soak(model: str, length: float, limit: float) -> Iterator[Figure]:
    with flight(model) as flying:
        with forward_passes(model) as passes_s:
            flying.fly(WARM_UP_S)  # listens to what came while the other process started
            already = len(flying.diagnosed_s)
            flying.fly(DIAGNOSED_S, lambda: len(flying.diagnosed_s) > already)
            before = flying.count('received')  # as of this moment
            flying.restart()
            flying.fly(60 * length)
        yield from _ages(flying, passes_s, limit)
        yield from flying.health(GROWTH_MB)
        yield from _drops(flying, passes_s, 60 * length, before)


def _ages(flying: Flight, passes_s: list[float], limit: float) -> Iterator[Figure]:
    """
    Compare ages with forward passes of the same rank, because load slows both.

    The median is told, not judged: a raw image takes its time to come whatever the network.
    """
    ages_s = [age for stream in flying.streams for age in stream.ages_s]
    for percent in (50, 99):
        age_s, pass_s = (np.percentile(values or [np.nan], percent)
                         for values in (ages_s, passes_s))
        name = (f'age of detections at arrival, p{percent}: {age_s * 1e3:.1f} ms, in forward '
                f'passes of p{percent} ({pass_s * 1e3:.1f} ms)')
        passes = age_s / pass_s
        yield at_most(name, passes, limit) if percent == 99 else told(name, f'{passes:.2f}')


def _drops(flying: Flight, passes_s: list[float], seconds: float,
           before: int) -> Iterator[Figure]:
    sent = sum(stream.sent for stream in flying.streams)
    answers = sum(len(stream.ages_s) for stream in flying.streams)
    received, newer = flying.count('received'), flying.count('dropped for a newer frame')
    busy = answers * float(np.mean(passes_s or [np.nan])) / seconds
    yield told('images sent, detections', f'{sent}, {answers}')
    yield at_most('images that DDS lost on their way', 100 * (1 - (received - before) / sent),
                  100 * FEW_DROPS, '%')
    yield Figure('dropped for a newer frame', f'{newer / max(received, 1):.1%}, '
                 f'{busy:.0%} of the time in forward passes',
                 f'<= {FEW_DROPS:.0%}, or {BUSY:.0%} of the time',
                 newer <= FEW_DROPS * received or busy >= BUSY)
