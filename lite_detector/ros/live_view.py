# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Annotation of every camera frame with the newest boxes, in a separate thread."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import threading

from lite_detector.core.errors import ImageError
from lite_detector.ros.camera import Camera
from lite_detector.ros.frames import FrameSlots
from lite_detector.ros.image_input import Received
from lite_detector.ros.threads import start_thread

NICENESS = 10


class LiveView:
    """
    Draws frames as they come, with the boxes that are known then.

    The thread starts with the first frame that somebody looks at. ``offer`` belongs to the thread
    that takes messages.

    :param cameras: Cameras to annotate.
    :param warn: Function called with a camera and a reason if a frame cannot be annotated.
    """

    def __init__(self, cameras: Sequence[Camera], warn: Callable[[Camera, str], None]) -> None:
        self._slots: FrameSlots[Camera, Received] = FrameSlots(cameras)
        self._warn = warn
        self._thread: threading.Thread | None = None

    def offer(self, camera: Camera, received: Received) -> None:
        """
        Draw a frame, if somebody looks and no newer one comes before its turn.

        :param received: Serialized message and its type.
        """
        if not camera.overlay.has_viewers():
            return
        if self._thread is None:
            # low priority: detection comes first
            self._thread = start_thread('live_view', self._work, niceness=NICENESS)
        self._slots.put(camera, received)

    def close(self, timeout_s: float | None = None) -> None:
        """
        End the thread.

        :param timeout_s: Maximum time to wait for the current frame in s; None: no limit.
        """
        self._slots.close()
        if self._thread:
            self._thread.join(timeout_s)

    def _work(self) -> None:
        while (taken := self._slots.take()) is not None:
            camera, received = taken
            try:
                msg = camera.unpack(received)
                camera.overlay.draw(msg.header, camera.read(msg))
            except ImageError:  # the worker reports the same frame
                pass
            except Exception as error:  # a bad frame must not end the thread
                self._warn(camera, f'frame not drawn: {" ".join(str(error).split())}')
