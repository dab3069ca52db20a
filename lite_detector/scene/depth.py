# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Distance of objects from a depth image.

A box holds the object, the background beside it, and holes. What belongs to the object is in the
box and not around it: the best window of depths is the one that holds most of the box, less what
it holds of the bands on both sides of the box, or above and below it. The window is as long as
the object is wide. Its median is the distance; the mean and the median of the box are pulled by
the background (docs/reference/locate_node.md compares them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.errors import LocateError
from lite_detector.core.types import DoubleArray, FloatArray, ImageSize, size_of
import numpy as np
import numpy.typing as npt

GRID = 24
"""Samples of a box and its bands along each side."""
BAND = 0.25
"""How far the bands reach beyond the box, in sides of the box."""
GAP = 0.05
"""Around the border of the box neither object nor background is certain."""
AGAINST = 0.8
"""Weight of the bands that hold more, those beside the box or those above and below it; the other
two have the rest. So a wall is worth nothing, and an object in a row of others like it is."""
BIN = 0.02
"""Width of a bin of the histogram, in units of log(depth): 2 % of the depth."""
WINDOW = (0.08, 0.4)
"""Least and largest length of the window, likewise."""
LEAST_VALID = 0.03
"""Part of the box, or of a band, that must have a depth to count."""
LEAST_SCORE, LEAST_SPARSE_SCORE = 0.12, 0.22
"""Part of the box that must be in the window, less that of the bands. More for projected points:
their sensor sees past the edges of what is near the camera."""
SAME_SHAPE = 0.02
"""Relative difference of the aspect ratios of a depth image and its camera."""
SANE_M = (0.07, 200.0)
"""The median of an image in metres; outside it is of another unit."""
CHECK_STRIDE = 16


class DepthImage(NamedTuple):
    """Depth along the optical axis, registered to the camera of the boxes."""

    pixels: npt.NDArray[np.generic]
    """Shape (height, width), of any size; 0, NaN and infinity are holes."""
    unit_m: float = 1.0
    """What a value of 1 is."""
    sparse: bool = False
    """Whether it was made of points that another sensor sees."""


class ObjectDepths(NamedTuple):
    """What the camera sees of each object, along the optical axis in metres; NaN: unknown."""

    median: FloatArray
    nearest: FloatArray
    """The 5th percentile."""
    farthest: FloatArray
    """The 95th percentile."""


def check_depth(depth: DepthImage, camera: ImageSize) -> None:
    """
    Refuse a depth image that is of another camera, or in another unit than it claims.

    :param camera: size of the images that it is registered to.
    :raises LocateError: with what was found.
    """
    size = size_of(depth.pixels)
    if abs(size.width * camera.height / (size.height * camera.width) - 1) > SAME_SHAPE:
        raise LocateError(f'depth is {size}, the camera {camera}: another shape; expected depth '
                          'that is registered to the camera')
    values = depth.pixels[CHECK_STRIDE // 2::CHECK_STRIDE, CHECK_STRIDE // 2::CHECK_STRIDE]
    values = values.astype(np.float32) * np.float32(depth.unit_m)
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return
    middle = float(np.median(values))
    if not SANE_M[0] <= middle <= SANE_M[1]:
        raise LocateError(f'depth has a median of {middle:.4g} m, expected {SANE_M[0]} .. '
                          f'{SANE_M[1]}: another unit; 16UC1 is in mm, 32FC1 in m (REP 118)')


def object_depths(depth: DepthImage, boxes_xyxy: FloatArray, camera: ImageSize,
                  angles: npt.NDArray[np.floating], limits_m: tuple[float, float]
                  ) -> ObjectDepths:
    """
    Measure how far the objects in boxes are.

    :param boxes_xyxy: in pixels of the camera, shape (n, 4).
    :param camera: size of its images; the depth image may have another one of the same shape.
    :param angles: smaller side of each object over its distance, shape (n,).
    :param limits_m: least and largest depth that counts.
    :return: float32, shape (n,) each.
    """
    if not len(boxes_xyxy):
        return ObjectDepths(*np.zeros((3, 0), np.float32))
    values, valid = _sampled(depth, boxes_xyxy, camera, limits_m)
    covered = np.add.reduceat(valid * WEIGHTS, STARTS, axis=1).T
    bins = int(np.log(limits_m[1] / limits_m[0]) / BIN) + 1
    windows = (np.clip(angles, *WINDOW) / BIN).astype(np.intp)
    shares = _histograms(values, valid, limits_m[0], bins)
    shares /= np.maximum(covered, LEAST_VALID)[:, :, None]
    inside, sides, above = _window_sums(shares, windows)
    score = inside - AGAINST * np.maximum(sides, above)
    score -= (1 - AGAINST) * np.minimum(sides, above)
    first = score.argmax(axis=1)
    best = score[np.arange(len(score)), first]
    least = LEAST_SPARSE_SCORE if depth.sparse else LEAST_SCORE
    known = (covered[0] >= LEAST_VALID) & (best >= least)
    low = limits_m[0] * np.exp(BIN * first)
    high = low * np.exp(BIN * windows)
    return _percentiles(values, valid, low, high, known)


def _samples() -> tuple[FloatArray, FloatArray, FloatArray, list[int]]:
    """
    Return where samples are taken: in the box, in the bands beside it, and above and below it.

    :return: x and y in sides of the box, and weights that sum up to 1 in each of the three parts,
        shape (samples,); the place where each part starts.
    """
    places = (np.arange(GRID) + 0.5) / GRID * (1 + 2 * BAND) - BAND
    away = np.abs(places - 0.5)
    within, beyond = away < 0.5, away > 0.5 + GAP
    # the middle of a box is more likely of the object than its corners
    middle = within * (1 - away)
    xs: list[DoubleArray] = []
    ys, weights, starts = [], [], []
    for part in (np.outer(middle, middle), np.outer(within, beyond), np.outer(beyond, within)):
        starts.append(sum(len(each) for each in xs))
        rows, columns = np.nonzero(part)
        xs.append(places[columns])
        ys.append(places[rows])
        weights.append(part[rows, columns] / part.sum())
    x, y, weight = (np.concatenate(each).astype(np.float32) for each in (xs, ys, weights))
    return x, y, weight, starts


XS, YS, WEIGHTS, STARTS = _samples()
INSIDE = slice(0, STARTS[1])
PARTS = len(STARTS)
_PART_OF = np.searchsorted(STARTS, np.arange(len(XS)), 'right') - 1


def _sampled(depth: DepthImage, boxes_xyxy: FloatArray, camera: ImageSize,
             limits_m: tuple[float, float]) -> tuple[FloatArray, FloatArray]:
    """Return depths in metres, and 1 where there is one, else 0; shape (n, samples) each."""
    size = size_of(depth.pixels)
    scale = np.array((size.width / camera.width, size.height / camera.height) * 2, np.float32)
    left, top, right, bottom = (boxes_xyxy * scale).T.astype(np.float32)[:, :, None]
    x, y = left + XS * (right - left), top + YS * (bottom - top)
    seen = (x >= 0) & (x < size.width) & (y >= 0) & (y < size.height)
    columns = np.clip(x, 0, size.width - 1).astype(np.intp)
    rows = np.clip(y, 0, size.height - 1).astype(np.intp)
    values = depth.pixels[rows, columns].astype(np.float32)
    values *= np.float32(depth.unit_m)
    low, high = limits_m
    valid = seen & (values > low) & (values < high)  # of NaN both are false
    values[~valid] = low
    return values, valid.astype(np.float32)


def _histograms(values: FloatArray, valid: FloatArray, least_m: float,
                bins: int) -> npt.NDArray[np.float64]:
    """Return the weight of each depth in each part of each box; shape (parts, n, bins)."""
    number = len(values)
    index = (np.log(values * np.float32(1 / least_m)) * np.float32(1 / BIN)).astype(np.intp)
    index += (np.arange(number)[:, None] + number * _PART_OF) * bins
    counts = np.bincount(index.ravel(), (valid * WEIGHTS).ravel(), PARTS * number * bins)
    return counts.reshape(PARTS, number, bins)


def _window_sums(shares: npt.NDArray[np.float64],
                 windows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return the sum of the window that begins at each bin; same shape as the shares."""
    parts, number, bins = shares.shape
    total = np.zeros((parts, number, bins + 1))
    np.cumsum(shares, axis=2, out=total[:, :, 1:])
    ends = np.minimum(np.arange(bins) + windows[:, None], bins)
    ends += (bins + 1) * np.arange(number)[:, None]
    sums = total.reshape(parts, -1)[:, ends.ravel()].reshape(shares.shape)
    return sums - total[:, :, :-1]


def _percentiles(values: FloatArray, valid: FloatArray, low: Sequence[float],
                 high: Sequence[float], known: npt.NDArray[np.bool_]) -> ObjectDepths:
    """Return the percentiles of the samples in the box and in its window."""
    values, valid = values[:, INSIDE], valid[:, INSIDE]
    chosen = (valid > 0) & (values >= np.asarray(low)[:, None]) & (
        values < np.asarray(high)[:, None])
    values = np.sort(np.where(chosen, values, np.float32(np.inf)), axis=1)
    last = chosen.sum(axis=1) - 1
    found = []
    for share in (0.5, 0.05, 0.95):
        place = np.maximum((last * share + 0.5).astype(np.intp), 0)
        each = values[np.arange(len(values)), place]
        found.append(np.where(known & (last >= 0), each, np.float32(np.nan)))
    return ObjectDepths(*found)
