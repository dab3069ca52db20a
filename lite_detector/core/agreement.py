# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How far two networks agree that ought to be the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

from lite_detector.core.types import FloatArray
import numpy as np

MAX_ERROR = 15.0
"""Percent that outputs may be off; off by 2 to 8 lost 0.2 to 1.4 AP (docs/guides/int8.md)."""
SAME_TIME = 1.05
"""Whoever takes so many times the shortest time is as fast, and the more exact one wins."""


class Measured(Protocol):
    """A way to compute a network, measured."""

    @property
    def ms(self) -> float:
        """Time of one inference."""

    @property
    def error(self) -> float:
        """Of the outputs against fp32 on the CPU, percent."""


M = TypeVar('M', bound=Measured)


def output_error(wanted: Iterable[Sequence[FloatArray]],
                 given: Iterable[Sequence[FloatArray]]) -> float:
    """
    Return how far outputs are off, in percent of what they are.

    :param wanted: outputs of the exact network, per image.
    :param given: the same of the other one.
    :return: 100 * the norm of all differences / the norm of all wanted values; NaN if an output
        has one.
    """
    difference = total = 0.0
    for outputs, references in zip(given, wanted, strict=True):
        for output, reference in zip(outputs, references, strict=True):
            difference += float(np.square(output - reference, dtype=np.float64).sum())
            total += float(np.square(reference, dtype=np.float64).sum())
    return 100 * (difference / total) ** 0.5 if total else 0.0


def choose(ways: Sequence[M]) -> M:
    """
    Return the most exact of those that are about as fast as the fastest that agrees.

    :param ways: the most exact first; the first one agrees with itself.
    """
    good = [ways[0], *(each for each in ways[1:] if each.error <= MAX_ERROR)]
    shortest = min(each.ms for each in good)
    return next(each for each in good if each.ms <= SAME_TIME * shortest)
