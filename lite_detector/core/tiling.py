# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Run a network on tiles of an image, and merge the detections of all tiles."""

from __future__ import annotations

from collections.abc import Sequence
import math
from pathlib import Path
import re
from typing import Annotated, Literal, NamedTuple

import cv2
from lite_detector.core.config import from_mapping, Spec
from lite_detector.core.errors import ConfigError, ImageError
from lite_detector.core.media import read_image
from lite_detector.core.types import Detections, FloatArray, ImageArray, ImageSize, MIN_SIDE
from msgspec import Meta
import numpy as np
import numpy.typing as npt

CUT_MARGIN = 0.025
"""Tolerance in tile sides: a box that ends this close to a seam counts as cut by the seam."""
SAME_OBJECT_IOU = 0.5
"""Minimum IoU of two boxes, within the common area of both tiles, that are the same object."""
PART_SHARE = 0.7
"""Minimum share of a cut box inside a better box that makes it a part of that box."""


class View(Spec):
    """Region, tiles, mask and rotation: the parts of an image that the network runs on."""

    columns: Annotated[int, Meta(ge=1, le=8)] = 1
    """Number of tile columns, 1 to 8."""
    rows: Annotated[int, Meta(ge=1, le=8)] = 1
    """Number of tile rows, 1 to 8."""
    overlap: Annotated[float, Meta(ge=0.05, le=0.5)] = 0.2
    """Overlap of adjacent tiles as a share of the tile side, 0.05 to 0.5; at least the size of a
    small object."""
    mode: Literal['all', 'tiles_only', 'in_turn'] = 'all'
    """Schedule of the tiles. all: all tiles and the full image. tiles_only: all tiles. in_turn:
    one tile per image (round-robin) and the full image."""
    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Region of the image: left, top, right, bottom as fractions, or in pixels if a value exceeds
    1."""
    mask: str = ''
    """Image file, stretched over the image; boxes with their centre in black are discarded."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Clockwise rotation of the network input in degrees; all other values and the boxes refer to
    the unrotated image."""


class Crop(NamedTuple):
    """A rectangle of an image: first column and row, last column and row (exclusive)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> ImageSize:
        """Size in pixels."""
        return ImageSize(self.bottom - self.top, self.right - self.left)

    def cut(self, image_bgr: ImageArray) -> ImageArray:
        """Return this part of an image as a view."""
        return image_bgr[self.top:self.bottom, self.left:self.right]


def checked_view(view: View) -> View:
    """
    Return the view after checking it.

    :param view: View to check.
    :raises ConfigError: if a value is out of range or the region is empty.
    """
    view = from_mapping({name: getattr(view, name) for name in view.__struct_fields__}, View,
                        'view')
    left, top, right, bottom = view.region
    if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf):  # also excludes NaN
        raise ConfigError(f'region: {list(view.region)}; expected left < right and '
                          'top < bottom, from 0')
    return view


def grid_of(text: str) -> tuple[int, int]:
    """
    Parse columns and rows, such as 2x2.

    :raises ConfigError: if the text is not a grid from 1x1 to 8x8.
    """
    match = re.fullmatch(r'([1-8])x([1-8])', text)
    if not match:
        raise ConfigError(f'tiles: {text!r}; expected COLUMNSxROWS from 1x1 to 8x8')
    return int(match[1]), int(match[2])


def windows_of(size: ImageSize, view: View, turn: int = 0) -> list[Crop]:
    """
    Return the rectangles of an image that the network runs on; all tiles have the same size.

    :param size: Size of the image in pixels.
    :param view: Region, tiles and schedule.
    :param turn: Round-robin index, used with ``in_turn``.
    :return: Tiles row by row, then the full region; only the full region without tiles.
    :raises ImageError: if the image is too small.
    """
    whole = _region(size, view.region)
    if view.columns * view.rows == 1:
        return [whole]
    lefts, width = _steps(whole.left, whole.right, view.columns, view.overlap)
    tops, height = _steps(whole.top, whole.bottom, view.rows, view.overlap)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f'tiles: {view.columns}x{view.rows} of {whole.size} pixels have '
                         f'{width}x{height}; expected sides of at least {MIN_SIDE}')
    tiles = [Crop(left, top, left + width, top + height) for top in tops for left in lefts]
    if view.mode == 'tiles_only':
        return tiles
    if view.mode == 'in_turn':
        return [tiles[turn % len(tiles)], whole]
    return [*tiles, whole]


def _region(size: ImageSize, region: tuple[float, float, float, float]) -> Crop:
    width, height = (size.width, size.height) if max(region) <= 1 else (1, 1)
    left, top, right, bottom = (round(side * unit) for side, unit
                                in zip(region, (width, height) * 2, strict=True))
    window = Crop(left, top, min(right, size.width), min(bottom, size.height))
    if min(window.size) < MIN_SIDE:
        raise ImageError(f'region: {list(region)} of an image of {size}; expected at least '
                         f'{MIN_SIDE} pixels per side')
    return window


def _steps(first: int, last: int, count: int, overlap: float) -> tuple[list[int], int]:
    """Return the starts of the tiles along one axis, and their side."""
    length = last - first
    side = min(length, int(np.ceil(length / (count - (count - 1) * overlap))))
    gaps = max(1, count - 1)
    return [first + round(index * (length - side) / gaps) for index in range(count)], side


def merge_views(found: Sequence[Detections], windows: Sequence[Crop],
                class_agnostic: bool = False) -> Detections:
    """
    Merge the detections of several windows of an image.

    Boxes of two windows are the same object if they agree within the common area of both windows.
    Of several such boxes, the best one that no seam cuts is kept; if all are cut, they are
    joined. A cut box inside a better box is suppressed.

    :param found: Detections of each window after NMS, boxes in pixels of the image.
    :param windows: Rectangle of each window.
    :param class_agnostic: True: boxes of different classes may be the same object.
    :return: Detections, best score first, boxes in pixels of the image.
    """
    boxes = np.concatenate([each.boxes_xyxy for each in found])
    scores = np.concatenate([each.scores for each in found])
    class_ids = np.concatenate([each.class_ids for each in found])
    if len(found) == 1 or not len(scores):
        return Detections(boxes, scores, class_ids)
    views = np.repeat(np.arange(len(found)), [len(each) for each in found])
    frames = np.array(windows, np.float32)
    cut = _is_cut(boxes, frames[views], frames)
    # uncut boxes first; cut boxes follow, because only other cut boxes can complete them
    order = np.lexsort((-scores, cut))
    boxes, scores, class_ids = boxes[order], scores[order], class_ids[order]
    views, cut = views[order], cut[order]
    comparable = views[:, None] != views
    if not class_agnostic:
        comparable &= class_ids[:, None] == class_ids
    same = comparable & (_agreement(boxes, frames[views]) > SAME_OBJECT_IOU)
    part = comparable & (_share_inside(boxes) > PART_SHARE) & cut & ~cut[:, None]
    part &= scores[:, None] >= scores
    return _greedy(Detections(boxes, scores, class_ids), cut, same, part)


def _greedy(ranked: Detections, cut: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_],
            part: npt.NDArray[np.bool_]) -> Detections:
    boxes, scores = ranked.boxes_xyxy.copy(), ranked.scores.copy()
    free = np.ones(len(ranked), bool)
    keep = []
    for lead in range(len(ranked)):
        if not free[lead]:
            continue
        keep.append(lead)
        free[lead] = False
        group = same[lead] & free
        if cut[lead]:
            group = _connected(group, same, free)
            members = ranked.boxes_xyxy[group]
            boxes[lead, :2] = members[:, :2].min(axis=0, initial=np.inf).clip(max=boxes[lead, :2])
            boxes[lead, 2:] = members[:, 2:].max(axis=0, initial=0).clip(min=boxes[lead, 2:])
        scores[lead] = max(scores[lead], scores[group].max(initial=0))
        free &= ~group & ~part[lead]
    index = np.array(keep, np.int64)
    index = index[np.argsort(-scores[index], kind='stable')]
    return Detections(boxes[index], scores[index], ranked.class_ids[index])


def _connected(group: npt.NDArray[np.bool_], same: npt.NDArray[np.bool_],
               free: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Collect all parts of an object, because diagonally opposite tiles share too little of it."""
    while True:
        larger = group | (same[group].any(axis=0) & free)
        if (larger == group).all():
            return group
        group = larger


def _is_cut(boxes: FloatArray, windows: FloatArray, every: FloatArray) -> npt.NDArray[np.bool_]:
    """Return which boxes end at a side of their window that is not a side of the image."""
    extents = windows[:, 2:] - windows[:, :2]
    near = np.abs(boxes - windows) < CUT_MARGIN * np.tile(extents, 2)
    edge = np.concatenate((every[:, :2].min(axis=0), every[:, 2:].max(axis=0)))
    return (near & (windows != edge)).any(axis=1)


def _agreement(boxes: FloatArray, windows: FloatArray) -> FloatArray:
    """Return the IoU of every pair, clipped to the common area of both windows; (n, n)."""
    low = np.maximum(windows[:, None, :2], windows[None, :, :2])
    high = np.minimum(windows[:, None, 2:], windows[None, :, 2:])
    first = np.maximum(boxes[:, None, :2], low), np.minimum(boxes[:, None, 2:], high)
    second = first[0].transpose(1, 0, 2), first[1].transpose(1, 0, 2)
    area = _area(*first)
    shared = _area(np.maximum(first[0], second[0]), np.minimum(first[1], second[1]))
    return shared / np.maximum(area + area.T - shared, np.finfo(np.float32).tiny)


def _share_inside(boxes: FloatArray) -> FloatArray:
    """Return the share of each box (column) inside each other box (row); shape (n, n)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = _area(boxes[:, :2], boxes[:, 2:])
    return np.divide(_area(low, high), np.maximum(area, np.finfo(np.float32).tiny))


def _area(low: FloatArray, high: FloatArray) -> FloatArray:
    return np.maximum(high - low, 0).prod(axis=-1)


class Mask:
    """
    A mask of the pixels in which detections count.

    :param path: Path of the image file; pixels darker than half grey are masked out.
    :raises ImageError: if the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._keep = cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY) >= 128

    def apply(self, found: Detections, size: ImageSize) -> Detections:
        """
        Discard detections with their centre in a masked-out area.

        :param found: Detections, boxes in pixels of the image.
        :param size: Size of the image in pixels; the mask is stretched to it.
        """
        height, width = self._keep.shape
        centers = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        scaled = centers * np.array((width / size.width, height / size.height), np.float32)
        columns, rows = scaled.astype(int).T
        return found.select(self._keep[rows.clip(0, height - 1), columns.clip(0, width - 1)])
