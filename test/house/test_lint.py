# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""The linters of ROS 2 and of the editor find nothing."""

from importlib.util import find_spec
from pathlib import Path
import shutil
import subprocess
import sys

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ['lite_detector', 'launch', 'scripts', 'experiments', 'test', 'setup.py']
HEADER = '# Copyright 2026 lite_detector authors\n# SPDX-License-Identifier: Apache-2.0\n'
LINTERS = {
    'ruff': ['ruff', 'check', '--no-cache'],
    'ament_flake8': ['ament_flake8.main'],
    'ament_pep257': ['ament_pep257.main'],
}


def assert_silent(command: list[str]) -> None:
    # flake8 waits for ever when pydocstyle fails in a worker, as it does on f'class{index}' and
    # f'def{index}' under Python 3.12; ament_pep257 then shows the failure.
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f'{done.stdout}\n{done.stderr}'


@pytest.mark.timeout(320)
@pytest.mark.parametrize('tool', LINTERS)
def test_linter_finds_nothing(tool):
    if find_spec(tool) is None:
        pytest.skip(f'{tool} is not installed here')
    assert_silent([sys.executable, '-m', *LINTERS[tool], *SOURCES])


@pytest.mark.timeout(320)
@pytest.mark.skipif(sys.version_info < (3, 12), reason='numpy has other types on older Python')
def test_types_agree():
    if find_spec('mypy') is None:
        pytest.skip('mypy is not installed here')
    # Without torch its classes have no types, and ignores that are about them have no use.
    without_torch = [] if find_spec('torch') else ['--no-warn-unused-ignores']
    assert_silent([sys.executable, '-m', 'mypy', *without_torch])


def test_shellcheck_finds_nothing():
    shellcheck = shutil.which('shellcheck')
    if shellcheck is None:
        pytest.skip('shellcheck is not installed here')
    assert_silent([shellcheck, '.ci/run', 'docker/entrypoint.sh',
                   *map(str, sorted(ROOT.glob('scripts/*.sh')))])


def test_prose_has_no_banned_words():
    pages = sorted([*ROOT.glob('*.md'), *ROOT.glob('*/README.md'), *ROOT.glob('docs/**/*.md')])
    assert_silent([sys.executable, 'scripts/prose.py', *map(str, pages)])
    files = [path for name in SOURCES for path in [ROOT / name, *(ROOT / name).rglob('*.py')]
             if path.suffix == '.py' and path.name != 'prose.py']  # which lists these words
    assert files
    assert_silent([sys.executable, 'scripts/prose.py', '--python', *map(str, files)])


def test_codespell_finds_nothing():
    if find_spec('codespell_lib') is None:
        pytest.skip('codespell is not installed here')
    assert_silent([sys.executable, '-m', 'codespell_lib', *SOURCES, 'config', 'docs', '.github',
                   *map(str, ROOT.glob('*.md'))])


def test_every_python_file_carries_the_licence():
    files = [path for name in SOURCES for path in [ROOT / name, *(ROOT / name).rglob('*.py')]]
    sources = {path: path.read_text(encoding='utf-8') for path in files if path.is_file()}
    bare = [str(path) for path, text in sources.items() if text and HEADER not in text[:200]]
    assert sources
    assert not bare
