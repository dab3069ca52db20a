# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Where files lie that can be made or fetched again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path:
    """Return this package's folder of that name in the user cache; it may not exist yet."""
    base = os.environ.get('XDG_CACHE_HOME') or os.path.expanduser('~/.cache')
    return Path(base) / 'lite_detector' / name
