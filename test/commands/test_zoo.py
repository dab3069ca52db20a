# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import hashlib
import os
from pathlib import Path
import shutil

from lite_detector.core.errors import ConfigError, DownloadError, ModelError
from lite_detector.core.model_card import load_card
from lite_detector.zoo import (
    fetch_model,
    find_config,
    find_model,
    has_weights,
    list_models,
    search_path,
    user_cache,
)
import pytest
from tiny_models import change_card, write_tiny_nanodet

ROLES = {'ncnn': {'param': 'model.param', 'bin': 'model.bin'}, 'onnx': {'file': 'model.onnx'}}


def strip_weights(folder: Path) -> Path:
    for name in ('model.param', 'model.bin', 'model.onnx'):
        (folder / name).unlink()
    return folder


@pytest.fixture
def public(tmp_path, monkeypatch) -> Path:
    """Return a folder with the weights of model ``tiny``, of which only the card is in reach."""
    folder = write_tiny_nanodet(tmp_path / 'models' / 'tiny')
    for runtime, files in ROLES.items():
        change_card(folder, f'runtimes.{runtime}.sha256', {
            role: hashlib.sha256((folder / name).read_bytes()).hexdigest()
            for role, name in files.items()})
    source = tmp_path / 'public'
    shutil.copytree(folder, source, ignore=shutil.ignore_patterns('card.yaml'))
    strip_weights(folder)
    monkeypatch.setenv('LITE_DETECTOR_MODELS', str(folder.parent))
    return source


def test_user_cache_follows_xdg_and_else_home(monkeypatch):
    monkeypatch.setenv('XDG_CACHE_HOME', '/cache')
    assert user_cache() == Path('/cache/lite_detector/models')
    monkeypatch.delenv('XDG_CACHE_HOME')
    monkeypatch.setenv('HOME', '/home/robot')
    assert user_cache() == Path('/home/robot/.cache/lite_detector/models')


def test_search_path_has_the_named_folders_first_and_the_cache_last(tmp_path, monkeypatch):
    (tmp_path / 'a').mkdir()
    (tmp_path / 'b').mkdir()
    user_cache().mkdir(parents=True)
    parts = [str(tmp_path / 'b'), '', str(tmp_path / 'absent'), str(tmp_path / 'a')]
    monkeypatch.setenv('LITE_DETECTOR_MODELS', os.pathsep.join(parts))
    folders = search_path()
    assert folders[:2] == [tmp_path / 'b', tmp_path / 'a']
    assert folders[-1] == user_cache()


def test_list_models_knows_the_cards_of_the_package():
    assert {'nanodet_m_320', 'yolov5_lite_s_416'} <= set(list_models())


def test_find_model_takes_the_first_folder_that_has_weights(tmp_path, monkeypatch):
    bare = strip_weights(write_tiny_nanodet(tmp_path / 'a' / 'tiny'))
    first = write_tiny_nanodet(tmp_path / 'b' / 'tiny')
    write_tiny_nanodet(tmp_path / 'c' / 'tiny')
    folders = os.pathsep.join(str(tmp_path / name) for name in 'abc')
    monkeypatch.setenv('LITE_DETECTOR_MODELS', folders)
    assert find_model('tiny') == first
    assert find_model(str(bare)) == bare


def test_find_model_in_the_cache_wins_over_the_bare_card_of_the_package():
    cached = write_tiny_nanodet(user_cache() / 'nanodet_m_320')
    assert find_model('nanodet_m_320') == cached


def test_find_model_named_over_the_cache_wins(tmp_path, monkeypatch):
    write_tiny_nanodet(user_cache() / 'tiny')
    named = write_tiny_nanodet(tmp_path / 'tiny')
    monkeypatch.setenv('LITE_DETECTOR_MODELS', str(tmp_path))
    assert find_model('tiny') == named


def test_find_model_by_path_may_be_relative_or_start_at_home(tiny_nanodet, monkeypatch):
    monkeypatch.chdir(tiny_nanodet.parent)
    assert find_model('./tiny').resolve() == tiny_nanodet
    assert find_model('tiny').resolve() == tiny_nanodet
    monkeypatch.setenv('HOME', str(tiny_nanodet.parent))
    assert find_model('~/tiny') == tiny_nanodet


@pytest.mark.parametrize(('model', 'message'), [
    ('', 'model: empty; expected one of .*nanodet_m_320, '),
    ('nanodet', "model 'nanodet' not found; expected one of .*nanodet_m_320, .*, or the path"),
    ('nanodet_m_320', "'nanodet_m_320' has no weights yet; download them with `ros2 run .* "
                      'fetch_model nanodet_m_320`'),
    ('/absent/tiny', r'/absent/tiny: not a model folder \(card.yaml is missing\)'),
    ('~nobody_here/tiny', '~nobody_here/tiny: not a model folder'),
    ('.', r'\.: not a model folder'),
    ('x' * 5000, "model 'xxx.*' not found"),
    ('/x/' + 'x' * 5000, '/x/xxx.*: not a model folder'),
])
def test_find_model_that_is_not_there_says_what_to_do(model, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=message):
        find_model(model)


@pytest.mark.parametrize(('left', 'wanted'), [
    ((), False),
    (('model.param',), False),
    (('model.bin', 'model.onnx'), True),
    (('model.param', 'model.bin'), True),
    (('model.onnx',), True),
])
def test_has_weights_wants_all_files_of_one_runtime(tiny_nanodet, left, wanted):
    for path in tiny_nanodet.glob('model.*'):
        if path.name not in left:
            path.unlink()
    assert has_weights(tiny_nanodet) is wanted


def test_has_weights_of_a_wrong_card_is_false(tiny_nanodet):
    (tiny_nanodet / 'card.yaml').write_text('format: 2\n')
    assert not has_weights(tiny_nanodet)


def test_find_model_with_a_wrong_card_names_it_and_leaves_the_others_alone(
        tmp_path, monkeypatch, tiny_nanodet):
    models = tmp_path / 'models'
    write_tiny_nanodet(models / 'good')
    # twice, so that the search has to weigh two folders of one name
    for folder in (models / 'wrong', tmp_path / 'more' / 'wrong'):
        write_tiny_nanodet(folder)
        (folder / 'card.yaml').write_text('format: 2\n')
    monkeypatch.setenv('LITE_DETECTOR_MODELS', f'{models}:{tmp_path / "more"}')
    assert find_model('good') == models / 'good'
    with pytest.raises(ConfigError, match='wrong/card.yaml: '):
        find_model('wrong')


def test_fetch_model_repairs_a_damaged_file_of_the_cache(public):
    fetched = fetch_model('tiny', public)
    whole = (fetched / 'model.bin').read_bytes()
    (fetched / 'model.bin').write_bytes(whole[:-1] + b'?')
    assert fetch_model('tiny', public) == fetched
    assert (fetched / 'model.bin').read_bytes() == whole


def test_fetch_model_from_a_folder_knows_files_by_their_content(public, tmp_path):
    (public / 'model.bin').rename(public / 'a.weights')
    (public / 'model.onnx').rename(public / 'model.bin')
    (public / 'folder').mkdir()
    fetched = fetch_model('tiny', public)
    assert fetched == user_cache() / 'tiny' == find_model('tiny')
    assert sorted(path.name for path in fetched.iterdir()) == [
        'card.yaml', 'model.bin', 'model.onnx', 'model.param']
    assert (fetched / 'model.bin').read_bytes() == (public / 'a.weights').read_bytes()
    assert [path.name for path in user_cache().iterdir()] == ['tiny']


def test_fetch_model_that_is_there_does_nothing(public):
    fetched = fetch_model('tiny', public)
    before = {path: path.stat().st_mtime_ns for path in fetched.iterdir()}
    assert fetch_model('tiny', Path('/absent')) == fetched
    assert {path: path.stat().st_mtime_ns for path in fetched.iterdir()} == before


def test_fetch_model_of_a_card_that_was_corrected_takes_the_weights_that_are_there(
        public, tmp_path, monkeypatch):
    fetched = fetch_model('tiny', public)
    corrected = Path(shutil.copytree(fetched, tmp_path / 'mine' / 'tiny'))
    strip_weights(corrected)
    change_card(corrected, 'description', 'corrected')
    monkeypatch.setenv('LITE_DETECTOR_MODELS', str(corrected.parent))
    assert fetch_model('tiny', Path('/absent')) == fetched == find_model('tiny')
    assert load_card(fetched).description == 'corrected'


def test_fetch_model_replaces_a_folder_that_lost_its_weights(public):
    fetched = fetch_model('tiny', public)
    strip_weights(fetched)
    (fetched / 'rest').touch()
    assert fetch_model('tiny', public) == fetched
    assert has_weights(fetched)
    assert not (fetched / 'rest').exists()


@pytest.mark.parametrize(('spoil', 'message'), [
    (lambda folder: (folder / 'model.bin').write_bytes(b'damaged'),
     'no file with the sha256 of model.bin, [0-9a-f]{64}'),
    (lambda folder: (folder / 'model.onnx').unlink(), 'no file with the sha256 of model.onnx'),
    (shutil.rmtree, 'no such folder'),
], ids=['damaged', 'absent', 'no folder'])
def test_fetch_model_from_a_folder_without_its_files_leaves_nothing(public, spoil, message):
    spoil(public)
    with pytest.raises(DownloadError, match=f'--from {public}: {message}'):
        fetch_model('tiny', public)
    assert not list(user_cache().iterdir())


def test_fetch_model_of_a_card_without_checksums_is_refused(public):
    for runtime in ROLES:
        change_card(public.parent / 'models' / 'tiny', f'runtimes.{runtime}.sha256', {})
    with pytest.raises(DownloadError, match='the card has no url and sha256'):
        fetch_model('tiny', public)


def test_fetch_model_of_a_card_without_urls_is_refused(public):
    with pytest.raises(DownloadError, match='the card has no url and sha256'):
        fetch_model('tiny')


def test_fetch_model_of_an_unknown_name_lists_the_choices():
    with pytest.raises(ModelError, match="'absent' not found; expected one of .*nanodet_m_320"):
        fetch_model('absent')


@pytest.mark.parametrize('name', ['../evil.bin', '/tmp/evil.bin', 'a/../../evil.bin'])
def test_fetch_model_whose_card_leaves_its_folder_writes_nothing(public, name):
    change_card(public.parent / 'models' / 'tiny', 'runtimes.ncnn.bin', name)
    with pytest.raises(ModelError, match='lies outside the model folder'):
        fetch_model('tiny', public)
    assert not list(user_cache().iterdir())
    assert not Path('/tmp/evil.bin').exists()


def test_fetch_model_whose_card_names_a_folder_below_makes_it(public):
    change_card(public.parent / 'models' / 'tiny', 'runtimes.ncnn.bin', 'weights/model.bin')
    assert (fetch_model('tiny', public) / 'weights' / 'model.bin').is_file()


def test_config_is_found_by_name_and_by_path(tmp_path):
    assert find_config('nanodet_m_320').parts[-3:] == ('config', 'train', 'nanodet_m_320.yaml')
    path = tmp_path / 'mine'
    path.write_text('')
    assert find_config(str(path)) == path


def test_config_that_is_not_there_is_left_to_its_reader_or_named():
    assert find_config('absent.yaml') == Path('absent.yaml')
    with pytest.raises(ConfigError, match="configuration 'nanodet' not found; .*nanodet_m_320"):
        find_config('nanodet')
