# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Data on the training in a model card."""

import json
from pathlib import Path
import subprocess

from lite_detector.train.config.training import load_config
from lite_detector.train.run import origin
from lite_detector.train.run.origin import code_version, describe_training, short_path
import msgspec
import pytest
from tiny_datasets import write_coco

CONFIG = Path(__file__).resolve().parents[3] / 'config' / 'train' / 'nanodet_m_320.yaml'


def training_of(*changes: str, **more) -> dict:
    """Return the training section of a checkpoint after a run with these changes."""
    config = msgspec.to_builtins(load_config(CONFIG, changes))
    return {'config': config, 'seed': 3, 'epochs': 7, 'metrics': {'AP': 20.5}, **more}


def test_training_is_told_by_names_and_counts(tmp_path):
    annotations, images = write_coco(tmp_path / 'data')
    told = describe_training(training_of(
        f'data.train={annotations}', f'data.val={annotations}', f'data.val_images={images}',
        f'start.checkpoint={tmp_path}/public.pt', f'distill.teacher={tmp_path}/large.pt',
        'phases.0.epochs=9', 'validation.every_epochs=3', wise_factor=0.7))
    counted = {'annotations': 'data/instances.json', 'images': 3, 'boxes': 3}
    assert told['data'] == {'train': counted, 'select': counted}
    assert told['config'] == 'nanodet_m_320'
    assert (told['epochs'], told['planned_epochs'], told['seed']) == (7, 9, 3)
    assert told['chosen'] == ('highest AP on data.val, the selection set here, measured every 3 '
                              'epochs; then mixed with the start by wise_factor')
    assert (told['select'], told['report_measured']) == ({'AP': 20.5}, 0)
    assert told['start'] == f'{tmp_path.name}/public.pt'
    assert told['teacher'] == f'{tmp_path.name}/large.pt'
    assert str(tmp_path) not in str(told)


def test_training_on_several_sources_tells_each_and_which_a_model_labelled(tmp_path):
    paths = [write_coco(tmp_path / name) for name in ('people', 'model')]
    content = json.loads(paths[1][0].read_text())
    paths[1][0].write_text(json.dumps({**content, 'info': {'teacher': 'large'}}))
    names = ['train', 'train_images']
    told = describe_training(training_of(*(
        f'data.{name}={json.dumps([str(path) for path in column])}'
        for name, column in zip(names, zip(*paths, strict=True), strict=True))))
    counted = {'annotations': 'people/instances.json', 'images': 3, 'boxes': 3}
    assert told['data'] == {'train': [counted, {
        **counted, 'annotations': 'model/instances.json', 'labelled_by': 'large'}]}


def test_training_from_random_weights_without_measuring_says_so():
    told = describe_training(training_of('data.train=/gone/train.json'))
    assert told['data'] == {'train': {'annotations': 'gone/train.json'}}
    assert (told['start'], told['teacher']) == ('random weights', 'none')
    assert told['chosen'] == 'the last epoch; nothing was measured'


def test_training_by_an_older_version_is_told_as_far_as_it_is_known():
    told = describe_training({'config': {'network': {'name': 'old'}, 'unknown': 1}, 'seed': 0})
    assert (told['config'], told['seed'], told['data']) == ('old', 0, {})


def test_imported_weights_have_no_training():
    assert describe_training({}) == {}
    assert describe_training({'imported_from': 'x'}) == {'imported_from': 'x'}


def test_recipe_outlives_a_resume(tmp_path):
    config = load_config(CONFIG)
    (tmp_path / 'config.yaml').write_text('recipe: mine\n' + CONFIG.read_text())
    assert (config.recipe, load_config(tmp_path / 'config.yaml').recipe) == (
        'nanodet_m_320', 'mine')


@pytest.mark.parametrize(('path', 'short'), [
    ('/a/b/c.json', 'b/c.json'), ('/c.json', '//c.json'), ('c.json', 'c.json'),
    ('b/c.json', 'b/c.json'), ('../b/c.json', 'b/c.json'), ('~/c.json', '~/c.json'),
    ('https://x/y/z', 'https://x/y/z'), ('random weights', 'random weights')])
def test_short_path_tells_no_machine(path, short):
    assert short_path(path) == short


@pytest.fixture
def fresh_version():
    code_version.cache_clear()
    yield
    code_version.cache_clear()


def git(folder: Path, *command: str) -> str:
    return subprocess.run(['git', '-C', str(folder), '-c', 'user.name=x', '-c', 'user.email=x@x',
                           *command], capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.usefixtures('fresh_version')
def test_code_version_is_the_commit_of_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / 'lite_detector'
    package.mkdir()
    (package / '__init__.py').write_text('')
    git(tmp_path, 'init', '-q')
    git(tmp_path, 'add', '.')
    git(tmp_path, 'commit', '-q', '-m', 'first')
    monkeypatch.setattr(origin, 'PACKAGE', package)
    assert code_version() == git(tmp_path, 'rev-parse', 'HEAD')
    (package / '__init__.py').write_text('changed = True')
    code_version.cache_clear()
    assert code_version() == git(tmp_path, 'rev-parse', 'HEAD') + '-dirty'


@pytest.mark.usefixtures('fresh_version')
@pytest.mark.parametrize('is_repository', [False, True])
def test_code_version_elsewhere_is_that_of_the_package(is_repository, tmp_path, monkeypatch):
    package = tmp_path / 'venv' / 'lite_detector'
    package.mkdir(parents=True)
    if is_repository:  # a project in which this package is installed
        git(tmp_path, 'init', '-q')
        git(tmp_path, 'commit', '-q', '--allow-empty', '-m', 'theirs')
    monkeypatch.setattr(origin, 'PACKAGE', package)
    assert code_version() == origin.package_version()


@pytest.mark.usefixtures('fresh_version')
def test_code_version_needs_no_git(monkeypatch):
    monkeypatch.setenv('PATH', '')
    assert code_version() == origin.package_version()
