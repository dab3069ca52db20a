# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation builds without a warning: every link and every name in it exists."""

from pathlib import Path
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]


def test_documentation_builds_without_warnings(tmp_path):
    for library in ('sphinx', 'myst_parser', 'sphinxcontrib.mermaid', 'furo'):
        pytest.importorskip(library)
    done = subprocess.run(
        [sys.executable, '-m', 'sphinx', '-q', '-W', '--keep-going', '-b', 'html', 'docs',
         str(tmp_path)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
