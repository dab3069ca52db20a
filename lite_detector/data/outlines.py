# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Bounding boxes of polygons and masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lite_detector.data.notation import numbers
import numpy as np

Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""


def box_of_points(values: Sequence[float]) -> Box:
    """
    Return the bounding box of points.

    :param values: Coordinates x1, y1, x2, y2, ...
    """
    return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def box_of_segmentation(segmentation: Any) -> Box | None:
    """
    Return the bounding box of a COCO segmentation.

    :param segmentation: List of polygons, one polygon, or a run-length encoded mask.
    :return: Left, top, right, bottom; None if the segmentation is malformed or empty.
    """
    if isinstance(segmentation, Mapping):
        return _box_of_mask(segmentation)
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    if isinstance(polygons[0], list) and polygons[0] and isinstance(polygons[0][0], list):
        polygons = [[value for point in polygon for value in point] for polygon in polygons]
    values: list[float] = []
    for polygon in polygons:
        found = numbers(polygon)
        if found is None or len(found) < 6 or len(found) % 2:
            return None
        values += found
    return box_of_points(values)


def _box_of_mask(mask: Mapping[str, Any]) -> Box | None:
    size, counts = numbers(mask.get('size')), mask.get('counts')
    if size is None or len(size) != 2 or size[0] < 1:
        return None
    if isinstance(counts, str):
        runs: Sequence[float] | None = _unpack_runs(counts)
    else:
        runs = numbers(counts) if isinstance(counts, list) else None
    if not runs or min(runs) < 0:
        return None
    height = int(size[0])
    ends = np.cumsum(np.array(runs, np.float64)).astype(np.int64)
    if ends[-1] > size[0] * size[1]:
        return None
    # runs alternate between background and object, starting with background, column by column
    starts, stops = ends[:-1:2], ends[1::2]
    filled = stops > starts
    starts, stops = starts[filled], stops[filled] - 1
    if not len(starts):
        return None
    one_column = starts // height == stops // height
    top = np.where(one_column, starts % height, 0).min()
    bottom = np.where(one_column, stops % height, height - 1).max() + 1
    return (float(starts.min() // height), float(top), float(stops.max() // height + 1),
            float(bottom))


def _unpack_runs(text: str) -> list[int] | None:
    """Decode COCO's compressed runs: 5 bits per character, differences from the third run on."""
    runs: list[int] = []
    value = shift = 0
    for char in text:
        bits = ord(char) - 48
        if not 0 <= bits < 64:
            return None
        value |= (bits & 0x1f) << shift
        shift += 5
        if bits & 0x20:
            continue
        if bits & 0x10:
            value -= 1 << shift
        runs.append(value + runs[-2] if len(runs) > 2 else value)
        value = shift = 0
    return runs
