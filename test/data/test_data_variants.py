# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
One dataset in some 600 notations: the same boxes come out of each.

Every variant changes at random what tools and systems change (notation of numbers, paths,
encoding, order, debris) and has at most one broken item, which is skipped.
"""

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import random
from typing import Any, NamedTuple

import cv2
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset
from lite_detector.data.formats import open_dataset
import numpy as np
import pytest

VARIANTS = 210
"""For each format."""
SIZE = ImageSize(40, 64)
NAMES = ('Käfer', 'bee', 'big fly')
JPEG = cv2.imencode('.jpg', np.full((*SIZE, 3), 90, np.uint8))[1].tobytes()
FOLDERS = ('', 'cam1/', 'cam2/', 'Tag 1/')
ENCODINGS = ('utf-8', 'utf-8-sig', 'utf-16', 'latin-1')


class Truth(NamedTuple):
    """An image of the dataset: its name without suffix, and class and box of each object."""

    stem: str
    boxes: list[tuple[int, tuple[float, float, float, float]]]


def truth() -> list[Truth]:
    rng = random.Random(0)
    found = []
    for place in range(12):
        boxes = []
        for _ in range(place % 4):
            left, top = rng.randint(0, 40), rng.randint(0, 20)
            boxes.append((rng.randrange(3), (left, top, left + rng.randint(4, 24),
                                             top + rng.randint(4, 20))))
        found.append(Truth(f'image {place}' if place % 2 else f'IMG_{place}', boxes))
    return found


TRUTH = truth()


class Variant:
    """What is random about one way to write the dataset."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.folder = folder
        self.images = folder / self.rng.choice(('images', 'JPEGImages', 'pictures of mai'))
        nests = self.rng.random() < 0.5
        self.places = {each.stem: self.rng.choice(FOLDERS) if nests else '' for each in TRUTH}
        self.suffix = self.rng.choice(('.jpg', '.JPG', '.jpeg', '.jfif'))
        self.encoding = self.rng.choice(ENCODINGS)
        self.end = self.rng.choice(('\n', '\r\n'))
        for stem, place in self.places.items():
            self.write(self.images / f'{place}{stem}{self.suffix}', JPEG)

    def write(self, path: Path, content: str | bytes, encoding: str | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            content = content.replace('\n', self.end).encode(encoding or self.encoding)
        path.write_bytes(content)

    def number(self, value: float) -> str:
        """Return a number in some notation that loses nothing."""
        forms = [repr(value), f'{value:.9e}', f'{value:.9f}', f' {value!r} ', f'+{value!r}']
        if value == int(value):
            forms += [str(int(value)), f'{int(value)}.0', f'{int(value):03d}']
        return self.rng.choice(forms)

    def path(self, stem: str) -> str:
        """Return the path of an image as some system writes it."""
        place = self.places[stem]
        name = f'{place}{stem}{self.suffix}'
        forms = [name, f'./{name}', f'{self.images.name}/{name}', f'/home/me/{place}{stem}.jpg',
                 f'C:\\data\\{name}'.replace('/', '\\'), name.replace('/', '\\'), f' {name} ',
                 f'file:///data/{name}'.replace(' ', '%20'), f'{stem}{self.suffix}', stem,
                 f'{place}{stem}.png', name.upper(), f'~/{name}', f'../../{name}']
        return self.rng.choice(forms)

    def debris(self, folder: Path, suffix: str) -> None:
        """Leave behind what systems and tools leave behind."""
        for name in ('Thumbs.db', 'desktop.ini', '.DS_Store', f'._IMG_0{suffix}', 'train.cache',
                     f'__MACOSX/IMG_0{suffix}', 'README.roboflow.txt', '.ipynb_checkpoints/x.txt'):
            if self.rng.random() < 0.3:
                self.write(folder / name, b'\0\5\x16\7debris')


def scalar(variant: Variant, value: float) -> Any:
    """Return a number as JSON may have it."""
    forms: list[Any] = [value, float(value), variant.number(value)]
    return variant.rng.choice(forms)


def write_coco(variant: Variant) -> tuple[Path, Path]:
    rng = variant.rng
    ids: list[Any] = [100 + place for place in range(len(TRUTH))]
    if rng.random() < 0.3:
        ids = [f'id-{each}' for each in ids]
    first = rng.choice((0, 1, 7))
    images, annotations = [], []
    for image_id, each in zip(ids, TRUTH, strict=True):
        entry = {'id': image_id, 'file_name': variant.path(each.stem), 'license': 1}
        form = rng.randrange(3)
        if form:
            entry |= {'width': scalar(variant, SIZE.width) if form == 1 else SIZE.width,
                      'height': scalar(variant, SIZE.height)}
        images.append(entry)
        for class_id, (left, top, right, bottom) in each.boxes:
            bbox = [left, top, right - left, bottom - top]
            known = image_id if isinstance(image_id, str) else scalar(variant, image_id)
            entry = {'id': len(annotations), 'image_id': known,
                     'category_id': scalar(variant, first + class_id),
                     'iscrowd': rng.choice((0, 0.0, '0', False, None)), 'area': None,
                     'bbox': [scalar(variant, value) for value in bbox],
                     'segmentation': rng.choice(([], None, [[1, 1, 2, 2, 3, 1]]))}
            form = rng.randrange(6)
            if form == 0:
                entry['bbox'] = str(bbox)
            elif form == 1:
                entry |= {'bbox': rng.choice((None, [])), 'segmentation': [[
                    left, top, right, top, right, bottom, left, bottom]]}
            elif form == 2:
                del entry['iscrowd'], entry['area'], entry['segmentation']
            annotations.append(entry)
    categories = [{'id': scalar(variant, first + place), 'name': rng.choice((name, f' {name} ')),
                   'supercategory': 'insects'} for place, name in enumerate(NAMES)]
    if rng.random() < 0.3:
        categories.insert(0, {'id': first - 1, 'name': 'insects', 'supercategory': 'none'})
    broken = rng.randrange(8)
    if broken == 0:
        images.append({'id': 999, 'file_name': 'gone.jpg', 'width': 64, 'height': 40})
    elif broken == 1:
        variant.write(variant.images / 'empty.jpg', b'')
        images.append({'id': 999, 'file_name': 'empty.jpg', 'width': 64, 'height': 40})
    elif broken < 6:
        annotations.append({'image_id': ids[0], 'category_id': first, **rng.choice((
            {'bbox': [1, 1, 0, 5]}, {'bbox': [1, 1, 5, -5]}, {'bbox': 'box'}, {'bbox': None},
            {'bbox': [70, 1, 5, 5], 'image_id': 12345}, {'bbox': [1, 1, 5, 5], 'image_id': 12345},
            {'bbox': [1, 1, 5, 5], 'category_id': 77}))})
    for each in (images, annotations, categories):
        rng.shuffle(each)
    path = variant.folder / rng.choice(('instances.json', '_annotations.coco.JSON'))
    variant.write(path, json.dumps({'info': {}, 'images': images, 'annotations': annotations,
                                    'categories': categories},
                                   ensure_ascii=rng.random() < 0.5, indent=rng.choice((None, 1))))
    variant.debris(variant.images, '.jpg')
    return path, variant.images


def write_voc(variant: Variant) -> tuple[Path, Path]:
    rng = variant.rng
    folder = variant.folder / 'Annotations'
    files = [(each.stem, each.boxes, '') for each in TRUTH]
    broken = rng.randrange(6)
    objects_too_many = rng.choice((
        '<object><name>bee</name><bndbox><xmin>9</xmin><ymin>9</ymin><xmax>5</xmax><ymax>20</ymax>'
        '</bndbox></object>', '<object><name>bee</name></object>',
        '<object><bndbox><xmin>1</xmin></bndbox></object>')) if broken < 3 else ''
    for place, (stem, boxes, _) in enumerate(files):
        objects = ''
        for class_id, corners in boxes:
            texts = [variant.number(value) for value in corners]
            if rng.random() < 0.2:
                texts = [text.replace('.', ',') for text in texts]
            inside = ''.join(f'<{key}>{text}</{key}>' for key, text in zip(
                ('xmin', 'ymin', 'xmax', 'ymax'), texts, strict=True))
            shape = f'<bndbox>{inside}</bndbox>'
            if rng.random() < 0.2:
                left, top, right, bottom = corners
                shape = ''.join(f'<x{number}>{x}</x{number}><y{number}>{y}</y{number}>' for number,
                                (x, y) in enumerate(((left, top), (right, top), (right, bottom))))
                shape = f'<polygon>{shape}</polygon>'
            name = rng.choice((NAMES[class_id], f'\n {NAMES[class_id]} ',
                               NAMES[class_id].replace(' ', '  ')))
            difficult = rng.choice(('', '<difficult>0</difficult>', '<difficult/>',
                                    '<difficult>Unspecified</difficult>'))
            objects += f'<object><name>{name}</name>{difficult}{shape}</object>\n'
        size = rng.choice((
            '', '<size><width>0</width><height>0</height></size>',
            f'<size><width>{variant.number(64)}</width><height>40</height><depth>3</depth></size>',
            '<size><height>40</height></size>'))
        head = rng.choice(('', '<?xml version="1.0"?>\n', '\n<?xml version="1.0"?>\n',
                           '<?xml version="1.0" encoding="utf-8"?>\n'
                           if variant.encoding == 'utf-8' else ''))
        name = variant.path(stem)
        file_stem = stem if rng.random() < 0.8 else f'{place:06d}'
        if file_stem != stem and not any(stem in part for part in (name,)):
            file_stem = stem
        variant.write(folder / f'{variant.places[stem]}{file_stem}{rng.choice((".xml", ".XML"))}',
                      f'{head}<annotation><folder>other</folder><filename>{name}</filename>{size}'
                      f'{objects}{objects_too_many if place == 0 else ""}</annotation>\n')
    if broken == 3:
        variant.write(folder / 'gone.xml',
                      '<annotation><filename>gone.jpg</filename></annotation>')
    elif broken == 4:
        variant.write(folder / 'torn.xml', '<annotation><filename>torn.jpg</filena')
    variant.debris(folder, '.xml')
    variant.debris(variant.images, '.jpg')
    return folder, variant.images


def yolo_line(variant: Variant, class_id: int, corners: Sequence[float]) -> str:
    left, top, right, bottom = (value / side for value, side in zip(
        corners, (SIZE.width, SIZE.height) * 2, strict=True))
    values = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    form = variant.rng.randrange(8)
    if form == 0:
        values = [left, top, right, top, right, bottom, left, bottom]
    elif form == 1:
        values = [left, top, right, top, right, bottom]
    texts = [variant.number(class_id).strip(), *(variant.number(each).strip() for each in values)]
    if form == 2:
        return ','.join(texts)
    if form == 3:
        return ' '.join(text.replace('.', ',') for text in texts)
    return variant.rng.choice((' ', '\t', '  ')).join(texts) + variant.rng.choice(('', ' ', '\n'))


def write_yolo(variant: Variant) -> tuple[Path, Path]:
    rng = variant.rng
    beside = rng.random() < 0.3
    labels = variant.images if beside else variant.folder / rng.choice(('labels', 'ann'))
    flat = not beside and rng.random() < 0.3
    broken = rng.randrange(8)
    for place, each in enumerate(TRUTH):
        lines = [yolo_line(variant, *box) for box in each.boxes]
        if broken < 4 and place == 3:
            lines.append(rng.choice(('0 0.5 0.5 0 0.5', '0 0.5 0.5 -1 0.5', '9 0.5 0.5 0.1 0.1',
                                     '0 0.5 0.5', '0 0.5 0.5 x 0.5', '0 300 200 50 50',
                                     '0 1.7 0.5 0.1 0.1', '0 0.5 nan 0.1 0.1')))
        if lines or rng.random() < 0.5:
            variant.write(labels / f'{"" if flat else variant.places[each.stem]}{each.stem}'
                          f'{rng.choice((".txt", ".TXT"))}', '\n'.join(lines))
    if broken == 4:
        variant.write(labels / 'gone.txt', '0 0.5 0.5 0.1 0.1')
    elif broken == 5:
        variant.write(labels / 'empty.txt', '0 0.5 0.5 0.1 0.1')
        variant.write(variant.images / 'empty.jpg', b'')
    elif broken == 6:
        variant.write(labels / 'torn.txt', b'\0\1\2\3\4\5\6\7')
        variant.write(variant.images / 'torn.jpg', JPEG)
    variant.debris(labels, '.txt')
    variant.debris(variant.images, '.jpg')
    form = rng.randrange(4)
    if form == 0:
        variant.write(labels / 'classes.txt', '\n'.join(NAMES) + '\n\n')
    elif form == 1:
        variant.write(variant.folder / 'obj.names', '\n'.join(f' {name} ' for name in NAMES))
        variant.write(variant.folder / 'obj.data', 'classes=3\nnames = build\\data\\obj.names\n')
    else:
        names = rng.choice((str(list(NAMES)), str(dict(enumerate(NAMES))),
                            str({str(key): name for key, name in enumerate(NAMES)})))
        variant.write(variant.folder / 'data.yaml', 'path: /content\ntrain: ../train/images\n'
                      f'nc: {rng.choice((3, 4))}\nnames: {names}\n')
        if not flat and (beside or labels.name == 'labels' and variant.images.name == 'images'):
            labels = rng.choice((labels, variant.folder / 'data.yaml'))
    if not beside:
        variant.write(variant.folder / labels.name / 'train.txt' if labels.is_dir()
                      else variant.folder / 'train.txt', 'data/a.jpg\n')
    return labels, variant.images


def assert_same(dataset: Dataset) -> None:
    """Check images, classes and boxes against the truth."""
    names = dataset.class_names
    assert sorted(names) == sorted(NAMES)
    found = {each.image_path.stem: each for each in dataset.labels}
    assert sorted(found) == sorted(each.stem for each in TRUTH)
    assert len(dataset.labels) == len(TRUTH)
    for each in TRUTH:
        labels = found[each.stem]
        boxes = labels.boxes_in(SIZE).tolist()
        got = sorted((NAMES.index(names[class_id]), [round(value, 2) for value in corners])
                     for class_id, corners in zip(labels.class_ids, boxes, strict=True))
        assert got == sorted((class_id, [*map(float, corners)]) for class_id, corners
                             in each.boxes)
        assert not labels.ignore.any() and (labels.scores == 1).all()


@pytest.mark.parametrize('write', [write_coco, write_voc, write_yolo],
                         ids=['coco', 'voc', 'yolo'])
def test_same_boxes_come_out_of_every_variant(write: Callable[[Variant], tuple[Path, Path]],
                                              tmp_path):
    for seed in range(VARIANTS):
        variant = Variant(tmp_path / str(seed), seed)
        annotations, images = write(variant)
        try:
            assert_same(open_dataset(annotations, images))
        except (AssertionError, LiteDetectorError) as error:
            pytest.fail(f'seed {seed}: {annotations} {images}: {error}')
