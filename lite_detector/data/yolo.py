# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
YOLO: one txt file per image, ``class centre-x centre-y width height`` per line, in fractions.

An image without a txt file, or with an empty one, is a negative. The class names stand in
``classes.txt``, one a line, or under ``names`` in ``data.yaml``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.config import load_yaml
from lite_detector.core.errors import ConfigError, DataError
from lite_detector.core.media import IMAGE_SUFFIXES
from lite_detector.data.dataset import check_class_names, Dataset, ImageLabels
from lite_detector.data.text_files import read_each, read_lines
import msgspec

NAME_FILES = ('classes.txt', 'data.yaml', 'data.yml')


class _DataYaml(msgspec.Struct):
    """What is read of a data.yaml: its paths belong to the machine that it was written on."""

    names: list[str] | dict[int, str]
    nc: int | None = None
    """How many names there are; said twice, so it may be wrong."""


def read_yolo(annotations: Path, images: Path,
              class_names: Sequence[str] | None = None) -> Dataset:
    """
    Read a folder of txt files.

    :param annotations: that folder, or a data.yaml; then the txt files lie beside the images, or
        in the folder that is called ``labels`` where theirs is called ``images``.
    :param images: folder of the images.
    :param class_names: what the class ids mean, where no file says it.
    :raises DataError: naming the first file that is wrong, and how many more are.
    """
    folder = annotations
    if not label_files(annotations):
        folder = _label_folder(annotations, images)
    names = _find_names(annotations, folder, class_names)
    paths = {path.stem: path for path in label_files(folder)}
    pictures = sorted(path for path in images.iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
    # a txt file without an image shows as an image that is missing
    pictures += [images / f'{stem}.jpg' for stem in
                 sorted(set(paths) - {path.stem for path in pictures})]

    def read(picture: Path) -> ImageLabels:
        path = paths.get(picture.stem)
        rows = [] if path is None else _read_file(path, len(names))
        return ImageLabels.from_rows(picture, rows, in_fractions=True)
    return Dataset(annotations, tuple(names), tuple(read_each(pictures, read)))


def label_files(folder: Path) -> list[Path]:
    """Return the txt files of a folder that belong to images; none if it is no folder."""
    return sorted(path for path in folder.glob('*.txt')
                  if path.name not in NAME_FILES and not path.name.startswith('README'))


def _label_folder(annotations: Path, images: Path) -> Path:
    parts = list(images.absolute().parts)
    folders = [images]
    if 'images' in parts:
        parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
        folders.insert(0, Path(*parts))
    for folder in folders:
        if label_files(folder):
            return folder
    raise DataError(f'{annotations}: no label file (*.txt) in {" or ".join(map(str, folders))}; '
                    'wanted the folder of the images of one split, such as images/train')


def _find_names(annotations: Path, folder: Path,
                class_names: Sequence[str] | None) -> Sequence[str]:
    if annotations.is_file():
        return _read_names(annotations)
    # labels/train/a.txt has its data.yaml two folders up
    for place in (folder, *folder.absolute().parents[:2]):
        for name in NAME_FILES:
            if (place / name).is_file():
                return _read_names(place / name)
    if class_names:
        return class_names
    raise DataError(f'{annotations}: nobody says what the class ids mean: wanted a classes.txt or '
                    'data.yaml there or above, or class names')


def _read_names(path: Path) -> Sequence[str]:
    if path.suffix == '.txt':
        lines = [line.strip() for line in read_lines(path)]
        while lines and not lines[-1]:
            lines.pop()
        names: Sequence[str] = lines
    else:
        try:
            content = load_yaml(path, _DataYaml)
        except ConfigError as error:
            raise DataError(str(error)) from None
        found = content.names
        if content.nc not in (None, len(found)):
            raise DataError(f'{path}: nc is {content.nc}, but there are {len(found)} names')
        if isinstance(found, dict):
            if sorted(found) != list(range(len(found))):
                raise DataError(f'{path}: names: got ids {sorted(found)}, wanted 0 to '
                                f'{len(found) - 1}')
            found = [found[class_id] for class_id in sorted(found)]
        names = found
    check_class_names(names, str(path))
    return names


def _read_file(path: Path, num_classes: int) -> list[tuple[int, tuple[float, ...], bool]]:
    return [(*_read_line(line, num_classes, f'{path}:{number}'), False)
            for number, line in enumerate(read_lines(path), start=1) if line.strip()]


def _read_line(line: str, num_classes: int, where: str) -> tuple[int, tuple[float, ...]]:
    fields = line.split()
    if len(fields) != 5:
        raise DataError(f'{where}: got {len(fields)} fields, wanted 5: class, centre x, centre y, '
                        'width, height')
    try:
        class_id, (x, y, width, height) = int(fields[0]), map(float, fields[1:])
    except ValueError as error:
        raise DataError(f'{where}: {error}') from None
    if not 0 <= class_id < num_classes:
        raise DataError(f'{where}: class {class_id} is unknown; there are {num_classes}, counted '
                        'from 0')
    if width < 0 or height < 0:
        raise DataError(f'{where}: the box has a negative size: {width:g} x {height:g}')
    for name, value in (('x', x), ('y', y), ('width', width), ('height', height)):
        if not 0 <= value <= 1:
            raise DataError(f'{where}: {name} is {value:g}, wanted a fraction in 0 .. 1')
    return class_id, (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
