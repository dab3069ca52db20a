# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The same three images in each format, small enough to work out by hand.

``a.png`` (64 x 40) has a zebra and an ant, ``b.png`` (40 x 64) nothing, ``c.png`` a zebra.
"""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import cv2
from lite_detector.core.errors import DataError
from lite_detector.data.formats import open_dataset
import numpy as np
import pytest

CLASS_NAMES = ('zebra', 'ant')
SIZES = {'a': (40, 64), 'b': (64, 40), 'c': (40, 64)}
"""Height and width."""
BOXES = {
    'a': [('zebra', (16, 10, 48, 30)), ('ant', (0, 0, 32, 20))],
    'b': [],
    'c': [('zebra', (32, 20, 64, 40))],
}
CATEGORY_IDS = {'zebra': 3, 'ant': 17}


def write_images(folder: Path) -> Path:
    """Write the images, each of another content; return their folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for value, (stem, (height, width)) in enumerate(SIZES.items(), start=1):
        assert cv2.imwrite(str(folder / f'{stem}.png'),
                           np.full((height, width, 3), 40 * value, np.uint8))
    return folder


def coco_content() -> dict[str, Any]:
    """Return the COCO file; its category ids have gaps and are not in order."""
    ids = {stem: 100 - index for index, stem in enumerate(SIZES)}
    return {
        'images': [{'id': ids[stem], 'file_name': f'{stem}.png', 'height': height, 'width': width}
                   for stem, (height, width) in SIZES.items()],
        'annotations': [
            {'id': 1, 'image_id': ids[stem], 'category_id': CATEGORY_IDS[name],
             'bbox': [left, top, right - left, bottom - top]}
            for stem, boxes in BOXES.items() for name, (left, top, right, bottom) in boxes],
        'categories': [{'id': CATEGORY_IDS[name], 'name': name} for name in ('ant', 'zebra')]}


def write_coco(folder: Path) -> tuple[Path, Path]:
    """Return annotations and images of a COCO dataset."""
    images = write_images(folder / 'images')
    path = folder / 'instances.json'
    path.write_text(json.dumps(coco_content()))
    return path, images


def voc_object(name: str, box: tuple[float, ...], more: str = '') -> str:
    """Return one object of an xml file."""
    corners = ''.join(f'<{key}>{value}</{key}>' for key, value
                      in zip(('xmin', 'ymin', 'xmax', 'ymax'), box, strict=True))
    return f'<object><name>{name}</name>{more}<bndbox>{corners}</bndbox></object>'


def voc_text(stem: str, objects: str) -> str:
    """Return an xml file for one of the images."""
    height, width = SIZES[stem]
    return (f'<annotation><filename>{stem}.png</filename><size><width>{width}</width>'
            f'<height>{height}</height><depth>3</depth></size>{objects}</annotation>')


def write_voc(folder: Path) -> tuple[Path, Path]:
    """Return annotations and images of a Pascal VOC dataset."""
    images = write_images(folder / 'images')
    annotations = folder / 'annotations'
    annotations.mkdir()
    for stem, boxes in BOXES.items():
        (annotations / f'{stem}.xml').write_text(
            voc_text(stem, ''.join(voc_object(name, box) for name, box in boxes)))
    return annotations, images


def write_yolo(folder: Path, class_file: str | None = 'classes.txt') -> tuple[Path, Path]:
    """Return annotations and images of a YOLO dataset; b.png has no txt file."""
    images = write_images(folder / 'images' / 'train')
    labels = folder / 'labels' / 'train'
    labels.mkdir(parents=True)
    for stem, boxes in BOXES.items():
        height, width = SIZES[stem]
        lines = [f'{CLASS_NAMES.index(name)} {(left + right) / 2 / width} '
                 f'{(top + bottom) / 2 / height} {(right - left) / width} '
                 f'{(bottom - top) / height}' for name, (left, top, right, bottom) in boxes]
        if lines:
            (labels / f'{stem}.txt').write_text('\n'.join(lines) + '\n')
    if class_file:
        (labels / class_file).write_text('\n'.join(CLASS_NAMES) + '\n')
    return labels, images


def with_file(paths: tuple[Path, Path], name: str, content: str | bytes) -> tuple[Path, Path]:
    """Write a file, a new one or in place of another, to the annotations of a dataset."""
    annotations, _ = paths
    folder = annotations if annotations.is_dir() else annotations.parent
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return paths


WRITERS: dict[str, Callable[[Path], tuple[Path, Path]]] = {
    'coco': write_coco, 'voc': write_voc, 'yolo': write_yolo}


def assert_refused(annotations, images, *words: str, class_names=None) -> None:
    """Check that the dataset is refused by one line with these words."""
    with pytest.raises(DataError) as caught:
        open_dataset(annotations, images, class_names)
    message = str(caught.value)
    assert '\n' not in message
    for word in words:
        assert word in message
