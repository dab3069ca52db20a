# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
YOLO reader: one txt file per image, ``class centre-x centre-y width height`` per line.

Coordinates are fractions of the image size. An image without a txt file, or with an empty one, is
a negative sample. The class names are in ``classes.txt``, under ``names`` in ``data.yaml``, or in
``obj.names`` of darknet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import DataError
from lite_detector.data.dataset import Dataset, ImageRows, labels_of
from lite_detector.data.findings import BrokenItemError, Findings, IMAGES
from lite_detector.data.image_index import ImageIndex, path_parts, stem_of
from lite_detector.data.text_files import read_text, walk_files
from lite_detector.data.yolo_lines import dota_name, read_label_file
from lite_detector.data.yolo_names import Classes, find_classes, LISTS, NAME_SUFFIXES

NO_LABELS = {*LISTS, 'train.txt', 'val.txt', 'valid.txt', 'test.txt', 'trainval.txt', 'labels.txt'}
"""Text files of names and lists, unless an image has the same name."""
PARALLEL = {'images', 'labels', 'jpegimages', 'annotations', 'obj_train_data'}
"""Folder names that separate images from labels; they are ignored when pairing files."""


class _Pairs(NamedTuple):
    """
    Images and their labels, as paths relative to their folders.

    :param labels: Image -> txt file.
    :param lone: Txt files without an image.
    :param are_parallel: True if images and labels have the same subfolders.
    """

    labels: dict[str, str]
    lone: list[str]
    are_parallel: bool


def read_yolo(annotations: Path, images: Path, class_names: Sequence[str] | None = None,
              findings: Findings | None = None) -> Dataset:
    """
    Read txt files in a folder and its subfolders.

    :param annotations: Folder of the txt files, or a data.yaml, obj.data or file of names; then
        the txt files are next to the images, or in a folder ``labels`` parallel to ``images``. A
        list of images, such as train.txt, selects these images.
    :param images: Folder of the images.
    :param class_names: Class names, used if no file has them.
    :param findings: Collector of skipped items and notes; None: a new one.
    :raises DataError: if labels or names are missing or ambiguous.
    """
    findings = Findings() if findings is None else findings
    index = ImageIndex(images)
    pictures = list(index.names)
    listed = None
    if is_list(annotations):
        listed = _read_list(annotations, index, findings)
        annotations = annotations.parent
    folder, files = _label_folder(annotations, images)
    classes = find_classes(annotations, folder, findings)
    if classes is None:
        classes = _classes_of(class_names, annotations, folder, files)
    pairs = _pair(pictures, files, images, findings)
    if listed is not None:
        pictures, lone = listed, []
    else:
        pictures, lone = list(_with_negatives(pictures, pairs, images, findings)), pairs.lone
    found = []
    for picture in pictures:
        file = pairs.labels.get(picture)
        try:
            found.append(ImageRows(images / picture, (), in_fractions=True) if file is None else
                         read_label_file(f'{folder}/{file}', images / picture, classes, findings))
        except BrokenItemError:
            raise
        except DataError as error:
            findings.skip('malformed_labels', f'{folder}/{file}', str(error).partition(': ')[2])
    # a txt file without an image counts as a missing image
    found += [ImageRows(images / f'{file[:-4]}.jpg', (), in_fractions=True) for file in lone]
    findings.seen[IMAGES] += len(pictures) + len(lone)
    if not found:
        findings.check()
    return Dataset(annotations, classes.names, labels_of(found), findings)


def label_files(folder: Path) -> list[str]:
    """Return the txt files below a folder that may be labels, relative to it, sorted."""
    return sorted(walk_files(folder, ('.txt',)))


def has_labels(folder: Path) -> bool:
    """Return whether a folder or its subfolders contain YOLO labels or class names."""
    return any(_name(file) not in NO_LABELS for file in label_files(folder)) or any(
        path.suffix.lower() in NAME_SUFFIXES or path.name.lower() in LISTS
        for path in folder.iterdir())


def is_list(path: Path) -> bool:
    """Return whether a file is a list of images, one per line, such as train.txt."""
    if path.suffix.lower() != '.txt' or not path.is_file():
        return False
    first = next(filter(None, map(str.strip, read_text(path).splitlines())), '')
    return stem_of(first.lower()) != first.lower()


def _name(file: str) -> str:
    return file.rpartition('/')[2].lower()


def _read_list(path: Path, index: ImageIndex, findings: Findings) -> list[str]:
    found = []
    for place, line in enumerate(read_text(path, findings).splitlines(), start=1):
        if line.strip():
            image = index.find(line.strip())
            if image.others:
                findings.refuse('ambiguous_path', f'{path}:{place}', f'{line.strip()} may be '
                                f'{" or ".join(image.others[:2])}; choose the folder with '
                                '--images')
            elif image.name is None:
                findings.skip('missing', f'{path}:{place}', f'{line.strip()}: no such image')
                findings.seen[IMAGES] += 1
            else:
                found.append(image.name)
    return list(dict.fromkeys(found))


def _label_folder(annotations: Path, images: Path) -> tuple[Path, list[str]]:
    """Return the folder of the labels and the txt files below it."""
    beside = [images]
    parts = list(images.absolute().parts)
    if 'images' in parts:
        parts[len(parts) - 1 - parts[::-1].index('images')] = 'labels'
        beside.insert(0, Path(*parts))
    if annotations.is_dir():
        top = annotations.absolute()
        if any(path.suffix.lower() == '.txt' and path.name.lower() not in NO_LABELS
               for path in annotations.iterdir()):
            beside = [annotations]
        else:  # the folder may hold several splits: choose the one of the images
            beside = [*(place for place in beside if top in (place, *place.parents)), annotations,
                      *(place for place in beside if place == images)]
    for folder in beside:
        files = label_files(folder) if folder.is_dir() else []
        if any(_name(file) not in NO_LABELS for file in files):
            return folder, files
    raise DataError(f'{annotations}: no label file (*.txt) in {" or ".join(map(str, beside))}; '
                    'expected the folder of the labels or images of one split, such as '
                    'images/train')


def _classes_of(class_names: Sequence[str] | None, annotations: Path, folder: Path,
                files: Sequence[str]) -> Classes:
    """Return classes that no file names: the given names, or the names in DOTA labels."""
    if class_names:
        return Classes.counted(class_names)
    names: set[str] = set()
    for file in files:
        if _name(file) in NO_LABELS:
            continue
        try:
            lines = read_text(folder / file).splitlines()
        except DataError:
            continue
        found = set(filter(None, map(dota_name, lines)))
        if not found and not names and any(map(str.strip, lines)):
            break  # another format
        names |= found
    if names:
        return Classes.counted(sorted(names))
    raise DataError(f'{annotations}: no class names; expected classes.txt, data.yaml or obj.names '
                    'in this folder or above, or the names in --class-names or '
                    'data.class_names')


def _pair(pictures: Sequence[str], files: Sequence[str], images: Path,
          findings: Findings) -> _Pairs:
    by_key: dict[str, list[str]] = defaultdict(list)
    for picture in pictures:
        by_key[_key(picture)].append(picture)
    pairs = _Pairs({}, [], False)
    rest = []
    for file in files:
        fitting = by_key.get(_key(file))
        if fitting is None:
            rest.append(file)
        for picture in fitting or ():
            pairs.labels.setdefault(picture, file)
    are_parallel = bool(pairs.labels)
    if rest:
        by_name: dict[str, list[str]] = defaultdict(list)
        for picture in pictures:
            if picture not in pairs.labels:
                by_name[_stem(picture)].append(picture)
        for file in rest:
            _pair_by_name(file, by_name.get(_stem(file), []), pairs, images, findings)
    return pairs._replace(are_parallel=are_parallel)


def _pair_by_name(file: str, fitting: Sequence[str], pairs: _Pairs, images: Path,
                  findings: Findings) -> None:
    if len({picture.rpartition('/')[0] for picture in fitting}) > 1:
        findings.refuse('ambiguous_path', file, (
            f'its image may be {images / fitting[0]} or {images / fitting[1]}; choose the folder '
            'with --images'))
    elif fitting and all(pairs.labels.get(picture) is None for picture in fitting):
        pairs.labels.update(dict.fromkeys(fitting, file))
    elif fitting:
        findings.refuse('ambiguous_path', file, (
            f'the labels of {images / fitting[0]} may be this file or '
            f'{pairs.labels[fitting[0]]}; choose the folder with --annotations'))
    elif _name(file) not in NO_LABELS:
        pairs.lone.append(file)


def _with_negatives(pictures: Sequence[str], pairs: _Pairs, images: Path,
                    findings: Findings) -> Iterator[str]:
    """Yield the images with labels, and the negative images in the same folders."""
    used = {picture.rpartition('/')[0] for picture in pairs.labels}
    for picture in pictures:
        if pairs.are_parallel or picture.rpartition('/')[0] in used:
            yield picture
        else:
            findings.note('other_folders', images / picture)


def _key(file: str) -> str:
    """Return the key that an image and its labels share."""
    if '/' not in file:
        return _stem(file)
    *folders, _ = path_parts(file)
    return '/'.join([*(each for each in folders if each not in PARALLEL), _stem(file)])


def _stem(file: str) -> str:
    name = path_parts(file)[-1]
    return name[:-4] if name.endswith('.txt') else stem_of(name)
