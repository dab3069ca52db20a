# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""What is written in two places because two tools read it agrees."""

import os
from pathlib import Path
import runpy
import subprocess
import sys
from xml.etree import ElementTree

from packaging.requirements import Requirement
import pytest

ROOT = Path(__file__).resolve().parents[2]
SHARED_SUFFIXES = {'.py', '.yaml', '.xml', '.rviz', '.md', '.param', '.bin', '.onnx'}


@pytest.fixture
def setup_keywords(monkeypatch) -> dict:
    """Run setup.py up to the call of setup() and return its arguments."""
    keywords = {}
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr('setuptools.setup', keywords.update)
    runpy.run_path('setup.py')
    return keywords


@pytest.fixture
def manifest():
    return ElementTree.parse(ROOT / 'package.xml').getroot()


def requirement_lines(path: Path) -> list[str]:
    joined = path.read_text(encoding='utf-8').replace('\\\n', ' ')
    return [line for line in joined.splitlines() if line and not line.startswith('#')]


@pytest.mark.parametrize('field', ['name', 'version', 'license'])
def test_package_xml_and_setup_py_agree(setup_keywords, manifest, field):
    assert manifest.findtext(field) == setup_keywords[field]


@pytest.mark.parametrize(
    'page, mark', [('CHANGELOG.rst', '\n{} ('), ('CITATION.cff', '\nversion: {}\n')]
)
def test_changelog_and_citation_name_the_version(manifest, page, mark):
    assert mark.format(manifest.findtext('version')) in (ROOT / page).read_text(encoding='utf-8')


def test_every_command_is_a_console_script(setup_keywords):
    from lite_detector.cli import COMMANDS, NODES

    scripts = setup_keywords['entry_points']['console_scripts']
    assert sorted(scripts) == sorted(f'{name} = lite_detector.cli:script'
                                     for name in (*COMMANDS, *NODES))


def test_every_python_folder_is_installed(setup_keywords):
    folders = {path.parent.relative_to(ROOT) for path in ROOT.glob('lite_detector/**/*.py')}
    assert {'.'.join(folder.parts) for folder in folders} == set(setup_keywords['packages'])


def test_types_are_installed(setup_keywords):
    assert (ROOT / 'lite_detector' / 'py.typed').is_file()
    assert setup_keywords['package_data'] == {'lite_detector': ['py.typed']}


def test_every_script_finds_what_it_imports():
    for library in ('torch', 'rclpy', 'ncnn', 'matplotlib'):
        pytest.importorskip(library)
    names = [path.stem for path in ROOT.glob('scripts/*.py')]
    subprocess.run([sys.executable, '-c', f'import {", ".join(names)}'], cwd=ROOT / 'scripts',
                   env={**os.environ, 'PYTHONPATH': os.pathsep.join((str(ROOT), *sys.path))},
                   check=True)


@pytest.mark.parametrize('folder', ['launch', 'config', 'models'])
def test_every_shared_file_is_installed(setup_keywords, folder):
    installed = {path for _, paths in setup_keywords['data_files'] for path in paths}
    files = {path for path in (ROOT / folder).rglob('*') if path.suffix in SHARED_SUFFIXES}
    assert {str(path.relative_to(ROOT)) for path in files} <= installed


def test_package_xml_depends_on_no_training_library(manifest):
    dependencies = {element.text for element in manifest if element.tag.endswith('depend')}
    assert dependencies
    assert not [name for name in dependencies if 'torch' in name]


@pytest.mark.parametrize('page', ['README.md', 'docs/reference/node.md', 'config/detect.yaml'])
def test_documents_name_the_default_model(page):
    from lite_detector.zoo import DEFAULT_MODEL
    marks = {'README.md': f'| `{DEFAULT_MODEL}` (default) |',
             'docs/reference/node.md': f'| `model` | string | {DEFAULT_MODEL} |',
             'config/detect.yaml': f'    model: {DEFAULT_MODEL} '}
    assert marks[page] in (ROOT / page).read_text(encoding='utf-8')


@pytest.mark.parametrize(
    'path', sorted(ROOT.glob('requirements/*.txt')), ids=lambda path: path.stem
)
def test_requirement_file_parses(path):
    lines = requirement_lines(path)
    assert lines
    for line in lines:
        Requirement(line.split(' --hash')[0].strip())
