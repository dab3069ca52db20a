# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Files and folders that appear complete or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import tempfile


@contextmanager
def atomic_file(path: Path, durable: bool = False) -> Iterator[Path]:
    """
    Give the name of a file that takes the place of ``path`` if the block ends well.

    It lies in the same folder, so that moving it is one step. If the block fails, it is removed
    and what was at ``path`` stays.

    :param path: file to write; its folder exists.
    :param durable: wait until the content is on the disk, so that a power cut leaves either the
        old file or the complete new one.
    :raises OSError: if it cannot be moved.
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
    Give an empty folder that becomes ``target`` if the block ends well.

    It lies beside the target, so that moving it is one step. An old folder is moved aside first,
    and back again if the second step fails.

    :param target: its parents are made where they are absent.
    :param replace: whether a folder with content is replaced.
    :raises OSError: if it cannot be made or moved.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=f'.{target.name}-') as name:
        scratch = Path(name)
        staged = scratch / 'new'
        staged.mkdir()  # with the usual permissions, which a temporary folder lacks
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
