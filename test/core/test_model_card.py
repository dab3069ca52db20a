# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import hashlib
from pathlib import Path
import re

from lite_detector.core.config import from_mapping, load_yaml, Spec
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import (
    checked_files,
    load_card,
    path_inside,
    resolve_file,
    save_card,
)
from lite_detector.core.types import ImageSize
from lite_detector.zoo import has_weights
from msgspec import structs
import pytest
from tiny_models import change_card, write_tiny_nanodet, write_tiny_yolof, write_tiny_yolov5

ROOT = Path(__file__).resolve().parents[2]
MODELS = sorted(path.parent.name for path in ROOT.glob('models/*/card.yaml'))


def assert_refused(folder: Path, path: str, reason: str) -> None:
    """Check that the one line of the error names the file, the key and the reason."""
    with pytest.raises(ConfigError) as caught:
        load_card(folder)
    message = str(caught.value)
    assert message.startswith(f'{folder / "card.yaml"}: {path}: ')
    assert reason in message
    assert '\n' not in message


@pytest.mark.parametrize('name', MODELS)
def test_card_of_the_package_loads(name):
    card = load_card(ROOT / 'models' / name)
    assert card.name == name
    assert card.class_names[0] == 'person'
    for files in filter(None, (card.runtimes.ncnn, card.runtimes.onnx)):
        assert set(files.sha256) == set(files.files())
        # what is not shipped can be fetched
        assert has_weights(ROOT / 'models' / name) or set(files.url) == set(files.files())
        assert len(files.outputs) == len(card.decode.strides)


@pytest.mark.parametrize('name', MODELS)
def test_card_that_is_saved_comes_back_as_it_was(name, tmp_path):
    card = load_card(ROOT / 'models' / name)
    card = structs.replace(card, description='größer: "1.0x" #2', training={'seed': 7, 'data': {}},
                           parity={'ncnn': {'boxes': 0, 'ap': 27.14}, 'exact': False})
    save_card(tmp_path, card)
    wanted = structs.replace(card, training={'seed': 7})  # what says nothing is left out
    assert load_card(tmp_path) == wanted
    text = (tmp_path / 'card.yaml').read_text(encoding='utf-8')
    assert text.startswith(f'format: 1\nname: {name}\n')
    if len(card.class_names) == 80:
        assert 'traffic light' in text
        assert ', sports ball,' in text.replace('\n ', '')


def test_card_gives_its_size_and_the_files_of_a_runtime(tiny_nanodet):
    card = load_card(tiny_nanodet)
    assert card.size == ImageSize(height=64, width=96)
    assert card.runtime_files('ncnn').files() == {'param': 'model.param', 'bin': 'model.bin'}
    assert card.runtime_files('onnx').files() == {'file': 'model.onnx'}
    assert card.preprocess.std == (255.0, 255.0, 255.0)


@pytest.mark.parametrize(('key', 'value', 'path', 'reason'), [
    ('frobnicate', 1, '$', 'unknown field `frobnicate`'),
    ('preprocess.colour', 'bgr', '$.preprocess', 'unknown field `colour`'),
    ('runtimes.ncnn.parma', 'a', '$.runtimes.ncnn', 'unknown field `parma`'),
    ('runtimes.tensorrt', {}, '$.runtimes', 'unknown field `tensorrt`'),
    ('format', 2, '$.format', '2'),
    ('format', '1', '$.format', 'Expected `int`, got `str`'),
    ('name', 'a/b', '$.name', 'matching regex'),
    ('name', '../a', '$.name', 'matching regex'),
    ('name', '', '$.name', 'matching regex'),
    ('family', 'nanodet_pro', '$.family', "'nanodet_pro'"),
    ('description', 7, '$.description', 'Expected `str`, got `int`'),
    ('input_size', [64, 96], '$.input_size', 'Expected `object`, got `array`'),
    ('input_size.width', 100, '$.input_size.width', 'multiple of 32'),
    ('input_size.height', 0, '$.input_size.height', '>= 32'),
    ('input_size.height', -32, '$.input_size.height', '>= 32'),
    ('input_size.height', 8192, '$.input_size.height', '<= 4096'),
    ('input_size.height', 64.5, '$.input_size.height', 'Expected `int`'),
    ('preprocess.resize', 'letterbox', '$.preprocess.resize', "'letterbox'"),
    ('preprocess.color', 'gray', '$.preprocess.color', "'gray'"),
    ('preprocess.pad', 'left', '$.preprocess.pad', "'left'"),
    ('preprocess.pad_value', 256, '$.preprocess.pad_value', '<= 255'),
    ('preprocess.mean', [0, 0], '$.preprocess.mean', 'length 3'),
    ('preprocess.mean', [0, 0, float('nan')], '$.preprocess.mean[2]', '>= '),
    ('preprocess.mean', [0, 0, float('inf')], '$.preprocess.mean[2]', '<= '),
    ('preprocess.std', [1, 0, 1], '$.preprocess.std[1]', '> 0'),
    ('preprocess.std', [float('inf'), 1, 1], '$.preprocess.std[0]', '<= '),
    ('decode.strides', [], '$.decode.strides', 'length >= 1'),
    ('decode.strides', [8, 0, 32], '$.decode.strides[1]', '>= 1'),
    ('decode.strides', [8, 32, 16], '$', '(8, 32, 16); expected rising'),
    ('decode.strides', [8, 8, 16], '$', '(8, 8, 16); expected rising'),
    # tiny cards are 96 wide; the coarsest map of a backbone must fit
    ('decode.strides', [16, 32, 64], '$', '96x64; expected multiples of 64 for strides 16, 32'),
    ('decode.reg_max', 0, '$.decode.reg_max', '>= 1'),
    ('decode.grid_offset', 1.5, '$.decode.grid_offset', '<= 1'),
    ('decode.score_activation', True, '$.decode.score_activation', 'got `bool`'),
    ('runtimes', {}, '$.runtimes', 'at least one of ncnn, onnx'),
    ('runtimes.ncnn.outputs', [], '$.runtimes.ncnn.outputs', 'length >= 1'),
    ('runtimes.ncnn.outputs', [786], '$.runtimes.ncnn.outputs[0]', 'Expected `str`, got `int`'),
    ('runtimes.ncnn.url', {'param': 'http://a/b'}, '$.runtimes.ncnn.url[...]', '^https://'),
    ('runtimes.ncnn.url', {'file': 'https://a'}, 'key in $.runtimes.ncnn.url', "'file'"),
    ('runtimes.onnx.sha256', {'file': 'ABC'}, '$.runtimes.onnx.sha256[...]', 'regex'),
    ('class_names', [], '$.class_names', 'length >= 1'),
    ('class_names', ['cat', ''], '$.class_names[1]', 'length >= 1'),
    ('class_names', ['no', False], '$.class_names[1]', 'Expected `str`, got `bool`'),
    ('class_names', ['cat', 'dog', 'cat'], '$', "class_names: duplicate name 'cat'"),
])
def test_card_that_says_something_impossible_is_refused(tiny_nanodet, key, value, path, reason):
    change_card(tiny_nanodet, key, value)
    assert_refused(tiny_nanodet, path, reason)


@pytest.mark.parametrize(('key', 'path', 'reason'), [
    ('preprocess', '$', 'missing required field `preprocess`'),
    ('class_names', '$', 'missing required field `class_names`'),
    ('preprocess.mean', '$.preprocess', 'missing required field `mean`'),
    ('decode.strides', '$.decode', 'missing required field `strides`'),
    ('runtimes.ncnn.bin', '$.runtimes.ncnn', 'missing required field `bin`'),
    ('decode.reg_max', '$', 'family nanodet needs decode.reg_max'),
    ('decode.grid_offset', '$', 'family nanodet needs decode.grid_offset'),
])
def test_card_without_a_part_is_refused(tiny_nanodet, key, path, reason):
    change_card(tiny_nanodet, key)
    assert_refused(tiny_nanodet, path, reason)


@pytest.mark.parametrize(('key', 'value', 'reason'), [
    ('decode.reg_max', 7, 'family yolov5_lite has no decode.reg_max'),
    ('decode.anchors', None, 'family yolov5_lite needs decode.anchors'),
    ('decode.anchors', [[[1, 2]], [[3, 4]]], 'one list of equal length for each stride'),
    ('decode.anchors', [[[1, 2]], [[3, 4]], [[5, 6], [7, 8]]], 'one list of equal length'),
    ('family', 'nanodet', 'family nanodet has no decode.anchors'),
])
def test_card_with_anchors_that_do_not_fit_its_family_is_refused(tmp_path, key, value, reason):
    folder = write_tiny_yolov5(tmp_path / 'tiny')
    change_card(folder, key, value)
    assert_refused(folder, '$', reason)


@pytest.mark.parametrize(('key', 'value', 'reason'), [
    ('decode.anchors', None, 'family yolof needs decode.anchors'),
    ('decode.grid_offset', None, 'family yolof needs decode.grid_offset'),
    ('decode.center_clamp', None, 'family yolof needs decode.center_clamp'),
    ('decode.reg_max', 7, 'family yolof has no decode.reg_max'),
    ('decode.strides', [16, 32], 'one list of equal length for each stride'),
    ('decode', {'strides': [16, 32], 'score_activation': 'sigmoid', 'grid_offset': 0,
                'center_clamp': 32, 'anchors': [[[1, 2]], [[3, 4]]]},
     'decode.strides: (16, 32); YOLOF expects one stride'),
    ('family', 'yolov5_lite', 'family yolov5_lite has no decode.grid_offset'),
])
def test_card_that_does_not_fit_yolof_is_refused(tmp_path, key, value, reason):
    folder = write_tiny_yolof(tmp_path / 'tiny')
    change_card(folder, key, value)
    assert_refused(folder, '$', reason)


@pytest.mark.parametrize(('write', 'strides', 'grid'), [
    (write_tiny_yolof, [16], 32), (write_tiny_yolof, [32], 32),
    (write_tiny_nanodet, [8, 16], 32), (write_tiny_nanodet, [8, 16, 32, 64], 64)])
def test_letterbox_pads_to_no_less_than_the_grid_of_backbones(tmp_path, write, strides, grid):
    folder = write(tmp_path / 'tiny')
    change_card(folder, 'decode.strides', strides)
    assert load_card(folder).padded_to == grid


@pytest.mark.parametrize(('text', 'reason'), [
    ('', '$: Expected `object`, got `null`'),
    ('- 1\n', '$: Expected `object`, got `array`'),
    ('format: [1\n', 'not valid YAML: while parsing'),
    ('{[a]: 1}', 'not valid YAML: while constructing a mapping'),
    ('a: 2026-13-01\n', 'not valid YAML: month must be in 1..12'),
    ('name: !!bool maybe\n', 'not valid YAML: '),
    ('name: !!timestamp x\n', 'not valid YAML: '),
    (3000 * '[', 'not valid YAML: '),
    ('a: !!python/object:os.system {}\n', 'not valid YAML: could not determine a constructor'),
    ('caf\u00e9: 1\n'.encode('latin-1'), 'not valid YAML: '),
], ids=str)
def test_card_that_is_no_mapping_is_refused(tmp_path, text, reason):
    (tmp_path / 'card.yaml').write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ConfigError, match=re.escape(f'{tmp_path / "card.yaml"}: {reason}')) as why:
        load_card(tmp_path)
    assert '\n' not in str(why.value)


def test_card_that_is_absent_is_named(tmp_path):
    with pytest.raises(ConfigError, match=f'{tmp_path}/card.yaml: No such file'):
        load_card(tmp_path)


def test_card_without_a_runtime_says_which_it_has(tiny_nanodet):
    change_card(tiny_nanodet, 'runtimes.onnx')
    with pytest.raises(ModelError, match=r"the card has no runtime 'onnx'; expected ncnn$"):
        load_card(tiny_nanodet).runtime_files('onnx')


def test_card_cannot_be_changed(tiny_nanodet):
    with pytest.raises(AttributeError, match='immutable'):
        load_card(tiny_nanodet).name = 'other'


def test_resolve_file_finds_it_also_in_a_folder_below(tmp_path):
    (tmp_path / 'weights').mkdir()
    (tmp_path / 'weights' / 'a.bin').touch()
    assert resolve_file(tmp_path, 'weights/a.bin') == tmp_path / 'weights' / 'a.bin'


@pytest.mark.parametrize('name', ['absent.bin', '', '.', 'weights'])
def test_resolve_file_that_is_no_file_is_refused(tmp_path, name):
    (tmp_path / 'weights').mkdir()
    with pytest.raises(ModelError, match=f'card.yaml: {name!r}: no such file in the model folder'):
        resolve_file(tmp_path, name)


@pytest.mark.parametrize('name', ['../a.bin', 'weights/../../a.bin', '/etc/passwd', 'link.bin',
                                  'weights/link/a.bin', '{folder}/inside.bin'])
def test_resolve_file_outside_the_folder_is_refused(tmp_path, name):
    folder = tmp_path / 'model'
    (folder / 'weights').mkdir(parents=True)
    (tmp_path / 'a.bin').touch()
    (folder / 'inside.bin').touch()
    (folder / 'link.bin').symlink_to(tmp_path / 'a.bin')
    (folder / 'weights' / 'link').symlink_to(tmp_path)
    for look in (resolve_file, path_inside):
        with pytest.raises(ModelError, match='card.yaml: .* lies outside the model folder'):
            look(folder, name.format(folder=folder))


@pytest.mark.parametrize('name', ['\u00e9' * 300, 'a\0b', 'loop'])
def test_resolve_file_that_is_no_file_name_is_refused(tmp_path, name):
    (tmp_path / 'loop').symlink_to('loop')
    with pytest.raises(ModelError, match='(not a file name|no such file in the model)'):
        resolve_file(tmp_path, name)


def test_resolve_file_in_a_linked_model_folder_is_found(tiny_nanodet, tmp_path):
    (tmp_path / 'linked').symlink_to(tiny_nanodet)
    assert resolve_file(tmp_path / 'linked', 'model.bin').is_file()


def test_checked_files_with_the_right_sha256_are_returned(tiny_nanodet):
    digest = hashlib.sha256((tiny_nanodet / 'model.bin').read_bytes()).hexdigest()
    change_card(tiny_nanodet, 'runtimes.ncnn.sha256', {'bin': digest})
    assert checked_files(tiny_nanodet, load_card(tiny_nanodet).runtimes.ncnn) == {
        'param': tiny_nanodet / 'model.param', 'bin': tiny_nanodet / 'model.bin'}


@pytest.mark.parametrize('role', ['param', 'bin'])
def test_checked_files_with_another_sha256_are_refused(tiny_nanodet, role):
    change_card(tiny_nanodet, 'runtimes.ncnn.sha256', {role: 64 * '0'})
    with pytest.raises(ModelError, match=f'model.{role}: sha256 is [0-9a-f]{{64}}; expected '
                                         '0{64}; the file is damaged'):
        checked_files(tiny_nanodet, load_card(tiny_nanodet).runtimes.ncnn)


class Section(Spec):
    """A section with one key, to see paths."""

    values: tuple[int, ...] = ()


def test_from_mapping_names_the_place_of_the_mistake():
    with pytest.raises(ConfigError, match=re.escape('here: $.values[1]: Expected `int`')):
        from_mapping({'values': [1, 'a']}, Section, 'here')


def test_load_yaml_of_a_folder_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=f'{tmp_path}: Is a directory'):
        load_yaml(tmp_path, Section)
