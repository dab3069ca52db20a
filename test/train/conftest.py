# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Everything in this folder needs torch."""

from collections.abc import Callable
from pathlib import Path
import shutil

from lite_detector.cli import main
from networks import ANDROID_NANODET, WIDE_PLUS
import pytest
import torch
import yaml


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of this folder, so that ``-m 'not torch'`` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.torch)


ROOT = Path(__file__).resolve().parents[2]
THREADS = torch.get_num_threads()


@pytest.fixture(autouse=True)
def same_threads_each_time():
    """Undo what `evaluate --threads` does to torch, whose sums depend on it in the last bit."""
    yield
    torch.set_num_threads(THREADS)


@pytest.fixture(autouse=True)
def same_numbers_each_time():
    """Undo what a training does: numbers near 0 become 0, and msgspec takes 0 for more."""
    yield
    torch.set_flush_denormal(False)


@pytest.fixture(autouse=True)
def same_weights_each_time():
    """Let every test draw the same random weights."""
    torch.manual_seed(0)


@pytest.fixture(scope='session')
def public_folders(fetched_models, shared_data, tmp_path_factory) -> dict[str, Path]:
    """Return name -> model folder of seven public trainings, in float."""
    cards = {ANDROID_NANODET: (fetched_models['nanodet_m_320'], ANDROID_NANODET),
             WIDE_PLUS: (ROOT / 'models' / WIDE_PLUS, 'nanodet-plus-m-1.5x-416')}
    folders = {}
    for name, (source, weights) in cards.items():
        folders[name] = tmp_path_factory.mktemp('android') / name
        folders[name].mkdir()
        data = yaml.safe_load((source / 'card.yaml').read_text())
        for key in ('url', 'sha256'):
            del data['runtimes']['ncnn'][key]
        (folders[name] / 'card.yaml').write_text(yaml.safe_dump({**data, 'name': name}))
        for suffix in ('param', 'bin'):
            shutil.copy(shared_data / 'weights' / f'{weights}.{suffix}',
                        folders[name] / f'model.{suffix}')
    return {**fetched_models, **folders}


@pytest.fixture(scope='session')
def public_checkpoint(public_folders, tmp_path_factory) -> Callable[[str], Path]:
    """Return a function: name -> checkpoint of the same weights, imported once."""
    target = tmp_path_factory.mktemp('imported')

    def checkpoint(name: str) -> Path:
        path = target / f'{name}.pt'
        if not path.exists():
            assert main(['import_weights', '--model', str(public_folders[name]),
                         '--output', str(path)]) == 0
        return path
    return checkpoint
