# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Uniform matching, with which YOLOF is trained.

The authors list the anchors of each object and write the labels one after another. An anchor that
is on the list twice has the label of the last writer, which on a GPU is any of them, and one that
is too far from a second object loses its first one to IGNORED. Here a cell of the table of objects
and anchors is picked or not, and what an anchor learns follows from its column alone.
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
    What the anchors of an image learn.

    :param assignment: of each anchor; ``ious`` are those of the anchor with its object.
    :param positives: anchors that learn a box, int64, shape (k,).
    :param objects: whose box, rows of ``GroundTruth.boxes_xyxy``, int64, shape (k,).
    """

    assignment: Assignment
    positives: Tensor
    objects: Tensor


@torch.no_grad()
def assign_uniform(anchors_xyxy: Tensor, boxes_xyxy: Tensor, truth: GroundTruth, top_k: int = 4,
                   ignore_iou: float = 0.7, min_iou: float = 0.15,
                   dedupe: bool = True) -> UniformMatch:
    """
    Give each object, large or small, the same number of anchors: those nearest to it.

    Uniform matching (Chen et al., 2021, arXiv:2103.09460): an object picks ``top_k`` anchors, and
    ``top_k`` anchors by the boxes that they predict, by the sum of the differences of centre,
    width and height. It gets those that overlap it by ``min_iou`` at least. Of several objects an
    anchor takes the one that it overlaps most, times its score; then the first. What is not
    background for sure is ignored: an anchor that was picked in vain, and one that predicts a box
    which overlaps an object by more than ``ignore_iou``. An ignored region is such an object too,
    which nobody learns, and all anchors centred in it are ignored.

    :param anchors_xyxy: corners in network pixels, float32, shape (n, 4), also n < top_k.
    :param boxes_xyxy: what is predicted at each, float32, shape (n, 4).
    :param truth: the labels of one image.
    :param top_k: 4 as published, 8 for their CSP-Darknet.
    :param ignore_iou: 0.7 as published.
    :param min_iou: 0.15 as published, 0.1 for their CSP-Darknet.
    :param dedupe: an anchor learns one box, once. False lets it learn a box twice that picked it
        by anchor and by prediction, and those of several objects, as the authors weigh them.
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
        # a duplicate pair writes the same number twice
        found = anchors_xyxy.new_full((objects, count), -1)
        found[rows, positives] = overlaps
        # of several objects max takes the first of the best
        best = torch.where(found >= 0, found * truth.scores[:, None], -1).max(dim=0)
        gt_indices = torch.where(best.values >= 0, best.indices, BACKGROUND)
        ious = found.gather(0, best.indices[None])[0]
    if dedupe:
        positives = (gt_indices >= 0).nonzero()[:, 0]
        rows = gt_indices[positives]
    return UniformMatch(assignment_from(gt_indices, ious, truth, is_unsure), positives, rows)


def _nearest(objects_xyxy: Tensor, boxes_xyxy: Tensor, top_k: int) -> Tensor:
    """
    Return the numbers of the boxes nearest to each object, shape (objects, at most top_k).

    Of equal distances the lowest numbers count, which topk does not promise: so distance (whose
    bits rise with it) and number become one whole number. Distances are sums in a fixed order,
    so that a GPU gives the same.
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
