# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Uniform matching, the assigner of YOLOF.

The authors list the anchors of each object and write the labels in sequence. An anchor that is
listed twice gets the label of the last write, which is undefined on a GPU. An anchor that is too
far from a second object loses its first one to IGNORED. Here a table of objects and anchors marks
the matches, and the target of an anchor depends only on its column.
"""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import (
    Assignment,
    assignment_from,
    BACKGROUND,
    centers_in,
)
from lite_detector.train.losses.boxes import aligned_iou, pairwise_iou
import torch
from torch import Tensor


class UniformMatch(NamedTuple):
    """
    Training targets of the anchors of an image.

    :param assignment: Assignment of each anchor; ``ious`` are those of the anchor with its object.
    :param positives: Indices of the anchors with a box target, int64, shape (k,).
    :param objects: Rows of ``GroundTruth.boxes_xyxy`` of these targets, int64, shape (k,).
    """

    assignment: Assignment
    positives: Tensor
    objects: Tensor


@torch.no_grad()
def assign_uniform(anchors_xyxy: Tensor, boxes_xyxy: Tensor, truth: GroundTruth, top_k: int = 4,
                   ignore_iou: float = 0.7, min_iou: float = 0.15,
                   dedupe: bool = True) -> UniformMatch:
    """
    Assign each object, large or small, the same number of nearest anchors.

    Uniform matching (Chen et al., 2021, arXiv:2103.09460): an object selects the ``top_k`` nearest
    anchors, and the ``top_k`` anchors with the nearest predicted boxes. The distance is the sum of
    the differences of centre, width and height. It gets those with an IoU of at least ``min_iou``.
    An anchor that several objects select goes to the one with the highest IoU times score, then to
    the first.

    Uncertain background is ignored: a selected anchor without an object, and one whose predicted
    box has an IoU over ``ignore_iou`` with an object. An ignore region selects anchors like an
    object, but they are ignored, as are all anchors centred in it.

    :param anchors_xyxy: Corners in network pixels, float32, shape (n, 4), also n < top_k.
    :param boxes_xyxy: Predicted boxes of the anchors, float32, shape (n, 4).
    :param truth: Labels of one image.
    :param top_k: Number of anchors per object and kind; published: 4, for CSP-Darknet 8.
    :param ignore_iou: IoU above which background is ignored; published: 0.7.
    :param min_iou: Minimum IoU of an anchor and its object; published: 0.15, for CSP-Darknet 0.1.
    :param dedupe: Whether an anchor has one box target, once. False allows duplicates as in the
        authors' code: an anchor selected twice counts twice, one of several objects has them all.
    """
    device, count, objects = anchors_xyxy.device, len(anchors_xyxy), len(truth.boxes_xyxy)
    centers = 0.5 * (anchors_xyxy[:, :2] + anchors_xyxy[:, 2:])
    is_unsure = centers_in(centers, truth.ignored_xyxy)
    gt_indices = torch.full((count,), BACKGROUND, device=device)
    ious = anchors_xyxy.new_zeros(count)
    rows = positives = torch.zeros(0, dtype=torch.int64, device=device)
    wanted_xyxy = torch.cat((truth.boxes_xyxy, truth.ignored_xyxy))
    if count and len(wanted_xyxy):
        picks = torch.cat([_nearest(wanted_xyxy, each, top_k)
                           for each in (anchors_xyxy, boxes_xyxy)], dim=1)
        is_unsure[picks.flatten()] = True
        is_unsure |= (pairwise_iou(wanted_xyxy, boxes_xyxy) > ignore_iou).any(dim=0)
        rows = torch.arange(objects, device=device).repeat_interleave(picks.shape[1])
        positives = picks[:objects].flatten()
        overlaps = aligned_iou(anchors_xyxy[positives], truth.boxes_xyxy[rows])
        fits = overlaps >= min_iou
        rows, positives, overlaps = rows[fits], positives[fits], overlaps[fits]
    if len(positives):
        # duplicate pairs write the same value twice
        found = anchors_xyxy.new_full((objects, count), -1)
        found[rows, positives] = overlaps
        # max takes the first of several equal objects
        best = torch.where(found >= 0, found * truth.scores[:, None], -1).max(dim=0)
        gt_indices = torch.where(best.values >= 0, best.indices, BACKGROUND)
        ious = found.gather(0, best.indices[None])[0]
    if dedupe:
        positives = (gt_indices >= 0).nonzero()[:, 0]
        rows = gt_indices[positives]
    return UniformMatch(assignment_from(gt_indices, ious, truth, is_unsure), positives, rows)


def _nearest(objects_xyxy: Tensor, boxes_xyxy: Tensor, top_k: int) -> Tensor:
    """
    Return the indices of the boxes nearest to each object, shape (objects, at most top_k).

    Ties go to the lowest index, which topk does not guarantee. So distance (whose bits rise with
    its
    value) and index are combined into one integer. Distances are sums in a fixed order, so that a
    GPU gives the same result.
    """
    distances = torch.zeros((), device=boxes_xyxy.device)
    for of_object, of_box in zip(_center_and_size(objects_xyxy), _center_and_size(boxes_xyxy),
                                 strict=True):
        distances = (of_object[:, None] - of_box[None]).abs_().add_(distances)
    count = len(boxes_xyxy)
    keys = distances.view(torch.int32).long().mul_(count)
    keys += torch.arange(count, device=keys.device)
    return keys.topk(min(top_k, count), dim=1, largest=False).indices


def _center_and_size(boxes_xyxy: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    left, top, right, bottom = boxes_xyxy.float().unbind(dim=1)
    return 0.5 * (left + right), 0.5 * (top + bottom), right - left, bottom - top
