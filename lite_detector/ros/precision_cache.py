# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Cache of the choice for ``precision: auto``, for the next start of the node.

Loading and timing every precision takes about as long as the rest of the start, and uses memory
that is not completely freed. The name of an entry is a checksum of everything that the choice
depends on: model files, processor, runtime and settings. A change leads to a new measurement.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
import hashlib
from importlib.util import find_spec
import os
from pathlib import Path
import platform
from typing import Annotated, Any

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.config import Spec
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import CARD_FILE, checked_files, load_card
from lite_detector.zoo import user_cache
import msgspec
from msgspec import Meta

FORMAT = 1
PROCESSOR = {'model name', 'flags', 'features', 'cpu implementer', 'cpu part', 'cpu variant',
             'cpu revision', 'hardware', 'model'}
"""Keys of /proc/cpuinfo that identify the processor."""
BOARD = Path('/proc/device-tree/model')


class Choice(Spec):
    """Entry of the cache."""

    precision: Annotated[str, Meta(max_length=20)]
    report: Annotated[str, Meta(max_length=4000)]
    """Log message of the measurement."""


def entry_of(folder: Path, options: Mapping[str, Any], rules: object) -> Path | None:
    """
    Return the cache file for a model on this board.

    :param folder: Folder with ``card.yaml`` and the weights.
    :param options: Keyword arguments of ``Detector.from_folder``.
    :param rules: Constants that the choice depends on; their ``repr`` is part of the checksum.
    :return: Path; None: a model file is unreadable, or its checksum differs from the card.
    """
    settings = FORMAT, rules, options['num_threads'], options.get('input_size')
    checksum = hashlib.sha256(repr(settings).encode())
    try:
        for part in (*_model(folder), *_board(), *_runtime()):
            checksum.update(hashlib.sha256(part).digest())
    except (OSError, ModelError):  # loading the model reports the error, if the file is needed
        return None
    return user_cache().parent / 'precision' / f'{checksum.hexdigest()[:32]}.json'


def recall(path: Path | None) -> Choice | None:
    """Read the choice in a file; return None if the file is absent or malformed."""
    if path is None:
        return None
    try:
        return msgspec.json.decode(path.read_bytes(), type=Choice)
    except (OSError, msgspec.DecodeError):  # includes ValidationError
        return None


def remember(path: Path | None, choice: Choice) -> None:
    """Write a choice, complete or not at all; ignore a cache that is not writable."""
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as scratch:
            scratch.write_bytes(msgspec.json.encode(choice))


def _model(folder: Path) -> Iterator[bytes]:
    yield (folder / CARD_FILE).read_bytes()
    card = load_card(folder)
    ncnn = card.runtimes.ncnn
    if ncnn is None:
        return
    for files in (ncnn, card.int8_files()) if ncnn.int8 else (ncnn,):
        for path in checked_files(folder, files).values():
            yield path.read_bytes()


def _board() -> Iterator[bytes]:
    yield f'{platform.machine()} {os.cpu_count()}'.encode()
    if BOARD.is_file():
        yield BOARD.read_bytes()
    with suppress(OSError):
        lines = Path('/proc/cpuinfo').read_text(encoding='utf-8', errors='replace').splitlines()
        yield '\n'.join(sorted({line for line in lines if line.partition(':')[0].strip().lower()
                                in PROCESSOR})).encode()


def _runtime() -> Iterator[bytes]:
    # files instead of the version: a local build may have the same version number
    spec = find_spec('ncnn')
    if spec and spec.origin:
        for path in sorted(Path(spec.origin).parent.glob('*.so')):
            stat = path.stat()
            yield f'{path} {stat.st_size} {stat.st_mtime_ns}'.encode()
