# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Pascal VOC reader: one xml file per image.

Corners are read as continuous coordinates, as current labelling tools write them. The original
VOC files count pixels from 1; for them the left and the top side are off by 1 pixel.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
import math
from pathlib import Path
import re
from typing import NamedTuple
from xml.etree import ElementTree

from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset, ImageRows, labels_of, MAX_PIXELS
from lite_detector.data.findings import BOXES, BrokenItemError, Findings, IMAGES
from lite_detector.data.image_index import fold, FoundImage, ImageIndex, path_parts, stem_of
from lite_detector.data.notation import complete, number
from lite_detector.data.outlines import Box, box_of_points
from lite_detector.data.text_files import decode_text, read_bytes, walk_files

CHUNK_BYTES = 64
DECLARED = re.compile(rb'<\?xml[^>]{0,80}encoding\s*=\s*["\']([\w.-]{1,40})["\']')
NOT_PLAIN = re.compile(rb'<!DOCTYPE|\0')
"""Pattern of a document type, or of multi-byte encodings that could hide one."""
DECLARATION = re.compile(r'^\s*<\?xml[^>]*\?>')
CORNERS = ('xmin', 'ymin', 'xmax', 'ymax')


class _Object(NamedTuple):
    name: str
    box: Box
    difficult: bool


class _Annotation(NamedTuple):
    image: str
    """Path relative to the folder of images."""
    size: ImageSize | None
    objects: list[_Object]


class _NoDoctype(ElementTree.TreeBuilder):
    """A builder that refuses document types, because XML entities can be used for attacks."""

    def doctype(self, *_: object) -> None:
        raise DataError('a document type (DTD) is not allowed')


def read_voc(folder: Path, images: Path, class_names: Sequence[str] = (),
             findings: Findings | None = None) -> Dataset:
    """
    Read the xml files in a folder and its subfolders; class ids follow the alphabetical order.

    An image without an xml file is not part of the dataset; an xml file without an object is a
    negative sample.

    :param folder: Folder of the xml files.
    :param images: Folder of the images. The image of an xml file has the same name or, if there is
        none, the name in ``filename``.
    :param class_names: Additional class names, also for classes without a box.
    :param findings: Collector of skipped items and notes; None: a new one.
    :raises DataError: if nothing can be read, or the image of a file is ambiguous.
    """
    findings = Findings() if findings is None else findings
    index = ImageIndex(images)
    by_stem: dict[str, list[str]] = {}
    for name in index.names:
        by_stem.setdefault(_key(name), []).append(name)
    annotations: list[_Annotation] = []
    owners: dict[str, str] = {}
    files = sorted(walk_files(folder, ('.xml',)))
    findings.seen[IMAGES] += len(files)
    for file in files:
        path = f'{folder}/{file}'
        try:
            annotation = _read_file(path, file, index, by_stem, findings)
        except BrokenItemError:
            raise
        except DataError as error:
            findings.skip('malformed_labels', path, str(error).removeprefix(f'{path}: '))
            continue
        if annotation is None:
            continue
        owner = owners.setdefault(annotation.image, file)
        if owner != file:
            findings.skip('missing', path, f'its image {annotation.image} belongs to {owner} too')
            continue
        annotations.append(annotation)
    names = sorted({item.name for annotation in annotations for item in annotation.objects}
                   | set(class_names))
    if not annotations or not names:
        findings.check()
    class_ids = {name: index for index, name in enumerate(names)}
    labels = labels_of([ImageRows(
        images / annotation.image,
        [(class_ids[item.name], item.box, item.difficult) for item in annotation.objects],
        annotation.size) for annotation in annotations])
    return Dataset(folder, tuple(names), labels, findings)


def _read_file(path: str, file: str, index: ImageIndex, by_stem: dict[str, list[str]],
               findings: Findings) -> _Annotation | None:
    data = read_bytes(path)
    root = _parse(path, data, findings)
    if root.tag != 'annotation':
        raise DataError(f'not a Pascal VOC file: the root is <{root.tag}>; expected <annotation>')
    found = _find_image(file, root, index, by_stem)
    if found.others:
        findings.refuse('ambiguous_path', path, (
            f'its image may be {" or ".join(found.others[:2])}; choose the folder with --images'))
        return None
    assert found.name is not None, 'one image, or several'
    size = _read_size(root)
    findings.seen[BOXES] += len(root.findall('object'))
    return _Annotation(found.name, size, list(_read_objects(path, data, root, size, findings)))


def _parse(path: str, data: bytes, findings: Findings) -> ElementTree.Element:
    try:
        return _feed(data)
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # or unknown encoding
        problem = error
    try:  # blanks before the declaration, or a wrong declaration of the encoding
        match = DECLARED.search(data[:200])
        text = None
        if match and match[1].lower() not in (b'utf-8', b'utf-16'):
            try:
                text = data.decode(match[1].decode())
            except (UnicodeDecodeError, LookupError):
                pass
        if text is None:
            text = decode_text(data, path)
            if not data.isascii() and not match:
                findings.note('encoding', path)
        return _feed(DECLARATION.sub('', text).strip())
    except (ElementTree.ParseError, ValueError, LookupError):
        raise DataError(f'not valid XML: {problem}') from None


def _feed(data: bytes | str) -> ElementTree.Element:
    if isinstance(data, bytes) and not NOT_PLAIN.search(data) and (
            data.isascii() or b'<?xml' not in data):
        return ElementTree.fromstring(data)  # without a document type there are no entities
    parser = ElementTree.XMLParser(target=_NoDoctype())
    # The parser processes each chunk to its end even after an error. Small chunks leave no room
    # for harmful entities.
    for start in range(0, len(data), CHUNK_BYTES):
        parser.feed(data[start:start + CHUNK_BYTES])
    return parser.close()


def _read_size(root: ElementTree.Element) -> ImageSize | None:
    element = root.find('size')
    if element is None:
        return None
    width, height = (number(element.findtext(key)) for key in ('width', 'height'))
    # some tools write 0 for an unknown size
    if not width or not height or not (0 < width <= MAX_PIXELS and 0 < height <= MAX_PIXELS):
        return None
    return ImageSize(round(height), round(width))


def _read_objects(path: str, data: bytes, root: ElementTree.Element, size: ImageSize | None,
                  findings: Findings) -> Iterator[_Object]:
    for place, element in enumerate(root.findall('object')):
        name = ' '.join((element.findtext('name') or '').split())
        problem = '', ''
        box: Box | None = None
        if not name or not name.isprintable():
            problem = 'unknown_id', 'no <name>' if not name else f'<name> is {name!r}'
        else:
            box, problem = _read_box(element)
        if box is not None and size is not None and not (
                box[0] < size.width and box[1] < size.height and box[2] > 0 and box[3] > 0):
            problem = 'outside_image', (f'box {" ".join(map("{:g}".format, box))} is fully '
                                        f'outside the image of {size}')
        if problem[0] or box is None:
            label = f' ({name})' if name else ''
            findings.skip(problem[0], path, f'object {place + 1}{label}, line '
                          f'{_line_of(data, place)}: {problem[1]}')
            continue
        if element.find('bndbox') is None:
            findings.note('outlines', path, f'object {place + 1} ({name})')
        difficult = element.findtext('difficult')
        yield _Object(name, box, difficult not in (None, '0') and bool(number(difficult)))


def _line_of(data: bytes, place: int) -> int:
    """Return the line number of an object, counted from 1."""
    starts = re.finditer(rb'<object[\s>]', data.replace(b'\0', b''))
    position = next((match.start() for number_, match in enumerate(starts) if number_ == place), 0)
    return data.replace(b'\0', b'').count(b'\n', 0, position) + 1


def _read_box(element: ElementTree.Element) -> tuple[Box | None, tuple[str, str]]:
    """Return the box of an object, or the kind and the description of the problem."""
    corners = element.find('bndbox')
    if corners is None:
        outline = _read_outline(element)
        if outline is None:
            return None, ('malformed_box', 'no <bndbox>')
        box = outline
    else:
        found = {each.tag: each.text for each in corners}
        values = [_number(found.get(key)) for key in CORNERS]
        for key, value in zip(CORNERS, values, strict=True):
            if value is None:
                what = f'no <{key}>' if key not in found else (
                    f'{key}: {(found[key] or "").strip()!r}; expected a number of pixels')
                return None, ('malformed_box', what)
        left, top, right, bottom = (value for value in values if value is not None)
        box = left, top, right, bottom
    if box[2] <= box[0] or box[3] <= box[1]:
        return None, ('empty', 'width or height <= 0; expected left < right and top < bottom: '
                      f'{" ".join(map("{:g}".format, box))}')
    return box, ('', '')


def _number(text: str | None) -> float | None:
    try:
        value: float | None = float(text or '')
    except ValueError:
        value = number(text)
    return value if value is not None and abs(value) <= MAX_PIXELS else None  # excludes NaN


def _read_outline(element: ElementTree.Element) -> Box | None:
    """Return the bounding box of a polygon or an oriented box, which are format extensions."""
    oriented = element.find('robndbox')
    if oriented is not None:
        values = complete([_number(oriented.findtext(key))
                           for key in ('cx', 'cy', 'w', 'h', 'angle')])
        if values is None:
            return None
        x, y, width, height, angle = values
        cos, sin = abs(math.cos(angle)), abs(math.sin(angle))
        half_x, half_y = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
        return x - half_x, y - half_y, x + half_x, y + half_y
    outline = element.find('polygon')
    if outline is None:
        outline = element.find('segmentation/polygon')
    points = None if outline is None else complete(
        [_number(each.text) for each in outline.iter() if re.fullmatch(r'[xy]\d*', each.tag)])
    if points is None or len(points) < 6 or len(points) % 2:
        return None
    return box_of_points(points)


def _find_image(file: str, root: ElementTree.Element, index: ImageIndex,
                by_stem: dict[str, list[str]]) -> FoundImage:
    """Return the image of an xml file; a missing image keeps its written name."""
    # The file name comes first, because copied xml files often keep an old ``filename``.
    fitting = by_stem.get(_key(file), [])
    if len(fitting) == 1:
        return FoundImage(fitting[0], True)
    written = (root.findtext('filename') or '').strip()
    if fitting:
        name = (path_parts(written) or [''])[-1]
        same = [each for each in fitting if path_parts(each)[-1] == name]
        return FoundImage(same[0], True) if len(same) == 1 else FoundImage(None, others=fitting)
    stem = file[:-4]
    place = index.find(f'{stem}.jpg')
    if place.name is None and not place.others and written:
        folder = (root.findtext('folder') or '').strip()
        place = index.find(written)
        if place.others and folder:
            inside = index.find(f'{folder}/{written}')
            place = inside if inside.name else place
    if place.name is not None or place.others:
        return place
    return FoundImage(re.split(r'[\\/]', written)[-1] or f'{stem}.jpg')


def _key(file: str) -> str:
    """Return the key that an image and its xml file share: folders and name."""
    if '/' not in file:
        folded = fold(file)
        return folded[:-4] if folded.endswith('.xml') else stem_of(folded)
    *folders, name = path_parts(file)
    name = name[:-4] if name.endswith('.xml') else stem_of(name)
    return '/'.join([*(each for each in folders if each not in ('annotations', 'jpegimages')),
                     name])
