# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Find images by the names in annotations, also from other systems and folders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
import os
from pathlib import Path
import re
from typing import NamedTuple
import unicodedata
from urllib.parse import unquote

from lite_detector.core.media import IMAGE_SUFFIXES
from lite_detector.data.text_files import walk_files

URL = re.compile(r'[a-z][a-z0-9+.-]+://', re.I)


class FoundImage(NamedTuple):
    """
    Result of a search for an image.

    :param name: Path relative to the folder of images; None: no image or several were found.
    :param is_certain: True: the folders match the annotations. False: only the name matches.
    :param others: Images that match equally well.
    """

    name: str | None
    is_certain: bool = False
    others: Sequence[str] = ()


class ImageIndex:
    """
    The images below a folder, without hidden folders and files of other tools.

    :param folder: Folder of the images.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.names = sorted(walk_files(folder, IMAGE_SUFFIXES))
        self._exact = set(self.names)

    def find(self, written: str) -> FoundImage:
        """
        Find an image.

        The written path may use backslashes, start with the folder of images, contain the folders
        of another computer, or be a URL. Case, Unicode normalization and suffix may differ.

        :param written: Path as written in the annotations.
        """
        if written in self._exact:
            return FoundImage(written, True)
        path = os.path.normpath(os.path.join(self.folder, written))
        if written and os.path.isfile(path):
            inside = os.path.relpath(path, self.folder)
            return FoundImage(written if inside.startswith('..') else inside, True)
        for text in dict.fromkeys((written, _without_url(written))):
            found = self._find(path_parts(text))
            if found.name is not None or found.others:
                return found
        return FoundImage(None)

    def _find(self, parts: Sequence[str]) -> FoundImage:
        if not parts:
            return FoundImage(None)
        *folders, name = parts
        fitting = self._by_stem.get(stem_of(name), ())
        same = [each for each in fitting if path_parts(each)[-1] == name]
        best = -1
        ranked: list[str] = []
        for each in same or fitting:
            theirs = path_parts(each)[:-1]
            common = _common_tail(folders, theirs)
            # prefer images whose folders below the folder of images all match
            rank = 2 * common + (common == len(theirs))
            if rank > best:
                best, ranked = rank, []
            if rank == best:
                ranked.append(each)
        if len(ranked) > 1:
            return FoundImage(None, others=ranked)
        if not ranked:
            return FoundImage(None)
        theirs = path_parts(ranked[0])[:-1]
        common = _common_tail(folders, theirs)
        front = folders[:len(folders) - common]
        return FoundImage(ranked[0], common == len(theirs)
                          and _common_tail(front, self._own_parts) == len(front))

    @cached_property
    def _by_stem(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        for each in self.names:
            found[stem_of(path_parts(each)[-1])].append(each)
        return found

    @cached_property
    def _own_parts(self) -> list[str]:
        return path_parts(os.path.abspath(self.folder))


def fold(text: str) -> str:
    """Return a name with normalized case and Unicode form, for comparison."""
    return text.casefold() if text.isascii() else unicodedata.normalize(
        'NFC', unicodedata.normalize('NFC', text).casefold())


def path_parts(written: str) -> list[str]:
    """Return the folded parts of a path of any system, without drive, ``.``, ``..`` and ``~``."""
    parts = fold(written.strip()).replace('\\', '/').split('/')
    return [part for part in parts if part not in ('', '.', '..', '~') and part[1:] != ':']


def stem_of(name: str) -> str:
    """Return a folded name without an image suffix."""
    stem, dot, suffix = name.rpartition('.')
    return stem if stem and dot + suffix in IMAGE_SUFFIXES else name


def _without_url(written: str) -> str:
    text = URL.sub('', unquote(written))
    # labelling servers serve local files as /data/local-files/?d=photos/a.jpg
    path, _, query = text.partition('?')
    return query.partition('=')[2] if query.startswith('d=') else path


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    while count < min(len(first), len(second)) and first[-1 - count] == second[-1 - count]:
        count += 1
    return count
