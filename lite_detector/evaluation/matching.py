# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Match detections with labelled objects, by the rules of COCO at one IoU threshold.

In the order of their scores, each detection takes the unmatched object of its class with the
largest IoU, if the IoU reaches the threshold. Unmatched detections in a region to ignore are
ignored. Low scores never affect the matches of high scores, so one matching serves all score
thresholds.
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
"""Object index of an unmatched detection."""
NO_ROWS = np.zeros(0, np.int64)


@dataclass(frozen=True, eq=False)
class LabelledObjects:
    """
    Labelled objects of all images in one array; class ids are those of the model.

    :param boxes_xyxy: Boxes in pixels of their images, float32, shape (m, 4).
    :param class_ids: Class id of each object, int64, shape (m,).
    :param image_ids: Image id of each object, int64, shape (m,).
    :param ignore: Mask of regions to ignore, bool, shape (m,).
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
    Detections of all images in one array, with the objects that they match.

    :param objects: Labelled objects.
    :param detections: Detections in pixels of their images; best score first within an image.
    :param image_ids: Image id of each detection, int64, shape (n,).
    :param found: Index into ``objects``, or NOBODY, int64, shape (n,).
    :param passed_over: Mask of the ignored detections, bool, shape (n,).
    """

    objects: LabelledObjects
    detections: Detections
    image_ids: IntArray
    found: IntArray
    passed_over: BoolArray

    @property
    def right(self) -> BoolArray:
        """Mask of the true positives among the detections, shape (n,)."""
        return self.found != NOBODY

    @property
    def wrong(self) -> BoolArray:
        """Mask of the false positives among the detections, shape (n,)."""
        return ~self.right & ~self.passed_over

    @property
    def missed(self) -> BoolArray:
        """Mask of the missed objects (false negatives), shape (m,)."""
        missed = ~self.objects.ignore
        missed[self.found[self.right]] = False
        return missed

    def above(self, score_threshold: float) -> Matches:
        """Return the matches without detections below a score."""
        keep = self.detections.scores >= score_threshold
        return replace(self, detections=self.detections.select(keep),
                       image_ids=self.image_ids[keep], found=self.found[keep],
                       passed_over=self.passed_over[keep])


def match_dataset(dataset: CocoDataset, found: Mapping[int, Detections],
                  class_names: Sequence[str]) -> Matches:
    """
    Match the detections of a dataset; classes of only the model or the dataset are omitted.

    :param dataset: Labelled boxes.
    :param found: Image id -> detections, best score first, boxes in pixels of that image.
    :param class_names: Class names of the model.
    :raises DataError: if model and annotations have no class in common.
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
    Match boxes with objects: in order, each box takes the free object of the largest IoU.

    :param boxes_xyxy: Boxes, best score first, float32, shape (n, 4).
    :param objects_xyxy: Boxes of the objects, float32, shape (m, 4).
    :param ignore: Mask of regions to ignore, bool, shape (m,). A box is inside if a region covers
        a large enough share of it; a region may contain any number of boxes.
    :param iou_threshold: Minimum IoU of a match, and minimum covered share, 0 to 1.
    :return: Object index of each box or NOBODY, int64, shape (n,); and mask of the unmatched boxes
        in a region to ignore, bool, shape (n,).
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
    Return image id -> row indices of that image, rising.

    :param image_ids: Image ids in any order, shape (n,).
    """
    order = np.argsort(image_ids, kind='stable')
    values, starts = np.unique(image_ids[order], return_index=True)
    return dict(zip(values.tolist(), np.split(order, starts[1:]), strict=False))


def covered(boxes_xyxy: FloatArray, regions_xyxy: FloatArray) -> FloatArray:
    """
    Compute the share of each box that each region covers.

    :param boxes_xyxy: Boxes, float32, shape (n, 4).
    :param regions_xyxy: Regions, float32, shape (m, 4).
    :return: Shares in [0, 1], float32, shape (n, m); 0 for a box without area.
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
