# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What several tests share; nothing of the machine's own models or caches leaks in."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
import os
from pathlib import Path
import re
import subprocess
import sys

import lite_detector
from lite_detector.cli import main
from lite_detector.data.findings import Findings
from lite_detector.data.formats import open_dataset
import pytest
from tiny_models import write_tiny_nanodet
from untidy import write_images, write_texts

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = Path(os.environ.get('LITE_DETECTOR_TEST_DATA', ROOT.parent / 'shared' / 'data'))
MODELS = sorted(path.parent.name for path in ROOT.glob('models/*/card.yaml'))
"""The names of the models that the package ships a card of."""

# test/ros imports rclpy and messages at its head. A skip there would be the plain way, but the
# pytest plugin of launch_testing imports modules itself and cannot stand one.
# test/train imports torch in the same way; its tests are listed by name, and skipped.
FOLDERS = {'ros': 'rclpy', 'train': 'torch'}
collect_ignore = [folder for folder, library in FOLDERS.items() if not find_spec(library)]


def pytest_report_header() -> list[str]:
    """Say what is left out."""
    return [f'test/{folder} left out: no {library} here' if folder in collect_ignore
            else f'test/{folder} with {library}' for folder, library in FOLDERS.items()]


class TestWithoutTorch(pytest.Item):
    """A test of which only the name is known, because its file cannot be imported."""

    __test__ = False

    def runtest(self) -> None:
        """Leave it out."""
        pytest.skip('no torch here')


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config,
                                  items: list[pytest.Item]) -> None:
    """List the tests of test/train where torch is missing, so that -k and -m choose among them."""
    folder = ROOT / 'test' / 'train'
    chosen = [(config.invocation_params.dir / argument.split('::')[0]).resolve()
              for argument in config.args]
    if 'train' not in collect_ignore or not {folder, *folder.parents} & set(chosen):
        return
    for path in sorted(folder.rglob('test_*.py')):
        for name in re.findall(r'^def (test_\w+)', path.read_text(encoding='utf-8'), re.MULTILINE):
            item = TestWithoutTorch.from_parent(session, name=name, path=path,
                                                nodeid=f'{path.relative_to(ROOT)}::{name}')
            item.extra_keyword_matches.add(path.stem)
            item.add_marker('torch')
            items.append(item)


OTHER_FORM = ('nanodet_plus_m_15x_416',)
"""Published in int8; the reference material has it in float."""


@pytest.fixture(autouse=True)
def isolated_home(tmp_path_factory, monkeypatch):
    """Give each test an empty cache and no search path."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('cache')))
    monkeypatch.delenv('LITE_DETECTOR_MODELS', raising=False)


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """Return the folder of real images and public weights, which is not in the repository."""
    if not (SHARED_DATA / 'weights').is_dir():
        pytest.skip(f'no test data in {SHARED_DATA}; set LITE_DETECTOR_TEST_DATA')
    return SHARED_DATA


@pytest.fixture(scope='session')
def fetched_models(shared_data, tmp_path_factory) -> dict[str, Path]:
    """
    Return name -> folder of the models whose weights are elsewhere, with these.

    Without those of which the reference material has another form than the published one.
    """
    from lite_detector.zoo import fetch_model, has_weights
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('XDG_CACHE_HOME', str(tmp_path_factory.mktemp('fetched')))
        patch.delenv('LITE_DETECTOR_MODELS', raising=False)
        return {name: fetch_model(name, shared_data / 'weights') for name in MODELS
                if name not in OTHER_FORM and not has_weights(ROOT / 'models' / name)}


@pytest.fixture
def tiny_nanodet(tmp_path) -> Path:
    """Return a model folder that a test may spoil."""
    return write_tiny_nanodet(tmp_path / 'tiny')


@pytest.fixture
def run_python():
    """Return a function that runs ``python *arguments`` with this package in reach."""
    def run(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
        package = str(Path(lite_detector.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [package, os.environ.get('PYTHONPATH')]))
        return subprocess.run([sys.executable, *map(str, arguments)], text=True,
                              capture_output=True,
                              env={**os.environ, 'PYTHONPATH': path, **environment})
    return run


@pytest.fixture
def one_line_error(capsys):
    """Return a function that runs a command that must fail and returns its line of error."""
    def run(arguments: Sequence[str]) -> str:
        try:
            status = main(arguments)
        except SystemExit as exit_:  # of the parser
            status = exit_.code
        assert status == 2
        error, = capsys.readouterr().err.splitlines()
        assert error.startswith('error: ')
        return error
    return run


@pytest.fixture
def yolo(tmp_path) -> Callable:
    """Return a function: writes a text for each image a.jpg, b.jpg .. and reads them."""
    def read(*texts: str | bytes, names: str = 'ant\nbee\n', reading=None):
        stems = [chr(ord('a') + place) for place in range(len(texts))]
        images = write_images(tmp_path / 'images', *(f'{stem}.jpg' for stem in stems))
        labels = write_texts(tmp_path / 'labels', **dict(zip(stems, texts, strict=True)))
        (labels / 'classes.txt').write_text(names)
        return open_dataset(labels, images, findings=Findings(reading))
    return read


@pytest.fixture
def read_coco(tmp_path) -> Callable:
    """Return a function: writes a COCO file beside the folder of images, and reads it."""
    def read(content: str | bytes, reading=None):
        path = tmp_path / 'instances.json'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_dataset(path, tmp_path / 'images', findings=Findings(reading))
    return read
