# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From ncnn files to checkpoints: exact, and never with the wrong network."""

import json
from pathlib import Path
import shutil

import cv2
from lite_detector.cli import main
from lite_detector.detector import Detector
from lite_detector.export.import_ncnn import read_network
from lite_detector.export.int8_network import candidates, write_int8
from lite_detector.train.config.model import ModelSpec, VARIANTS
from lite_detector.train.torch_backend import detector_from_checkpoint, TorchBackend
from lite_detector.train.weights.checkpoint import load_checkpoint
from networks import PUBLIC_NETWORKS, trained_model, write_ncnn
import numpy as np
import pytest
from tiny_models import ANCHORS
import torch
import yaml

EVERY_NETWORK = pytest.mark.parametrize(('family', 'variant'), [
    (family, variant) for family, variants in VARIANTS.items() for variant in variants])
LARGEST_DIFFERENCE = 2e-3
"""Of raw heads, logits up to 30; measured: 2e-4."""


def import_error(capsys, folder: Path) -> str:
    """Import a model that cannot be imported; return the error line."""
    output = folder.parent / 'never.pt'
    assert main(['import_weights', '--model', str(folder), '--output', str(output)]) == 2
    assert not list(folder.parent.glob('*never*'))
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    return line


@EVERY_NETWORK
def test_network_written_for_ncnn_comes_back_with_the_same_function(family, variant, tmp_path,
                                                                    capsys):
    spec = ModelSpec(family, variant, 1, num_anchors=len(ANCHORS[0]))
    model = trained_model(spec)
    folder = write_ncnn(tmp_path / 'model', model, spec)
    path = tmp_path / 'x.pt'
    assert main(['import_weights', '--model', str(folder), '--output', str(path)]) == 0
    assert f'{family} {variant}, 1 classes' in capsys.readouterr().out
    detector = detector_from_checkpoint(path)
    blob = torch.rand(3, *detector.input_size).numpy()
    for got, wanted in zip(detector.backend.infer(blob), TorchBackend(model).infer(blob),
                           strict=True):
        np.testing.assert_allclose(got / np.abs(wanted).max(), wanted / np.abs(wanted).max(),
                                   atol=1e-4)


@pytest.mark.parametrize('name', PUBLIC_NETWORKS)
def test_public_weights_in_torch_give_the_heads_of_ncnn(name, public_folders, public_checkpoint,
                                                        shared_data):
    image = cv2.imread(str(sorted((shared_data / 'coco_mini' / 'val').glob('*.jpg'))[3]))
    in_ncnn = Detector.from_folder(public_folders[name], precision='fp32')
    in_torch = detector_from_checkpoint(public_checkpoint(name))
    blob = in_ncnn.make_blob(image, in_ncnn.fit(image))
    heads = in_torch.backend.infer(blob)
    assert max(np.abs(head).max() for head in heads) > 5
    for got, wanted in zip(heads, in_ncnn.backend.infer(blob), strict=True):
        np.testing.assert_allclose(got, wanted, atol=LARGEST_DIFFERENCE, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize('name', PUBLIC_NETWORKS)
def test_public_weights_in_torch_have_the_ap_of_ncnn(name, public_folders, public_checkpoint,
                                                     shared_data, tmp_path):
    pytest.importorskip('faster_coco_eval')
    data = shared_data / 'coco_mini'
    found = {}
    for model in (public_folders[name], public_checkpoint(name)):
        path = tmp_path / 'figures.json'
        assert main(['evaluate', '--model', str(model), '--precision', 'fp32', '--threads', '1',
                     '--annotations', str(data / 'instances_val.json'),
                     '--images', str(data / 'val'), '--json', str(path)]) == 0
        found[model.suffix] = json.loads(path.read_text())['ap']
    assert found['.pt'] == pytest.approx(found[''], abs=0.1)


def test_checkpoint_of_a_card_whose_graph_ends_in_a_sigmoid_asks_for_one(tmp_path):
    spec = ModelSpec('nanodet', '0.5x', 1)
    folder = write_ncnn(tmp_path / 'model', trained_model(spec), spec)
    edit_card(folder, lambda card: card['decode'].update(score_activation='none'))
    path = tmp_path / 'x.pt'
    assert main(['import_weights', '--model', str(folder), '--output', str(path)]) == 0
    # the head of a network in torch is raw, wherever the graph of the file may end
    assert detector_from_checkpoint(path).card.decode.score_activation == 'sigmoid'


def test_heads_meet_their_strides_whatever_the_order_of_the_file(tmp_path):
    spec = ModelSpec('nanodet_plus', 'm-0.5x', 2)
    model, blob = trained_model(spec), torch.rand(3, 64, 128).numpy()
    wanted = TorchBackend(model).infer(blob)
    for name, last_head_first in (('a', False), ('b', True)):
        folder = write_ncnn(tmp_path / name, model, spec, last_head_first)
        assert main(['import_weights', '--model', str(folder), '--output',
                     str(tmp_path / f'{name}.pt')]) == 0
        got = detector_from_checkpoint(tmp_path / f'{name}.pt').backend.infer(blob)
        for head, other in zip(got, wanted, strict=True):
            np.testing.assert_allclose(head, other, atol=1e-4 * np.abs(other).max())
    assert (tmp_path / 'a' / 'model.bin').read_bytes() != (tmp_path / 'b' / 'model.bin'
                                                           ).read_bytes()


def test_int8_weights_become_float_within_half_a_step(public_folders, public_checkpoint,
                                                      tmp_path):
    folder = tmp_path / 'model'
    shutil.copytree(public_folders['nanodet_m_320'], folder)
    edit_card(folder, lambda card: card['runtimes']['ncnn'].update(url={}, sha256={}))
    network = read_network(folder / 'model.param', folder / 'model.bin')
    files = write_int8(network, {each.layer.name: 1.0 for each in candidates(network)})
    (folder / 'model.param').write_text(files.param)
    (folder / 'model.bin').write_bytes(files.weights)
    path = tmp_path / 'x.pt'
    assert main(['import_weights', '--model', str(folder), '--output', str(path)]) == 0
    in_int8, in_float = (load_checkpoint(each).state_dict for each in
                         (path, public_checkpoint('nanodet_m_320')))
    for name, value in in_float.items():
        if value.ndim == 4:
            error = (in_int8[name] - value).abs().amax((1, 2, 3))
            # 6 bits where ncnn takes Winograd's transform, 7 elsewhere
            levels = 31 if value.shape[2] == 3 else 127
            assert (error <= 0.501 / levels * value.abs().amax((1, 2, 3))).all(), name
    assert any(not torch.equal(in_int8[name], value) for name, value in in_float.items())


def edit_card(folder: Path, change) -> None:
    path = folder / 'card.yaml'
    card = yaml.safe_load(path.read_text())
    change(card)
    path.write_text(yaml.safe_dump(card))


@pytest.mark.parametrize(('change', 'words'), [
    (lambda card: card['class_names'].append('more'),
     ['not a nanodet of 3 classes', 'closest variant is 0.5x', 'a 1x1 convolution 96 -> 34',
      '96 -> 35']),
    (lambda card: card['decode'].update(reg_max=8), ['96 -> 34', '96 -> 38']),
    (lambda card: card.update(family='nanodet_plus'), ['not a nanodet_plus of 2 classes']),
    (lambda card: card['decode'].update(strides=[4, 8, 16]), ['(4, 8, 16)', '(8, 16, 32)']),
    (lambda card: card.update(runtimes={'onnx': {'file': 'model.bin', 'input': 'a',
                                                 'outputs': ['b']}}), ['no runtime', 'ncnn']),
])
def test_card_of_another_network_is_refused(change, words, tmp_path, capsys):
    spec = ModelSpec('nanodet', '0.5x', 2)
    folder = write_ncnn(tmp_path / 'model', trained_model(spec), spec)
    edit_card(folder, change)
    line = import_error(capsys, folder)
    for word in words:
        assert word in line


def test_truncated_and_overlong_weights_are_refused(tmp_path, capsys):
    spec = ModelSpec('nanodet', '0.5x', 2)
    folder = write_ncnn(tmp_path / 'model', trained_model(spec), spec)
    data = (folder / 'model.bin').read_bytes()
    (folder / 'model.bin').write_bytes(data[:-8])
    assert 'model.bin: ends inside layer conv' in import_error(capsys, folder)
    (folder / 'model.bin').write_bytes(data + bytes(8))
    assert 'model.bin: 8 bytes are left over' in import_error(capsys, folder)


@pytest.mark.parametrize(('weights', 'name', 'words'), [
    ('squeezenet_v1.1', 'nanodet_m_320', ['no output blob', 'belongs to another network']),
    ('nanodet_m', 'nanodet_plus_m_416', ['no output blob']),
    ('v5lite-s', 'nanodet_m_320', ['no output blob']),
    ('v5lite-i8e', 'yolov5_lite_e_320', ['no output blob']),
])
def test_public_weights_of_another_network_are_refused(weights, name, words, public_folders,
                                                       shared_data, tmp_path, capsys):
    folder = tmp_path / 'model'
    shutil.copytree(public_folders[name], folder)
    edit_card(folder, lambda card: card['runtimes']['ncnn'].update(url={}, sha256={}))
    for suffix in ('param', 'bin'):
        shutil.copy(shared_data / 'weights' / f'{weights}.{suffix}', folder / f'model.{suffix}')
    line = import_error(capsys, folder)
    for word in words:
        assert word in line


@pytest.mark.parametrize(('option', 'value', 'words'), [
    ('--model', 'absent', "model 'absent' not found"),
    ('--output', 'absent/x.pt', 'absent/x.pt: cannot write'),
])
def test_wrong_option_is_refused(option, value, words, tiny_nanodet, tmp_path, capsys):
    options = {'--model': str(tiny_nanodet), '--output': str(tmp_path / 'x.pt'), option: value}
    assert main(['import_weights', *sum(options.items(), ())]) == 2
    assert words in capsys.readouterr().err
