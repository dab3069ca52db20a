# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Output of a run to the user."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lite_detector.train.run.figures import AP, LOSS


class Console(NamedTuple):
    """
    Functions through which a run reports to the user.

    :param say: Function that prints a line.
    :param progress: Function that returns its items and may show the progress under a name.
    """

    say: Callable[[str], None]
    progress: Callable[[Iterable[Any], str], Iterable[Any]]


SILENT = Console(lambda line: None, lambda items, name: items)
"""Console without output."""


def describe_epoch(row: Mapping[str, float], epochs: int) -> str:
    """
    Return the figures of an epoch as one line.

    :param row: Figures of the epoch, with epoch and images_per_second.
    :param epochs: Number of epochs of the full run.
    """
    losses = '  '.join(f'{name.removeprefix(LOSS)} {value:.3f}' for name, value in row.items()
                       if name.startswith(LOSS))
    return (f'epoch {row["epoch"]:.0f}/{epochs}  {losses}  '
            f'{row["images_per_second"]:.0f} images/s  {describe_metrics(row)}').rstrip()


def describe_metrics(row: Mapping[str, float]) -> str:
    """Return the measurements as text; empty without any."""
    return '  '.join(f'{name.removeprefix(AP)} {value:.2f}' for name, value in row.items()
                     if name.startswith(AP))
