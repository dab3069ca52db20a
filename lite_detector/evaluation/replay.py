# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Run a detector on every frame of a recording, and compare the result with a stored baseline.

No frame is dropped and nothing depends on time, so runs of one model are reproducible. Other
processors or runtimes round differently, so the comparison has a tolerance.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
import time
from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.types import Detections
from lite_detector.data.bags import BagFrame
from lite_detector.detector import Detector
from lite_detector.evaluation.matching import match_greedily, NOBODY
import msgspec
from msgspec import Meta
import numpy as np

PIXEL_DIGITS, SCORE_DIGITS = 2, 4
Milliseconds = Annotated[float, Meta(ge=0)]


class StoredDetection(Spec):
    """A detection in the stored form."""

    class_name: str
    score: Annotated[float, Meta(ge=0, le=1)]
    box_xyxy: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image."""

    def __str__(self) -> str:
        """Return class, score and box in one line."""
        return f'{self.class_name} {self.score:.2f} at ' + ' '.join(
            f'{value:.0f}' for value in self.box_xyxy)


class ReplayedFrame(Spec):
    """Detections of one frame."""

    stamp_ns: int
    found: tuple[StoredDetection, ...]
    """Detections, best score first."""
    problem: str = ''
    """Reason why the frame cannot be read; empty: it was read."""


class Replay(Spec):
    """Detections of a model in a recording; also the format of a stored baseline."""

    format: Literal[1]  # noqa: A003
    recording: str
    """Name of the recording; it is not compared."""
    topic: str
    model: str
    input_size: str
    runtime: str
    precision: str
    score_threshold: float
    nms_iou_threshold: float
    max_detections: int
    median_ms: Milliseconds
    """Median time from message to detections in milliseconds."""
    p95_ms: Milliseconds
    frames: tuple[ReplayedFrame, ...]


class Tolerance(Spec):
    """Tolerance of the comparison."""

    min_iou: Annotated[float, Meta(gt=0, le=1)] = 0.9
    """Minimum IoU of two boxes of one class that count as equal."""
    score: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """Maximum difference of equal scores, 0 to 1. A lost or new box counts only if its score
    exceeds the threshold by more."""


@dataclass(frozen=True)
class Difference:
    """
    A difference to the baseline.

    :param frame: Index of the frame in the recording.
    :param kind: Kind of the difference: lost, new, score or unreadable.
    :param text: Description for the report.
    """

    frame: int
    kind: str
    text: str


def replay_frames(frames: Iterable[BagFrame],
                  detector: Detector) -> tuple[list[ReplayedFrame], list[float]]:
    """
    Run the detector on every frame, in order.

    :return: Detections of each frame, and time of each readable frame in milliseconds.
    """
    replayed, took_ms = [], []
    for frame in frames:
        begin = time.perf_counter()
        try:
            found = detector.detect(frame.image_bgr())
        except ImageError as error:
            replayed.append(ReplayedFrame(frame.stamp_ns, (), str(error)))
            continue
        took_ms.append((time.perf_counter() - begin) * 1e3)
        replayed.append(ReplayedFrame(frame.stamp_ns,
                                      _as_stored(found, detector.card.class_names)))
    return replayed, took_ms


def read_baseline(path: Path) -> Replay:
    """
    Read a baseline that an earlier replay stored.

    :raises DataError: if the file is absent or malformed.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Replay)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f'{path}: not a baseline of replay: {error}') from None


def check_comparable(before: Replay, now: Replay, where: Path) -> None:
    """
    Check that two replays can be compared.

    :param before: Stored baseline.
    :param now: Replay of the present run.
    :param where: Path of the baseline, for messages.
    :raises DataError: if they have other frames or other selection parameters.
    """
    for name in ('score_threshold', 'nms_iou_threshold', 'max_detections'):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise DataError(f'{where}: {name} is {old:g}; expected {new:g} as in this run; '
                            'create a new baseline')
    if len(before.frames) != len(now.frames):
        raise DataError(f'{where}: {len(before.frames)} frames of {before.recording}; expected '
                        f'{len(now.frames)} as in {now.recording}: other recording or topic')
    for index, (old, new) in enumerate(zip(before.frames, now.frames, strict=True)):
        if old.stamp_ns != new.stamp_ns:
            raise DataError(f'{where}: frame {index} has another stamp than in {now.recording}: '
                            'other recording or topic')


def compare_replays(before: Replay, now: Replay, tolerance: Tolerance) -> list[Difference]:
    """
    Return the differences of a replay to its baseline.

    :param before: Baseline, comparable with ``now``; see :func:`check_comparable`.
    :param now: Replay of the present run.
    :param tolerance: Tolerance of the comparison.
    """
    surely = now.score_threshold + tolerance.score
    differences: list[Difference] = []
    for index, (old, new) in enumerate(zip(before.frames, now.frames, strict=True)):
        if bool(old.problem) != bool(new.problem):
            text = f'cannot be read: {new.problem}' if new.problem else 'can be read now'
            differences.append(Difference(index, 'unreadable', text))
            continue
        partners = _partners(old.found, new.found, tolerance.min_iou)
        for was, partner in zip(old.found, partners, strict=True):
            if partner is None:
                if was.score > surely:
                    differences.append(Difference(index, 'lost', f'lost {was}'))
            elif abs(was.score - new.found[partner].score) > tolerance.score:
                differences.append(Difference(
                    index, 'score', f'score was {was.score:.2f}: {new.found[partner]}'))
        differences += [Difference(index, 'new', f'new {each}')
                        for number, each in enumerate(new.found)
                        if number not in partners and each.score > surely]
    return differences


def _partners(old: Sequence[StoredDetection], new: Sequence[StoredDetection],
              min_iou: float) -> list[int | None]:
    """Return the index in ``new`` of each of ``old``; higher scores are matched first."""
    partners: list[int | None] = [None] * len(old)
    for name in {each.class_name for each in old}:
        rows = [index for index, each in enumerate(old) if each.class_name == name]
        columns = [index for index, each in enumerate(new) if each.class_name == name]
        found, _ = match_greedily(_boxes(old, rows), _boxes(new, columns),
                                  np.zeros(len(columns), bool), min_iou)
        for row, column in zip(rows, found.tolist(), strict=True):
            partners[row] = None if column == NOBODY else columns[column]
    return partners


def _boxes(found: Sequence[StoredDetection], rows: Sequence[int]) -> np.ndarray:
    return np.array([found[row].box_xyxy for row in rows], np.float32).reshape(-1, 4)


def _as_stored(found: Detections, class_names: Sequence[str]) -> tuple[StoredDetection, ...]:
    return tuple(
        StoredDetection(class_names[class_id], round(score, SCORE_DIGITS),
                        tuple(round(value, PIXEL_DIGITS) for value in box))
        for box, score, class_id in zip(found.boxes_xyxy.tolist(), found.scores.tolist(),
                                        found.class_ids.tolist(), strict=True))
