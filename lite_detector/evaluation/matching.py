# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Which detection found which labelled object, by the rules of COCO at one overlap.

Best score first, a detection takes the object of its class that it overlaps most, if nobody has it
yet and their IoU reaches the threshold. What is left over and lies in a region to ignore is passed
over. Leaving out low scores never changes the matches of high ones, so one matching serves every
score threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lite_detector.core.geometry import iou_matrix
from lite_detector.core.types import Detections, FloatArray, IntArray
from lite_detector.data.coco import CocoDataset
from lite_detector.data.dataset import BoolArray
from lite_detector.evaluation.coco_metrics import shared_categories
import numpy as np

IOU_THRESHOLD = 0.5
NOBODY = -1
"""The object of a detection that found none."""
NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class LabelledObjects:
    """
    The labelled objects of all images in one row; class ids are those of the model.

    :param boxes_xyxy: pixels of their images, float32, shape (m, 4).
    :param class_ids: int64, shape (m,).
    :param image_ids: int64, shape (m,).
    :param ignore: regions in which detections are neither right nor wrong, bool, shape (m,).
    """

    boxes_xyxy: FloatArray
    class_ids: IntArray
    image_ids: IntArray
    ignore: BoolArray

    def __len__(self) -> int:
        return len(self.class_ids)


@dataclass(frozen=True, eq=False)
class Matches:
    """
    The detections of all images in one row, and what each of them found.

    :param objects: what there was to find.
    :param detections: in pixels of their images; best first within an image, not over all.
    :param image_ids: where each was detected, int64, shape (n,).
    :param found: row in ``objects``, or NOBODY, int64, shape (n,).
    :param passed_over: neither right nor wrong, bool, shape (n,).
    """

    objects: LabelledObjects
    detections: Detections
    image_ids: IntArray
    found: IntArray
    passed_over: BoolArray

    @property
    def right(self) -> BoolArray:
        """Tell for each detection whether it found an object; shape (n,)."""
        return self.found != NOBODY

    @property
    def wrong(self) -> BoolArray:
        """Tell for each detection whether it is a false alarm; shape (n,)."""
        return ~self.right & ~self.passed_over

    @property
    def missed(self) -> BoolArray:
        """Tell for each object whether it should have been found and was not; shape (m,)."""
        missed = ~self.objects.ignore
        missed[self.found[self.right]] = False
        return missed

    def above(self, score_threshold: float) -> Matches:
        """Return the same without detections of a lower score."""
        keep = self.detections.scores >= score_threshold
        return replace(self, detections=self.detections.select(keep),
                       image_ids=self.image_ids[keep], found=self.found[keep],
                       passed_over=self.passed_over[keep])


def match_dataset(dataset: CocoDataset, found: Mapping[int, Detections],
                  class_names: Sequence[str]) -> Matches:
    """
    Match the detections of a dataset; classes that model and file do not share are left out.

    :param dataset: the labelled boxes.
    :param found: image id -> detections, best first, boxes in pixels of that image.
    :param class_names: what the class ids of the detections mean.
    :raises DataError: if no class has the name of a category.
    """
    categories = shared_categories(dataset, class_names)
    objects = _objects(dataset, {category.category_id: class_id
                                 for class_id, category in categories.items()})
    rows = rows_by_image(objects.image_ids)
    image_ids, kept, matched, passed_over = [], [], [], []
    for image_id, detections in found.items():
        detections = detections.select(np.isin(detections.class_ids, list(categories)))
        here = rows.get(image_id, NO_ROWS)
        found_here, passed_here = _match_image(detections, objects, here)
        kept.append(detections)
        image_ids.append(np.full(len(detections), image_id, np.int64))
        matched.append(found_here)
        passed_over.append(passed_here)
    return Matches(objects, _concatenate(kept), _join(image_ids, np.int64),
                   _join(matched, np.int64), _join(passed_over, bool))


def match_greedily(boxes_xyxy: FloatArray, objects_xyxy: FloatArray, ignore: BoolArray,
                   iou_threshold: float = IOU_THRESHOLD) -> tuple[IntArray, BoolArray]:
    """
    Give every box, first come first served, the object that it overlaps most.

    :param boxes_xyxy: best first, float32, shape (n, 4).
    :param objects_xyxy: float32, shape (m, 4).
    :param ignore: objects that are regions to ignore, bool, shape (m,). A box counts as inside by
        the part of the box that the region covers, and any number of boxes may be.
    :return: object of each box or NOBODY, int64, shape (n,); and whether it found none but lies in
        a region to ignore, bool, shape (n,).
    """
    overlap = iou_matrix(boxes_xyxy, objects_xyxy)
    overlap[overlap < iou_threshold] = 0
    found = np.full(len(boxes_xyxy), NOBODY, np.int64)
    free = ~ignore
    for row in np.flatnonzero(overlap.any(axis=1)):
        candidates = np.where(free, overlap[row], 0)
        best = candidates.argmax()
        if candidates[best] > 0:
            found[row] = best
            free[best] = False
    inside = (covered(boxes_xyxy, objects_xyxy[ignore]) >= iou_threshold).any(axis=1)
    return found, inside & (found == NOBODY)


def rows_by_image(image_ids: IntArray) -> dict[int, IntArray]:
    """
    Return image id -> rows of that image, rising.

    :param image_ids: shape (n,), in any order.
    """
    order = np.argsort(image_ids, kind='stable')
    values, starts = np.unique(image_ids[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=False))


def covered(boxes_xyxy: FloatArray, regions_xyxy: FloatArray) -> FloatArray:
    """
    Compute how much of each box each region covers.

    :param boxes_xyxy: float32, shape (n, 4).
    :param regions_xyxy: float32, shape (m, 4).
    :return: in [0, 1], float32, shape (n, m); 0 for a box without area.
    """
    corner = np.maximum(boxes_xyxy[:, None, :2], regions_xyxy[None, :, :2])
    opposite = np.minimum(boxes_xyxy[:, None, 2:], regions_xyxy[None, :, 2:])
    common = np.maximum(opposite - corner, 0).prod(axis=2)
    area = (boxes_xyxy[:, 2:] - boxes_xyxy[:, :2]).prod(axis=1)
    return common / np.maximum(area, np.finfo(np.float32).tiny)[:, None]


def _match_image(detections: Detections, objects: LabelledObjects,
                 rows: IntArray) -> tuple[IntArray, BoolArray]:
    found = np.full(len(detections), NOBODY, np.int64)
    passed_over = np.zeros(len(detections), bool)
    for class_id in np.intersect1d(detections.class_ids, objects.class_ids[rows]):
        mine = np.flatnonzero(detections.class_ids == class_id)
        theirs = rows[objects.class_ids[rows] == class_id]
        matched, passed_over[mine] = match_greedily(
            detections.boxes_xyxy[mine], objects.boxes_xyxy[theirs], objects.ignore[theirs])
        found[mine] = np.where(matched == NOBODY, NOBODY, theirs[matched])
    return found, passed_over


def _objects(dataset: CocoDataset, class_ids: Mapping[int, int]) -> LabelledObjects:
    labels = [label for label in dataset.annotations if label.category_id in class_ids]
    boxes = np.array([label.bbox for label in labels], np.float32).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return LabelledObjects(boxes,
                           np.array([class_ids[label.category_id] for label in labels], np.int64),
                           np.array([label.image_id for label in labels], np.int64),
                           np.array([label.iscrowd != 0 for label in labels], bool))


def _concatenate(parts: Sequence[Detections]) -> Detections:
    parts = [Detections.empty(), *parts]
    return Detections(*(np.concatenate([getattr(part, name) for part in parts])
                        for name in ('boxes_xyxy', 'scores', 'class_ids')))


def _join(parts: Sequence[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])
