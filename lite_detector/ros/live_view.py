# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Every frame of the cameras with the newest boxes, drawn on a thread of its own."""

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

    :param cameras: whose frames are drawn.
    :param warn: called with a camera and one line if a frame cannot be drawn.
    """

    def __init__(self, cameras: Sequence[Camera], warn: Callable[[Camera, str], None]) -> None:
        self._slots: FrameSlots[Camera, Received] = FrameSlots(cameras)
        self._warn = warn
        self._thread: threading.Thread | None = None

    def offer(self, camera: Camera, received: Received) -> None:
        """
        Draw a frame, if somebody looks and no newer one comes before its turn.

        :param received: the serialized message and its type.
        """
        if not camera.overlay.has_viewers():
            return
        if self._thread is None:
            # what detects goes first
            self._thread = start_thread('live_view', self._work, niceness=NICENESS)
        self._slots.put(camera, received)

    def close(self, timeout_s: float | None = None) -> None:
        """
        End the thread.

        :param timeout_s: how long to wait for the frame in work; None: until it is done.
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
            except Exception as error:  # a frame must not end the view; nor does a shutdown warn
                self._warn(camera, f'frame not drawn: {" ".join(str(error).split())}')
