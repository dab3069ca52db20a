# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Compare the outputs of two forms of one network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from lite_detector.core.types import FloatArray
import numpy as np

MAX_ERROR = 15.0
"""Maximum error of the outputs in percent; 2 to 8 % cost 0.2 to 1.4 AP (docs/guides/int8.md)."""
SAME_TIME = 1.05
"""Latencies up to this ratio to the shortest count as equal; the more exact way is chosen."""


class Measured(Protocol):
    """A measured way to compute a network."""

    @property
    def ms(self) -> float:
        """Latency of one inference in milliseconds."""

    @property
    def error(self) -> float:
        """Error of the outputs relative to fp32 on the CPU, in percent."""


M = TypeVar('M', bound=Measured)


def output_error(expected: Iterable[Sequence[FloatArray]],
                 given: Iterable[Sequence[FloatArray]]) -> float:
    """
    Return the relative error of outputs in percent.

    :param expected: Outputs of the exact network for each image.
    :param given: Outputs of the other network for each image.
    :return: 100 * norm of all differences / norm of all expected values; NaN if an output
        contains NaN.
    """
    difference = total = 0.0
    for outputs, references in zip(given, expected, strict=True):
        for output, reference in zip(outputs, references, strict=True):
            difference += float(np.square(output - reference, dtype=np.float64).sum())
            total += float(np.square(reference, dtype=np.float64).sum())
    return 100 * (difference / total) ** 0.5 if total else 0.0


def choose(ways: Sequence[M]) -> M:
    """
    Return the most exact of the ways that are about as fast as the fastest one within MAX_ERROR.

    :param ways: Measured ways, most exact first; the first one is the reference.
    """
    good = [ways[0], *(each for each in ways[1:] if each.error <= MAX_ERROR)]
    shortest = min(each.ms for each in good)
    return next(each for each in good if each.ms <= SAME_TIME * shortest)
