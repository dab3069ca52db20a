# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Follow one object through the detections of a camera.

The object is identified by its track id. Without track ids, or if the id is lost, it is the box
of the same class whose position and size match a constant-velocity prediction in the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lite_detector.core.errors import ConfigError
from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import FloatArray
from lite_detector.scene.tracking import BoxFilter, NEAR
import numpy as np

ID_PREFIX = 'id:'
NEAREST_SIDES = 0.6
"""Maximum distance of a box from the prediction, relative to its width and its height."""
SAME_AREA = 1.8
"""Maximum ratio of the areas of a box and the prediction."""
SAME_OBJECT_IOU = 0.3
"""Minimum IoU with a box of the previous image, to select only objects detected twice."""
OTHERS_S = 10.0
"""Duration in seconds for which an id seen together with the object counts as another object."""

OFF, SEARCHING, FOLLOWING, PREDICTED, LOST = 'off', 'searching', 'following', 'predicted', 'lost'


class SeenObjects(NamedTuple):
    """Detections of one image, with class names as in the messages."""

    stamp_s: float
    boxes_xyxy: FloatArray
    """Boxes in pixels, shape (n, 4)."""
    class_names: Sequence[str]
    track_ids: Sequence[str]
    """Track id of each detection; empty without tracking."""


@dataclass(frozen=True)
class Target:
    """The followed object in one image."""

    box_xyxy: FloatArray
    """Detected box, or predicted box while the object is not detected; pixels, shape (4,)."""
    index: int | None
    """Index of the detection; None: not detected in this image."""


class Follower:
    """
    Selects one object and follows it.

    :param target: Class name, ``id:7`` for the object with this track id, or empty for none.
    :param memory_s: Duration in seconds for which an undetected object is predicted.
    :raises ConfigError: if the id after ``id:`` is missing.
    """

    def __init__(self, target: str = '', memory_s: float = 1.0) -> None:
        if target.strip() == ID_PREFIX:
            raise ConfigError("follow: 'id:'; expected a track id after the colon, such as id:7")
        self.wanted, self._memory_s = target, memory_s
        self.state = SEARCHING if target else OFF
        self.class_name, self.track_id = '', ''
        self._motion: BoxFilter | None = None
        self._stamp_s, self._seen_s = 0.0, 0.0
        self._others: dict[str, float] = {}
        self._last: SeenObjects | None = None

    @property
    def held(self) -> bool:
        """Return whether an object is followed, detected or predicted."""
        return self._motion is not None

    def update(self, seen: SeenObjects, center: tuple[float, float]) -> Target | None:
        """
        Process the next image.

        :param seen: Detections of the image.
        :param center: Pixel of the optical axis; the closest object of the class is selected.
        :return: Followed object; None if there is none.
        """
        step_s = seen.stamp_s - self._stamp_s
        self._stamp_s = seen.stamp_s
        if step_s < -self._memory_s and self._motion:  # another recording, or a clock jump
            self._lose()
            self._last = None
        target = None
        if self._motion:
            self._motion.advance(max(step_s, 0.0))
            target = self._keep(seen)
        elif self.wanted and (index := self._choose(seen, center)) is not None:
            target = self._begin(seen, index)
        self._last = seen
        return target

    def _begin(self, seen: SeenObjects, index: int) -> Target:
        self._motion, self._others = BoxFilter(), {}
        self._motion.add(seen.boxes_xyxy[index:index + 1])
        self.class_name, self.state = seen.class_names[index], FOLLOWING
        return self._found(seen, index)

    def _found(self, seen: SeenObjects, index: int) -> Target:
        self.track_id, self.state, self._seen_s = seen.track_ids[index], FOLLOWING, seen.stamp_s
        self._others = {id_: stamp for id_, stamp in self._others.items()
                        if seen.stamp_s - stamp <= OTHERS_S and id_ != self.track_id}
        self._others.update((id_, seen.stamp_s) for id_ in seen.track_ids
                            if id_ and id_ != self.track_id)
        return Target(seen.boxes_xyxy[index], index)

    def _lose(self) -> None:
        self._motion, self.state = None, LOST

    def _keep(self, seen: SeenObjects) -> Target | None:
        """Return the followed object, detected or predicted."""
        assert self._motion is not None, 'no object is followed'
        index = self._same(seen, self._motion)
        if index is not None:
            self._motion.correct(np.zeros(1, np.int64), seen.boxes_xyxy[index:index + 1])
            return self._found(seen, index)
        if seen.stamp_s - self._seen_s > self._memory_s:
            self._lose()
            return None
        self.state = PREDICTED
        return Target(self._motion.boxes_xyxy()[0], None)

    def _same(self, seen: SeenObjects, motion: BoxFilter) -> int | None:
        """Return the index of the followed object; None: not detected."""
        if self.track_id and self.track_id in seen.track_ids:
            return seen.track_ids.index(self.track_id)
        rows = [row for row, name in enumerate(seen.class_names)
                if name == self.class_name and seen.track_ids[row] not in self._others]
        if not rows:
            return None
        boxes = seen.boxes_xyxy[rows]
        expected = motion.boxes_xyxy()
        sides, expected_sides = boxes[:, 2:] - boxes[:, :2], expected[0, 2:] - expected[0, :2]
        middles = (boxes[:, :2] + boxes[:, 2:] - expected[:, :2] - expected[:, 2:]) / 2
        away = (np.abs(middles) / np.maximum(expected_sides, 1.0)).max(axis=1)
        area = sides.prod(axis=1) / np.maximum(expected_sides.prod(), 1.0)
        distances = motion.distances(boxes)[:, 0]
        distances[(away > NEAREST_SIDES) | (area > SAME_AREA) | (area * SAME_AREA < 1)] = np.inf
        best = int(distances.argmin())
        return rows[best] if distances[best] <= NEAR else None

    def _choose(self, seen: SeenObjects, center: tuple[float, float]) -> int | None:
        """Return the index of the object to follow; None: there is none."""
        if self.wanted.startswith(ID_PREFIX):
            track_id = self.wanted.removeprefix(ID_PREFIX).strip()
            return seen.track_ids.index(track_id) if track_id in seen.track_ids else None
        rows = [row for row, name in enumerate(seen.class_names)
                if name == self.wanted and self._seen_before(seen, row)]
        if not rows:
            return None
        middles = (seen.boxes_xyxy[rows, :2] + seen.boxes_xyxy[rows, 2:]) / 2
        return rows[int(np.linalg.norm(middles - center, axis=1).argmin())]

    def _seen_before(self, seen: SeenObjects, row: int) -> bool:
        """Return whether an object was in the previous image too, to exclude false detections."""
        last = self._last
        if last is None or seen.stamp_s - last.stamp_s > self._memory_s:
            return False
        if seen.track_ids[row]:
            return seen.track_ids[row] in last.track_ids
        same = [index for index, name in enumerate(last.class_names) if name == self.wanted]
        overlaps = iou_matrix(seen.boxes_xyxy[row:row + 1], last.boxes_xyxy[same])
        return bool((overlaps > SAME_OBJECT_IOU).any())
