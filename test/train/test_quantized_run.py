# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Fine-tuning in int8, from the command line to what ncnn serves."""

import copy
import csv
import json
from pathlib import Path

from lite_detector.cli import main
from lite_detector.core.agreement import output_error
from lite_detector.core.config import from_mapping
from lite_detector.core.media import read_image
from lite_detector.core.model_card import load_card, ModelCard
from lite_detector.detector import Detector, Selection
from lite_detector.export.import_ncnn import read_network
from lite_detector.export.int8_network import read_table
from lite_detector.export.quantize import FloatNetwork
from lite_detector.export.to_ncnn import ncnn_thresholds, write_ncnn
from lite_detector.train.checkpoint import Checkpoint, load_checkpoint, load_file, save_checkpoint
from lite_detector.train.engine import Engine
from lite_detector.train.int8_start import resume_in_int8
from lite_detector.train.models.int8_conv import put_in_int8
from lite_detector.train.models.spec import ModelSpec
from lite_detector.train.run_folder import BEST_FILE, LAST_FILE, START_FILE, STATE_FILE
from lite_detector.train.torch_backend import TorchBackend
import msgspec
from networks import network_card, trained_model
import numpy as np
import pytest
from shapes import CLASS_NAMES, train_arguments, write_shapes
import torch

FAINT = Selection(score_threshold=0.05)
FREEZE = ['backbone.conv1']


@pytest.fixture(scope='module')
def labels(tmp_path_factory) -> Path:
    return write_shapes(tmp_path_factory.mktemp('shapes'))


@pytest.fixture(scope='module')
def start(tmp_path_factory) -> Path:
    """Return a checkpoint of random weights."""
    path = tmp_path_factory.mktemp('start') / 'start.pt'
    spec = ModelSpec('nanodet', '0.5x', len(CLASS_NAMES))
    card = msgspec.structs.replace(network_card(spec), class_names=CLASS_NAMES)
    torch.manual_seed(0)
    save_checkpoint(path, Checkpoint(spec, card, trained_model(spec).state_dict()))
    return path


def arguments(output: Path, labels: Path, start: Path, *more: str, **values) -> list[str]:
    return train_arguments(output, labels, *more, start__checkpoint=str(start),
                           quantize__threshold_factor=100.0, start__freeze=FREEZE,
                           validation__wise_factors=[0.5], **values)


@pytest.fixture(scope='module')
def whole_run(labels, start, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('whole')
    assert main(arguments(folder, labels, start, '--no-export')) == 0
    return folder


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    tensors = load_file(folder / STATE_FILE)['tensors']
    return {f'{part}.{name}': value for part in ('objective', 'ema')
            for name, value in tensors[part].items()}


def test_run_learns_weights_and_thresholds_and_keeps_what_is_frozen(whole_run):
    start, last = (load_checkpoint(whole_run / name) for name in (START_FILE, LAST_FILE))
    assert len(start.thresholds) == 48
    moved = {name for name, value in last.thresholds.items() if value != start.thresholds[name]}
    assert moved == start.thresholds.keys() - {'backbone.conv1.0'}
    changed = {name for name, value in last.state_dict.items()
               if not torch.equal(value, start.state_dict[name])}
    assert 'head.outputs.0.weight' in changed
    assert not [name for name in changed if name.startswith(FREEZE[0])]
    # batch norm only adds a bias
    assert not [name for name in changed if 'running' in name]
    rows = list(csv.DictReader((whole_run / 'metrics.csv').open()))
    assert all(float(row['loss/score']) > 0 for row in rows)


def test_cut_run_resumes_bit_for_bit(whole_run, labels, start, tmp_path, monkeypatch):
    step = Engine.step

    def cut(self, batch, iteration, epoch):
        if iteration == 3:
            raise KeyboardInterrupt
        return step(self, batch, iteration, epoch)

    monkeypatch.setattr(Engine, 'step', cut)
    run = arguments(tmp_path, labels, start, '--no-export', save_every_minutes=1e-9)
    assert main(run) == 130
    monkeypatch.setattr(Engine, 'step', step)
    assert main([*run, '--resume']) == 0
    wanted, given = state_of(whole_run), state_of(tmp_path)
    assert wanted.keys() == given.keys()
    assert all(torch.equal(value, given[name]) for name, value in wanted.items())


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_what_was_trained_is_what_ncnn_serves(labels, tmp_path, capsys):
    pytest.importorskip('pnnx')
    pytest.importorskip('onnxruntime')
    in_float, run = tmp_path / 'float', tmp_path / 'run'
    assert main(train_arguments(in_float, labels, '--no-export', optimizer__learning_rate=0.003,
                                augment__mosaic=0.0, phases=[{'epochs': 25}],
                                validation__every_epochs=25)) == 0
    assert main(arguments(run, labels, in_float / BEST_FILE)) == 0
    assert 'quantize --table' in capsys.readouterr().out
    folder, target = run / 'nanodet_m_320', tmp_path / 'small'
    table, figures = folder / 'model.int8.table', tmp_path / 'x.json'
    images = labels.parent / 'images'
    assert main(['quantize', '--model', str(folder), '--table', str(table), '--output',
                 str(target), '--annotations', str(labels), '--images', str(images),
                 '--max-loss', '100', '--json', str(figures)]) == 0
    checkpoint = load_checkpoint(run / BEST_FILE)
    network = read_network(folder / 'model.param', folder / 'model.bin')
    learnt = read_table(table, network)
    assert sorted(learnt.values()) == pytest.approx(sorted(checkpoint.thresholds.values()),
                                                    rel=1e-4)
    assert json.loads(figures.read_text())['in_float'] == []
    in_torch = checkpoint.model()
    resume_in_int8(in_torch, checkpoint.thresholds)
    taught = Detector(load_card(target), TorchBackend(in_torch), FAINT)
    served, plain = (Detector.from_folder(target, precision=precision, selection=FAINT)
                     for precision in ('int8', 'fp32'))
    pictures = [read_image(path) for path in sorted(images.iterdir())[:3]]
    lost, apart = (difference(each, served, pictures) for each in (plain, taught))
    # sums in another order turn some roundings over, each a whole step, and more behind it
    assert apart < lost / 2
    for picture in pictures:
        found, wanted = (each.detect(picture).scores[:3] for each in (served, taught))
        assert len(found) == 3
        np.testing.assert_allclose(found, wanted, atol=0.02)


@pytest.mark.slow
def test_one_layer_in_int8_is_the_same_in_torch_and_ncnn(whole_run, tmp_path):
    checkpoint = load_checkpoint(whole_run / BEST_FILE)
    model = checkpoint.model().eval()
    with torch.no_grad():  # layers in float are the same too if the file can hold their weights
        for conv in (layer for layer in model.modules() if isinstance(layer, torch.nn.Conv2d)):
            conv.weight.copy_(conv.weight.half())
    (tmp_path / 'model').mkdir()
    files = write_ncnn(model, tmp_path / 'model', checkpoint.card.size,
                       [f'stride_{stride}' for stride in checkpoint.card.decode.strides])
    card = from_mapping({**msgspec.to_builtins(checkpoint.card), 'format': 1,
                         'runtimes': {'ncnn': msgspec.to_builtins(files)}}, ModelCard, 'card')
    network = FloatNetwork(card, tmp_path / 'model')
    blob = np.random.default_rng(0).normal(0, 1, (3, 64, 96)).astype(np.float32)
    in_float = copied(network.infer(blob))
    for name in ('backbone.conv1.0', 'backbone.stage3.1.branch2.0', 'head.outputs.0'):
        thresholds = {name: checkpoint.thresholds[name]}
        in_torch = copy.deepcopy(model)
        put_in_int8(in_torch, thresholds)
        in_ncnn = network.open_int8(ncnn_thresholds(model, thresholds, network.layers))
        served, taught = (copied(each.infer(blob)) for each in (in_ncnn, TorchBackend(in_torch)))
        lost, apart = (output_error([each], [served]) for each in (in_float, taught))
        assert apart < lost / 10, name


def copied(outputs: list[np.ndarray]) -> list[np.ndarray]:
    return [output.copy() for output in outputs]


def difference(wanted: Detector, given: Detector, pictures: list[np.ndarray]) -> float:
    """Return how far the outputs of two networks are apart, in percent."""
    blobs = [wanted.make_blob(picture, wanted.fit(picture)).copy() for picture in pictures]
    outputs = [[copied(each.backend.infer(blob)) for blob in blobs] for each in (wanted, given)]
    return output_error(*outputs)


def test_other_training_starts_from_the_float_weights(whole_run, labels, tmp_path):
    assert main(train_arguments(tmp_path, labels, '--no-export', phases=[{'epochs': 1}],
                                start__checkpoint=str(whole_run / BEST_FILE))) == 0
    assert load_checkpoint(tmp_path / LAST_FILE).thresholds == {}


@pytest.mark.parametrize(('values', 'words'), [
    ({'quantize': {}}, 'quantize fine-tunes a trained network; wanted start.checkpoint'),
    ({'quantize': {'bits': 4}}, '$.quantize: Object contains unknown field `bits`'),
    ({'quantize': {'threshold_factor': -1}}, '$.quantize.threshold_factor'),
])
def test_mistake_is_one_line(labels, tmp_path, one_line_error, values, words):
    assert words in one_line_error(train_arguments(tmp_path, labels, **values))


def test_start_from_a_wider_network_is_refused(labels, tmp_path, capsys):
    spec = ModelSpec('nanodet', '1.0x', 2)
    save_checkpoint(tmp_path / 'wide.pt', Checkpoint(spec, network_card(spec),
                                                     trained_model(spec).state_dict()))
    assert main(arguments(tmp_path / 'run', labels, tmp_path / 'wide.pt')) == 2
    assert 'quantize: a network with a part of the channels' in capsys.readouterr().err
