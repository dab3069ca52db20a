# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the user of a run sees of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from lite_detector.train.run.figures import AP, LOSS


class Console(NamedTuple):
    """
    How a run tells the user what it does.

    :param say: takes a line.
    :param progress: hands on the items of long work, and may show under a name how far it is.
    """

    say: Callable[[str], None]
    progress: Callable[[Iterable[Any], str], Iterable[Any]]


SILENT = Console(lambda line: None, lambda items, name: items)
"""Tells nothing."""


def describe_epoch(row: Mapping[str, float], epochs: int) -> str:
    """
    Return the figures of an epoch in one line.

    :param row: with epoch and images_per_second.
    :param epochs: of the whole run.
    """
    losses = '  '.join(f'{name.removeprefix(LOSS)} {value:.3f}' for name, value in row.items()
                       if name.startswith(LOSS))
    return (f'epoch {row["epoch"]:.0f}/{epochs}  {losses}  '
            f'{row["images_per_second"]:.0f} images/s  {describe_metrics(row)}').rstrip()


def describe_metrics(row: Mapping[str, float]) -> str:
    """Return what was measured; nothing if nothing was."""
    return '  '.join(f'{name.removeprefix(AP)} {value:.2f}' for name, value in row.items()
                     if name.startswith(AP))
