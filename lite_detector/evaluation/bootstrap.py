# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Confidence intervals of AP: the bootstrap over images (Efron, 1979).

AP is not a mean over images, so each bootstrap sample needs its own AP. The matches of an image
do not depend on other images. They are computed once, and each sample only weights the images.
Two models are compared on the same samples.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from lite_detector.core.types import Detections, DoubleArray, IntArray
from lite_detector.data.coco import CocoDataset
from lite_detector.data.dataset import BoolArray
from lite_detector.evaluation.coco_metrics import shared_categories
from lite_detector.evaluation.matching import match_greedily, NOBODY
import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
DRAWS = 1000
RECALL_LEVELS = 100
"""Number of recall steps: precision is averaged over recall 0, 0.01, ..., 1."""
PERCENTILES = (2.5, 97.5)
"""Percentiles that bound the 95 % interval."""
CHUNK_VALUES = 2_000_000
"""Maximum number of values (samples times detections) that are computed at once."""


class Interval(NamedTuple):
    """A 95 % interval in percent points of AP."""

    low: float
    high: float


class ClassRanking(NamedTuple):
    """
    Detections of one class in all images, best score first.

    :param images: Index of the image of each detection, int64, shape (n,).
    :param right: Mask of the true positives for each IoU threshold, shape (10, n).
    :param counted: Mask of the detections that are not ignored, shape (10, n).
    :param objects: Number of labelled objects of each image, int64, shape (images,).
    """

    images: IntArray
    right: BoolArray
    counted: BoolArray
    objects: IntArray


def draw_images(num_images: int, draws: int = DRAWS, seed: int = 0) -> IntArray:
    """
    Draw bootstrap samples: as many images as there are, with replacement.

    :param num_images: Number of images.
    :param draws: Number of samples.
    :param seed: Seed of the random numbers.
    :return: Multiplicity of each image, int64, shape (draws, num_images).
    """
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_images, np.full(num_images, 1 / num_images), size=draws)


def rank(dataset: CocoDataset, found: Mapping[int, Detections],
         class_names: Sequence[str]) -> list[ClassRanking]:
    """
    Match the detections of a dataset at all IoU thresholds of COCO.

    :param dataset: Labelled boxes.
    :param found: Image id -> detections, best score first, boxes in pixels of that image.
    :param class_names: Class names of the model.
    :return: Ranking of each class that model and dataset share.
    :raises DataError: if they share no class.
    """
    rows = {image.image_id: index for index, image in enumerate(dataset.images)}
    labels: dict[tuple[int, int], list[tuple[tuple[float, ...], bool]]] = {}
    for label in dataset.annotations:
        labels.setdefault((label.category_id, label.image_id), []).append(
            (label.bbox, label.iscrowd != 0))
    return [_rank_class(class_id, category.category_id, rows, labels, found)
            for class_id, category in shared_categories(dataset, class_names).items()]


def resampled_ap(rankings: Sequence[ClassRanking], weights: IntArray) -> DoubleArray:
    """
    Return the AP of each sample in percent; NaN for a sample without labelled objects.

    :param rankings: Rankings of all classes.
    :param weights: Multiplicity of each image, shape (draws, images).
    :return: AP in percent, float64, shape (draws,).
    """
    total, classes = np.zeros(len(weights)), np.zeros(len(weights))
    for ranking in rankings:
        ap = _class_ap(ranking, weights)
        known = ~np.isnan(ap)
        total[known] += ap[known]
        classes += known
    with np.errstate(invalid='ignore'):
        return 100 * total / classes


def interval(values: DoubleArray) -> Interval | None:
    """Return the 95 % interval of the values; None if all values are NaN."""
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.percentile(known, PERCENTILES)
    return Interval(round(float(low), 2), round(float(high), 2))


def ap_interval(dataset: CocoDataset, found: Mapping[int, Detections],
                class_names: Sequence[str]) -> Interval | None:
    """Return the interval of one AP, see :func:`rank`; None without labelled objects."""
    weights = draw_images(len(dataset.images))
    return interval(resampled_ap(rank(dataset, found, class_names), weights))


def _rank_class(class_id: int, category_id: int, rows: Mapping[int, int],
                labels: Mapping[tuple[int, int], Sequence[tuple[tuple[float, ...], bool]]],
                found: Mapping[int, Detections]) -> ClassRanking:
    objects = np.zeros(len(rows), np.int64)
    count = len(IOU_THRESHOLDS)
    scores, images = [np.zeros(0, np.float32)], [np.zeros(0, np.int64)]
    right, counted = [np.zeros((count, 0), bool)], [np.zeros((count, 0), bool)]
    for image_id, row in rows.items():
        here = labels.get((category_id, image_id), ())
        ignore = np.array([is_crowd for _, is_crowd in here], bool)
        objects[row] = (~ignore).sum()
        detections = found.get(image_id, Detections.empty())
        mine = np.flatnonzero(detections.class_ids == class_id)
        if not len(mine):
            continue
        boxes = np.array([box for box, _ in here], np.float32).reshape(-1, 4)
        boxes[:, 2:] += boxes[:, :2]
        matches = [match_greedily(detections.boxes_xyxy[mine], boxes, ignore, threshold)
                   for threshold in IOU_THRESHOLDS] if len(here) else []
        scores.append(detections.scores[mine])
        images.append(np.full(len(mine), row, np.int64))
        right.append(np.array([matched != NOBODY for matched, _ in matches], bool)
                     if matches else np.zeros((count, len(mine)), bool))
        counted.append(np.array([~passed_over for _, passed_over in matches], bool)
                       if matches else np.ones((count, len(mine)), bool))
    order = np.argsort(-np.concatenate(scores), kind='stable')
    return ClassRanking(np.concatenate(images)[order], np.concatenate(right, axis=1)[:, order],
                        np.concatenate(counted, axis=1)[:, order], objects)


def _class_ap(ranking: ClassRanking, weights: IntArray) -> DoubleArray:
    """Return the AP of one class in [0, 1] for each sample; NaN without labelled objects."""
    totals = weights @ ranking.objects
    size = max(1, CHUNK_VALUES // max(1, len(ranking.images)))
    parts = [_chunk_ap(ranking, weights[start:start + size], totals[start:start + size])
             for start in range(0, len(weights), size)]
    return np.where(totals > 0, np.concatenate(parts), np.nan)


def _chunk_ap(ranking: ClassRanking, weights: IntArray, totals: IntArray) -> DoubleArray:
    times = weights[:, ranking.images].astype(np.float32)
    all_seen = np.cumsum(times, axis=1)
    result = np.zeros(len(weights))
    for right, counted in zip(ranking.right, ranking.counted, strict=True):
        hits = np.flatnonzero(right)
        if not len(hits):
            continue
        seen = all_seen if counted.all() else np.cumsum(times * counted, axis=1)
        found = np.cumsum(times[:, hits], axis=1)
        # precision is highest directly after a true positive, so other positions do not matter
        precision = found / np.maximum(seen[:, hits], 1)
        best_from_here = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        recall = found / np.maximum(totals, 1)[:, None].astype(np.float64)
        levels = np.floor(RECALL_LEVELS * recall + 1e-6)
        new_levels = np.diff(levels, axis=1, prepend=0)
        result += (best_from_here * new_levels).sum(axis=1) + best_from_here[:, 0]
    return result / (RECALL_LEVELS + 1) / len(IOU_THRESHOLDS)
