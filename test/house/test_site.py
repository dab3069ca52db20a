# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""The documentation builds without a warning: every link and every name in it exists."""

from pathlib import Path
import re
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


def test_architecture_page_names_files_that_exist():
    page = (ROOT / 'docs' / 'explanation' / 'architecture.md').read_text(encoding='utf-8')
    paths = [*ROOT.glob('*.py'), *ROOT.glob('[lst]*/**/*.py')]
    files = [f'/{path.relative_to(ROOT)}' for path in paths]
    named = re.findall(r'`([\w/]+\.py)`', page)
    assert named
    assert not [name for name in named if not any(path.endswith(f'/{name}') for path in files)]


def test_code_and_configurations_name_pages_that_exist():
    files = [path for folder in ('lite_detector', 'config', 'scripts', 'launch')
             for pattern in ('**/*.py', '**/*.yaml', '**/*.sh')
             for path in (ROOT / folder).glob(pattern)]
    named = {page for path in files
             for page in re.findall(r'docs/[\w/]+\.md', path.read_text(encoding='utf-8'))}
    assert named
    assert not [page for page in named if not (ROOT / page).exists()]
