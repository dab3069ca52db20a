# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Model folders are written atomically; pnnx output is checked; images to compare on; no torch."""

from importlib.util import find_spec
from pathlib import Path
import stat
import sys

from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import NcnnFiles
from lite_detector.core.types import ImageSize, size_of
from lite_detector.export import pnnx_tool, sample_images
from lite_detector.export.half_weights import store_half
from lite_detector.export.import_ncnn import read_convolutions
from lite_detector.export.model_folder import staged_folder
from lite_detector.export.pnnx_tool import convert, find_pnnx, with_blob_names
import numpy as np
import pytest
from tiny_models import write_tiny_nanodet

PARAM = """7767517
4 5
Input                    in0                      0 1 in0
Split                    splitncnn_0              1 2 in0 1 2
Convolution              conv_0                   1 1 1 out0 0=2 1=1 5=1 6=66
Convolution              in0_conv                 1 1 2 out1 0=1 1=1 5=1 6=3
"""
WIDE = np.arange(66, dtype=np.float32) / 7
"""33 products per output: stored in half precision."""
NARROW = np.array([0.1, -2, 3], np.float32)
BIAS = np.array([0.3, -0.7], np.float32)
NAMES = {'in0': 'images', 'out0': 'stride_8', 'out1': 'stride_16'}
FILES = NcnnFiles('model.param', 'model.bin', 'images', ('stride_8', 'stride_16'))


def fill(target: Path) -> None:
    """Write a folder with one file whose text is "new"."""
    with staged_folder(target) as staged:
        (staged / 'card.yaml').write_text('new')


def entries(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_staged_folder_appears_when_the_block_is_done(tmp_path):
    target = tmp_path / 'absent' / 'model'
    with staged_folder(target) as staged:
        (staged / 'card.yaml').write_text('new')
        assert not target.exists()
        assert staged.parent.parent == target.parent, 'elsewhere, moving it would be copying'
    assert (target / 'card.yaml').read_text() == 'new'
    assert entries(target.parent) == ['model']
    # readable like any other folder, although temporary folders are private
    other = tmp_path / 'other'
    other.mkdir()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(other.stat().st_mode)


def test_staged_folder_replaces_a_model(tmp_path):
    target = write_tiny_nanodet(tmp_path / 'model')
    fill(target)
    assert entries(target) == ['card.yaml']
    assert entries(tmp_path) == ['model']


@pytest.mark.parametrize('error', [ModelError('differs'), KeyboardInterrupt(),
                                   OSError(28, 'full')])
@pytest.mark.parametrize('there', [False, True])
def test_staged_folder_that_fails_leaves_what_was_there(tmp_path, error, there):
    target = tmp_path / 'model'
    if there:
        write_tiny_nanodet(target)
    before = {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()}
    wanted = ConfigError if isinstance(error, OSError) else type(error)
    with pytest.raises(wanted) as caught, staged_folder(target) as staged:
        (staged / 'model.bin').write_bytes(b'half')
        raise error
    if wanted is ConfigError:
        assert str(caught.value) == f'{target}: cannot write the model folder: full'
    assert {path: path.read_bytes() for path in tmp_path.rglob('*') if path.is_file()} == before


def test_staged_folder_that_cannot_be_moved_puts_the_old_one_back(tmp_path, monkeypatch):
    target = write_tiny_nanodet(tmp_path / 'model')
    before = entries(target)
    rename = Path.rename

    def fail_for_the_new_one(self, other):
        if self.name == 'new':
            raise OSError(28, 'No space left on device')
        return rename(self, other)

    monkeypatch.setattr(Path, 'rename', fail_for_the_new_one)
    with pytest.raises(ConfigError, match='cannot write the model folder: No space left'):
        fill(target)
    assert entries(target) == before
    assert entries(tmp_path) == ['model']


@pytest.mark.parametrize(('path', 'words'), [
    ('file', 'exists and is not a model folder'),
    ('empty', r'exists and is not a model folder \(card.yaml is missing\)'),
    ('mixed', "contains 'thesis.tex', which would be lost"),
    ('file/model', 'cannot be created in '),
    ('/proc/absent/model', 'cannot write the model folder: '),
])
def test_staged_folder_refuses_what_is_no_model(tmp_path, path, words):
    (tmp_path / 'file').touch()
    (tmp_path / 'empty').mkdir()
    write_tiny_nanodet(tmp_path / 'mixed')
    (tmp_path / 'mixed' / 'thesis.tex').touch()
    with pytest.raises(ConfigError, match=words):
        fill(tmp_path / path)
    assert (tmp_path / 'mixed' / 'thesis.tex').exists()


def test_with_blob_names_renames_blobs_and_nothing_else():
    renamed = with_blob_names(PARAM, NAMES)
    assert [line.split() for line in renamed.splitlines()] == [
        ['7767517'], ['4', '5'],
        ['Input', 'in0', '0', '1', 'images'],
        ['Split', 'splitncnn_0', '1', '2', 'images', '1', '2'],
        ['Convolution', 'conv_0', '1', '1', '1', 'stride_8', '0=2', '1=1', '5=1', '6=66'],
        ['Convolution', 'in0_conv', '1', '1', '2', 'stride_16', '0=1', '1=1', '5=1',
         '6=3']]


@pytest.mark.parametrize('kind', ['aten::channel_shuffle', 'pnnx.Expression', 'F.pad'])
def test_with_blob_names_refuses_a_layer_that_ncnn_does_not_have(kind):
    with pytest.raises(ModelError, match=f'pnnx wrote a layer {kind!r}, which ncnn does not have'):
        with_blob_names(PARAM.replace('Split', kind, 1), NAMES)


def test_with_blob_names_refuses_another_number_of_outputs():
    with pytest.raises(ModelError, match="without blob 'out2'; expected one input and 3 outputs"):
        with_blob_names(PARAM, {**NAMES, 'out2': 'stride_32'})


@pytest.fixture
def fake_pnnx(tmp_path, monkeypatch):
    """Return a function that replaces pnnx by a shell script and converts with it."""
    def convert_with(script: str) -> Path:
        program = tmp_path / 'pnnx'
        program.write_text(f'#!/bin/sh\n{script}\n')
        program.chmod(0o755)
        monkeypatch.setattr(pnnx_tool, 'find_pnnx', lambda: program)
        folder = tmp_path / 'parent' / 'model'
        folder.mkdir(parents=True)
        try:
            convert(b'torchscript', folder, ImageSize(64, 96), FILES)
        finally:
            assert entries(folder.parent) == ['model'], 'the scratch folder stayed behind'
        return folder
    return convert_with


def test_convert_runs_pnnx_and_stores_half_where_many_products_are_summed(fake_pnnx, tmp_path):
    weights, said = tmp_path / 'weights', tmp_path / 'said'
    weights.write_bytes(bytes(4) + WIDE.tobytes() + BIAS.tobytes()
                        + bytes(4) + NARROW.tobytes() + BIAS[:1].tobytes())
    folder = fake_pnnx(f"cat >net.ncnn.param <<'END'\n{PARAM}END\n"
                       f'cp {weights} net.ncnn.bin; echo "$@" $(cat net.pt) >{said}; touch junk')
    assert said.read_text() == 'net.pt inputshape=[1,3,64,96] fp16=0 torchscript\n'
    assert entries(folder) == ['model.bin', 'model.param']
    assert (folder / 'model.param').read_text() == with_blob_names(PARAM, NAMES)
    wide, narrow = read_convolutions(folder / 'model.param', folder / 'model.bin')
    np.testing.assert_array_equal(wide.weight.ravel(), WIDE.astype(np.float16))
    np.testing.assert_array_equal(narrow.weight.ravel(), NARROW)
    np.testing.assert_array_equal(np.concatenate((wide.bias, narrow.bias)), BIAS[[0, 1, 0]])
    assert (folder / 'model.bin').stat().st_size == 2 * 66 + 4 * 3 + 4 * 3 + 2 * 4


@pytest.mark.parametrize('value', [7e4, -np.inf, np.nan])
def test_store_half_refuses_weights_that_it_cannot_hold(tmp_path, value):
    param, weights = tmp_path / 'a.param', tmp_path / 'a.bin'
    param.write_text(PARAM)
    weights.write_bytes(bytes(4) + np.full(66, value, np.float32).tobytes() + BIAS.tobytes()
                        + bytes(4) + NARROW.tobytes() + BIAS[:1].tobytes())
    with pytest.raises(ModelError, match='layer conv_0 has a weight of .*at most 65504'):
        store_half(param, weights, tmp_path / 'b.bin')


@pytest.mark.parametrize(('script', 'words'), [
    ('echo out of luck >&2; exit 3', r'pnnx failed \(code 3\): out of luck'),
    ('echo ignore this; touch net.ncnn.bin', 'pnnx wrote no ncnn files: ignore this'),
    ('exec sleep 60', 'pnnx did not finish within 0.1 s'),
], ids=['fails', 'makes nothing', 'hangs'])
def test_convert_with_a_pnnx_that_fails_says_so_in_one_line(fake_pnnx, monkeypatch, script, words):
    if 'sleep' in script:
        monkeypatch.setattr(pnnx_tool, 'TIMEOUT_S', 0.1)
    with pytest.raises(ModelError, match=words) as caught:
        fake_pnnx(script)
    assert '\n' not in str(caught.value)


def test_convert_with_a_pnnx_that_does_not_run_says_so(fake_pnnx, tmp_path, monkeypatch):
    with pytest.raises(ModelError, match='pnnx failed|cannot run'):
        fake_pnnx('exit 126')
    monkeypatch.setattr(pnnx_tool, 'find_pnnx', lambda: tmp_path / 'absent')
    with pytest.raises(ModelError, match='absent: cannot run: No such file'):
        convert(b'', tmp_path / 'parent' / 'model', ImageSize(64, 96), FILES)


def test_find_pnnx_without_the_package_names_it(monkeypatch):
    monkeypatch.setitem(sys.modules, 'pnnx', None)
    with pytest.raises(ModuleNotFoundError) as caught:
        find_pnnx()
    assert caught.value.name == 'pnnx'


def test_sample_images_without_scikit_image_are_drawn(monkeypatch):
    monkeypatch.setitem(sys.modules, 'skimage', None)
    source, images = sample_images.sample_images()
    assert source == 'drawn images'
    assert [size_of(image) for image in images[:2]] == [(480, 640), (360, 640)]
    assert {image.dtype for image in images} == {np.dtype(np.uint8)}
    assert min(image.std() for image in images) > 10
    np.testing.assert_array_equal(images[0], sample_images.sample_images()[1][0])
    assert (images[0] != images[4]).any()


def test_sample_images_are_photographs_where_there_are_some():
    if find_spec('skimage') is None:  # with its dependencies it also gives photographs
        pytest.skip('no scikit-image')
    source, images = sample_images.sample_images()
    assert source == 'photographs of scikit-image'
    assert len(images) >= 5
