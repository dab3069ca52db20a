# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Known sizes of classes, for the range of an object without depth."""

from __future__ import annotations

from collections.abc import Sequence
import math
import re
from typing import NamedTuple

from lite_detector.core.errors import ConfigError

ENTRY = re.compile(r'(?P<name>.+):(?P<side>height|width):(?P<metres>[^:]+)(:(?P<spread>[^:]+))?')
EXPECTED = 'class:height:metres or class:width:metres, each perhaps with :standard deviation'
SPREAD = 0.1
"""Standard deviation of a size where none is given, as part of it."""
RANGE_M = (0.001, 1000.0)


class KnownSize(NamedTuple):
    """How high or wide the objects of a class are."""

    side: int
    """0: width, 1: height."""
    metres: float
    spread_m: float
    """Standard deviation."""


def parse_object_sizes(entries: Sequence[str]) -> dict[str, KnownSize]:
    """
    Read entries such as ``person:height:1.7:0.1``.

    :return: by class name.
    :raises ConfigError: if one cannot be read, or a class is there twice.
    """
    sizes: dict[str, KnownSize] = {}
    for entry in entries:
        found = ENTRY.fullmatch(entry)
        if found is None:
            raise ConfigError(f'object_sizes: {entry!r}; expected {EXPECTED}')
        metres = _number(found['metres'])
        spread = _number(found['spread']) if found['spread'] else SPREAD * metres
        if not (RANGE_M[0] <= metres <= RANGE_M[1] and 0 <= spread < metres):
            raise ConfigError(f'object_sizes: {entry!r}; expected {EXPECTED}')
        if found['name'] in sizes:
            raise ConfigError(f'object_sizes: {found["name"]} is there twice; expected each '
                              'class once')
        sizes[found['name']] = KnownSize(int(found['side'] == 'height'), metres, spread)
    return sizes


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
