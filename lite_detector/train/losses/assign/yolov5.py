# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Matching of anchors by shape, the assigner of YOLOv5-Lite."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.decode import grid_sizes
from lite_detector.core.types import ImageSize
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.assignment import Assignment, assignment_from, BACKGROUND
from lite_detector.train.losses.boxes import aligned_iou, boxes_from_cxcywh
import torch
from torch import Tensor


def assign_yolov5(input_size: ImageSize, strides: Sequence[int], anchors: Tensor,
                  truth: GroundTruth, max_ratio: float = 4.0) -> Assignment:
    """
    Assign each object the anchors of its shape in its own cell and the two nearest cells.

    An anchor fits if neither side differs by a factor of ``max_ratio`` or more. The nearest cells
    are
    left or right, and above or below, of the object's own cell, because a cell can move its box by
    -0.5 .. 1.5 cells (https://github.com/ultralytics/yolov5). If several objects match the same
    anchor of a cell, it goes to the one whose centre lies in the cell, then to the better shape
    (times score), then to the first. (YOLOv5 itself trains it on all of them.)

    :param input_size: Input size in network pixels.
    :param strides: Pixels per cell of each level.
    :param anchors: Width and height in input pixels, float32, shape (levels, anchors, 2).
    :param truth: Labels of one image.
    :param max_ratio: Largest ratio of the sides; anchor_t in YOLOv5.
    :return: Assignment of the priors by level, anchor, row and column, the order of
        ``decode_yolov5``. ``ious`` are those of the anchor in the centre of its cell. The
        objectness target is not this value but the IoU of the predicted box.
    """
    gt_indices, ious, in_ignored = [], [], []
    grids = grid_sizes(input_size, strides)
    for grid, stride, sizes in zip(grids, strides, anchors, strict=True):
        indices, cells = _match_level(grid, sizes / stride, truth.boxes_xyxy / stride,
                                      truth.scores, max_ratio)
        gt_indices.append(indices.flatten())
        ious.append(_overlaps(cells, sizes / stride, truth.boxes_xyxy / stride, indices))
        covered = _cells_touch(cells, truth.ignored_xyxy / stride)
        in_ignored.append(covered.expand(len(sizes), -1).flatten())
    return assignment_from(torch.cat(gt_indices), torch.cat(ious), truth, torch.cat(in_ignored))


def worst_ratios(sizes: Tensor, anchors: Tensor) -> Tensor:
    """
    Return the larger of the two ratios of the sides.

    :param sizes: Width and height, shape (m, 2); a side of 0 fits no anchor.
    :param anchors: Width and height above 0, same unit, shape (k, 2).
    :return: Ratios, at least 1, infinite for a side of 0, shape (m, k).
    """
    ratios = sizes[:, None] / anchors
    return torch.maximum(ratios, 1 / ratios).amax(dim=2)


def _match_level(grid: ImageSize, anchors: Tensor, boxes: Tensor, scores: Tensor,
                 max_ratio: float) -> tuple[Tensor, Tensor]:
    """Return the object of each (anchor, cell), and the corners (x, y) of the cells."""
    rows, columns = torch.meshgrid(torch.arange(grid.height, device=boxes.device),
                                   torch.arange(grid.width, device=boxes.device), indexing='ij')
    cells = torch.stack((columns.flatten(), rows.flatten()), dim=1)
    taken = torch.full((len(anchors), len(cells)), BACKGROUND, device=boxes.device)
    ratios = worst_ratios(boxes[:, 2:] - boxes[:, :2], anchors)
    candidates, is_neighbor = _candidates(0.5 * (boxes[:, :2] + boxes[:, 2:]))
    # one row per object, anchor and candidate cell
    fits = (ratios < max_ratio)[:, :, None] & _on_grid(candidates, grid)[:, None]
    objects, anchor_ids, choices = fits.nonzero(as_tuple=True)
    column, row = candidates[objects, choices].unbind(dim=1)
    slots = anchor_ids * len(cells) + row * grid.width + column
    # Sort by slot, then own cell, then shape, then object: the last key first, all stable.
    order = (ratios[objects, anchor_ids] / scores[objects]).argsort(stable=True)
    order = order[is_neighbor[choices[order]].int().argsort(stable=True)]
    order = order[slots[order].argsort(stable=True)]
    slots, objects = slots[order], objects[order]
    first = torch.ones_like(slots, dtype=torch.bool)
    first[1:] = slots[1:] != slots[:-1]
    taken.view(-1)[slots[first]] = objects[first]
    return taken, cells


def _candidates(centers: Tensor) -> tuple[Tensor, Tensor]:
    """Return own cell and nearest cell in x and in y, (m, 3, 2), and which are not the own."""
    own = centers.floor()
    near = torch.where(centers - own < 0.5, -1, 1)
    # a box in the centre of its cell has no nearest cell, its own cell is enough
    near = torch.where(centers - own == 0.5, 0, near)
    steps = torch.stack((torch.zeros_like(near), near * near.new_tensor((1, 0)),
                         near * near.new_tensor((0, 1))), dim=1)
    return own.long()[:, None] + steps, torch.tensor((False, True, True), device=centers.device)


def _on_grid(candidates: Tensor, grid: ImageSize) -> Tensor:
    columns, rows = candidates.unbind(dim=2)
    return (columns >= 0) & (columns < grid.width) & (rows >= 0) & (rows < grid.height)


def _overlaps(cells: Tensor, anchors: Tensor, boxes: Tensor, gt_indices: Tensor) -> Tensor:
    """Return the IoU of the anchors with their objects, 0 for background, flat."""
    anchor_ids, cell_ids = (gt_indices >= 0).nonzero(as_tuple=True)
    middles = torch.cat((cells[cell_ids] + 0.5, anchors[anchor_ids]), dim=1)
    ious = anchors.new_zeros(gt_indices.shape)
    ious[anchor_ids, cell_ids] = aligned_iou(boxes_from_cxcywh(middles),
                                             boxes[gt_indices[anchor_ids, cell_ids]])
    return ious.flatten()


def _cells_touch(cells: Tensor, regions: Tensor) -> Tensor:
    """Return which cells overlap a region, because its objects may be centred there."""
    left, right = cells[:, None] < regions[None, :, 2:], cells[:, None] + 1 > regions[None, :, :2]
    return (left & right).all(dim=2).any(dim=1)
