# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Write files and folders atomically."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import tempfile


@contextmanager
def atomic_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """
    Yield the path of a temporary file that replaces ``path`` when the block ends without error.

    The file is in the same folder, so the move is atomic. If the block fails, the temporary file
    is deleted and ``path`` is unchanged.

    :param path: Path of the file to write; its folder must exist.
    :param durable: True: wait until the content is on the disk, so that a power loss leaves either
        the old file or the complete new one.
    :raises OSError: if the file cannot be moved.
    """
    scratch = path.with_name(f'.{path.name}.tmp')
    try:
        yield scratch
        if durable:
            _flush_to_disk(scratch)
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


@contextmanager
def atomic_folder(target: Path, replace: bool = False) -> Iterator[Path]:
    """
    Yield an empty folder that becomes ``target`` when the block ends without error.

    The folder is next to the target, so the move is atomic. An old folder is moved aside first,
    and restored if the second move fails.

    :param target: Path of the folder; missing parents are created.
    :param replace: True: replace an existing folder and its content.
    :raises OSError: if the folder cannot be created or moved.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}-') as name:
        scratch = Path(name)
        staged = scratch / 'new'
        staged.mkdir()  # with default permissions, which a temporary folder lacks
        yield staged
        if replace and target.exists():
            _exchange(staged, target, scratch / 'old')
        else:
            staged.rename(target)


def _exchange(staged: Path, target: Path, old: Path) -> None:
    target.rename(old)
    try:
        staged.rename(target)
    except OSError:
        old.rename(target)
        raise


def _flush_to_disk(path: Path) -> None:
    with path.open('rb') as file:
        os.fsync(file.fileno())
