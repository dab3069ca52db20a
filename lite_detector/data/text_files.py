# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Formats of one small file per image: all of them are read before one that is wrong is named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from lite_detector.core.errors import DataError

T = TypeVar('T')


def read_each(paths: Sequence[Path], read: Callable[[Path], T]) -> list[T]:
    """
    Read every file.

    :param paths: the files.
    :param read: raises DataError for a file that is wrong.
    :return: what ``read`` returned, in the order of the files.
    :raises DataError: the first one, with the number of them all.
    """
    results, errors = [], []
    for path in paths:
        try:
            results.append(read(path))
        except DataError as error:
            errors.append(error)
    if errors:
        others = f'; {len(errors)} files are wrong in all' if len(errors) > 1 else ''
        raise DataError(f'{errors[0]}{others}')
    return results


def read_lines(path: Path) -> list[str]:
    """
    Read a text file without its line ends.

    :raises DataError: if it is absent or not UTF-8.
    """
    try:
        return path.read_text(encoding='utf-8-sig').splitlines()
    except OSError as error:
        raise DataError(f'{path}: {error.strerror}') from None
    except UnicodeDecodeError as error:
        raise DataError(f'{path}: not a text file: {error}') from None
