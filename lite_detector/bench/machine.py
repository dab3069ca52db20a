# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Describe the machine of a measurement."""

from __future__ import annotations

from datetime import date
from importlib.metadata import PackageNotFoundError, version
import os
from pathlib import Path
import platform

import cv2
import numpy as np


def describe_machine() -> str:
    """Return one sentence with processor, versions and date."""
    try:
        ncnn = version('ncnn')
    except PackageNotFoundError:  # built from source, or only ONNX Runtime is installed
        ncnn = 'unknown'
    return (f'{_processor()}, {len(os.sched_getaffinity(0))} cores, {platform.machine()}; '
            f'ncnn {ncnn}, numpy {np.__version__}, OpenCV {cv2.__version__}, '
            f'Python {platform.python_version()}; {date.today().isoformat()}.')


def _processor() -> str:
    board = Path('/proc/device-tree/model')
    if board.is_file():
        return board.read_text(encoding='utf-8').rstrip('\0')
    for line in Path('/proc/cpuinfo').read_text(encoding='utf-8').splitlines():
        if line.startswith('model name'):
            return line.partition(':')[2].strip()
    return 'unknown processor'
