# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Statistics of the frames of one camera, independent of ROS."""

from __future__ import annotations

from collections import deque
import threading
import time

import numpy as np

WINDOW = 300
"""Number of frames for rate and latency percentiles."""
LONGEST_MS = 60e3
"""Maximum plausible latency in ms; a larger one is the difference of two clocks."""


class CameraStats:
    """Frame counters of one camera; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies_s: deque[float] = deque(maxlen=WINDOW)
        self._works_s: deque[float] = deque(maxlen=WINDOW)
        self._published_s: deque[float] = deque(maxlen=WINDOW)
        self._received_s: float | None = None
        self._started_s = time.monotonic()
        self.received = 0
        self.published = 0
        self.dropped_newer = 0
        self.dropped_bad = 0
        self.last_drop = ''

    def on_received(self) -> None:
        """Count a message that arrived."""
        with self._lock:
            self.received += 1
            self._received_s = time.monotonic()

    def on_replaced(self) -> None:
        """Count a frame that a newer one replaced before the worker took it."""
        with self._lock:
            self.dropped_newer += 1

    def on_bad(self, reason: str) -> None:
        """Count an unusable frame."""
        with self._lock:
            self.dropped_bad += 1
            self.last_drop = reason

    def on_published(self, latency_s: float) -> None:
        """
        Count a frame whose detections went out.

        :param latency_s: Time from the stamp of the image to the publication in s.
        """
        with self._lock:
            self.published += 1
            self._latencies_s.append(latency_s)
            self._published_s.append(time.monotonic())

    def on_worked(self, work_s: float) -> None:
        """
        Record the work time of a processed frame.

        :param work_s: Time of the worker from the message to the publication in s.
        """
        with self._lock:
            self._works_s.append(work_s)

    def restart(self) -> None:
        """Restart the measurement of silence."""
        with self._lock:
            self._started_s = time.monotonic()
            self._received_s = None
            self._published_s.clear()

    def silent_s(self) -> float:
        """Return the seconds since the last message, or since the start if there was none."""
        with self._lock:
            return time.monotonic() - (self._received_s or self._started_s)

    def ever_received(self) -> bool:
        """Return whether a message has arrived since the last restart."""
        with self._lock:
            return self._received_s is not None

    def figures(self) -> dict[str, str]:
        """Return all figures as text for diagnostics."""
        with self._lock:
            times_ms = {'latency': np.array(self._latencies_s) * 1e3,
                        'work': np.array(self._works_s) * 1e3}
            age = None if self._received_s is None else time.monotonic() - self._received_s
            figures = {
                'received': str(self.received),
                'published': str(self.published),
                'dropped for a newer frame': str(self.dropped_newer),
                'dropped as unusable': str(self.dropped_bad),
                'last unusable frame': self.last_drop or 'none',
                'rate (Hz)': f'{self._rate_hz():.1f}',
                'age of last frame (s)': 'no frame yet' if age is None else f'{age:.2f}',
            }
        for name, each_ms in times_ms.items():
            other_clock = np.abs(each_ms).max(initial=0) > LONGEST_MS
            for percent in (50, 95):
                value = f'{np.percentile(each_ms, percent):.1f}' if len(each_ms) else 'none'
                if other_clock:
                    value = 'stamps are of another clock; check use_sim_time'
                figures[f'{name} p{percent} (ms)'] = value
        return figures

    def _rate_hz(self) -> float:
        if len(self._published_s) < 2:
            return 0.0
        # measured until now, so that the rate of a silent camera falls
        span = time.monotonic() - self._published_s[0]
        return (len(self._published_s) - 1) / span if span > 0 else 0.0
