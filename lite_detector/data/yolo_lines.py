# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parse lines of YOLO label files: boxes, polygons, oriented boxes, scores and key points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.data.dataset import ImageRows, MAX_PIXELS
from lite_detector.data.findings import BOXES, Findings
from lite_detector.data.notation import number, numbers, split_fields
from lite_detector.data.outlines import Box, box_of_points
from lite_detector.data.text_files import decode_text, read_bytes
from lite_detector.data.yolo_names import Classes

MOST = 2.0
"""Maximum value of a fraction; larger values are pixels, values above 1 cross the border."""
DOTA_HEAD = ('imagesource', 'gsd')
"""Keys in the header of a DOTA file."""


class LabelLine(NamedTuple):
    """A labelled object."""

    class_id: int
    box: Box
    ignore: bool = False
    score: float = 1.0


def read_label_file(path: str, image: Path, classes: Classes, findings: Findings) -> ImageRows:
    """
    Read the labels of an image.

    :param path: Path of the txt file.
    :param image: Path of the image.
    :raises DataError: if the file is not text.
    """
    data = read_bytes(path)
    try:
        rows = _plain_rows(data, classes)
    except (ValueError, KeyError):
        return _read_carefully(path, decode_text(data, path, findings), image, classes, findings)
    findings.seen[BOXES] += len(rows)
    return ImageRows(image, rows, in_fractions=True)


def dota_name(line: str) -> str | None:
    """Return the class of a DOTA line (eight coordinates and a name); None for other lines."""
    fields = split_fields(line)
    if len(fields) in (9, 10) and number(fields[8]) is None and all(
            number(field) is not None for field in fields[:8]):
        return fields[8]
    return None


def _plain_rows(data: bytes, classes: Classes) -> list[tuple[int, Box, bool]]:
    """Parse boxes in the usual notation; raise ValueError or KeyError for others."""
    rows = []
    index = classes.index
    for line in data.split(b'\n'):
        fields = line.split()
        if not fields:
            continue
        name, *values = fields
        x, y, width, height = map(float, values)
        half_width, half_height = width / 2, height / 2
        if not (0 <= x <= 1 and 0 <= y <= 1 and 0 < half_width <= 0.5 and 0 < half_height <= 0.5):
            raise ValueError
        rows.append((index[int(name)], (x - half_width, y - half_height, x + half_width,
                                        y + half_height), False))
    return rows


def _read_carefully(path: str, text: str, image: Path, classes: Classes,
                    findings: Findings) -> ImageRows:
    found: list[LabelLine] = []
    in_fractions = True
    for place, line in enumerate(text.splitlines(), start=1):
        fields = split_fields(line)
        if not fields or fields[0].partition(':')[0].lower() in DOTA_HEAD:
            continue
        findings.seen[BOXES] += 1
        where = f'{path}:{place}'
        name = dota_name(line)
        if name is not None:
            in_fractions = False
            row = _dota_row(fields, name, classes, where, findings)
        else:
            row = _row(fields, classes, where, findings)
        if row is not None:
            found.append(row)
    return ImageRows(image, [(each.class_id, each.box, each.ignore) for each in found],
                     in_fractions=in_fractions, scores=[each.score for each in found])


def _dota_row(fields: Sequence[str], name: str, classes: Classes, where: str,
              findings: Findings) -> LabelLine | None:
    values = numbers(fields[:8])
    assert values is not None, 'dota_name parsed the same values'
    if name not in classes.names:
        findings.skip('unknown_id', where, f'class {name!r} is unknown')
        return None
    box = box_of_points(values)
    if not (box[0] < box[2] and box[1] < box[3] and max(map(abs, box)) <= MAX_PIXELS):
        findings.skip('empty', where)
        return None
    findings.note('outlines', where)
    is_difficult = len(fields) == 10 and bool(number(fields[9]))
    return LabelLine(classes.names.index(name), box, is_difficult)


def _row(fields: Sequence[str], classes: Classes, where: str,
         findings: Findings) -> LabelLine | None:
    class_id = number(fields[0])
    if class_id is None or not class_id.is_integer():
        findings.skip('malformed_box', where, f'class is {fields[0]!r}; expected a whole number')
        return None
    if int(class_id) not in classes.index:
        findings.skip('unknown_id', where, f'class {class_id:g} is unknown; expected one of '
                      f'{len(classes.names)} ids, {min(classes.index)} to {max(classes.index)}')
        return None
    values = numbers(fields[1:])
    if values is None:
        odd = next(field for field in fields[1:] if number(field) is None)
        findings.skip('malformed_box', where, f'{odd!r}; expected a number')
        return None
    count = len(values)
    score, has_outline = 1.0, False
    if count > 4 and count == 4 + classes.keypoint_values:
        values = values[:4]
    elif count == 5 or count >= 7 and count % 2:
        *values, score = values
    if len(values) != 4:
        if len(values) < 6:
            findings.skip('malformed_box', where, f'{len(fields)} values; expected 5 (class, '
                          'centre x, centre y, width, height)')
            return None
        has_outline = True
    if not 0 <= score <= 1:
        findings.skip('malformed_box', where, f'the last value is {score:g}; expected a '
                      'confidence from 0 to 1')
        return None
    box = _box(values, has_outline, where, findings)
    return box and LabelLine(classes.index[int(class_id)], box, score=score)


def _box(values: Sequence[float], has_outline: bool, where: str, findings: Findings) -> Box | None:
    largest = max(values, key=abs)
    if abs(largest) > MOST:
        findings.skip('pixel_values', where, f'{largest:g}; expected a fraction from 0 to 1; '
                      'divide pixel values by the width and height of the image')
        return None
    if has_outline:
        box = box_of_points(values)
    else:
        x, y, width, height = values
        box = x - width / 2, y - height / 2, x + width / 2, y + height / 2
    if not (box[0] < box[2] and box[1] < box[3]):
        findings.skip('empty', where)
        return None
    if min(values) < 0 or max(values) > 1:
        left, top, right, bottom = (min(1.0, max(0.0, value)) for value in box)
        box = left, top, right, bottom
        if not (box[0] < box[2] and box[1] < box[3]):
            findings.skip('outside_image', where)
            return None
        findings.note('clipped', where)
    if has_outline:
        findings.note('outlines', where)
    return box
