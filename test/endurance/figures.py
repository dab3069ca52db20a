# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a scenario measured, what it should have been, and the table of both."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import NamedTuple

from vision_msgs.msg import Detection2DArray


class Figure(NamedTuple):
    """One line of the table; without ``wanted`` it is only told."""

    name: str
    value: str
    wanted: str = ''
    holds: bool = True


def told(name: str, value: object) -> Figure:
    """Return a figure without a condition."""
    return Figure(name, str(value))


def equal(name: str, value: object, wanted: object) -> Figure:
    """Return a figure that has to be this."""
    return Figure(name, str(value), str(wanted), value == wanted)


def at_most(name: str, value: float, limit: float, unit: str = '') -> Figure:
    """Return a figure that must not be over a limit; NaN, which is nothing measured, is."""
    return Figure(name, _text(value, unit), f'<= {_text(limit, unit)}', value <= limit)


def at_least(name: str, value: float, limit: float, unit: str = '') -> Figure:
    """Return a figure that must not be under a limit."""
    return Figure(name, _text(value, unit), f'>= {_text(limit, unit)}', value >= limit)


def none_of(name: str, found: Sequence[str]) -> Figure:
    """Return a figure that holds if a list is empty, and else shows how it begins."""
    value = f'{len(found)}: {found[0][:160]}' if found else '0'
    return Figure(name, value, '0', not found)


def table(results: dict[str, list[Figure]]) -> str:
    """Return Markdown, a line per figure."""
    lines = ['| scenario | figure | value | wanted | |', '|---|---|---|---|---|']
    lines += [f'| {scenario} | {figure.name} | {figure.value} | {figure.wanted} | '
              f'{"" if figure.holds else "BROKEN"} |'
              for scenario, figures in results.items() for figure in figures]
    return '\n'.join(lines)


def wrong_boxes(array: Detection2DArray, width: int, height: int) -> list[str]:
    """
    Say which detections are none: not finite, empty, outside the image, or with an odd score.

    :param width: of the image, in pixels.
    """
    wrong = []
    for detection in array.detections:
        box, center = detection.bbox, detection.bbox.center.position
        left, right = center.x - box.size_x / 2, center.x + box.size_x / 2
        top, bottom = center.y - box.size_y / 2, center.y + box.size_y / 2
        score = detection.results[0].hypothesis.score
        numbers = left, top, right, bottom, score
        # float32 corners of 16384 pixels that went through centre and size in float64
        inside = (-1e-3 <= left < right <= width + 1e-3 and -1e-3 <= top < bottom <= height + 1e-3)
        if not (all(map(math.isfinite, numbers)) and inside and 0 <= score <= 1):
            wrong.append(f'{numbers} in {width}x{height}')
    return wrong


def _text(value: float, unit: str) -> str:
    whole = abs(value) >= 100 or float(value).is_integer()
    return f'{value:.{0 if whole else 2}f} {unit}'.strip()
