# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How far two networks agree that ought to be the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from lite_detector.core.types import FloatArray
import numpy as np


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
