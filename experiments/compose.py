# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Compose pictures of several labelled images at a quarter of their size: many small objects."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
import sys

import cv2
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.media import read_image
from lite_detector.data.coco import (
    CocoAnnotation,
    CocoDataset,
    CocoImage,
    find_images,
    load_coco,
)
import msgspec
import numpy as np

SHRINK = 4
COLUMNS, ROWS = 4, 3
CELL = 160
"""Side of the square that an image of COCO (at most 640) takes up at a quarter."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write pictures of 640x480 and the file of their labels."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--annotations', required=True, type=Path, metavar='F',
                        help='COCO json file')
    parser.add_argument('--images', required=True, type=Path, metavar='DIR')
    parser.add_argument('--output', required=True, type=Path, metavar='DIR',
                        help='gets instances.json and images/')
    args = parser.parse_args(argv)
    try:
        dataset = load_coco(args.annotations)
        composed = compose(dataset, find_images(dataset, args.images), args.output / 'images')
        (args.output / 'instances.json').write_bytes(msgspec.json.encode(composed))
    except (LiteDetectorError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    print(f'{len(composed.images)} pictures with {len(composed.annotations)} boxes in '
          f'{args.output}')
    return 0


def compose(dataset: CocoDataset, paths: dict[int, Path], folder: Path) -> CocoDataset:
    """
    Lay images side by side, in the order of the file.

    :param dataset: images of at most 640x640 pixels, and their boxes.
    :param paths: image id -> file.
    :param folder: gets the pictures, without loss.
    :return: the pictures and the boxes in them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    boxes = defaultdict(list)
    for annotation in dataset.annotations:
        boxes[annotation.image_id].append(annotation)
    per_picture = COLUMNS * ROWS
    pictures, annotations = [], []
    for first in range(0, len(dataset.images), per_picture):
        picture_id = first // per_picture + 1
        canvas = np.zeros((ROWS * CELL, COLUMNS * CELL, 3), np.uint8)
        for place, image in enumerate(dataset.images[first:first + per_picture]):
            left, top = place % COLUMNS * CELL, place // COLUMNS * CELL
            height, width = (side // SHRINK for side in image.size)
            canvas[top:top + height, left:left + width] = cv2.resize(
                read_image(paths[image.image_id]), (width, height),
                interpolation=cv2.INTER_AREA)
            scale = width / image.width, height / image.height
            annotations += [_moved(each, picture_id, (left, top), scale)
                            for each in boxes[image.image_id]]
        name = f'{picture_id:04}.png'
        cv2.imwrite(str(folder / name), canvas)
        pictures.append(CocoImage(picture_id, name, canvas.shape[1], canvas.shape[0]))
    return CocoDataset(tuple(pictures), tuple(annotations), dataset.categories)


def _moved(annotation: CocoAnnotation, picture_id: int, origin: tuple[int, int],
           scale: tuple[float, float]) -> CocoAnnotation:
    left, top, width, height = annotation.bbox
    bbox = (origin[0] + left * scale[0], origin[1] + top * scale[1], width * scale[0],
            height * scale[1])
    area = None if annotation.area is None else annotation.area * scale[0] * scale[1]
    return CocoAnnotation(picture_id, annotation.category_id, bbox, area, annotation.iscrowd,
                          annotation.score)


if __name__ == '__main__':
    sys.exit(main())
