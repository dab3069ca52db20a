# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Newest-frame slots: what stands between the subscriptions and the one worker thread."""

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
    One slot per camera that only ever holds its newest frame.

    The worker is served in turn: a camera that was just served comes last, so a fast camera
    cannot starve a slow one.

    :param cameras: anything that names a camera, or the cameras themselves.
    :param max_rate_hz: at most this many frames per second and camera; 0: no limit. What comes too
        early is not kept until it is due: the frame that comes then is newer.
    :param clock: seconds, monotonic.
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
        Store a frame in place of the one before, unless it is too early.

        :return: whether one was lost, this one or one that nobody had taken.
        """
        with self._changed:
            if self.max_rate_hz > 0:
                now, due, period = self._clock(), self._due[camera], 1 / self.max_rate_hz
                if now < due:
                    return True
                # from when it was due, so that a camera hardly faster keeps the mean rate
                self._due[camera] = (due if now - due < period else now) + period
            lost = camera in self._frames
            self._frames[camera] = frame
            self._changed.notify()
        return lost

    def take(self) -> tuple[Source, Frame] | None:
        """Wait for the next frame; None once the slots are closed."""
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
        """Forget the frames that nobody has taken, and return their cameras."""
        with self._changed:
            cameras = list(self._frames)
            self._frames.clear()
        return cameras

    def set_max_rate(self, max_rate_hz: float) -> None:
        """Change the limit; it holds from the next frame on."""
        with self._changed:
            self.max_rate_hz = max_rate_hz
            self._due = dict.fromkeys(self._due, -math.inf)

    def close(self) -> None:
        """Let the worker go."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
