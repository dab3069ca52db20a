# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parts of an image that a network looks at one by one, and one list of boxes out of them."""

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
"""A box that ends this near a seam, in tile sides, is cut by it: networks miss by a few pixels."""
SAME_OBJECT_IOU = 0.5
"""Two views mean one object if, in what both see, their boxes overlap by this."""
PART_SHARE = 0.7
"""A box that a seam cuts is a part of a better one that holds this much of it."""


class View(Spec):
    """Where in an image the network looks, and how closely."""

    columns: Annotated[int, Meta(ge=1, le=8)] = 1
    """Tiles side by side."""
    rows: Annotated[int, Meta(ge=1, le=8)] = 1
    """Tiles one above the other."""
    overlap: Annotated[float, Meta(ge=0.05, le=0.5)] = 0.2
    """What two neighbours share, as part of a tile's side; small objects should fit into it."""
    mode: Literal['all', 'tiles_only', 'in_turn'] = 'all'
    """all: every tile and the whole; tiles_only; in_turn: one tile and the whole per image."""
    region: tuple[float, float, float, float] = (0.0, 0.0, 1.0, 1.0)
    """Left, top, right, bottom of what is looked at: parts of the image if none is over 1, else
    pixels."""
    mask: str = ''
    """Image file, laid over the image; boxes whose centre lies in its black are dropped."""
    rotate: Literal[0, 90, 180, 270] = 0
    """Degrees by which the network gets each part rotated clockwise; the rest of the view, and
    the boxes, stay in pixels of the image."""


class Crop(NamedTuple):
    """A part of an image: its first and its last column and row, the last ones outside."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> ImageSize:
        """Pixels of it."""
        return ImageSize(self.bottom - self.top, self.right - self.left)

    def cut(self, image_bgr: ImageArray) -> ImageArray:
        """Return this part of an image; no copy."""
        return image_bgr[self.top:self.bottom, self.left:self.right]


def checked_view(view: View) -> View:
    """
    Return the view, if it is one.

    :raises ConfigError: if a bound is broken or the region is empty.
    """
    view = from_mapping({name: getattr(view, name) for name in view.__struct_fields__}, View,
                        'view')
    left, top, right, bottom = view.region
    if not (0 <= left < right < math.inf and 0 <= top < bottom < math.inf):  # false for NaN
        raise ConfigError(f'region: got {list(view.region)}, wanted left < right and '
                          'top < bottom, from 0')
    return view


def grid_of(text: str) -> tuple[int, int]:
    """
    Read columns and rows, such as 2x2.

    :raises ConfigError: if it is no grid of 1x1 to 8x8.
    """
    match = re.fullmatch(r'([1-8])x([1-8])', text)
    if not match:
        raise ConfigError(f'tiles: got {text!r}, wanted COLUMNSxROWS from 1x1 to 8x8')
    return int(match[1]), int(match[2])


def windows_of(size: ImageSize, view: View, turn: int = 0) -> list[Crop]:
    """
    Return the parts of an image that are looked at, all tiles of one size.

    :param size: of the image.
    :param turn: number of the image; with ``in_turn`` it says whose turn it is.
    :return: the tiles, row by row, then the whole; the whole alone without tiles.
    :raises ImageError: if the image is too small for it.
    """
    whole = _region(size, view.region)
    if view.columns * view.rows == 1:
        return [whole]
    lefts, width = _steps(whole.left, whole.right, view.columns, view.overlap)
    tops, height = _steps(whole.top, whole.bottom, view.rows, view.overlap)
    if min(width, height) < MIN_SIDE:
        raise ImageError(f'tiles: {view.columns}x{view.rows} of {whole.size} pixels have '
                         f'{width}x{height}, wanted sides of at least {MIN_SIDE}')
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
        raise ImageError(f'region: {list(region)} leaves less than {MIN_SIDE} pixels of an image '
                         f'of {size}')
    return window


def _steps(first: int, last: int, count: int, overlap: float) -> tuple[list[int], int]:
    """Return where tiles begin along one axis, and their side."""
    length = last - first
    side = min(length, int(np.ceil(length / (count - (count - 1) * overlap))))
    gaps = max(1, count - 1)
    return [first + round(index * (length - side) / gaps) for index in range(count)], side


def merge_views(found: Sequence[Detections], windows: Sequence[Crop],
                class_agnostic: bool = False) -> Detections:
    """
    Make one list of what was found in several windows of an image.

    Boxes of two windows mean the same object if they agree in what both windows see. Of several
    the best that no seam cuts is kept; where all are cut, they are joined. What a seam cuts off a
    better box is a part of that and goes.

    :param found: per window, without overlaps among themselves, boxes in pixels of the image.
    :param windows: where each lies.
    :param class_agnostic: whether boxes of different classes may mean the same object.
    :return: best score first, boxes in pixels of the image.
    """
    boxes = np.concatenate([each.boxes_xyxy for each in found])
    scores = np.concatenate([each.scores for each in found])
    class_ids = np.concatenate([each.class_ids for each in found])
    if len(found) == 1 or not len(scores):
        return Detections(boxes, scores, class_ids)
    views = np.repeat(np.arange(len(found)), [len(each) for each in found])
    frames = np.array(windows, np.float32)
    cut = _is_cut(boxes, frames[views], frames)
    # whole boxes first; only then those that nothing but other parts can complete
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
    """Follow an object from tile to tile: opposite ones at a corner see nothing of each other."""
    while True:
        larger = group | (same[group].any(axis=0) & free)
        if (larger == group).all():
            return group
        group = larger


def _is_cut(boxes: FloatArray, windows: FloatArray, every: FloatArray) -> npt.NDArray[np.bool_]:
    """Tell which boxes end at a side of their window behind which the image goes on."""
    extents = windows[:, 2:] - windows[:, :2]
    near = np.abs(boxes - windows) < CUT_MARGIN * np.tile(extents, 2)
    edge = np.concatenate((every[:, :2].min(axis=0), every[:, 2:].max(axis=0)))
    return (near & (windows != edge)).any(axis=1)


def _agreement(boxes: FloatArray, windows: FloatArray) -> FloatArray:
    """Return the IoU of every pair, each box cut to what both of its windows see; (n, n)."""
    low = np.maximum(windows[:, None, :2], windows[None, :, :2])
    high = np.minimum(windows[:, None, 2:], windows[None, :, 2:])
    first = np.maximum(boxes[:, None, :2], low), np.minimum(boxes[:, None, 2:], high)
    second = first[0].transpose(1, 0, 2), first[1].transpose(1, 0, 2)
    area = _area(*first)
    shared = _area(np.maximum(first[0], second[0]), np.minimum(first[1], second[1]))
    return shared / np.maximum(area + area.T - shared, np.finfo(np.float32).tiny)


def _share_inside(boxes: FloatArray) -> FloatArray:
    """Return how much of each box (column) lies in each other (row); shape (n, n)."""
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    area = _area(boxes[:, :2], boxes[:, 2:])
    return np.divide(_area(low, high), np.maximum(area, np.finfo(np.float32).tiny))


def _area(low: FloatArray, high: FloatArray) -> FloatArray:
    return np.maximum(high - low, 0).prod(axis=-1)


class Mask:
    """
    Which pixels of an image count.

    :param path: image file; what is darker than half grey is black.
    :raises ImageError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._keep = cv2.cvtColor(read_image(path), cv2.COLOR_BGR2GRAY) >= 128

    def apply(self, found: Detections, size: ImageSize) -> Detections:
        """
        Drop what has its centre in black.

        :param found: boxes in pixels of the image.
        :param size: of the image, over which the mask is stretched.
        """
        height, width = self._keep.shape
        centers = (found.boxes_xyxy[:, :2] + found.boxes_xyxy[:, 2:]) / 2
        scaled = centers * np.array((width / size.width, height / size.height), np.float32)
        columns, rows = scaled.astype(int).T
        return found.select(self._keep[rows.clip(0, height - 1), columns.clip(0, width - 1)])
