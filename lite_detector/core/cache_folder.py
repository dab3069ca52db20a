# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Folders for files that can be created or downloaded again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return the folder of this name in the user cache of the package; it may not exist."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(base) / 'lite_detector' / name
