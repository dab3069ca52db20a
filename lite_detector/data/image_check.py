# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Find unusable images without decoding: only the start and the end of each file are read."""

from __future__ import annotations

from collections.abc import Collection, Iterable
import os
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.image_header import claimed_size
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset, read_sized_image
from lite_detector.data.findings import Findings

HEAD_BYTES = 1024
"""Number of bytes that holds the size of most images; otherwise the image is decoded."""
TAIL_BYTES = 12
ENDS = {b'\xff\xd8': b'\xff\xd9', b'\x89P': b'IEND\xaeB`\x82'}
"""First bytes of a JPEG and of a PNG -> last bytes of a complete file."""


class Problem(NamedTuple):
    """
    Reason why an image cannot be used.

    :param kind: Kind of the problem, a key of ``findings.SKIPPED``.
    :param what: Message that starts with the path.
    """

    kind: str
    what: str


def find_problem(path: Path, size: ImageSize | None) -> Problem | None:
    """
    Return why an image cannot be used; None: no problem found.

    :param size: Size according to the annotations; None: unknown.
    """
    try:
        if _looks_whole(path, size):
            return None
    except FileNotFoundError:
        return Problem('missing', f'{path}: no such image')
    except OSError as error:
        return Problem('unreadable', f'{path}: {error.strerror}')
    try:
        read_sized_image(path, size)
    except ImageError as error:
        return Problem('unreadable', str(error))
    except DataError as error:
        return Problem('other_size', str(error))
    return None


def without_unusable(dataset: Dataset) -> Dataset:
    """
    Return the dataset without unusable images, which are counted in its findings.

    :raises DataError: if too many images are unusable.
    """
    findings, labels = dataset.findings, dataset.labels
    problems = [find_problem(each.image_path, each.size) for each in labels]
    if not any(problems):
        findings.check()
        return dataset
    _count(filter(None, problems), findings)
    kept = tuple(each for each, problem in zip(labels, problems, strict=True) if problem is None)
    return Dataset(dataset.source, dataset.class_names, kept, findings)


def without_paths(dataset: Dataset, paths: Collection[str]) -> Dataset:
    """
    Return the dataset without some of its images.

    :param paths: Paths of the images to remove, as text.
    """
    kept = tuple(each for each in dataset.labels if str(each.image_path) not in paths)
    if len(kept) == len(dataset.labels):
        return dataset
    return Dataset(dataset.source, dataset.class_names, kept, dataset.findings)


def unusable_paths(findings: Findings) -> list[str]:
    """Return the paths, as text, of the images that the findings report as unusable."""
    return [each.where for kind in ('missing', 'unreadable', 'other_size')
            for each in findings.by_kind.get(kind, ())]


def _count(problems: Iterable[Problem], findings: Findings) -> None:
    for kind, what in problems:
        where, _, reason = what.partition(': ')
        findings.skip(kind, where, reason)
    findings.check()


def _looks_whole(path: Path, size: ImageSize | None) -> bool:
    """Return whether start, size and end of an image file are valid, without decoding it."""
    file = os.open(path, os.O_RDONLY)
    try:
        head = os.read(file, HEAD_BYTES)
        claimed = claimed_size(head)
        if claimed is None or not min(claimed) or size not in (None, claimed):
            return False
        end = ENDS.get(head[:2])
        if end is None:
            return True
        if len(head) < HEAD_BYTES:
            return head.endswith(end)
        length = os.lseek(file, 0, os.SEEK_END)
        return os.pread(file, TAIL_BYTES, max(0, length - TAIL_BYTES)).endswith(end)
    finally:
        os.close(file)
