# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read a COCO file as written by various tools into images, boxes and categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
import json
from pathlib import Path
from typing import Any, cast, NamedTuple

from lite_detector.core.errors import DataError
from lite_detector.data.coco_types import (
    CocoAnnotation,
    CocoCategory,
    CocoDataset,
    CocoImage,
)
from lite_detector.data.dataset import MAX_PIXELS
from lite_detector.data.findings import BOXES, Findings, IMAGES
from lite_detector.data.image_index import ImageIndex, path_parts
from lite_detector.data.notation import identifier, number, numbers
from lite_detector.data.outlines import Box, box_of_segmentation
from lite_detector.data.text_files import decode_text, read_bytes
import msgspec

NO_PARENT = ('', 'none', 'null', 'root')
"""Values of ``supercategory`` in a root category."""


class _Image(msgspec.Struct, gc=False):
    id: Any = None  # noqa: A003
    file_name: Any = None
    width: Any = None
    height: Any = None


class _CocoAnnotation(msgspec.Struct, gc=False):
    image_id: Any = None
    category_id: Any = None
    bbox: Any = None
    area: Any = None
    iscrowd: Any = None
    score: Any = None
    segmentation: msgspec.Raw = msgspec.Raw(b'null')
    """Decoded only without a bbox, because masks are the largest part of many files."""


class _Category(msgspec.Struct):
    id: Any = None  # noqa: A003
    name: Any = None
    supercategory: Any = None


class _File(msgspec.Struct):
    images: list[_Image]
    annotations: list[_CocoAnnotation | None] | None = None
    categories: list[_Category] | None = None


class _ImageRecord(NamedTuple):
    """
    An entry of the list of images, with the image file that was found for it.

    :param where: Position in the file, for messages.
    :param image_id: Id of the image in the file.
    :param written: File name as written in the file.
    :param name: Path relative to the folder of images.
    :param is_certain: True if the folders match, see ``image_index.FoundImage``.
    :param size: Width and height in pixels, or None for both.
    """

    where: str
    image_id: int | str
    written: str
    name: str
    is_certain: bool
    size: tuple[int | None, int | None]


class _Images(NamedTuple):
    """
    The images of a file.

    :param listed: Image id in the file -> image; several ids may lead to one image.
    :param left_out: Ids of images that cannot be used.
    """

    listed: dict[int | str, CocoImage]
    left_out: set[int | str | None]


def load_coco(path: Path, images: Path | None = None,
              findings: Findings | None = None) -> CocoDataset:
    """
    Read a COCO file.

    :param images: Folder of the images; file names become relative to it. None: file names stay
        as written.
    :param findings: Collector of skipped items and notes; None: a new one.
    :raises DataError: if the file is absent, malformed, without images, or ambiguous.
    """
    findings = Findings() if findings is None else findings
    raw = _decode(path, findings)
    if not raw.images:
        raise DataError(f'{path}: images: the list is empty')
    annotations = raw.annotations or []
    found = _read_images(path, raw.images, images, findings)
    used = {identifier(each.category_id) for each in annotations if each is not None}
    categories = _read_categories(path, raw.categories or [], used, findings)
    if annotations and not categories:
        raise DataError(f'{path}: categories: the list is empty or absent; expected a list of '
                        'categories with id and name')
    findings.seen[IMAGES] += len(raw.images)
    findings.seen[BOXES] += len(annotations)
    boxes = _BoxReader(path, found, categories, findings).read(annotations)
    unique = tuple({each.image_id: each for each in found.listed.values()}.values())
    classes = {each.category_id: each for each in categories.values()}
    return CocoDataset(unique, tuple(boxes), tuple(classes.values()))


def _decode(path: Path, findings: Findings) -> _File:
    data = read_bytes(path)
    try:
        return msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError as error:
        raise DataError(f'{path}: not a COCO file: {error}') from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:  # other encodings, and NaN, which pandas writes for missing values
        content = json.loads(decode_text(data, path, findings))
        return msgspec.json.decode(msgspec.json.encode(content), type=_File)
    except msgspec.ValidationError as error:
        raise DataError(f'{path}: not a COCO file: {error}') from None
    except (ValueError, RecursionError, DataError) as error:
        raise DataError(f'{path}: not valid JSON: {error}') from None


def _read_images(path: Path, raw: Sequence[_Image], folder: Path | None,
                 findings: Findings) -> _Images:
    index = ImageIndex(folder) if folder is not None else None
    found = _Images({}, set())
    records = []
    for place, each in enumerate(raw):
        image_id = identifier(each.id)
        record = _locate(f'{path}: images[{place}]', image_id, each, index, findings)
        if record is None:
            found.left_out.add(image_id)
        else:
            records.append(record)
    # Images whose folders match claim their files before those where only the name matches.
    owners: dict[str, _ImageRecord] = {}
    for record in sorted(records, key=lambda each: not each.is_certain):
        if not _claim(record, owners, found.listed, findings):
            found.left_out.add(record.image_id)
    order = {record.image_id: place for place, record in enumerate(records)}
    listed = {key: found.listed[key] for key in sorted(found.listed, key=order.__getitem__)}
    return _numbered(_Images(listed, found.left_out))


def _locate(where: str, image_id: int | str | None, image: _Image, index: ImageIndex | None,
            findings: Findings) -> _ImageRecord | None:
    written = image.file_name
    if image_id is None or written is None or not (written := str(written).strip()):
        findings.skip('missing', where, f'no {"id" if image_id is None else "file_name"}')
        return None
    if index is None:
        return _ImageRecord(where, image_id, written, written, True, _size(image))
    place = index.find(written)
    if place.others:
        findings.refuse('ambiguous_path', where, (
            f'{written!r} matches {" and ".join(place.others[:2])}; choose the folder with '
            '--images'))
        return None
    return _ImageRecord(where, image_id, written, place.name or written,
                        place.name is None or place.is_certain, _size(image))


def _claim(record: _ImageRecord, owners: dict[str, _ImageRecord],
           listed: dict[int | str, CocoImage], findings: Findings) -> bool:
    """Add an image to ``listed``; return False if it cannot be used."""
    name, image_id = record.name, record.image_id
    if image_id in listed and listed[image_id].file_name != name:
        findings.refuse('ambiguous_path', record.where, (
            f'duplicate image id {image_id!r}: {listed[image_id].file_name} and {name}; give each '
            'image its own id'))
        return False
    owner = owners.setdefault(name, record)
    if owner is record:
        # _numbered replaces ids that are text
        listed[image_id] = CocoImage(cast(int, image_id), name, *record.size)
    elif record.is_certain or path_parts(owner.written) == path_parts(record.written):
        findings.note('joined_images', record.where, name)
        listed[image_id] = listed[owner.image_id]
    else:  # an image of the same name in another folder, which does not exist here
        findings.skip('missing', record.where, f'{record.written}: no such image; {name} belongs '
                      f'to image id {owner.image_id}')
        return False
    return True


def _numbered(images: _Images) -> _Images:
    """Replace image ids that are text by free numbers."""
    texts = [key for key in images.listed if isinstance(key, str)]
    if texts:
        first = 1 + max((key for key in images.listed if isinstance(key, int)), default=0)
        ids = {text: first + place for place, text in enumerate(texts)}
        for key, each in images.listed.items():
            number_ = ids.get(cast(str, each.image_id))
            if number_ is not None:
                images.listed[key] = msgspec.structs.replace(each, image_id=number_)
    return images


def _size(image: _Image) -> tuple[int | None, int | None]:
    if type(image.width) is type(image.height) is int and (
            0 < image.width <= MAX_PIXELS and 0 < image.height <= MAX_PIXELS):
        return image.width, image.height
    width, height = number(image.width), number(image.height)
    if not width or not height or not (1 <= width <= MAX_PIXELS and 1 <= height <= MAX_PIXELS):
        return None, None
    return round(width), round(height)


def _read_categories(path: Path, raw: Sequence[_Category], used: set[int | str | None],
                     findings: Findings) -> dict[int | str, CocoCategory]:
    """Return category id in the file -> category; equal names share one category."""
    named: dict[int | str, str] = {}
    for each in raw:
        category_id, name = identifier(each.id), _text(each.name)
        if category_id is None or not name:
            continue  # boxes of this category are skipped and counted
        if named.setdefault(category_id, name) != name:
            raise DataError(f'{path}: duplicate category id {category_id!r}: '
                            f'{named[category_id]!r} and {name!r}; give each class its own id')
    parents = Counter(_text(each.supercategory) for each in raw if _text(each.supercategory)
                      != _text(each.name))
    names = Counter(named.values())
    for each in raw:
        category_id, name = identifier(each.id), _text(each.name)
        if (category_id in named and category_id not in used and len(named) > 1
                and _text(each.supercategory).lower() in NO_PARENT
                and (parents[name] or names[name] > 1)):
            findings.note('root_class', path, f'{name!r} (id {category_id})')
            del named[category_id]
            names[name] -= 1
    found: dict[int | str, CocoCategory] = {}
    by_name: dict[str, CocoCategory] = {}
    free = 1 + max((key for key in named if isinstance(key, int)), default=0)
    for category_id, name in named.items():
        if name in by_name:
            findings.note('joined_classes', path, f'{name!r}')
        else:
            if isinstance(category_id, int):
                by_name[name] = CocoCategory(category_id, name)
            else:
                by_name[name] = CocoCategory(free, name)
                free += 1
        found[category_id] = by_name[name]
    return found


def _text(value: object) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    return '' if value is None else str(value).strip()


class _BoxReader:
    """Reader of the boxes of one file."""

    def __init__(self, path: Path, images: _Images, categories: Mapping[int | str, CocoCategory],
                 findings: Findings) -> None:
        self._path, self._images, self._categories = path, images, categories
        self._findings = findings
        self._as_objects = findings.reading.crowds == 'objects'

    def read(self, raw: Iterable[_CocoAnnotation | None]) -> list[CocoAnnotation]:
        """Return the valid boxes."""
        boxes = []
        images, categories = self._images.listed, self._categories
        each: Any  # None and other types raise one of the errors below
        for index, each in enumerate(raw):
            try:
                image, category = images[each.image_id], categories[each.category_id]
                left, top, width, height = each.bbox
                box: tuple[Box, float | None] = (left, top, width, height), None
                is_plain = (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS
                            and -MAX_PIXELS <= left <= MAX_PIXELS
                            and -MAX_PIXELS <= top <= MAX_PIXELS and each.score is None)
            except (KeyError, TypeError, ValueError, AttributeError):
                is_plain = False
            if not is_plain:
                where = f'{self._path}: annotations[{index}]'
                owners = self._owners(each, where)
                careful = owners and self._careful(each, where)
                if owners is None or careful is None:
                    continue
                (image, category), box = owners, careful
            (left, top, width, height), score = box
            if image.width is not None and image.height is not None and not (
                    left < image.width and top < image.height and left + width > 0
                    and top + height > 0):
                self._findings.skip('outside_image', f'{self._path}: annotations[{index}]', (
                    f'box {left:g} {top:g} {width:g} {height:g} is fully outside the image of '
                    f'{image.size}'))
                continue
            crowd = 0 if self._as_objects or not each.iscrowd else int(
                bool(number(each.iscrowd)))
            area = None if each.area is None else number(each.area)
            boxes.append(CocoAnnotation(
                image.image_id, category.category_id, (left, top, width, height),
                area if area is None or area >= 0 else None, crowd, score))
        boxes = self._without_repeats(boxes)
        self._look_at_crowds(boxes)
        return boxes

    def _owners(self, each: _CocoAnnotation | None,
                where: str) -> tuple[CocoImage, CocoCategory] | None:
        if each is None:
            self._findings.skip('malformed_box', where, 'null; expected an annotation')
            return None
        image_id, category_id = identifier(each.image_id), identifier(each.category_id)
        if image_id not in self._images.listed:
            if image_id is None or image_id not in self._images.left_out:
                self._findings.skip('unlisted_image', where,
                                    f'image_id {image_id} is not in images')
            return None
        if category_id is None or category_id not in self._categories:
            self._findings.skip('unknown_id', where,
                                f'category_id {category_id} is not in categories')
            return None
        return self._images.listed[image_id], self._categories[category_id]

    def _careful(self, each: _CocoAnnotation,
                 where: str) -> tuple[Box, float | None] | None:
        """Return box and score of an unusual notation; None: the annotation is malformed."""
        box = numbers(each.bbox)
        if each.bbox in (None, '', [], {}):
            outline = box_of_segmentation(msgspec.json.decode(each.segmentation))
            if outline is not None:
                left, top, right, bottom = outline
                box = [left, top, right - left, bottom - top]
                self._findings.note('outlines', where)
        if box is None or len(box) != 4 or max(map(abs, box)) > MAX_PIXELS:
            self._findings.skip('malformed_box', where, f'bbox is {_short(each.bbox)}; expected '
                                'left, top, width, height in pixels')
            return None
        if box[2] <= 0 or box[3] <= 0:
            self._findings.skip('empty', where, f'bbox is {_short(each.bbox)}; expected a width '
                                'and height above 0')
            return None
        score = number(each.score)
        if (score is None and each.score not in (None, '', 'nan')
                or score is not None and not 0 <= score <= 1):
            self._findings.skip('malformed_box', where, f'score is {_short(each.score)}; expected '
                                '0 to 1')
            return None
        left, top, width, height = box
        return (left, top, width, height), score

    def _without_repeats(self, boxes: list[CocoAnnotation]) -> list[CocoAnnotation]:
        """Remove repeated boxes of images that are listed more than once."""
        if 'joined_images' not in self._findings.by_kind:
            return boxes
        unique = list({(each.image_id, each.category_id, each.bbox): each
                       for each in boxes}.values())
        if len(unique) < len(boxes):
            self._findings.note('repeated_boxes', self._path,
                                f'{len(boxes) - len(unique)} boxes')
        return unique

    def _look_at_crowds(self, boxes: Sequence[CocoAnnotation]) -> None:
        crowds = Counter(each.category_id for each in boxes if each.iscrowd)
        if crowds:
            every = Counter(each.category_id for each in boxes)
            for category in {each.category_id: each for each in self._categories.values()
                             }.values():
                count = crowds[category.category_id]
                if 2 * count > every[category.category_id]:
                    self._findings.note('crowd_class', self._path, (
                        f'{category.name!r}: {count} of {every[category.category_id]} boxes'))


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 60 else text[:57] + '...'
