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
"""Largest number of k-means iterations."""


class AnchorFit(NamedTuple):
    """
    Anchors, and how well the boxes of a dataset fit them.

    :param anchors: Width and height in input pixels, float32, shape (levels, per_level, 2).
    :param fitness: Mean over the boxes of 1 / ratio to the best anchor, in [0, 1]; a box without a
        fitting anchor counts 0. YOLOv5 reports the same figure.
    :param recall: Share of the boxes that at least one anchor fits, in [0, 1].
    """

    anchors: Tensor
    fitness: float
    recall: float


def measure_anchors(sizes: Tensor, anchors: Tensor, max_ratio: float = 4.0) -> AnchorFit:
    """
    Return how well boxes fit given anchors, to decide whether new anchors are needed.

    :param sizes: Width and height of the boxes in input pixels, shape (n, 2).
    :param anchors: Width and height in input pixels, shape (levels, per_level, 2).
    :param max_ratio: Largest ratio of the sides, as in ``assign_yolov5``.
    :raises DataError: if there is no box.
    """
    if not len(sizes):
        raise DataError('anchors: no boxes to fit; expected at least one')
    closeness = 1 / worst_ratios(sizes, anchors.flatten(0, 1)).amin(dim=1)
    fits = closeness > 1 / max_ratio
    fitness = (closeness * fits).double().mean().item()
    return AnchorFit(anchors, fitness, fits.double().mean().item())


def fit_anchors(sizes: Tensor, levels: int = 3, per_level: int = 3, max_ratio: float = 4.0,
                seed: int = 0, starts: int = 8, min_side: float = 2.0) -> AnchorFit:
    """
    Find anchors by k-means, and return those with the best fitness.

    k-means runs on the logarithms of the sides, where a distance is a ratio, because the matching
    compares ratios. (YOLOv5 divides by the deviation and mutates afterwards.) The starts are those
    of k-means++ (Arthur and Vassilvitskii, 2007). Equal input and seed give equal anchors.

    :param sizes: Width and height of the boxes in input pixels, shape (n, 2).
    :param levels: Number of strides of the network.
    :param per_level: Number of anchors per stride.
    :param max_ratio: Largest ratio of the sides, as in ``assign_yolov5``.
    :param seed: Random seed of the starts.
    :param starts: Number of k-means runs.
    :param min_side: Smallest side in pixels of boxes for k-means; the fitness counts all boxes.
    :return: Anchors by rising area; duplicates if the boxes have fewer sizes.
    :raises DataError: if no box is large enough.
    """
    usable = sizes[(sizes >= min_side).all(dim=1)]
    if not len(usable):
        raise DataError(f'anchors: none of {len(sizes)} boxes has at least {min_side:g} x '
                        f'{min_side:g} pixels; expected at least one')
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
    """Return distant points: each is drawn in proportion to its squared distance."""
    first = torch.randint(len(points), (), generator=generator)
    centers = points[first][None]
    for _ in range(count - 1):
        squares = (points[:, None] - centers).square().sum(dim=2).amin(dim=1)
        # the inverse cumulative sum has no limit on the number of points, unlike multinomial
        edges = squares.cumsum(dim=0)
        drawn = torch.rand((), generator=generator, dtype=edges.dtype) * edges[-1]
        chosen = torch.searchsorted(edges, drawn, right=True).clamp(max=len(points) - 1)
        centers = torch.cat((centers, points[chosen][None]))
    return centers


def _k_means(points: Tensor, centers: Tensor) -> Tensor:
    """Return the centres after k-means (Lloyd, 1982) converged; an empty cluster stays."""
    for _ in range(ROUNDS):
        nearest = (points[:, None] - centers).square().sum(dim=2).argmin(dim=1)
        counts = torch.bincount(nearest, minlength=len(centers))[:, None]
        sums = torch.zeros_like(centers).index_add_(0, nearest, points)
        moved = torch.where(counts > 0, sums / counts.clamp(min=1), centers)
        if torch.equal(moved, centers):
            break
        centers = moved
    return centers
