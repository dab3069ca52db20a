# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read text files and folders as written by labelling tools and other systems."""

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
"""Control characters, which do not occur in text files."""
DEBRIS = re.compile(r'\.|__macosx$|thumbs\.db$|desktop\.ini$|ehthumbs|.*\.cache$|readme', re.I)


def is_debris(name: str) -> bool:
    """Return whether a file or folder belongs to the system or a tool and holds no data."""
    return DEBRIS.match(name) is not None


def walk_files(folder: Path, suffixes: Collection[str]) -> Iterator[str]:
    """
    Yield the files below a folder, without hidden files and files of other tools.

    :param suffixes: File suffixes in lower case, with the dot.
    :return: Paths relative to the folder, with ``/``, unsorted.
    """
    seen: set[tuple[int, int]] = set()
    waiting = ['']
    while waiting:
        inside = waiting.pop()
        try:
            facts = os.stat(os.path.join(folder, inside))
            if (facts.st_dev, facts.st_ino) in seen:  # links may form a cycle
                continue
            seen.add((facts.st_dev, facts.st_ino))
            entries = list(os.scandir(os.path.join(folder, inside)))
        except OSError:  # the folder was removed or is not readable
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
    Decode a text file: UTF-8, UTF-16 or UTF-32 with or without a BOM, else Latin-1.

    :param where: Path of the file, for messages.
    :raises DataError: if the file is not text.
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
        raise DataError(f'{where}: not a text file: contains the character {match[0]!r}')
    return text.removeprefix('\ufeff')


def read_bytes(path: Path | str) -> bytes:
    """
    Read a file.

    :raises DataError: if the file cannot be read.
    """
    try:
        with open(path, 'rb', buffering=0) as file:
            return file.read()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None


def read_text(path: Path, findings: Findings | None = None) -> str:
    """
    Read a text file.

    :raises DataError: if the file is absent or not text.
    """
    return decode_text(read_bytes(path), path, findings)
