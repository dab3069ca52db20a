# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Pascal VOC: one xml file per image.

Corners are taken as continuous coordinates, as labelling tools write them today. The files of the
VOC challenge itself count pixels from 1, so there the left and the top side are 1 pixel off.
"""

from __future__ import annotations

from collections.abc import Sequence
import math
from pathlib import Path, PureWindowsPath
from typing import NamedTuple
from xml.etree import ElementTree

from lite_detector.core.errors import DataError
from lite_detector.core.media import IMAGE_SUFFIXES
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset, ImageLabels, MAX_PIXELS
from lite_detector.data.text_files import read_each

CHUNK_BYTES = 64


class _Object(NamedTuple):
    name: str
    box: tuple[float, ...]
    difficult: bool


class _Annotation(NamedTuple):
    image_path: Path
    size: ImageSize | None
    objects: list[_Object]


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses document types: entities are the way in which XML harms who reads it."""

    def doctype(self, *_: object) -> None:
        raise DataError('a document type (DTD) is not allowed')


def read_voc(folder: Path, images: Path, class_names: Sequence[str] = ()) -> Dataset:
    """
    Read a folder of xml files; class ids count the names in alphabetical order.

    An image without an xml file is not labelled and not part of the dataset; an xml file without
    an object is a negative.

    :param folder: the xml files.
    :param images: the images: the one that is called as the xml file is or, where there is none,
        its ``filename``.
    :param class_names: names that count too, though no box may have them.
    :raises DataError: naming the first file that is wrong, and how many more are.
    """
    files = sorted(folder.glob('*.xml'))
    annotations = read_each(files, lambda path: _read_file(path, images))
    owners: dict[Path, Path] = {}
    for file, annotation in zip(files, annotations, strict=True):
        owner = owners.setdefault(annotation.image_path, file)
        if owner != file:
            raise DataError(f'{file}: its image {annotation.image_path.name} is that of '
                            f'{owner.name} too')
    names = sorted({item.name for annotation in annotations for item in annotation.objects}
                   | set(class_names))
    class_ids = {name: index for index, name in enumerate(names)}
    labels = [ImageLabels.from_rows(
        annotation.image_path,
        [(class_ids[item.name], item.box, item.difficult) for item in annotation.objects],
        annotation.size) for annotation in annotations]
    return Dataset(folder, tuple(names), tuple(labels))


def _read_file(path: Path, images: Path) -> _Annotation:
    root = _parse(path)
    if root.tag != 'annotation':
        raise DataError(f'{path}: no Pascal VOC file: the root is <{root.tag}>, wanted '
                        '<annotation>')
    objects = [_read_object(element, f'{path}: object {number}')
               for number, element in enumerate(root.iterfind('object'), start=1)]
    return _Annotation(_find_image(path, root, images), _read_size(path, root), objects)


def _parse(path: Path) -> ElementTree.Element:
    parser = ElementTree.XMLParser(target=_NoDoctype())
    try:
        data = path.read_bytes()
        # The parser goes on to the end of what it is fed, whatever we raise. In so few bytes there
        # is no room for entities that do harm.
        for start in range(0, len(data), CHUNK_BYTES):
            parser.feed(data[start:start + CHUNK_BYTES])
        return parser.close()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # or an odd encoding
        raise DataError(f'{path}: not valid XML: {error}') from None
    except DataError as error:
        raise DataError(f'{path}: {error}') from None


def _read_size(path: Path, root: ElementTree.Element) -> ImageSize | None:
    element = root.find('size')
    if element is None:
        return None
    width, height = (_number(element, key, f'{path}: size') for key in ('width', 'height'))
    if width <= 0 or height <= 0:  # some tools write 0 for "not known"
        return None
    return ImageSize(round(height), round(width))


def _read_object(element: ElementTree.Element, where: str) -> _Object:
    name = ' '.join((element.findtext('name') or '').split())
    if not name:
        raise DataError(f'{where}: no <name>')
    corners = element.find('bndbox')
    if corners is None:
        raise DataError(f'{where} ({name}): no <bndbox>')
    box = tuple(_number(corners, key, f'{where} ({name})')
                for key in ('xmin', 'ymin', 'xmax', 'ymax'))
    if box[2] < box[0] or box[3] < box[1]:
        raise DataError(f'{where} ({name}): the box has a negative size: '
                        f'{" ".join(map("{:g}".format, box))}')
    return _Object(name, box, (element.findtext('difficult') or '').strip() in ('1', 'true'))


def _number(element: ElementTree.Element, key: str, where: str) -> float:
    text = element.findtext(key)
    if text is None:
        raise DataError(f'{where}: no <{key}>')
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not abs(value) <= MAX_PIXELS:  # nor NaN
        raise DataError(f'{where}: {key}: got {text.strip()!r}, wanted a number of pixels')
    return value


def _find_image(path: Path, root: ElementTree.Element, images: Path) -> Path:
    # also of C:\folder\a.jpg only the name counts
    name = PureWindowsPath((root.findtext('filename') or '').strip()).name
    named = images / (name or f'{path.stem}.jpg')
    if named.is_file() and named.stem == path.stem:
        return named
    alike = (images / f'{path.stem}{suffix}' for suffix in sorted(IMAGE_SUFFIXES))
    # first of all, for a copy of an image often has the name of the first one in its xml file
    return next((each for each in alike if each.is_file()), named)
