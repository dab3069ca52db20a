# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Items of a dataset that a reader skips or changes, counted by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from lite_detector.core.errors import DataError
import msgspec

BOXES, IMAGES = 'boxes', 'images'
SKIPPED = {
    'empty': (BOXES, 'width or height <= 0'),
    'outside_image': (BOXES, 'fully outside the image'),
    'malformed_box': (BOXES, 'coordinates that are not a box'),
    'pixel_values': (BOXES, 'pixel values instead of fractions'),
    'unknown_id': (BOXES, 'class id without a name'),
    'unlisted_class': (BOXES, 'class that is not among the class names'),
    'unlisted_image': (BOXES, 'image that the annotations do not list'),
    'missing': (IMAGES, 'no such image'),
    'ambiguous_path': (IMAGES, 'several images of this name'),
    'malformed_labels': (IMAGES, 'label file that cannot be read'),
    'unreadable': (IMAGES, 'image that cannot be read'),
    'other_size': (IMAGES, 'image of another size than its annotations'),
}
"""Kind of a broken item -> unit of its share, and reason. More than ``max_broken`` of one unit, or
any item with ``strict``, is an error."""
NOTED = {
    'outlines': 'outlines read as their bounding boxes',
    'clipped': 'boxes clipped to the image',
    'joined_images': 'images listed more than once, their boxes joined',
    'repeated_boxes': 'boxes of images listed more than once, read once',
    'root_class': 'root categories without boxes left out',
    'joined_classes': 'categories of equal names joined',
    'crowd_class': 'classes labelled mostly as crowds, whose boxes are ignored; crowds=objects '
                   '(--crowds, data.crowds) reads them as objects',
    'class_count': 'files that state another number of classes than they name',
    'encoding': 'text files that are not UTF-8, read as Latin-1',
    'turned': 'images read without their EXIF rotation, as labelled',
    'other_folders': 'images in folders without a label file, not used',
}
"""Kind of an item that is read differently from how it is written -> description."""
EXAMPLES = 3

Crowds = Literal['ignore', 'objects']


class Reading(msgspec.Struct, frozen=True):
    """Tolerance for broken items, and the meaning of crowds."""

    strict: bool = False
    """True: the first broken item is an error."""
    max_broken: float = 0.1
    """Maximum share of broken boxes, and of broken images, that is skipped; 0 to 1."""
    crowds: Crowds = 'ignore'
    """Meaning of boxes with ``iscrowd``: regions to ignore, or objects."""


class Finding(NamedTuple):
    """
    One item that a reader reports.

    :param where: File and line, or position in the file.
    :param what: Description of the problem; empty: the description of the kind.
    """

    where: str
    what: str = ''

    def __str__(self) -> str:
        """Return location and description in one line."""
        return f'{self.where}: {self.what}' if self.what else self.where


class BrokenItemError(DataError):
    """A broken item in strict mode, or an ambiguous one; readers do not catch it."""


class Findings:
    """
    Collector of the findings in one dataset.

    :param reading: Tolerance for broken items; None: the defaults.
    :param keep_going: True: collect all findings and raise no error.
    """

    def __init__(self, reading: Reading | None = None, keep_going: bool = False) -> None:
        self.reading = Reading() if reading is None else reading
        self.by_kind: dict[str, list[Finding]] = {}
        self.seen: Counter[str] = Counter()
        self._keep_going = keep_going

    def skip(self, kind: str, where: object, what: str = '') -> None:
        """
        Count a broken item.

        :param kind: Kind of the item, a key of SKIPPED.
        :raises DataError: if ``strict`` is set.
        """
        finding = Finding(str(where), what or SKIPPED[kind][1])
        if self.reading.strict and not self._keep_going:
            raise BrokenItemError(str(finding))
        self.by_kind.setdefault(kind, []).append(finding)

    def note(self, kind: str, where: object, what: str = '') -> None:
        """
        Count an item that is read differently from how it is written.

        :param kind: Kind of the item, a key of NOTED.
        """
        self.by_kind.setdefault(kind, []).append(Finding(str(where), what))

    def refuse(self, kind: str, where: object, what: str) -> None:
        """
        Count an item that has several equally likely meanings.

        :param kind: Kind of the item, a key of SKIPPED.
        :raises DataError: unless all findings are collected.
        """
        if not self._keep_going:
            raise BrokenItemError(f'{where}: {what}')
        self.skip(kind, where, what)

    def too_many(self) -> str | None:
        """Return why a dataset with these findings is refused; None: it is accepted."""
        if self.reading.strict and (broken := self._broken()):
            return str(broken[0])
        for unit in (IMAGES, BOXES):
            broken = self._broken(unit)
            # boxes of unlisted images are not part of ``seen``
            total = max(self.seen[unit], len(broken))
            if broken and len(broken) > self.reading.max_broken * total:
                others = '; '.join(map(str, broken[1:EXAMPLES]))
                return (f'{broken[0]}; {len(broken)} of {total} {unit} are broken; expected at '
                        f'most {100 * self.reading.max_broken:g} % (--max-broken, '
                        'data.max_broken)' + (f'; also {others}' if others else ''))
        return None

    def check(self) -> None:
        """
        Raise an error if too many items are broken.

        :raises DataError: if the share exceeds the limit; the message has the first three items.
        """
        if not self._keep_going and (reason := self.too_many()):
            raise DataError(reason)

    def warnings(self) -> list[str]:
        """Return one line per kind with the count and the first item."""
        lines = []
        for kind, (unit, reason) in SKIPPED.items():
            if found := self.by_kind.get(kind):
                what = '' if found[0].what == reason else f' ({found[0].what})'
                lines.append(f'{len(found)} {unit} skipped: {reason}, first in '
                             f'{found[0].where}{what}')
        for kind, what in NOTED.items():
            if found := self.by_kind.get(kind):
                lines.append(f'{len(found)} {what}, first in {found[0]}')
        return lines

    def counts(self) -> dict[str, int]:
        """Return kind -> number of items, for a JSON file."""
        return {kind: len(self.by_kind[kind]) for kind in (*SKIPPED, *NOTED)
                if self.by_kind.get(kind)}

    def lines(self) -> dict[str, list[str]]:
        """Return kind -> all items, one line each."""
        return {kind: list(map(str, self.by_kind[kind])) for kind in self.counts()}

    @classmethod
    def joined(cls, parts: Iterable[Findings]) -> Findings:
        """Return the combined findings of several datasets."""
        whole = cls()
        for part in parts:
            whole.reading = part.reading
            whole.seen.update(part.seen)
            for kind, found in part.by_kind.items():
                whole.by_kind.setdefault(kind, []).extend(found)
        return whole

    def _broken(self, unit: str | None = None) -> list[Finding]:
        return [each for kind, (of, _) in SKIPPED.items() if unit in (None, of)
                for each in self.by_kind.get(kind, ())]


def describe(kind: str) -> str:
    """Return the description of a kind of finding, for a heading."""
    if kind in NOTED:
        return NOTED[kind]
    unit, reason = SKIPPED[kind]
    return f'{unit} skipped: {reason}'


def reading_from(values: dict[str, Any]) -> Reading:
    """
    Return the tolerance from command-line options; None means the default.

    :raises DataError: if ``max_broken`` is outside of 0 to 1.
    """
    reading = Reading(**{key: value for key, value in values.items() if value is not None})
    if not 0 <= reading.max_broken <= 1:
        raise DataError(f'max_broken: {reading.max_broken:g}; expected a share from 0 to 1, for '
                        'example 0.1 for 10 %')
    return reading
