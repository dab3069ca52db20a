# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Boxes as tensors: what assigners and losses share. The frame is always network pixels."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import NamedTuple

from lite_detector.core.decode import grid_sizes
from lite_detector.core.types import ImageSize
import torch
from torch import Tensor

EPSILON = 1e-7
"""Smallest area or side that is divided by, so that a box without area has a finite gradient."""


class Priors(NamedTuple):
    """
    The points at which a network predicts, all levels after one another, each row by row.

    :param centers: x, y in network pixels, float32, shape (n, 2).
    :param strides: pixels per cell, float32, shape (n,).
    :param level_counts: priors per level, adding up to n.
    """

    centers: Tensor
    strides: Tensor
    level_counts: tuple[int, ...]


def grid_priors(input_size: ImageSize, strides: Sequence[int], grid_offset: float,
                device: torch.device | str = 'cpu') -> Priors:
    """
    Return one prior per cell, in the order and at the points that ``core.decode`` reads.

    :param input_size: network pixels; a side that is off a stride counts its last, cut cell.
    :param strides: pixels per cell of each level.
    :param grid_offset: of the card; the centre of cell i lies at (i + grid_offset) * stride.
    :param device: where the tensors live.
    """
    centers, scales, counts = [], [], []
    for grid, stride in zip(grid_sizes(input_size, strides), strides, strict=True):
        rows = torch.arange(grid.height, dtype=torch.float32, device=device)
        columns = torch.arange(grid.width, dtype=torch.float32, device=device)
        y, x = torch.meshgrid(rows, columns, indexing='ij')
        centers.append((torch.stack((x.flatten(), y.flatten()), dim=1) + grid_offset) * stride)
        counts.append(grid.height * grid.width)
        scales.append(torch.full((counts[-1],), float(stride), device=device))
    return Priors(torch.cat(centers), torch.cat(scales), tuple(counts))


def square_boxes(priors: Priors, scale: float) -> Tensor:
    """
    Return the square of side ``scale * stride`` around each prior.

    :param priors: n of them.
    :param scale: NanoDet calls it octave_base_scale, and takes 5.
    :return: xyxy corners, float32, shape (n, 4).
    """
    half = priors.strides[:, None] * (0.5 * scale)
    return torch.cat((priors.centers - half, priors.centers + half), dim=1)


def boxes_from_distances(centers: Tensor, distances: Tensor) -> Tensor:
    """
    Return the boxes whose sides lie this far from the centres.

    :param centers: x, y, shape (..., 2).
    :param distances: to left, top, right, bottom in the same unit, shape (..., 4).
    :return: xyxy corners, shape (..., 4).
    """
    return torch.cat((centers - distances[..., :2], centers + distances[..., 2:]), dim=-1)


def distances_from_boxes(centers: Tensor, boxes_xyxy: Tensor,
                         maximum: float | None = None) -> Tensor:
    """
    Return how far the sides of boxes lie from centres; the inverse of ``boxes_from_distances``.

    :param centers: x, y, shape (..., 2).
    :param boxes_xyxy: corners in the same unit, shape (..., 4).
    :param maximum: where given, distances are held in [0, maximum]. NanoDet's bins, in strides,
        take reg_max - 0.1.
    :return: left, top, right, bottom, shape (..., 4); negative where the centre lies outside.
    """
    distances = torch.cat((centers - boxes_xyxy[..., :2], boxes_xyxy[..., 2:] - centers), dim=-1)
    return distances if maximum is None else distances.clamp(0, maximum)


def boxes_from_cxcywh(boxes_cxcywh: Tensor) -> Tensor:
    """
    Return corners for centres and sizes.

    :param boxes_cxcywh: centre x, centre y, width, height, shape (..., 4).
    :return: xyxy corners, shape (..., 4).
    """
    centers, half = boxes_cxcywh[..., :2], 0.5 * boxes_cxcywh[..., 2:]
    return torch.cat((centers - half, centers + half), dim=-1)


def inside_distances(points: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """
    Return how deep every point lies in every box.

    :param points: x, y in pixels, shape (n, 2).
    :param boxes_xyxy: corners in pixels, shape (m, 4).
    :return: distance to the nearest side, negative outside, shape (n, m).
    """
    # rows without gaps, which is half as fast again
    x, y = points.T.contiguous()[..., None]
    left, top, right, bottom = boxes_xyxy.T.contiguous()
    return torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the overlap of every pair of boxes, as ``core.geometry.iou_matrix`` does in numpy.

    :param boxes_a: xyxy corners in pixels, shape (n, 4).
    :param boxes_b: xyxy corners in pixels, shape (m, 4).
    :return: intersection over union in [0, 1], shape (n, m); 0 where both areas are 0.
    """
    intersection, union = _areas(_full(boxes_a)[:, None], _full(boxes_b)[None])
    return intersection / union


def aligned_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the overlap of each box with its partner.

    :param boxes_a: xyxy corners in pixels, shape (n, 4).
    :param boxes_b: its partners, shape (n, 4).
    :return: intersection over union in [0, 1], shape (n,); 0 where both areas are 0.
    """
    intersection, union = _areas(_full(boxes_a), _full(boxes_b))
    return intersection / union


def aligned_giou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the generalized IoU of each box with its partner.

    IoU - (hull - union) / hull, where the hull is the smallest box around both (Rezatofighi et
    al., 2019, arXiv:1902.09630).

    :param boxes_a: xyxy corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param boxes_b: its partners, shape (n, 4).
    :return: in [-1, 1], shape (n,); 0 for two equal boxes without area.
    """
    boxes_a, boxes_b = _full(boxes_a), _full(boxes_b)
    intersection, union = _areas(boxes_a, boxes_b)
    hull = _hull_sides(boxes_a, boxes_b).prod(dim=-1).clamp(min=EPSILON)
    return intersection / union - (hull - union) / hull


def aligned_ciou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the complete IoU of each box with its partner.

    IoU - d^2 / c^2 - alpha v, with d between the centres, c the diagonal of the hull,
    v = (2 / pi * (atan(w_b / h_b) - atan(w_a / h_a)))^2 and alpha = v / (1 - IoU + v), which is
    held constant in the gradient (Zheng et al., 2020, arXiv:1911.08287).

    :param boxes_a: xyxy corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param boxes_b: its partners, shape (n, 4).
    :return: in (-2, 1], shape (n,).
    """
    boxes_a, boxes_b = _full(boxes_a), _full(boxes_b)
    intersection, union = _areas(boxes_a, boxes_b)
    iou = intersection / union
    diagonal = _hull_sides(boxes_a, boxes_b).square().sum(dim=-1).clamp(min=EPSILON)
    shift = 0.5 * (boxes_a[..., :2] + boxes_a[..., 2:] - boxes_b[..., :2] - boxes_b[..., 2:])
    shape = (2 / math.pi * (_slope(boxes_b) - _slope(boxes_a))).square()
    with torch.no_grad():
        alpha = shape / (1 - iou + shape).clamp(min=EPSILON)
    return iou - shift.square().sum(dim=-1) / diagonal - alpha * shape


def _full(boxes: Tensor) -> Tensor:
    """Return half precision as float32: the area of 320 x 320 is beyond the range of half."""
    return boxes.float() if boxes.dtype in (torch.float16, torch.bfloat16) else boxes


def _areas(boxes_a: Tensor, boxes_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection and union (at least EPSILON) of boxes that broadcast."""
    # plane by plane: operations along a last axis of 2 are slow
    left_a, top_a, right_a, bottom_a = boxes_a.unbind(dim=-1)
    left_b, top_b, right_b, bottom_b = boxes_b.unbind(dim=-1)
    widths = torch.minimum(right_a, right_b) - torch.maximum(left_a, left_b)
    heights = torch.minimum(bottom_a, bottom_b) - torch.maximum(top_a, top_b)
    intersection = widths.clamp(min=0) * heights.clamp(min=0)
    area_a = (right_a - left_a) * (bottom_a - top_a)
    area_b = (right_b - left_b) * (bottom_b - top_b)
    return intersection, (area_a + area_b - intersection).clamp(min=EPSILON)


def _hull_sides(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    return (torch.maximum(boxes_a[..., 2:], boxes_b[..., 2:])
            - torch.minimum(boxes_a[..., :2], boxes_b[..., :2]))


def _slope(boxes: Tensor) -> Tensor:
    """Return atan(width / height)."""
    sides = boxes[..., 2:] - boxes[..., :2]
    return torch.atan(sides[..., 0] / sides[..., 1].clamp(min=EPSILON))
