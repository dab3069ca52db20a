# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""The wheel brings models and configurations, and works where nothing else is installed."""

import os
from pathlib import Path
import shutil
import subprocess
import sys
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ('lite_detector', 'launch', 'config', 'models', 'requirements', 'resource')
FILES = ('setup.py', 'setup.cfg', 'package.xml', 'MANIFEST.in')
OPENCV = 'opencv-python-headless'
# ROS puts its own packages and libraries into these.
BARE = {name: value for name, value in os.environ.items()
        if name not in ('PYTHONPATH', 'LD_LIBRARY_PATH', 'AMENT_PREFIX_PATH')}


def run(*command: object, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run([str(word) for word in command], cwd=folder, capture_output=True,
                          text=True, env={**BARE, **variables})


def build_wheel(folder: Path) -> Path:
    source = folder / 'source'
    for name in SOURCES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns('__pycache__'))
    for name in FILES:
        shutil.copy(ROOT / name, source)
    done = run(sys.executable, '-m', 'pip', 'wheel', '-q', '--no-deps', '--no-build-isolation',
               '-w', folder, source, folder=folder)
    assert done.returncode == 0, done.stderr
    return next(folder.glob('*.whl'))


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_wheel_works_in_an_empty_environment(tmp_path):
    cv2 = pytest.importorskip('cv2')
    wheel = build_wheel(tmp_path)
    version = ElementTree.parse(ROOT / 'package.xml').findtext('version')
    assert wheel.name.startswith(f'lite_detector-{version}-')
    python, variables = tmp_path / 'venv' / 'bin' / 'python', {}
    assert run(sys.executable, '-m', 'venv', tmp_path / 'venv', folder=tmp_path).returncode == 0
    if run(python, '-m', 'pip', 'install', '-q', f'{wheel}[serve]', OPENCV,
           folder=tmp_path).returncode:  # no package index: only the wheel itself is new
        python, variables = Path(sys.executable), {'PYTHONPATH': str(tmp_path / 'target')}
        assert run(python, '-m', 'pip', 'install', '-q', '--no-deps', '--target',
                   tmp_path / 'target', wheel, folder=tmp_path).returncode == 0
    cv2.imwrite(str(tmp_path / 'photo.png'), cv2.imread(str(ROOT / 'docs/images/detections.jpg')))
    done = run(python, '-m', 'lite_detector', 'detect', 'photo.png', '--json', 'found.json',
               folder=tmp_path, **variables)
    assert done.returncode == 0, done.stderr
    assert '"person"' in (tmp_path / 'found.json').read_text()
    script = 'import lite_detector; from lite_detector.zoo import list_models; ' \
             'print(lite_detector.__file__, sorted(list_models()))'
    listed = run(python, '-c', script, folder=tmp_path, **variables)
    assert str(tmp_path) in listed.stdout, listed.stderr
    for model in (path.parent.name for path in ROOT.glob('models/*/card.yaml')):
        assert f"'{model}'" in listed.stdout
