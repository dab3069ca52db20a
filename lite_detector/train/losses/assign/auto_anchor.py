# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Anchors that fit the boxes of a dataset, for YOLOv5-Lite."""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.errors import DataError
from lite_detector.train.losses.assign.yolov5 import worst_ratios
import torch
from torch import Tensor

ROUNDS = 100
"""Steps of k-means after which it stops, should it not have settled."""


class AnchorFit(NamedTuple):
    """
    Anchors, and how well the boxes of a dataset fit them.

    :param anchors: width and height in input pixels, float32, shape (levels, per_level, 2).
    :param fitness: mean over the boxes of 1 / ratio to the best anchor, 0 for a box that none
        fits, in [0, 1]; the figure that YOLOv5 reports.
    :param recall: share of the boxes that at least one anchor fits, in [0, 1].
    """

    anchors: Tensor
    fitness: float
    recall: float


def measure_anchors(sizes: Tensor, anchors: Tensor, max_ratio: float = 4.0) -> AnchorFit:
    """
    Return how well boxes fit given anchors, to decide whether others are worth it.

    :param sizes: width and height of the boxes in input pixels, shape (n, 2).
    :param anchors: in input pixels, shape (levels, per_level, 2).
    :param max_ratio: of ``assign_yolov5``.
    :raises DataError: if there is no box.
    """
    if not len(sizes):
        raise DataError('anchors: got no boxes to fit, wanted at least one')
    closeness = 1 / worst_ratios(sizes, anchors.flatten(0, 1)).amin(dim=1)
    fits = closeness > 1 / max_ratio
    fitness = (closeness * fits).double().mean().item()
    return AnchorFit(anchors, fitness, fits.double().mean().item())


def fit_anchors(sizes: Tensor, levels: int = 3, per_level: int = 3, max_ratio: float = 4.0,
                seed: int = 0, starts: int = 8, min_side: float = 2.0) -> AnchorFit:
    """
    Find anchors by k-means, and keep those of the best fitness.

    The clusters are sought among the logarithms of the sides, where a distance is a ratio, which
    is what the matching looks at (YOLOv5 divides by the deviation and mutates afterwards). The
    starts are those of k-means++ (Arthur and Vassilvitskii, 2007). Equal input and seed give
    equal anchors.

    :param sizes: width and height of the boxes in input pixels, shape (n, 2).
    :param levels: strides of the network.
    :param per_level: anchors per stride.
    :param max_ratio: of ``assign_yolov5``.
    :param seed: of the starts.
    :param starts: how often k-means begins anew.
    :param min_side: pixels; smaller boxes take no part in the search, but are measured.
    :return: anchors by rising area; twice the same where the boxes have fewer sizes.
    :raises DataError: if no box is left.
    """
    usable = sizes[(sizes >= min_side).all(dim=1)]
    if not len(usable):
        raise DataError(f'anchors: got no boxes of at least {min_side:g} x {min_side:g} pixels '
                        f'among {len(sizes)}, wanted at least one')
    generator = torch.Generator().manual_seed(seed)
    logs = usable.cpu().double().log()
    best: AnchorFit | None = None
    for _ in range(starts):
        centers = _k_means(logs, _first_centers(logs, levels * per_level, generator))
        anchors = centers[centers.sum(dim=1).argsort(stable=True)].exp().to(sizes)
        fit = measure_anchors(sizes, anchors.reshape(levels, per_level, 2), max_ratio)
        if best is None or fit.fitness > best.fitness:
            best = fit
    assert best is not None
    return best


def _first_centers(points: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Return points that lie apart: each drawn in proportion to its squared distance."""
    first = torch.randint(len(points), (), generator=generator)
    centers = points[first][None]
    for _ in range(count - 1):
        squares = (points[:, None] - centers).square().sum(dim=2).amin(dim=1)
        # inverse of the cumulative sum: no limit on the number of points, unlike multinomial
        edges = squares.cumsum(dim=0)
        drawn = torch.rand((), generator=generator, dtype=edges.dtype) * edges[-1]
        chosen = torch.searchsorted(edges, drawn, right=True).clamp(max=len(points) - 1)
        centers = torch.cat((centers, points[chosen][None]))
    return centers


def _k_means(points: Tensor, centers: Tensor) -> Tensor:
    """Return the means at which k-means (Lloyd, 1982) settles; an empty cluster stays."""
    for _ in range(ROUNDS):
        nearest = (points[:, None] - centers).square().sum(dim=2).argmin(dim=1)
        counts = torch.bincount(nearest, minlength=len(centers))[:, None]
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        moved = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        if torch.equal(moved, centers):
            break
        centers = moved
    return centers
