# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Model folders that are written atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import hashlib
import os
from pathlib import Path
from typing import TypeVar

from lite_detector.core.atomic_files import atomic_folder
from lite_detector.core.errors import ConfigError
from lite_detector.core.media import is_utf8
from lite_detector.core.model_card import CARD_FILE, HashedFiles
import msgspec

Files = TypeVar('Files', bound=HashedFiles)
OWN_FILES = frozenset((CARD_FILE, 'model.param', 'model.bin', 'model.onnx', 'model.fixed.onnx',
                       'model.int8.param', 'model.int8.bin', 'model.int8.table', 'model.int8.onnx',
                       'model.int8.signed.onnx', 'quantize.md', 'quantize.png'))
"""Files of a model folder made here; a folder with any other file is not replaced."""


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """
    Yield an empty folder that replaces ``target`` if the block ends without an error.

    :param target: Path that does not exist, or a model folder made here.
    :raises ConfigError: if it is something else or cannot be written.
    """
    target = target.resolve()
    check_target(target)
    try:
        with atomic_folder(target, replace=True) as staged:
            yield staged
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f'{target}: cannot write the model folder: {reason}') from None


def check_target(target: Path) -> None:
    """
    Check before the long work whether a model folder may be written here.

    :raises ConfigError: if the path is something else, or it cannot be written.
    """
    if not is_utf8(target):  # ncnn cannot load such a path
        raise ConfigError(f'{str(target)!r}: not UTF-8; expected another name for a folder')
    if not target.exists():
        above = next(parent for parent in target.absolute().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise ConfigError(f'{target}: cannot be created in {above}; expected a path in a '
                              'writable folder')
        return
    if not target.is_dir() or not (target / CARD_FILE).is_file():
        raise ConfigError(f'{target}: exists and is not a model folder ({CARD_FILE} is missing); '
                          'expected a new path, or a model folder to replace')
    foreign = sorted(path.name for path in target.iterdir() if path.name not in OWN_FILES)
    if foreign:
        raise ConfigError(f'{target}: contains {foreign[0]!r}, which would be lost; expected a '
                          'new path, or a folder with only a model in it')


def with_sha256(folder: Path, files: Files) -> Files:
    """
    Return the card entry of the files of a runtime, with the sha256 of each file.

    :param folder: Folder of the files.
    :param files: Names of the files.
    :raises OSError: if one cannot be read.
    """
    return msgspec.structs.replace(files, sha256={
        role: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for role, name in files.files().items()})
