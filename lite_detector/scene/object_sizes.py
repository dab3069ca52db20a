# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Known sizes of object classes, to estimate distances without depth images."""

from __future__ import annotations

from collections.abc import Sequence
import math
import re
from typing import NamedTuple

from lite_detector.core.errors import ConfigError

ENTRY = re.compile(r'(?P<name>.+):(?P<side>height|width):(?P<metres>[^:]+)(:(?P<spread>[^:]+))?')
EXPECTED = 'class:height:metres or class:width:metres, optionally with :standard deviation'
SPREAD = 0.1
"""Default standard deviation relative to the size."""
RANGE_M = (0.001, 1000.0)


class KnownSize(NamedTuple):
    """Height or width of the objects of a class."""

    side: int
    """Index of the side: 0 is the width, 1 the height."""
    metres: float
    spread_m: float
    """Standard deviation in metres."""


def parse_object_sizes(entries: Sequence[str]) -> dict[str, KnownSize]:
    """
    Parse entries such as ``person:height:1.7:0.1``.

    :param entries: Texts of the parameter ``object_sizes``.
    :return: Known size by class name.
    :raises ConfigError: if an entry is malformed or a class is a duplicate.
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
            raise ConfigError(f'object_sizes: duplicate class {found["name"]}; expected each '
                              'class once')
        sizes[found['name']] = KnownSize(int(found['side'] == 'height'), metres, spread)
    return sizes


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
