# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""The tables of docs/reference agree with the code."""

import os
from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_reference_tables_equal_the_code():
    pytest.importorskip('cv2')
    done = subprocess.run(
        [sys.executable, 'scripts/reference.py', '--check'], cwd=ROOT, capture_output=True,
        text=True, env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(ROOT), *sys.path))})
    assert done.returncode == 0, f'run scripts/reference.py\n{done.stdout}{done.stderr}'
