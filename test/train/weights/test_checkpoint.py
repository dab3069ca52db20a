# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Checkpoints, and the detector made of one."""

import json
import pickle

import cv2
from lite_detector.cli import main
from lite_detector.core.errors import ConfigError, LiteDetectorError, ModelError
from lite_detector.core.types import ImageSize
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.torch_backend import detector_from_checkpoint, TorchBackend
from lite_detector.train.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from networks import network_card, trained_model
import numpy as np
import pytest
from tiny_models import square_image
import torch

SPEC = ModelSpec('nanodet', '0.5x', 2)


@pytest.fixture
def checkpoint():
    return Checkpoint(SPEC, network_card(SPEC), trained_model(SPEC).state_dict(), {'seed': 7})


@pytest.fixture
def path(checkpoint, tmp_path):
    save_checkpoint(tmp_path / 'x.pt', checkpoint)
    return tmp_path / 'x.pt'


def test_checkpoint_comes_back_as_it_was(path, checkpoint):
    loaded = load_checkpoint(path)
    assert (loaded.spec, loaded.card, loaded.training) == (SPEC, checkpoint.card, {'seed': 7})
    assert loaded.state_dict.keys() == checkpoint.state_dict.keys()
    for name, value in loaded.model().state_dict().items():
        torch.testing.assert_close(value, checkpoint.state_dict[name], atol=0, rtol=0)


def test_checkpoint_is_tensors_and_plain_data(path):
    content = torch.load(path, weights_only=True)
    assert set(content) == {'format', 'model', 'card', 'state_dict', 'training'}
    assert content['model']['variant'] == '0.5x'
    assert content['card']['class_names'] == ('object0', 'object1')
    assert {'preprocess', 'decode', 'license', 'source'} <= set(content['card'])


def test_checkpoint_that_cannot_be_written_leaves_the_last_one(path, checkpoint, monkeypatch):
    before = path.read_bytes()

    def fill_the_disk(content, file):
        file.write(b'half')
        raise RuntimeError('PytorchStreamWriter failed writing file data/1: file write failed')

    monkeypatch.setattr(torch, 'save', fill_the_disk)
    with pytest.raises(ConfigError, match='x.pt: cannot write: PytorchStreamWriter'):
        save_checkpoint(path, checkpoint)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ['x.pt']


def test_checkpoint_into_an_absent_folder_is_one_line(checkpoint, tmp_path):
    with pytest.raises(ConfigError, match='absent/x.pt: cannot write: No such file'):
        save_checkpoint(tmp_path / 'absent' / 'x.pt', checkpoint)


@pytest.mark.parametrize(('change', 'words'), [
    (lambda content: content.pop('card'), 'not a checkpoint of lite_detector'),
    (lambda content: content.update(format=2), 'checkpoint format 2; expected 1'),
    (lambda content: content['model'].update(variant='9x'), 'model: $: family nanodet has no'),
    (lambda content: content['model'].update(num_classes=3), 'with 3 classes, but card'),
    (lambda content: content['card'].update(family='ssd'), 'card: $.family'),
    (lambda content: content['model'].update(variant='1.0x'), 'weights do not fit nanodet 1.0x'),
    (lambda content: content['state_dict'].popitem(), 'weights do not fit nanodet 0.5x'),
    (lambda content: content['state_dict'].update({'x.log2_threshold': torch.zeros(())}),
     'weights of int8 fine-tuning, which was removed'),
])
def test_checkpoint_with_a_mistake_is_refused_in_one_line(path, change, words):
    content = torch.load(path, weights_only=True)
    change(content)
    torch.save(content, path)
    with pytest.raises(LiteDetectorError) as caught:
        detector_from_checkpoint(path)
    assert words in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize('data', [b'', b'not a checkpoint', pickle.dumps({'a': print}, 2),
                                  b'PK\3\4 cut short'])
def test_file_that_is_no_checkpoint_is_refused(data, tmp_path):
    (tmp_path / 'x.pt').write_bytes(data)
    with pytest.raises(ModelError, match='x.pt: malformed, or not a file of weights'):
        load_checkpoint(tmp_path / 'x.pt')


def test_checkpoint_cut_short_is_refused(path):
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(ModelError, match='x.pt: malformed, or not a file of weights'):
        load_checkpoint(path)


def test_checkpoint_of_plain_tensors_is_refused(tmp_path):
    torch.save([torch.zeros(1)], tmp_path / 'x.pt')
    with pytest.raises(ModelError, match='a list; expected names and tensors'):
        load_checkpoint(tmp_path / 'x.pt')


def test_backend_puts_the_model_into_evaluation_mode_and_returns_plain_arrays():
    model = trained_model(SPEC).train().to(memory_format=torch.channels_last)
    heads = TorchBackend(model).infer(np.zeros((3, 64, 96), np.float32))
    assert not model.training
    assert [head.shape for head in heads] == [(34, 8, 12), (34, 4, 6), (34, 2, 3)]
    assert all(head.dtype == np.float32 and head.flags.c_contiguous for head in heads)


def test_backend_off_the_grid_says_so_in_one_line():
    with pytest.raises(ModelError, match='torch could not run the network: '):
        TorchBackend(trained_model(SPEC)).infer(np.zeros((3, 40, 40), np.float32))


def test_detector_from_checkpoint_takes_size_and_resize(path):
    detector = detector_from_checkpoint(path, input_size=ImageSize(64, 128), resize='stretch')
    assert detector.input_size == (64, 128)
    assert detector.card.preprocess.resize == 'stretch'
    with pytest.raises(ConfigError, match='resize'):
        detector_from_checkpoint(path, resize='crop')


def test_detector_refuses_weights_that_are_not_numbers(checkpoint, path):
    checkpoint.state_dict['head.outputs.0.bias'].fill_(torch.nan)
    save_checkpoint(path, checkpoint)
    with pytest.raises(ModelError, match='NaN or infinity'):
        detector_from_checkpoint(path)


def test_detect_takes_a_checkpoint(path, tmp_path):
    picture = tmp_path / 'a.png'
    cv2.imwrite(str(picture), square_image(64, 96, 32, 32, (255, 0, 0)))
    figures = tmp_path / 'found.json'
    assert main(['detect', str(picture), '--model', str(path), '--size', '64',
                 '--score-threshold', '0', '--json', str(figures)]) == 0
    entry, = json.loads(figures.read_text())
    assert entry['detections']
    assert {found['class_name'] for found in entry['detections']} <= {'object0', 'object1'}


@pytest.mark.parametrize(('options', 'words'), [
    (['--model', 'absent.pt'], 'absent.pt: No such file'),
    (['--precision', 'bf16'], '--precision: bf16; expected auto or fp32'),
    (['--runtime', 'onnx'], '--runtime: onnx; expected no runtime'),
    (['--size', '50'], 'input size 50x50'),
])
def test_detect_with_a_wrong_option_for_a_checkpoint_is_one_line(options, words, path, capsys):
    cv2.imwrite(str(path.parent / 'a.png'), square_image(64, 96, 32, 32))
    assert main(['detect', str(path.parent), '--model', str(path), *options]) == 2
    assert words in capsys.readouterr().err.splitlines()[-1]
