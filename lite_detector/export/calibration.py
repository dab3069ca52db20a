# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Distribution of layer inputs, and the int8 threshold that follows from it.

A low threshold clips rare large inputs, a high one makes the quantization step of all others
coarse. The best method differs between networks, so it is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lite_detector.core.types import FloatArray
import numpy as np
import numpy.typing as npt

BINS = 4096
KL_LEVELS = 128
"""Levels of a histogram that KL compares: those of int8 without its sign."""
KL_STEP = 32
"""Distance of tested thresholds in bins."""

Counts = npt.NDArray[np.int64]


class Histogram:
    """
    Histogram of absolute values.

    A single pass over the data is enough: if a value exceeds the last bin, bins are merged in
    pairs.
    """

    def __init__(self) -> None:
        self.counts: Counts = np.zeros(BINS, np.int64)
        self.top = 1e-6
        """Upper edge of the last bin."""
        self.peak = 0.0
        """The largest value."""

    def add(self, values: FloatArray) -> None:
        """
        Count more values.

        :param values: Finite values of any sign and shape.
        """
        values = np.abs(values).ravel()
        if not values.size:
            return
        self.peak = max(self.peak, float(values.max()))
        while self.top < self.peak:
            pairs = self.counts.reshape(-1, 2).sum(axis=1)
            self.counts = np.concatenate((pairs, np.zeros_like(pairs)))
            self.top *= 2
        bins = np.minimum(values * np.float32(BINS / self.top), BINS - 1).astype(np.int64)
        self.counts += np.bincount(bins, minlength=BINS)


def percentile(histogram: Histogram, percent: float) -> float:
    """Return the value that the given percentage of all values does not exceed."""
    total = histogram.counts.sum()
    wanted = np.ceil(total * percent / 100)
    last = int(np.searchsorted(np.cumsum(histogram.counts), wanted))
    return min(histogram.peak, (last + 1) * histogram.top / BINS)


def kl_threshold(histogram: Histogram) -> float:
    """
    Return the threshold that loses the least information.

    For each threshold, the histogram below it, with larger values in its last bin, is compared
    with the same histogram in 128 levels. The measure is the Kullback-Leibler divergence, as
    described by Migacz (8-bit Inference with TensorRT, GTC 2017).
    """
    used = int(np.flatnonzero(histogram.counts)[-1]) + 1 if histogram.peak > 0 else 0
    if used <= KL_LEVELS:
        return histogram.peak
    best, threshold = np.inf, histogram.peak
    for last in (*range(KL_LEVELS, used, KL_STEP), used):
        divergence = _divergence(histogram.counts[:used], last)
        if divergence < best:
            best, threshold = divergence, last * histogram.top / BINS
    return min(histogram.peak, threshold)


def _divergence(counts: Counts, last: int) -> float:
    inside = counts[:last].astype(np.float64)
    wanted = inside.copy()
    wanted[-1] += counts[last:].sum()
    # a level distributes its count over those of its bins that are not empty
    step = np.arange(last) * KL_LEVELS // last
    filled = inside > 0
    sums = np.bincount(step, inside, KL_LEVELS)
    shares = np.bincount(step, filled, KL_LEVELS)
    given = np.where(filled, sums[step] / np.maximum(shares[step], 1), 0)
    wanted, given = wanted / wanted.sum(), given / max(given.sum(), 1)
    both = wanted > 0
    # bins that are empty only in the levels count as the smallest share
    return float(np.sum(wanted[both] * np.log(wanted[both] / np.maximum(given[both], 1e-9))))


METHODS: Mapping[str, Callable[[Histogram], float]] = {
    'max': lambda histogram: histogram.peak,
    'percentile 99.999': lambda histogram: percentile(histogram, 99.999),
    'percentile 99.99': lambda histogram: percentile(histogram, 99.99),
    'kl': kl_threshold,
}
"""Methods to choose a threshold, by their name in the report."""
