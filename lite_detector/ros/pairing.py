# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Synchronization of depth and detections by their stamps, independent of ROS."""

from __future__ import annotations

from collections import deque
from typing import Generic, NamedTuple, TypeVar

D = TypeVar('D')

KEEP_S = 2.0
"""Time to keep depth in s, because detections of a slow model arrive later than their depth."""
KEEP_BYTES = 64_000_000
WAIT_S = 0.5
"""Maximum time that detections wait for late depth, in s."""
WAITING = 4
"""Maximum number of waiting detections."""
OTHER_CLOCK_S = 60.0
"""Minimum difference of stamps in s that means two different clocks."""


class Pair(NamedTuple, Generic[D]):
    """Detections with their depth, or with the reason why there is no depth."""

    detections: D
    depth: bytes | None
    reason: str = ''


class Pairing(Generic[D]):
    """
    Approximate time synchronization that reports why nothing matches.

    Detections wait for a depth with an equal or later stamp; then they get the nearest one.

    :param what: Name of the depth input in messages.
    :param tolerance_s: Maximum difference of two stamps in s.
    """

    def __init__(self, what: str, tolerance_s: float) -> None:
        self._what = what
        self.tolerance_s = tolerance_s
        self._depths: deque[tuple[int, bytes]] = deque()
        self._bytes = 0
        self._waiting: deque[tuple[int, float, D]] = deque()

    def add_depth(self, stamp_ns: int, data: bytes) -> None:
        """Store a serialized depth message."""
        if self._depths and abs(stamp_ns - self._depths[-1][0]) > KEEP_S * 1e9:
            self._depths.clear()  # another recording, or the clock has jumped
            self._bytes = 0
        self._depths.append((stamp_ns, data))
        self._bytes += len(data)
        while (self._bytes > KEEP_BYTES and len(self._depths) > 1
               or stamp_ns - self._depths[0][0] > KEEP_S * 1e9):
            self._bytes -= len(self._depths.popleft()[1])

    def add_detections(self, stamp_ns: int, detections: D, now_s: float) -> None:
        """Store detections until their depth arrives."""
        self._waiting.append((stamp_ns, now_s, detections))

    def decided(self, now_s: float) -> list[Pair[D]]:
        """Return the detections that have their depth or whose waiting time is over, in order."""
        pairs = []
        while self._waiting:
            stamp_ns, since_s, detections = self._waiting[0]
            late = now_s - since_s >= WAIT_S or len(self._waiting) > WAITING
            if not late and not any(stamp >= stamp_ns for stamp, _ in self._depths):
                break
            self._waiting.popleft()
            pairs.append(self._pair(stamp_ns, detections))
        return pairs

    def _pair(self, stamp_ns: int, detections: D) -> Pair[D]:
        if not self._depths:
            return Pair(detections, None, f'no {self._what} has arrived')
        nearest, data = min(self._depths, key=lambda each: abs(each[0] - stamp_ns))
        offset_s = (nearest - stamp_ns) / 1e9
        if abs(offset_s) <= self.tolerance_s:
            return Pair(detections, data)
        hint = 'check that both drivers stamp at capture, or raise sync_tolerance_s'
        if abs(offset_s) > OTHER_CLOCK_S:
            hint = 'they are stamped by two clocks'
        elif nearest == self._depths[0][0] and offset_s > 0 and len(self._depths) > 1:
            hint = 'detections come later than depth is kept; take a faster model or less depth'
        return Pair(detections, None, (
            f'no {self._what} matches: the nearest stamp is {offset_s:+.3f} s from the stamp of '
            f'the detections; expected at most {self.tolerance_s:g} s; {hint}'))
