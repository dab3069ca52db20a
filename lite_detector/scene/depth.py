# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Distance of objects from a depth image.

A box contains the object, the background next to it, and holes. The object is inside of the box
and not around it. Therefore a window of depths is chosen that maximizes the share of the box
inside the window, minus the share of the bands around the box. The length of the window is the
width of the object. Its median is the distance. The mean and the median of the full box are
biased by the background (docs/reference/locate_node.md compares them).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.errors import LocateError
from lite_detector.core.types import DoubleArray, FloatArray, ImageSize, size_of
import numpy as np
import numpy.typing as npt

GRID = 24
"""Number of samples of a box and its bands along each side."""
BAND = 0.25
"""Width of the bands around the box, in sides of the box."""
GAP = 0.05
"""Margin around the box border, where object and background are uncertain, in sides of the box."""
AGAINST = 0.8
"""Weight of the pair of bands with the larger share: left and right, or top and bottom. The other
pair has the rest. This suppresses walls, but keeps an object in a row of similar objects."""
BIN = 0.02
"""Width of a histogram bin in units of log(depth): 2 % of the depth."""
WINDOW = (0.08, 0.4)
"""Minimum and maximum length of the window in units of log(depth)."""
LEAST_VALID = 0.03
"""Minimum share of the box, or of a band, with valid depth."""
LEAST_SCORE, LEAST_SPARSE_SCORE = 0.12, 0.22
"""Minimum score: share of the box in the window minus share of the bands. Projected points need
more, because their sensor can see past the edges of objects near the camera."""
SAME_SHAPE = 0.02
"""Maximum relative difference of the aspect ratios of a depth image and its camera."""
SANE_M = (0.07, 200.0)
"""Plausible range of the median depth in metres; other values indicate a wrong unit."""
CHECK_STRIDE = 16


class DepthImage(NamedTuple):
    """Depth along the optical axis, registered to the camera of the boxes."""

    pixels: npt.NDArray[np.generic]
    """Depth values, shape (height, width), any size; 0, NaN and infinity are holes."""
    unit_m: float = 1.0
    """Length in metres of the value 1."""
    sparse: bool = False
    """True if the image was projected from the points of another sensor."""


class ObjectDepths(NamedTuple):
    """Depth of the visible part of each object along the optical axis in metres; NaN: unknown."""

    median: FloatArray
    nearest: FloatArray
    """5th percentile of the depths."""
    farthest: FloatArray
    """95th percentile of the depths."""


def check_depth(depth: DepthImage, camera: ImageSize) -> None:
    """
    Raise an error for a depth image of another camera or with a wrong unit.

    :param depth: Depth image.
    :param camera: Image size of the camera that it is registered to.
    :raises LocateError: if aspect ratio or median depth is implausible.
    """
    size = size_of(depth.pixels)
    if abs(size.width * camera.height / (size.height * camera.width) - 1) > SAME_SHAPE:
        raise LocateError(f'depth is {size}, the camera {camera}: other aspect ratio; expected '
                          'depth that is registered to the camera')
    values = depth.pixels[CHECK_STRIDE // 2::CHECK_STRIDE, CHECK_STRIDE // 2::CHECK_STRIDE]
    values = values.astype(np.float32) * np.float32(depth.unit_m)
    values = values[np.isfinite(values) & (values != 0)]
    if not len(values):
        return
    middle = float(np.median(values))
    if not SANE_M[0] <= middle <= SANE_M[1]:
        raise LocateError(f'depth has a median of {middle:.4g} m; expected {SANE_M[0]} .. '
                          f'{SANE_M[1]}: wrong unit; 16UC1 is in mm, 32FC1 in m (REP 118)')


def object_depths(depth: DepthImage, boxes_xyxy: FloatArray, camera: ImageSize,
                  angles: npt.NDArray[np.floating], limits_m: tuple[float, float]
                  ) -> ObjectDepths:
    """
    Measure the distances of objects in boxes.

    :param depth: Depth image.
    :param boxes_xyxy: Boxes in pixels of the camera, shape (n, 4).
    :param camera: Image size of the camera; the depth image may have another resolution.
    :param angles: Ratio of the smaller side of each object to its distance, shape (n,).
    :param limits_m: Minimum and maximum valid depth in metres.
    :return: Depths of each object, float32, shape (n,) each.
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
    Return the positions of the samples: in the box, left and right of it, above and below it.

    :return: x and y in sides of the box, and weights with sum 1 in each of the three parts, shape
        (samples,); and the index of the first sample of each part.
    """
    places = (np.arange(GRID) + 0.5) / GRID * (1 + 2 * BAND) - BAND
    away = np.abs(places - 0.5)
    within, beyond = away < 0.5, away > 0.5 + GAP
    # the middle of a box belongs to the object more likely than its corners
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
    """Return depths in metres, and 1 for valid and 0 for invalid samples; shape (n, samples)."""
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
    valid = seen & (values > low) & (values < high)  # both are false for NaN
    values[~valid] = low
    return values, valid.astype(np.float32)


def _histograms(values: FloatArray, valid: FloatArray, least_m: float,
                bins: int) -> npt.NDArray[np.float64]:
    """Return the histogram of each part of each box; shape (parts, n, bins)."""
    number = len(values)
    index = (np.log(values * np.float32(1 / least_m)) * np.float32(1 / BIN)).astype(np.intp)
    index += (np.arange(number)[:, None] + number * _PART_OF) * bins
    counts = np.bincount(index.ravel(), (valid * WEIGHTS).ravel(), PARTS * number * bins)
    return counts.reshape(PARTS, number, bins)


def _window_sums(shares: npt.NDArray[np.float64],
                 windows: npt.NDArray[np.intp]) -> npt.NDArray[np.float64]:
    """Return the sum of the window that starts at each bin; same shape as the shares."""
    parts, number, bins = shares.shape
    total = np.zeros((parts, number, bins + 1))
    np.cumsum(shares, axis=2, out=total[:, :, 1:])
    ends = np.minimum(np.arange(bins) + windows[:, None], bins)
    ends += (bins + 1) * np.arange(number)[:, None]
    sums = total.reshape(parts, -1)[:, ends.ravel()].reshape(shares.shape)
    return sums - total[:, :, :-1]


def _percentiles(values: FloatArray, valid: FloatArray, low: Sequence[float],
                 high: Sequence[float], known: npt.NDArray[np.bool_]) -> ObjectDepths:
    """Return percentiles of the samples in the box and within its window."""
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
