# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Newest-frame slots between the subscriptions and the worker thread."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
import math
import threading
import time
from typing import Generic, TypeVar

Source = TypeVar('Source', bound=Hashable)
Frame = TypeVar('Frame')


class FrameSlots(Generic[Source, Frame]):
    """
    Slots that hold the newest frame of each camera.

    The order is round-robin: the camera of the last frame comes last, so a fast camera cannot
    starve a slow one.

    :param cameras: Cameras, or hashable keys of cameras.
    :param max_rate_hz: Maximum rate per camera in Hz; 0: no limit. A frame that arrives too early
        is discarded, because the next one will be newer.
    :param clock: Monotonic clock in s.
    """

    def __init__(self, cameras: Sequence[Source], max_rate_hz: float = 0.0,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._turn = list(cameras)
        self._frames: dict[Source, Frame] = {}
        self._due = dict.fromkeys(cameras, -math.inf)
        self._clock = clock
        self._changed = threading.Condition()
        self._closed = False
        self.max_rate_hz = max_rate_hz

    def put(self, camera: Source, frame: Frame) -> bool:
        """
        Store a frame in place of the previous one, unless it is too early.

        :param camera: Camera of the frame.
        :param frame: Frame to store.
        :return: True if a frame was discarded: this one, or a previous one that was not taken.
        """
        with self._changed:
            if self.max_rate_hz > 0:
                now, due, period = self._clock(), self._due[camera], 1 / self.max_rate_hz
                if now < due:
                    return True
                # count from the due time, so that a slightly faster camera keeps the mean rate
                self._due[camera] = (due if now - due < period else now) + period
            lost = camera in self._frames
            self._frames[camera] = frame
            self._changed.notify()
        return lost

    def take(self) -> tuple[Source, Frame] | None:
        """Wait for the next frame and return it; None: the slots are closed."""
        with self._changed:
            while not self._closed:
                for camera in self._turn:
                    if camera in self._frames:
                        self._turn.remove(camera)
                        self._turn.append(camera)
                        return camera, self._frames.pop(camera)
                self._changed.wait()
            return None

    def clear(self) -> list[Source]:
        """Discard the waiting frames, and return their cameras."""
        with self._changed:
            cameras = list(self._frames)
            self._frames.clear()
        return cameras

    def set_max_rate(self, max_rate_hz: float) -> None:
        """Change the maximum rate for the next frames."""
        with self._changed:
            self.max_rate_hz = max_rate_hz
            self._due = dict.fromkeys(self._due, -math.inf)

    def close(self) -> None:
        """Close the slots, which ends the worker."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
