# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Contact sheet of the worst errors, and the images with the best and worst F1."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lite_detector.core.draw import draw_box
from lite_detector.core.geometry import iou_matrix
from lite_detector.core.lettering import Color, drawable_names, put_text
from lite_detector.core.types import FloatArray, ImageArray, size_of
from lite_detector.data.coco import CocoDataset, find_images
from lite_detector.data.dataset import read_sized_image
from lite_detector.data.pictures import (
    arrange_cells,
    CAPTION,
    caption_cell,
    CELL,
    COLUMNS,
    fit_cell,
)
from lite_detector.evaluation.matching import IOU_THRESHOLD, Matches
import numpy as np

ROWS = 2
"""Rows of missed objects, and of false positives."""
CONTEXT = 2.0
"""Side of the displayed region relative to the side of the box."""
MIN_SIDE = 120
"""Minimum side of the displayed region in pixels, so that small objects have context."""
TOUCHING = 0.1
"""Minimum IoU of a false positive with an object that counts as a localization error."""
RED, GREEN, ORANGE = (60, 60, 255), (80, 220, 80), (0, 165, 255)
LEGEND = {'red: the error': RED, 'green: labelled': GREEN, 'orange: detected': ORANGE}


def draw_worst(matches: Matches, dataset: CocoDataset, folder: Path, class_names: Sequence[str],
               scales: Mapping[int, float]) -> ImageArray:
    """
    Draw the largest missed objects, and below them the false positives of the highest scores.

    :param matches: Matches above the score threshold of interest.
    :param dataset: Labelled images.
    :param folder: Folder of the images.
    :param class_names: Names of the class ids.
    :param scales: Image id -> network pixels per image pixel.
    :return: Contact sheet, uint8 BGR; images are read again, one at a time.
    """
    class_names = drawable_names(class_names)
    paths = find_images(dataset, folder)
    sizes = {image.image_id: image.size for image in dataset.images}

    def read(image_id: int) -> ImageArray:
        return read_sized_image(paths[image_id], sizes[image_id])
    cells = []
    for wanted, nothing in ((_misses(matches, class_names, scales), 'no missed objects'),
                            (_alarms(matches, class_names), 'no false positives')):
        row = [_draw_cell(read(image_id), matches, image_id, box, header, class_names)
               for (image_id, box, header), _ in zip(wanted, range(ROWS * COLUMNS), strict=False)]
        row += [caption_cell('no more' if row else nothing)]
        cells += row[:ROWS * COLUMNS]
        cells += [caption_cell('')] * (-len(cells) % COLUMNS)
    sheet = arrange_cells(cells)
    return np.vstack((_legend(sheet.shape[1]), sheet))


def worst_and_best_images(matches: Matches, count: int) -> tuple[list[int], list[int]]:
    """
    Return the images with the lowest F1, worst first, and those with the highest, best first.

    :param matches: Matches above the score threshold of interest.
    :param count: Maximum number of images of both kinds together; only images with objects or
        detections count.
    """
    objects = matches.objects
    image_ids = np.union1d(objects.image_ids[~objects.ignore], matches.image_ids)
    right, wrong, missed = (
        np.bincount(np.searchsorted(image_ids, rows), minlength=len(image_ids))
        for rows in (matches.image_ids[matches.right], matches.image_ids[matches.wrong],
                     objects.image_ids[matches.missed]))
    f1 = 2 * right / np.maximum(1, 2 * right + wrong + missed)
    # ties: the most errors come first; at the other end the most true positives
    order = image_ids[np.lexsort((right, -wrong - missed, f1))].tolist()
    worst = min(len(order), count) // 2 + min(len(order), count) % 2
    return order[:worst], order[:worst - 1:-1][:count // 2]


def _misses(matches: Matches, class_names: Sequence[str],
            scales: Mapping[int, float]) -> Iterator[tuple[int, FloatArray, str]]:
    objects = matches.objects
    rows = np.flatnonzero(matches.missed)
    scale = np.array([scales[image_id] for image_id in objects.image_ids[rows].tolist()])
    boxes = objects.boxes_xyxy[rows]
    sides = np.sqrt((boxes[:, 2:] - boxes[:, :2]).prod(axis=1)) * scale
    for index in np.argsort(-sides, kind='stable'):
        row = rows[index]
        name = class_names[objects.class_ids[row]]
        yield (int(objects.image_ids[row]), objects.boxes_xyxy[row],
               f'missed: {name}, {sides[index]:.0f} px')


def _alarms(matches: Matches, class_names: Sequence[str]) -> Iterator[tuple[int, FloatArray, str]]:
    detections = matches.detections
    rows = np.flatnonzero(matches.wrong)
    for row in rows[np.argsort(-detections.scores[rows], kind='stable')]:
        name = class_names[detections.class_ids[row]]
        yield (int(matches.image_ids[row]), detections.boxes_xyxy[row],
               f'{name} {detections.scores[row]:.2f}: {explain_alarm(matches, row, class_names)}')


def explain_alarm(matches: Matches, row: int, class_names: Sequence[str]) -> str:
    """
    Return the type of an error, similar to TIDE (Bolya et al., 2020, arXiv:2008.08115).

    :param matches: Matches of all detections.
    :param row: Index of the false positive.
    :param class_names: Names of the class ids.
    """
    objects = matches.objects
    here = np.flatnonzero((objects.image_ids == matches.image_ids[row]) & ~objects.ignore)
    overlap = iou_matrix(matches.detections.boxes_xyxy[row][None], objects.boxes_xyxy[here])[0]
    same = objects.class_ids[here] == matches.detections.class_ids[row]
    own = np.where(same, overlap, 0).max(initial=0)
    if own >= IOU_THRESHOLD:
        return 'duplicate'
    other = np.where(same, 0, overlap)
    if other.max(initial=0) >= IOU_THRESHOLD:
        return f'labelled {class_names[objects.class_ids[here[other.argmax()]]]}'
    if own >= TOUCHING:
        return f'poor localization, IoU {own:.2f}'
    return 'background'


def _draw_cell(image_bgr: ImageArray, matches: Matches, image_id: int, box_xyxy: FloatArray,
               header: str, class_names: Sequence[str]) -> ImageArray:
    """Draw the region of an error: its box in red, labels in green, other detections in orange."""
    left, top, right, bottom = _window(image_bgr, box_xyxy)
    picture = fit_cell(image_bgr[top:bottom, left:right])
    scale = picture.shape[1] / (right - left)
    offset = np.array((left, top) * 2, np.float32)
    size = (picture.shape[1], picture.shape[0])

    def draw(boxes: FloatArray, labels: Sequence[str], color: Color) -> None:
        for each, label in zip(boxes, labels, strict=True):
            placed = (each - offset) * scale
            inside = (placed[:2] < size).all() and (placed[2:] > 0).all()
            if inside and not np.array_equal(each, box_xyxy):
                draw_box(picture, placed, color, label, 0.45)
    objects, detections = matches.objects, matches.detections
    here = objects.image_ids == image_id
    draw(objects.boxes_xyxy[here], [class_names[class_id] + (' (ignored)' if ignore else '')
                                    for class_id, ignore in zip(objects.class_ids[here],
                                                                objects.ignore[here],
                                                                strict=True)], GREEN)
    here = matches.image_ids == image_id
    # a true positive needs no text, because the label next to it has the same name
    draw(detections.boxes_xyxy[here], ['' if right else class_names[class_id]
                                       for class_id, right in zip(detections.class_ids[here],
                                                                  matches.right[here],
                                                                  strict=True)], ORANGE)
    draw_box(picture, (box_xyxy - offset) * scale, RED, '', 0.8)
    return caption_cell(header, picture)


def _window(image_bgr: ImageArray, box_xyxy: FloatArray) -> tuple[int, int, int, int]:
    """Return left, top, right, bottom of the displayed region."""
    height, width = size_of(image_bgr)
    side = max(MIN_SIDE, CONTEXT * float((box_xyxy[2:] - box_xyxy[:2]).max()))
    center = (box_xyxy[:2] + box_xyxy[2:]) / 2
    spans = []
    for middle, limit in zip(center.tolist(), (width, height), strict=True):
        start = min(max(0, round(middle - side / 2)), max(0, limit - round(side)))
        spans.append((start, min(limit, start + round(side))))
    (left, right), (top, bottom) = spans
    return left, top, right, bottom


def _legend(width: int) -> ImageArray:
    strip = np.full((CAPTION, width, 3), 0, np.uint8)
    for place, (words, color) in enumerate(LEGEND.items()):
        put_text(strip, words, (6 + place * CELL, CAPTION - 12), 0.6, color)
    return strip
