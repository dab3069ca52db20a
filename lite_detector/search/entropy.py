# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Score of an untrained network: the entropy of its feature maps, in closed form.

MAE-NAS (Sun et al., 2022, arXiv:2111.13336): weights and pixels are normal random numbers, and
there are no activations. The entropy of a feature map is then, up to a constant, the logarithm of
its standard deviation plus that of its channels. A convolution multiplies the variance by its
fan-in. Added branches have the sum of the variances, concatenated ones the mean. The score is the
weighted sum over the strides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lite_detector.core.structure import BlockKind
from lite_detector.core.types import DoubleArray
from lite_detector.search.space import IntArray, StageArrays, Structures
import numpy as np

STRIDES = (2, 4, 8, 16, 32)
IMAGE_CHANNELS = 3
REP_FAN_IN = 3 * 3 + 1
"""Fan-in per channel of parallel 3x3 and 1x1 convolutions."""


def entropy_scores(structures: Structures, weights: tuple[float, ...]) -> DoubleArray:
    """
    Return the score of each network, shape (n,).

    :param structures: Networks as arrays.
    :param weights: Weight of the last feature map at each of ``STRIDES``.
    """
    # logarithm, because the variance itself would exceed the range of a float
    log_variance = np.full(len(structures.stem), np.log(9.0 * IMAGE_CHANNELS))
    stride, entropies = 2, {2: log_variance / 2 + np.log(structures.stem)}
    if structures.pool:
        stride, entropies = 4, {**entropies, 4: entropies[2]}
    width = structures.stem
    for stage in structures.stages:
        log_variance = log_variance + LOG_GAINS[stage.block](width, stage)
        width = stage.channels
        stride *= stage.stride
        entropies[stride] = log_variance / 2 + np.log(width)
    return np.sum([weight * entropies[stride] for weight, stride
                   in zip(weights, STRIDES, strict=True)], axis=0)


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float:
    """Return the rank correlation (Kendall's tau): 1 for equal order, -1 for opposite order."""
    pairs = np.triu_indices(len(first), 1)
    signs = [np.sign(np.subtract.outer(values, values)[pairs]) for values in (first, second)]
    return float((signs[0] * signs[1]).mean())


def _mobile(width: IntArray, stage: StageArrays) -> DoubleArray:
    worked = 1.0 * width * stage.kernel ** 2 * stage.inner
    adds = (stage.stride == 1) & (width == stage.channels)
    rest = 1.0 * stage.channels * stage.kernel ** 2 * stage.inner
    return np.log(worked + adds) + (stage.blocks - 1) * np.log(1 + rest)


def _shuffle(width: IntArray, stage: StageArrays) -> DoubleArray:
    half, area = stage.channels / 2, stage.kernel ** 2
    rest = np.log((1 + half * area * half) / 2)
    if stage.stride == 1:
        return np.multiply(stage.blocks, rest)
    # mean of depthwise + pointwise convolution, and of the same after a pointwise convolution
    first = np.log((area * width + width * area * half) / 2)
    return first + (stage.blocks - 1) * rest


def _residual(width: IntArray, stage: StageArrays) -> DoubleArray:
    first = 1.0 * width * stage.inner * REP_FAN_IN
    if stage.stride == 1:
        first = first + np.where(width == stage.channels, 1, width)
    rest = 1.0 * stage.channels * stage.inner * REP_FAN_IN
    return np.log(first) + (stage.blocks - 1) * np.log(1 + rest)


def _csp(width: IntArray, stage: StageArrays) -> DoubleArray:
    half = stage.channels / 2
    worked = stage.blocks * np.log(1 + 9 * half * stage.inner * REP_FAN_IN)
    mean = np.logaddexp(0, worked) - np.log(2)  # half of the channels bypass the blocks
    return np.log(9.0 * width) + 2 * np.log(stage.channels) + mean


LOG_GAINS: dict[BlockKind, Callable[[IntArray, StageArrays], DoubleArray]] = {
    'mobile': _mobile, 'shuffle': _shuffle, 'residual': _residual, 'csp': _csp}
"""Block -> function from input channels and stage to the logarithm of its gain."""
