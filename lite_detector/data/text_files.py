# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Text files and folders as labelling tools and other systems leave them."""

from __future__ import annotations

import codecs
from collections.abc import Collection, Iterator
import os
from pathlib import Path
import re

from lite_detector.core.errors import DataError
from lite_detector.data.findings import Findings

BOMS = ((codecs.BOM_UTF8, 'utf-8-sig'), (codecs.BOM_UTF32_LE, 'utf-32'),
        (codecs.BOM_UTF32_BE, 'utf-32'), (codecs.BOM_UTF16_LE, 'utf-16'),
        (codecs.BOM_UTF16_BE, 'utf-16'))
CONTROL = re.compile('[\x00-\x08\x0e-\x1f]')
"""Characters that no text has."""
DEBRIS = re.compile(r'\.|__macosx$|thumbs\.db$|desktop\.ini$|ehthumbs|.*\.cache$|readme', re.I)


def is_debris(name: str) -> bool:
    """Tell whether a file or folder is what systems and tools leave behind, not data."""
    return DEBRIS.match(name) is not None


def walk_files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """
    Yield the files below a folder, debris left out.

    :param suffixes: lower case, with the dot.
    :return: relative to the folder, with ``/``; in no order.
    """
    seen: set[tuple[int, int]] = set()
    waiting = ['']
    while waiting:
        inside = waiting.pop()
        try:
            facts = os.stat(os.path.join(folder, inside))
            if (facts.st_dev, facts.st_ino) in seen:  # links may lead in a circle
                continue
            seen.add((facts.st_dev, facts.st_ino))
            entries = list(os.scandir(os.path.join(folder, inside)))
        except OSError:  # a folder that is gone or may not be read
            continue
        for entry in entries:
            name = entry.name
            stem, dot, suffix = name.rpartition('.')
            if dot + suffix.lower() in suffixes and stem and not is_debris(name):
                if not entry.is_dir():
                    yield inside + name
            elif entry.is_dir() and not is_debris(name):
                waiting.append(f'{inside}{name}/')


def decode_text(data: bytes, where: object, findings: Findings | None = None) -> str:
    """
    Return the text of a file: UTF-8, UTF-16 or UTF-32 with or without a BOM, else Latin-1.

    :param where: name for messages.
    :raises DataError: if it is no text.
    """
    encoding = next((name for bom, name in BOMS if data.startswith(bom)), 'utf-8')
    if encoding == 'utf-8' and b'\0' in data[:64]:
        encoding = 'utf-16-be' if data[:1] == b'\0' else 'utf-16-le'
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != 'utf-8':
            raise DataError(f'{where}: not a text file: {error}') from None
        try:
            text = data.decode('cp1252')
        except UnicodeDecodeError:
            text = data.decode('latin-1')
        if not CONTROL.search(text) and findings is not None:
            findings.note('encoding', where)
    if match := CONTROL.search(text):
        raise DataError(f'{where}: not a text file: it has the character {match[0]!r}')
    return text.removeprefix('\ufeff')


def read_bytes(path: Path | str) -> bytes:
    """
    Read a file.

    :raises DataError: if that cannot be done.
    """
    try:
        with open(path, 'rb', buffering=0) as file:
            return file.read()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None


def read_text(path: Path, findings: Findings | None = None) -> str:
    """
    Read a text file.

    :raises DataError: if it is absent or no text.
    """
    return decode_text(read_bytes(path), path, findings)
