# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From checkpoints to model folders that compute the same in ncnn, ONNX Runtime and OpenCV."""

from collections import Counter
import json
import os
from pathlib import Path
import subprocess
import sys

import cv2
from lite_detector.backends.base import open_backend
from lite_detector.cli import main
from lite_detector.commands import export
from lite_detector.core.model_card import checked_files, load_card
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
from lite_detector.export import parity, to_onnx
from lite_detector.export.sample_images import sample_images
from lite_detector.train.config.backbones import WIDTHS
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.batch_norm import renew_statistics
from lite_detector.train.torch_backend import TorchBackend
from lite_detector.train.weights.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from networks import network_card, trained_model
import numpy as np
import onnx
import pytest
from tiny_datasets import write_images
from tiny_models import ANCHORS, square_image, write_tiny_nanodet
import torch
from torch.onnx import symbolic_helper

NETWORKS = [('nanodet', '1.0x'), ('nanodet_plus', 'm'), ('yolov5_lite', 'e'), ('yolov5_lite', 's'),
            ('yolof', '1.0x'), ('yolof', '0.5x-dc5'),
            ('damo_yolo', 'ns'), ('damo_yolo', 't')]
ONNX2TF = Path(sys.prefix) / 'onnx2tf'
SMALLEST = ('nanodet', '0.5x')
BACKBONES = [f'{architecture}_{widths[0]}' for architecture, widths in WIDTHS.items()]
SIZES = [(64, 96), (160, 96), (96, 352)]
"""The card's, and two that nothing was traced with; the last is off the stride of 64."""
SHARE = 5e-3
"""Of the largest output, which the weights in half precision may change."""


def write_checkpoint(path: Path, family: str, variant: str, num_classes: int = 2,
                     backbone: str | None = None, **training) -> Path:
    """
    Write a random network without detections, like a network before training.

    Without the smaller weights all scores would be 1, and NMS would keep arbitrary boxes.
    """
    spec = ModelSpec(family, variant, num_classes, num_anchors=len(ANCHORS[0]),
                     backbone=backbone)
    model, share = trained_model(spec), 0.01 if family == 'yolof' else 0.05
    if backbone is not None:
        # sums of dozens of blocks would reach millions, which no trained network does
        renew_statistics(model, [torch.randn(8, 3, 64, 96)])
        share = 0.5
    state = {name: value * share if 'outputs.' in name and name.endswith('weight') else value
             for name, value in model.state_dict().items()}
    save_checkpoint(path, Checkpoint(spec, network_card(spec), state, training))
    return path


@pytest.fixture(autouse=True)
def libraries():
    """Skip these tests if a package for the export is missing."""
    for library in ('pnnx', 'onnx', 'onnxruntime', 'openvino'):
        pytest.importorskip(library)


@pytest.fixture
def photographs(tmp_path) -> Path:
    """Return a folder of two labelled images of different ratios."""
    folder = tmp_path / 'photographs'
    folder.mkdir()
    random = np.random.default_rng(0)
    for name, size in (('a.png', (80, 120)), ('b.png', (200, 90))):
        noise = random.integers(0, 256, (size[0] // 10, size[1] // 10, 3), np.uint8)
        cv2.imwrite(str(folder / name), cv2.resize(noise, size[::-1]))
    return folder


@pytest.fixture
def annotations(photographs, tmp_path) -> Path:
    path = tmp_path / 'instances.json'
    path.write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 80, 'width': 120},
                   {'id': 2, 'file_name': 'b.png', 'height': 200, 'width': 90}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 3, 'bbox': [32, 32, 32, 32]}],
        'categories': [{'id': 3, 'name': 'object0'}]}))
    return path


def run_export(checkpoint: Path, folder: Path, *options: object) -> int:
    return main(['export', '--checkpoint', str(checkpoint), '--output', str(folder),
                 *map(str, options)])


def error_line(capsys) -> str:
    line, = [line for line in capsys.readouterr().err.splitlines() if line.startswith('error: ')]
    return line


@pytest.mark.parametrize(('family', 'variant'), NETWORKS)
def test_export_computes_the_same_in_every_runtime_at_every_size(family, variant, photographs,
                                                                 tmp_path):
    checkpoint = write_checkpoint(tmp_path / 'x.pt', family, variant)
    folder = tmp_path / 'model'
    assert run_export(checkpoint, folder, '--images', photographs) == 0
    assert sorted(path.name for path in folder.iterdir()) == [
        'card.yaml', 'model.bin', 'model.onnx', 'model.param']
    card = load_card(folder)
    wanted = TorchBackend(load_checkpoint(checkpoint).model())
    outputs = [f'stride_{stride}' for stride in card.decode.strides]
    in_opencv = cv2.dnn.readNetFromONNX(str(folder / 'model.onnx'))
    runtimes = {runtime: open_backend(card, folder, runtime, 1, 'fp32')
                for runtime in ('ncnn', 'onnx')}
    from lite_detector.export.openvino_network import OpenVinoNetwork  # skipped where missing
    runtimes['openvino'] = OpenVinoNetwork(folder / 'model.onnx', card.runtimes.onnx)
    for height, width in SIZES:
        blob = torch.randn(3, height, width).numpy()
        in_opencv.setInput(blob[None], 'images')
        heads = {name: runtime.infer(blob) for name, runtime in runtimes.items()}
        heads['opencv'] = [head[0] for head in in_opencv.forward(outputs)]
        reference = wanted.infer(blob)
        scale = max(np.abs(head).max() for head in reference)
        for name, got in heads.items():
            share = parity.largest_difference(got, reference, name) / scale
            assert share < SHARE, (name, height, width)
    check_layers(folder, shuffles=0 if family == 'damo_yolo' else 14)


@pytest.mark.slow
@pytest.mark.parametrize('backbone', BACKBONES)
def test_export_of_every_backbone_finds_what_torch_finds(backbone, photographs, tmp_path):
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST, backbone=backbone)
    folder = tmp_path / 'model'
    # ends with 2 where ncnn or ONNX Runtime differ, at the size of the card or another one
    assert run_export(checkpoint, folder, '--images', photographs) == 0
    layers = Counter(line.split()[0] for line in
                     (folder / 'model.param').read_text().splitlines()[2:])
    assert not {'BatchNorm', 'Reshape', 'Permute', 'Sigmoid', 'UnaryOp'} & set(layers)
    shuffles = 16 if 'shufflenet' in backbone and '_g1_' not in backbone else 0
    gates = {'mobilenet_v3_small_0.5x': 9, 'mobilenet_v3_large_0.5x': 8}.get(backbone, 0)
    assert (layers['ShuffleChannel'], layers['HardSigmoid']) == (shuffles, gates)


def check_layers(folder: Path, shuffles: int) -> None:
    """Check that batch norm is fused, and that a shuffle is one layer, 26 times as fast."""
    lines = (folder / 'model.param').read_text().splitlines()[2:]
    in_ncnn = Counter(line.split()[0] for line in lines)
    units = in_ncnn['ShuffleChannel']
    assert units >= shuffles
    assert not {'BatchNorm', 'Reshape', 'Permute', 'Sigmoid', 'UnaryOp'} & set(in_ncnn)
    graph = onnx.load(folder / 'model.onnx').graph
    in_onnx = Counter(node.op_type for node in graph.node)
    assert (in_onnx['Reshape'], in_onnx['Transpose']) == (2 * units, units)
    # OpenVINO computes Gather -> Conv wrongly
    assert not {'BatchNormalization', 'Shape', 'Gather'} & set(in_onnx)


def test_export_fills_the_card_and_writes_figures(tmp_path, photographs, annotations, capsys):
    pytest.importorskip('faster_coco_eval')
    # no --images: the validation images of the training are taken
    data = {'val': str(annotations), 'val_images': str(photographs)}
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST, seed=7, config={'data': data})
    figures = tmp_path / 'figures.json'
    assert run_export(checkpoint, tmp_path / 'model', '--name', 'my_model',
                      '--json', figures) == 0
    card = load_card(tmp_path / 'model')
    network = load_checkpoint(checkpoint).card
    assert (card.name, card.training['seed']) == ('my_model', 7)
    # one box is labelled; only the ends of paths are in the card
    where = f'{annotations.parent.name}/instances.json'
    assert card.training['data'] == {'select': {'annotations': where, 'images': 2, 'boxes': 1}}
    assert card.training['settings']['data']['val'] == where
    assert str(tmp_path) not in (tmp_path / 'model' / 'card.yaml').read_text()
    # measured in ncnn; the network is random and finds nothing
    assert (card.metrics['runtime'], card.metrics['annotations']) == ('ncnn', 'instances.json')
    assert (card.metrics['ap'], card.metrics['images']) == (0, 2)
    for files in (card.runtimes.ncnn, card.runtimes.onnx):
        checked_files(tmp_path / 'model', files)
        assert set(files.sha256) == set(files.files())
    assert (card.decode, card.class_names) == (network.decode, network.class_names)
    assert card.decode.score_activation == 'sigmoid'
    assert card.runtimes.ncnn.input == card.runtimes.onnx.input == 'images'
    assert card.runtimes.ncnn.outputs == ('stride_8', 'stride_16', 'stride_32')
    assert (card.parity['images'], card.parity['images_from']) == (2, 'instances.json')
    for runtime in ('ncnn', 'onnx', 'openvino'):
        assert card.parity[runtime]['ap_difference'] <= 0.1
        assert card.parity[runtime]['matched_percent'] in (None, 100)
    written = json.loads(figures.read_text())
    assert written['parity']['runtimes']['ncnn'] == card.parity['ncnn']
    assert written['bytes']['model.bin'] == (tmp_path / 'model' / 'model.bin').stat().st_size
    printed = capsys.readouterr().out
    assert '2 images' in printed
    assert 'matched %' in printed
    # what the robot does with it
    found = Detector.from_folder(tmp_path / 'model').detect(square_image(80, 120, 0, 0))
    assert len(found) <= 100


def test_export_compares_on_other_images_where_those_of_the_training_are_gone(tmp_path):
    pytest.importorskip('faster_coco_eval')
    images, labels = write_images(tmp_path / 'images'), tmp_path / 'labels'
    labels.mkdir()
    (labels / 'a.txt').write_text('1 0.5 0.5 0.25 0.5\n')  # YOLO; the model names the classes
    data = {'val': str(labels), 'val_images': str(images)}
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST, config={'data': data})
    for images_from in ('labels', sample_images()[0]):
        assert run_export(checkpoint, tmp_path / 'model') == 0
        assert load_card(tmp_path / 'model').parity['images_from'] == images_from
        (images / 'a.png').unlink(missing_ok=True)


def test_export_that_differs_fails_and_leaves_the_last_model(tmp_path, photographs, capsys,
                                                             monkeypatch):
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST)
    folder = write_tiny_nanodet(tmp_path / 'model')
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    monkeypatch.setattr(parity, 'OUTPUT_DIFFERENCE', 1e-9)
    assert run_export(checkpoint, folder, '--images', photographs) == 2
    assert 'ncnn differs from torch on 2 images: outputs differ by' in error_line(capsys)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ['model', 'photographs', 'x.pt']


def test_export_fixed_writes_constant_shapes_in_single_precision(tmp_path, photographs):
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST)
    folder = tmp_path / 'model'
    # ends with 2 where ONNX Runtime or OpenVINO differ from torch
    assert run_export(checkpoint, folder, '--images', photographs, '--fixed') == 0
    graph = onnx.shape_inference.infer_shapes(onnx.load(folder / 'model.fixed.onnx')).graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        assert all(side.dim_value > 0 for side in value.type.tensor_type.shape.dim), value.name
    image, = graph.input
    assert [side.dim_value for side in image.type.tensor_type.shape.dim] == [1, 3, 64, 96]
    assert not {'Cast', 'Shape', 'Gather'} & {node.op_type for node in graph.node}
    assert onnx.TensorProto.FLOAT16 not in {weight.data_type for weight in graph.initializer}
    # a second export without the option replaces the folder, this file included
    assert run_export(checkpoint, folder, '--images', photographs) == 0
    assert not (folder / 'model.fixed.onnx').exists()


IN_TFLITE = """
import sys
from ai_edge_litert.interpreter import Interpreter
import numpy as np
network = Interpreter(sys.argv[1], num_threads=1)
network.allocate_tensors()
image, = network.get_input_details()
network.set_tensor(image['index'], np.load(sys.argv[2]).transpose(0, 2, 3, 1))
network.invoke()
heads = [network.get_tensor(head['index']) for head in network.get_output_details()]
heads = sorted(heads, key=lambda head: -head.size)
np.savez(sys.argv[3], *(head.transpose(0, 3, 1, 2) for head in heads))
"""


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(not ONNX2TF.is_dir(), reason=f'no {ONNX2TF}; scripts/setup.sh test makes it')
def test_export_fixed_converts_to_tflite(tmp_path):
    model = trained_model(ModelSpec(*SMALLEST, 2))
    files = to_onnx.write_fixed_onnx(model, tmp_path, ImageSize(64, 96), ['a', 'b', 'c'])
    environment = {**os.environ, 'PYTHONPATH': os.pathsep.join([str(ONNX2TF), *sys.path])}
    subprocess.run([sys.executable, '-m', 'onnx2tf', '-i', tmp_path / files.file, '-o', tmp_path,
                    '--tflite_backend', 'flatbuffer_direct', '-n'], env=environment, check=True,
                   capture_output=True, cwd=tmp_path)
    blob = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / 'blob.npy', blob.numpy())
    subprocess.run([sys.executable, '-c', IN_TFLITE, tmp_path / 'model.fixed_float32.tflite',
                    tmp_path / 'blob.npy', tmp_path / 'heads.npz'], env=environment, check=True)
    with torch.no_grad():
        wanted = [head.numpy() for head in model(blob)]
    with np.load(tmp_path / 'heads.npz') as heads:
        for got, want in zip(heads.values(), wanted, strict=True):
            np.testing.assert_allclose(got, want, atol=1e-4 * np.abs(want).max())


def test_export_that_openvino_computes_wrongly_fails(tmp_path, photographs, capsys, monkeypatch):
    def gathered(graph, features, groups):
        count = symbolic_helper._get_const(groups, 'i', 'groups')
        channels = symbolic_helper._get_tensor_dim_size(features, 1)
        order = torch.arange(channels).view(count, -1).t().flatten()
        turned = graph.op('Gather', features, graph.op('Constant', value_t=order), axis_i=1)
        turned.setType(features.type())
        return turned

    monkeypatch.setattr(to_onnx, '_shuffle', gathered)
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST)
    assert run_export(checkpoint, tmp_path / 'model', '--images', photographs) == 2
    assert 'openvino differs from torch on 2 images: outputs differ by' in error_line(capsys)
    assert not (tmp_path / 'model').exists()


@pytest.mark.parametrize('library', ['pnnx', 'onnx', 'onnxruntime'])
def test_export_without_a_library_says_how_to_get_it(library, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, library, None)
    assert run_export(tmp_path / 'x.pt', tmp_path / 'model') == 2
    line = error_line(capsys)
    assert line.startswith(f'error: {library}: not installed; ')
    assert f' {library}' in line.partition('pip install')[2]


@pytest.mark.parametrize(('options', 'words'), [
    (['--images', '/absent'], '--images /absent: not found'),
    (['--annotations', 'a.json'], '--annotations: no --images; expected'),
    (['--images', '{here}'], 'no image or video in this folder'),
    (['--images', '{here}', '--annotations', '{here}/absent.json'], 'absent.json'),
    (['--name', 'my model'], '--name: $: Expected'),
    (['--json', '/absent/a.json'], '/absent/a.json: cannot write'),
    (['--output', '{here}/x.pt'], 'x.pt: exists and is not a model folder'),
    (['--output', '{here}'], 'exists and is not a model folder (card.yaml is missing)'),
    (['--checkpoint', '{here}/absent.pt'], 'absent.pt: No such file'),
    (['--checkpoint', __file__], 'test_export.py: malformed, or not a file of weights'),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else '')
def test_export_with_a_mistake_ends_with_one_line(options, words, tmp_path, capsys):
    checkpoint = write_checkpoint(tmp_path / 'x.pt', *SMALLEST)
    options = [option.replace('{here}', str(tmp_path)) for option in options]
    assert run_export(checkpoint, tmp_path / 'model', *options) == 2
    assert words in error_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ['x.pt']


@pytest.mark.slow
@pytest.mark.parametrize('name', ['nanodet_m_320', 'nanodet_plus_m_416', 'yolov5_lite_e_320'])
def test_export_of_public_weights_finds_every_box_again(name, public_checkpoint, shared_data,
                                                        tmp_path, monkeypatch):
    pytest.importorskip('faster_coco_eval')
    monkeypatch.setattr(export, 'MAX_IMAGES', 20)
    data = shared_data / 'coco_mini'
    figures = tmp_path / 'figures.json'
    assert run_export(public_checkpoint(name), tmp_path / 'model', '--json', figures, '--images',
                      data / 'val', '--annotations', data / 'instances_val.json') == 0
    found = json.loads(figures.read_text())['parity']
    assert (found['images'], found['boxes'] > 60) == (20, True)
    for runtime in found['runtimes'].values():
        assert runtime['matched_percent'] == 100
        assert runtime['ap_difference'] <= 0.02
