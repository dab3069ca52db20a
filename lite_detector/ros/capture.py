# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Capture of frames that are worth labelling, in a separate thread, independent of ROS.

A model learns most from frames in which it is uncertain. Three signs of uncertainty cost little
time: a score just above the threshold (margin); an object that is missing in the next frame
although it did not leave the view (flicker); and, with tracking, a track that ends in the same way
(lost).
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
import queue
import re
import time
from typing import NamedTuple

import cv2
from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.selection import margins
from lite_detector.core.types import Detections, FloatArray, ImageArray, ImageSize
from lite_detector.ros.threads import start_thread
import numpy as np

MARGIN = 0.1
"""Scores less than this above the threshold are uncertain."""
BORDER = 0.05
"""Border of the image in which an object may be leaving, as a fraction of the side."""
MAX_PAUSE_S = 0.5
"""Maximum time between two frames to compare in s; later an object may have left."""
PERIOD_S = 1.0
"""Minimum time between two captured frames of a camera in s, because close frames are similar."""
RETRY_S = 30.0
"""Delay of the next attempt after a write error in s."""
QUEUE_SIZE = 2
JPEG_QUALITY = 95
NICENESS = 10
NAME = re.compile(r'(\d+)_(\d{9})_.+_(?:margin|flicker|lost)_(\d{3})\.jpg')


class Interest(NamedTuple):
    """
    Interest of a frame for labelling.

    :param value: Interest, 0 to 1; margin up to 0.5, flicker and lost above 0.5.
    :param reason: Reason: margin, flicker or lost.
    """

    value: float
    reason: str


class Seen(NamedTuple):
    """
    Result of a detector for a frame of a camera.

    :param stamp_ns: Stamp of the image in ns.
    :param detections: Detections in pixels of the image.
    :param size: Size of the image.
    :param class_names: Class names by index; other names mean another model.
    :param score_threshold: Score threshold of all classes, or by class index, shape (classes,).
    :param lost: Tracked objects that are missing, with the scores of the previous frame.
    :param complete: False: only some tiles were processed, so small objects may be missing.
    """

    stamp_ns: int
    detections: Detections
    size: ImageSize
    class_names: tuple[str, ...]
    score_threshold: float | FloatArray
    lost: Detections = Detections.empty()
    complete: bool = True

    def margins(self, detections: Detections) -> FloatArray:
        """Return the scores minus the thresholds of their classes, shape (n,)."""
        return margins(detections, self.score_threshold, self.class_names)


class _Job(NamedTuple):
    name: str
    stamp_ns: int
    percent: int
    image_bgr: ImageArray


class _Kept(NamedTuple):
    percent: int
    stamp_ns: int
    size: int


def interest_of(now: Seen, before: Seen | None) -> Interest | None:
    """
    Return the interest of a frame.

    :param now: Result for the frame.
    :param before: Result for the previous frame of the camera; None: no previous frame.
    :return: Interest; None: the frame is not worth labelling.
    """
    if before is not None and _is_next(now, before):
        gone, lost = _best_gone(now, before), _best_inside(now.lost, now)
        if max(gone, lost) > 0:
            return Interest(0.5 + max(gone, lost) / 2, 'lost' if lost >= gone else 'flicker')
    above = now.margins(now.detections)
    unsure = above[above < MARGIN]
    if len(unsure):
        return Interest(0.5 * (1 - float(unsure.min()) / MARGIN), 'margin')
    return None


def _is_next(now: Seen, before: Seen) -> bool:
    """Return whether two frames should contain the same objects."""
    return (0 < now.stamp_ns - before.stamp_ns <= MAX_PAUSE_S * 1e9
            and now.class_names == before.class_names and now.size == before.size
            and now.complete and before.complete)


def _best_gone(now: Seen, before: Seen) -> float:
    """Return the highest score of an object without a match in the next frame; 0: none."""
    # an object with a score near the threshold may come and go: that is a margin, not a flicker
    old = before.detections.select(np.minimum(
        before.margins(before.detections), now.margins(before.detections)) >= MARGIN)
    new = now.detections
    reach = (old.boxes_xyxy[:, 2:] - old.boxes_xyxy[:, :2]).max(axis=1, initial=0)
    way = _centers(old)[:, None] - _centers(new)[None]
    follows = ((np.hypot(way[..., 0], way[..., 1]) < reach[:, None])
               & (old.class_ids[:, None] == new.class_ids[None]))
    return _best_inside(old.select(~follows.any(axis=1)), now)


def _best_inside(objects: Detections, view: Seen) -> float:
    """Return the highest score above the threshold, of objects away from the border; 0: none."""
    height, width = view.size
    inside = np.array((width, height, width, height)) * (BORDER, BORDER, 1 - BORDER, 1 - BORDER)
    boxes = objects.boxes_xyxy
    stays = ((boxes[:, :2] > inside[:2]) & (boxes[:, 2:] < inside[2:])).all(axis=1)
    return float(objects.scores[stays & (view.margins(objects) >= 0)].max(initial=0))


def _centers(detections: Detections) -> np.ndarray:
    return (detections.boxes_xyxy[:, :2] + detections.boxes_xyxy[:, 2:]) / 2


class Capture:
    """
    Folder of captured frames with a maximum size; the frames with the highest interest stay.

    ``look`` returns at once and raises no error: if the disk is too slow, the frame is skipped.

    :param folder: Folder, created with the first frame. Frames of earlier runs in it count.
    :param max_files: Maximum number of frames.
    :param max_mb: Maximum size of all frames in MB (10^6 bytes).
    :param warn: Function called with a warning at the first of consecutive write errors.
    """

    def __init__(self, folder: Path, max_files: int, max_mb: int,
                 warn: Callable[[str], object]) -> None:
        self._folder, self._max_files, self._max_bytes = folder, max_files, max_mb * 10 ** 6
        self._warn = warn
        self._views: dict[str, Seen] = {}
        self._taken_ns: dict[str, int] = {}
        self._jobs: queue.Queue[_Job | None] = queue.Queue(QUEUE_SIZE)
        self._kept: dict[str, _Kept] | None = None
        self._retry_s = 0.0
        self._failed = False
        # low priority: detection comes first
        self._thread = start_thread('capture', self._work, niceness=NICENESS)

    def look(self, camera: str, image_bgr: ImageArray, view: Seen) -> None:
        """
        Evaluate a frame, and queue it for writing if it is worth labelling.

        :param camera: Name of the camera.
        :param image_bgr: Image, uint8, shape (height, width, 3); the caller must not change it.
        :param view: Result of the detector for the frame.
        """
        before, self._views[camera] = self._views.get(camera), view
        interest = interest_of(view, before)
        waited_ns = view.stamp_ns - self._taken_ns.get(camera, 0)
        if interest is None or 0 <= waited_ns < PERIOD_S * 1e9:  # negative: the clock was set back
            return
        percent = round(100 * interest.value)
        place = re.sub(r'[^0-9A-Za-z]+', '-', camera).strip('-') or 'camera'
        stamp = '{}_{:09d}'.format(*divmod(view.stamp_ns, 10 ** 9))
        name = f'{stamp}_{place}_{interest.reason}_{percent:03d}.jpg'
        try:
            self._jobs.put_nowait(_Job(name, view.stamp_ns, percent, image_bgr))
            self._taken_ns[camera] = view.stamp_ns
        except queue.Full:
            pass

    def close(self, timeout_s: float | None = None) -> None:
        """
        Write the queued frames and end the thread.

        :param timeout_s: Maximum time to wait for the disk in s; None: no limit.
        """
        try:
            self._jobs.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            if time.monotonic() >= self._retry_s:
                self._try_to_keep(job)
            self._jobs.task_done()

    def _try_to_keep(self, job: _Job) -> None:
        try:
            self._keep(job)
            self._failed = False
        except (OSError, cv2.error) as error:
            self._retry_s = time.monotonic() + RETRY_S
            self._kept = None  # the folder may be missing, or contain other files later
            if not self._failed:
                reason = getattr(error, 'strerror', None) or str(error).strip()
                self._warn(f'capture_folder {self._folder}: {reason}; no frames are captured '
                           f'until it is writable; next attempt in {RETRY_S:.0f} s')
            self._failed = True

    def _keep(self, job: _Job) -> None:
        if self._kept is None:
            self._folder.mkdir(parents=True, exist_ok=True)
            self._kept = _kept_in(self._folder)
        options = (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY)
        data = cv2.imencode('.jpg', job.image_bgr, options)[1].tobytes()
        goes = self._in_the_way(job, len(data))
        if goes != []:  # read the folder again: the user may have moved frames meanwhile
            self._kept = _kept_in(self._folder)
            goes = self._in_the_way(job, len(data))
        if goes is None:
            return
        with atomic_file(self._folder / job.name) as scratch:
            scratch.write_bytes(data)
            for name in goes:
                (self._folder / name).unlink(missing_ok=True)
                del self._kept[name]
        self._kept[job.name] = _Kept(job.percent, job.stamp_ns, len(data))

    def _in_the_way(self, job: _Job, size: int) -> list[str] | None:
        """Return the frames to delete for a new one; None: the new one has the lowest interest."""
        goes: list[str] = []
        assert self._kept is not None, '_keep has read it'
        files, total = len(self._kept) + 1, sum(kept.size for kept in self._kept.values()) + size
        for name, kept in sorted(self._kept.items(), key=lambda item: item[1]):
            if files <= self._max_files and total <= self._max_bytes:
                break
            if kept.percent > job.percent:
                return None
            goes.append(name)
            files, total = files - 1, total - kept.size
        return goes if total <= self._max_bytes else None


def _kept_in(folder: Path) -> dict[str, _Kept]:
    """Return the captured frames in a folder; other files are ignored."""
    kept = {}
    for path in folder.iterdir():
        match = NAME.fullmatch(path.name)
        if match:
            seconds, nanoseconds, percent = map(int, match.groups())
            kept[path.name] = _Kept(percent, seconds * 10 ** 9 + nanoseconds, path.stat().st_size)
    return kept
