# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Boxes as tensors, for assigners and losses. All coordinates are network pixels."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import NamedTuple

from lite_detector.core.decode import grid_sizes
from lite_detector.core.types import ImageSize
import torch
from torch import Tensor

EPSILON = 1e-7
"""Smallest divisor (area or side), so that the gradient of a box without area is finite."""


class Priors(NamedTuple):
    """
    Positions of all predictions, level by level and row by row.

    :param centers: Anchor points x, y in network pixels, float32, shape (n, 2).
    :param strides: Pixels per cell, float32, shape (n,).
    :param level_counts: Number of priors per level; the sum is n.
    """

    centers: Tensor
    strides: Tensor
    level_counts: tuple[int, ...]


def grid_priors(input_size: ImageSize, strides: Sequence[int], grid_offset: float,
                device: torch.device | str = 'cpu') -> Priors:
    """
    Return one prior per cell, in the order of ``core.decode``.

    :param input_size: Input size in network pixels; a partial cell at the border counts.
    :param strides: Pixels per cell of each level.
    :param grid_offset: Grid offset of the card; the centre of cell i is (i + grid_offset) *
        stride.
    :param device: Device of the tensors.
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

    :param priors: Priors of the image.
    :param scale: Side in strides; NanoDet calls it octave_base_scale, and uses 5.
    :return: Corners x1, y1, x2, y2, float32, shape (n, 4).
    """
    half = priors.strides[:, None] * (0.5 * scale)
    return torch.cat((priors.centers - half, priors.centers + half), dim=1)


def boxes_from_distances(centers: Tensor, distances: Tensor) -> Tensor:
    """
    Return the boxes whose sides have these distances from the centres.

    :param centers: Centres x, y, shape (..., 2).
    :param distances: Distances to left, top, right, bottom in the same unit, shape (..., 4).
    :return: Corners x1, y1, x2, y2, shape (..., 4).
    """
    return torch.cat((centers - distances[..., :2], centers + distances[..., 2:]), dim=-1)


def distances_from_boxes(centers: Tensor, boxes_xyxy: Tensor,
                         maximum: float | None = None) -> Tensor:
    """
    Return the distances of box sides from centres; the inverse of ``boxes_from_distances``.

    :param centers: Centres x, y, shape (..., 2).
    :param boxes_xyxy: Corners in the same unit, shape (..., 4).
    :param maximum: Upper limit of the distances, which are clamped to [0, maximum]; None does not
        clamp. NanoDet uses reg_max - 0.1 strides.
    :return: Distances left, top, right, bottom, shape (..., 4); negative for a centre outside.
    """
    distances = torch.cat((centers - boxes_xyxy[..., :2], boxes_xyxy[..., 2:] - centers), dim=-1)
    return distances if maximum is None else distances.clamp(0, maximum)


def boxes_from_cxcywh(boxes_cxcywh: Tensor) -> Tensor:
    """
    Return the corners of boxes given by centre and size.

    :param boxes_cxcywh: Centre x, centre y, width, height, shape (..., 4).
    :return: Corners x1, y1, x2, y2, shape (..., 4).
    """
    centers, half = boxes_cxcywh[..., :2], 0.5 * boxes_cxcywh[..., 2:]
    return torch.cat((centers - half, centers + half), dim=-1)


def inside_distances(points: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """
    Return the depth of every point in every box.

    :param points: Points x, y in pixels, shape (n, 2).
    :param boxes_xyxy: Corners in pixels, shape (m, 4).
    :return: Distance to the nearest side, negative outside, shape (n, m).
    """
    # contiguous rows are 1.5 times as fast
    x, y = points.T.contiguous()[..., None]
    left, top, right, bottom = boxes_xyxy.T.contiguous()
    return torch.minimum(torch.minimum(x - left, right - x), torch.minimum(y - top, bottom - y))


def pairwise_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the IoU of every pair of boxes, as ``core.geometry.iou_matrix`` does in NumPy.

    :param boxes_a: Corners x1, y1, x2, y2 in pixels, shape (n, 4).
    :param boxes_b: Corners x1, y1, x2, y2 in pixels, shape (m, 4).
    :return: IoU in [0, 1], shape (n, m); 0 if both areas are 0.
    """
    intersection, union = _areas(_full(boxes_a)[:, None], _full(boxes_b)[None])
    return intersection / union


def aligned_iou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the IoU of each box with its counterpart.

    :param boxes_a: Corners x1, y1, x2, y2 in pixels, shape (n, 4).
    :param boxes_b: Counterparts, shape (n, 4).
    :return: IoU in [0, 1], shape (n,); 0 if both areas are 0.
    """
    intersection, union = _areas(_full(boxes_a), _full(boxes_b))
    return intersection / union


def aligned_giou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the generalized IoU of each box with its counterpart.

    GIoU is IoU - (hull - union) / hull; the hull is the smallest box around both (Rezatofighi et
    al., 2019, arXiv:1902.09630).

    :param boxes_a: Corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param boxes_b: Counterparts, shape (n, 4).
    :return: GIoU in [-1, 1], shape (n,); 0 for two equal boxes without area.
    """
    boxes_a, boxes_b = _full(boxes_a), _full(boxes_b)
    intersection, union = _areas(boxes_a, boxes_b)
    hull = _hull_sides(boxes_a, boxes_b).prod(dim=-1).clamp(min=EPSILON)
    return intersection / union - (hull - union) / hull


def aligned_ciou(boxes_a: Tensor, boxes_b: Tensor) -> Tensor:
    """
    Compute the complete IoU of each box with its counterpart.

    CIoU is IoU - d^2 / c^2 - alpha v, with d between the centres, c the diagonal of the hull,
    v = (2 / pi * (atan(w_b / h_b) - atan(w_a / h_a)))^2 and alpha = v / (1 - IoU + v). alpha is
    constant in the gradient (Zheng et al., 2020, arXiv:1911.08287).

    :param boxes_a: Corners, x1 <= x2 and y1 <= y2, shape (n, 4).
    :param boxes_b: Counterparts, shape (n, 4).
    :return: CIoU in (-2, 1], shape (n,).
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
    """Return half precision as float32, because the area of 320 x 320 overflows half."""
    return boxes.float() if boxes.dtype in (torch.float16, torch.bfloat16) else boxes


def _areas(boxes_a: Tensor, boxes_b: Tensor) -> tuple[Tensor, Tensor]:
    """Return intersection and union (at least EPSILON) of boxes that broadcast."""
    # coordinate by coordinate, because operations along a last axis of 2 are slow
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
