# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Every frame of a recording through a detector, and what has changed since another time.

Nothing is dropped and nothing depends on time, so that the same model finds the same twice.
Another processor or runtime rounds differently: what is compared has a tolerance.
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
    """A detection as it is stored."""

    class_name: str
    score: Annotated[float, Meta(ge=0, le=1)]
    box_xyxy: tuple[float, float, float, float]
    """Pixels of the image."""

    def __str__(self) -> str:
        """Print as people read it."""
        return f'{self.class_name} {self.score:.2f} at ' + ' '.join(
            f'{value:.0f}' for value in self.box_xyxy)


class ReplayedFrame(Spec):
    """What was found in a frame."""

    stamp_ns: int
    found: tuple[StoredDetection, ...]
    """Best score first."""
    problem: str = ''
    """Why it could not be read; empty: it could."""


class Replay(Spec):
    """A recording as a model saw it; also the form of a stored baseline."""

    format: Literal[1]  # noqa: A003
    recording: str
    """Name of the recording; another name is no difference."""
    topic: str
    model: str
    input_size: str
    runtime: str
    precision: str
    score_threshold: float
    nms_iou_threshold: float
    max_detections: int
    median_ms: Milliseconds
    """From the message to the detections."""
    p95_ms: Milliseconds
    frames: tuple[ReplayedFrame, ...]


class Tolerance(Spec):
    """What is no difference."""

    min_iou: Annotated[float, Meta(gt=0, le=1)] = 0.9
    """Boxes of one class that overlap this much are the same."""
    score: Annotated[float, Meta(ge=0, le=1)] = 0.02
    """Scores that differ by no more are the same; a box that comes or goes counts only if it is
    better than the threshold by more."""


@dataclass(frozen=True)
class Difference:
    """
    Something that is not as it was.

    :param frame: index in the recording.
    :param kind: lost, new, score or unreadable.
    :param text: what, for people.
    """

    frame: int
    kind: str
    text: str


def replay_frames(frames: Iterable[BagFrame],
                  detector: Detector) -> tuple[list[ReplayedFrame], list[float]]:
    """
    Detect in every frame, in turn.

    :return: what was found, and the milliseconds that each readable frame took.
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
    Read what an earlier replay stored.

    :raises DataError: if it is absent or something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Replay)
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise DataError(f'{path}: no baseline of replay: {error}') from None


def check_comparable(before: Replay, now: Replay, where: Path) -> None:
    """
    Find out whether two replays can be compared.

    :param where: file of the earlier one, for the message.
    :raises DataError: if they saw other images, or kept boxes by other rules.
    """
    for name in ('score_threshold', 'nms_iou_threshold', 'max_detections'):
        old, new = getattr(before, name), getattr(now, name)
        if old != new:
            raise DataError(f'{where}: its {name} is {old:g}, now it is {new:g}; nothing can be '
                            'compared')
    if len(before.frames) != len(now.frames):
        raise DataError(f'{where}: it has {len(before.frames)} frames of {before.recording}, '
                        f'{now.recording} has {len(now.frames)}: another recording or topic')
    for index, (old, new) in enumerate(zip(before.frames, now.frames, strict=True)):
        if old.stamp_ns != new.stamp_ns:
            raise DataError(f'{where}: frame {index} has another stamp than in {now.recording}: '
                            'another recording or topic')


def compare_replays(before: Replay, now: Replay, tolerance: Tolerance) -> list[Difference]:
    """
    Say what is not as it was.

    :param before: comparable with ``now``, see :func:`check_comparable`.
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
    """Return the index in ``new`` of each of ``old``; the better ones choose first."""
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
