# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Memory of the C library: what the process keeps, and what it returns to the system."""

from __future__ import annotations

from contextlib import suppress
import ctypes

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Options of mallopt(3)."""
LARGEST_MMAP_THRESHOLD = 32 * 2 ** 20
"""Largest value that glibc accepts, in bytes; a raw image of 4K has 25 million."""


def keep_freed_memory() -> None:
    """
    Keep freed memory for the next image.

    Otherwise glibc may return it to the system after each image, depending on what lies behind it.
    Then the system maps it anew page by page: 1000 page faults per raw image of 1280x720.
    """
    with suppress(AttributeError, OSError):  # only glibc has mallopt
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(MMAP_THRESHOLD, LARGEST_MMAP_THRESHOLD)
        mallopt(TRIM_THRESHOLD, 2 * LARGEST_MMAP_THRESHOLD)


def give_memory_back() -> None:
    """Return freed memory to the system, after a start that needed more: about 30 MB."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
