# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Model folders that appear whole or not at all."""

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
"""What a model folder made here holds; another file is somebody's, and not ours to delete."""


@contextmanager
def staged_folder(target: Path) -> Iterator[Path]:
    """
    Give an empty folder that takes the place of ``target`` if the block ends well.

    :param target: must be absent, or a model folder made here.
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
    Find out before the long work whether a model folder may be written here.

    :raises ConfigError: if something else is there, or it cannot be written.
    """
    if not is_utf8(target):  # ncnn could not load it
        raise ConfigError(f'{str(target)!r}: no UTF-8, wanted another name for a folder')
    if not target.exists():
        above = next(parent for parent in target.absolute().parents if parent.exists())
        if not above.is_dir() or not os.access(above, os.W_OK | os.X_OK):
            raise ConfigError(f'{target}: cannot be made in {above}; wanted a path in a folder '
                              'that is writable')
        return
    if not target.is_dir() or not (target / CARD_FILE).is_file():
        raise ConfigError(f'{target}: exists and is no model folder ({CARD_FILE} is missing); '
                          'wanted a new path, or a model folder to replace')
    foreign = sorted(path.name for path in target.iterdir() if path.name not in OWN_FILES)
    if foreign:
        raise ConfigError(f'{target}: holds {foreign[0]!r}, which would be lost; wanted a new '
                          'path, or a folder with nothing but a model in it')


def with_sha256(folder: Path, files: Files) -> Files:
    """
    Return what a card says on the files of a runtime, with the sha256 of each.

    :param folder: where they lie.
    :raises OSError: if one cannot be read.
    """
    return msgspec.structs.replace(files, sha256={
        role: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for role, name in files.files().items()})
