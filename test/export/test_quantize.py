# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The command ``quantize``, on networks small enough to know what int8 makes of them.

A weight of 10000 on red, which is black in all images, changes nothing in float; in int8 it
leaves no step for the weights beside it.
"""

import json
from pathlib import Path

import cv2
from lite_detector.cli import main
from lite_detector.core.model_card import load_card
from lite_detector.detector import Detector
from lite_detector.export.quantize import half_of_the_harm
import numpy as np
import pytest
from tiny_models import change_card, square_image, write_tiny_nanodet, write_tiny_yolof
import yaml

RED = 2
FILES = {'card.yaml', 'model.bin', 'model.int8.bin', 'model.int8.param', 'model.int8.table',
         'model.int8.onnx', 'model.int8.signed.onnx', 'model.onnx', 'model.param', 'quantize.md',
         'quantize.png'}


@pytest.fixture(autouse=True)
def libraries():
    pytest.importorskip('onnx')
    pytest.importorskip('onnxruntime')
    pytest.importorskip('faster_coco_eval')
    pytest.importorskip('matplotlib')


@pytest.fixture
def dataset(tmp_path) -> list[str]:
    """Return the options for six images, each with a blue and a green square; none for one."""
    images = tmp_path / 'images'
    images.mkdir()
    boxes = []
    for image_id in range(6):
        left = 32 * (image_id % 2)
        image = square_image(64, 96, 0, left, (255, 0, 0))
        image += square_image(64, 96, 32, 64 - left, (0, 255, 0))
        cv2.imwrite(str(images / f'{image_id}.png'), image)
        boxes += [{'id': len(boxes) + place, 'image_id': image_id, 'category_id': place,
                   'bbox': bbox} for place, bbox in ((1, [left, 0, 32, 32]),
                                                     (2, [64 - left, 32, 32, 32]))]
    (tmp_path / 'instances.json').write_text(json.dumps({
        'images': [{'id': image_id, 'file_name': f'{image_id}.png', 'height': 64, 'width': 96}
                   for image_id in range(6)],
        'annotations': boxes,
        'categories': [{'id': 1, 'name': 'object0'}, {'id': 2, 'name': 'object1'}]}))
    return ['--annotations', str(tmp_path / 'instances.json'), '--images', str(images)]


def spoil(folder: Path) -> Path:
    """Put a weight on red into every output of the convolution at stride 32, the last one."""
    data = np.fromfile(folder / 'model.bin', np.float32)
    outputs = load_card(folder).decode.reg_max
    channels = 2 + 4 * (outputs + 1) if outputs else len(data) // (3 * 32 * 32)
    start = len(data) - channels * (3 * 32 * 32 + 1)
    data[start:start + channels * 3072].reshape(channels, 3, 32, 32)[:, RED, 0, 0] = 1e4
    data.tofile(folder / 'model.bin')
    return folder


def quantize(folder: Path, output: Path, dataset: list[str], *options: str) -> int:
    return main(['quantize', '--model', str(folder), '--output', str(output), *dataset, *options])


def test_quantize_writes_a_folder_that_finds_the_same_in_int8(tiny_nanodet, tmp_path, dataset,
                                                              capsys):
    target, figures = tmp_path / 'small', tmp_path / 'figures.json'
    assert quantize(tiny_nanodet, target, dataset, '--json', str(figures)) == 0
    assert {path.name for path in target.iterdir()} == FILES
    assert 'in float, besides depthwise layers: none' in capsys.readouterr().out
    card = load_card(target)
    assert card.name == 'small'
    assert set(card.runtimes.ncnn.int8.sha256) == {'param', 'bin'}
    assert card.quantization['data'] == {'annotations': 'instances.json',
                                         'calibration_images': 3, 'held_out_images': 3}
    verdict = json.loads(figures.read_text())['verdict']
    assert (verdict['ap_fp32'], verdict['ap_int8'], verdict['loss']) == (100, 100, 0)
    assert verdict['bytes_int8'] == (target / 'model.int8.bin').stat().st_size
    image = square_image(64, 96, 32, 64)
    wanted = Detector.from_folder(target, precision='fp32').detect(image)
    for runtime in ('ncnn', 'onnx'):
        found = Detector.from_folder(target, precision='int8', runtime=runtime).detect(image)
        np.testing.assert_allclose(found.boxes_xyxy, wanted.boxes_xyxy, atol=0.1)
        np.testing.assert_allclose(found.scores, wanted.scores, atol=0.01)


@pytest.mark.parametrize('data', [b'', b'no ONNX'])
def test_quantize_without_a_usable_onnx_file_leaves_its_int8_form_out(tiny_nanodet, tmp_path,
                                                                      dataset, capsys, data):
    (tiny_nanodet / 'model.onnx').write_bytes(data)
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset) == 0
    assert 'no int8 for runtime onnx: ' in capsys.readouterr().out
    assert load_card(tmp_path / 'small').runtimes.onnx.int8 is None
    assert not (tmp_path / 'small' / 'model.int8.onnx').exists()


def test_layer_that_int8_spoils_stays_in_float(tiny_nanodet, tmp_path, dataset, capsys):
    assert quantize(spoil(tiny_nanodet), tmp_path / 'small', dataset) == 0
    assert 'in float, besides depthwise layers: conv2\n' in capsys.readouterr().out
    assert load_card(tmp_path / 'small').quantization['in_float'][1:] == ['conv2']
    options = [line.split()[6:] for line in (tmp_path / 'small' / 'model.int8.param')
               .read_text().splitlines() if line.startswith('Convolution')]
    assert ['8=2' in each for each in options] == [True, True, False]


def test_quantize_copies_no_file_from_outside_the_folder(tiny_nanodet, tmp_path, dataset, capsys):
    (tmp_path / 'secret').write_bytes(b'key')
    (tiny_nanodet / 'model.onnx').unlink()
    (tiny_nanodet / 'model.onnx').symlink_to(tmp_path / 'secret')
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset) == 2
    assert 'lies outside the model folder' in capsys.readouterr().err
    assert not (tmp_path / 'small').exists()


def test_quantize_refuses_what_loses_too_much_and_leaves_what_was_there(tmp_path, dataset,
                                                                        capsys):
    folder = spoil(write_tiny_yolof(tmp_path / 'yolof'))
    assert quantize(folder, tmp_path / 'small', dataset) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line == ('error: tiny_yolof: int8 loses 100.00 AP; expected at most 1 '
                    '(--max-loss); no folder was written')
    assert not (tmp_path / 'small').exists()
    assert quantize(folder, tmp_path / 'small', dataset, '--max-loss', '100') == 0


def test_table_says_which_layers_are_in_int8_with_which_thresholds(tiny_nanodet, tmp_path, dataset,
                                                                   capsys):
    table = tmp_path / 'learnt.table'
    table.write_text('conv2 63.5\nconv0 254\n')
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset, '--table', str(table)) == 0
    out = capsys.readouterr().out
    assert 'thresholds by table' in out
    assert 'in float, besides depthwise layers: conv1\n' in out
    lines = (tmp_path / 'small' / 'model.int8.table').read_text().splitlines()
    assert lines[2:] == ['conv0 254.000000', 'conv2 63.500000']
    quantization = load_card(tmp_path / 'small').quantization
    assert quantization['in_float'] == ['depthwise convolutions', 'conv1']
    assert quantization['data']['calibration_images'] == 0
    assert 'layers kept in float' not in (tmp_path / 'small' / 'quantize.md').read_text()


def test_table_whose_thresholds_spoil_the_network_is_refused(tiny_nanodet, tmp_path, dataset,
                                                             capsys):
    table = tmp_path / 'bad.table'
    table.write_text(''.join(f'conv{index} 1e9\n' for index in range(3)))  # nothing gets through
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset, '--table', str(table)) == 2
    assert 'int8 loses 100.00 AP' in capsys.readouterr().err
    assert not (tmp_path / 'small').exists()


@pytest.mark.parametrize(('options', 'words'), [
    (['--table', 'nowhere'], 'nowhere: No such file'),
    (['--max-loss', '-1'], '--max-loss: -1; expected 0 or more'),
    (['--val-images', '.'], 'expected both or none'),
    (['--model', 'x.pt'], 'is a checkpoint'),
    (['--model', 'nowhere'], "model 'nowhere' not found"),
    (['--images', 'nowhere'], 'nowhere'),
    (['--output', '.'], 'is not a model folder'),
    (['--name', 'two words'], '--name'),
])
def test_quantize_with_a_wrong_option_says_so_in_one_line(tiny_nanodet, tmp_path, dataset, capsys,
                                                          options, words):
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset, *options) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    assert words in line


def change_annotations(dataset: list[str], **values: list) -> None:
    path = Path(dataset[1])
    path.write_text(json.dumps({**json.loads(path.read_text()), **values}))


def test_quantize_needs_labels_to_judge_by(tiny_nanodet, tmp_path, dataset, capsys):
    change_annotations(dataset, annotations=[])
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset) == 2
    assert '0 labelled objects of a class of tiny_nanodet' in capsys.readouterr().err


def test_quantize_needs_two_images(tiny_nanodet, tmp_path, dataset, capsys):
    images = json.loads(Path(dataset[1]).read_text())['images']
    change_annotations(dataset, annotations=[], images=images[:1])
    assert quantize(tiny_nanodet, tmp_path / 'small', dataset) == 2
    assert '1 images; expected at least 2' in capsys.readouterr().err


def test_folder_without_an_int8_form_says_how_to_make_one(tiny_nanodet, capsys):
    with pytest.raises(Exception, match='tiny_nanodet: has no int8 form; .*quantize'):
        Detector.from_folder(tiny_nanodet, precision='int8')
    with pytest.raises(Exception, match='has no int8 form for runtime onnx; .*quantize'):
        Detector.from_folder(tiny_nanodet, precision='int8', runtime='onnx')


def test_int8_file_that_was_changed_is_refused(tmp_path, dataset):
    target = tmp_path / 'small'
    assert quantize(write_tiny_nanodet(tmp_path / 'tiny'), target, dataset) == 0
    with (target / 'model.int8.bin').open('ab') as stream:
        stream.write(b'more')
    with pytest.raises(Exception, match=r'model\.int8\.bin: sha256 is'):
        Detector.from_folder(target, precision='int8')
    Detector.from_folder(target, precision='fp32')


def test_network_that_is_int8_already_is_refused(tmp_path, dataset, capsys):
    target = tmp_path / 'small'
    assert quantize(write_tiny_nanodet(tmp_path / 'tiny'), target, dataset) == 0
    change_card(target, 'runtimes.ncnn.param', 'model.int8.param')
    change_card(target, 'runtimes.ncnn.bin', 'model.int8.bin')
    capsys.readouterr()
    assert quantize(target, tmp_path / 'again', dataset) == 2
    assert 'layer conv0 is int8' in capsys.readouterr().err
    assert 'int8' in yaml.safe_load((target / 'card.yaml').read_text())['runtimes']['ncnn']


@pytest.mark.parametrize(('errors', 'wanted'), [
    ([5], 0),  # one has to be int8
    ([0, 0], 1),
    ([3, 3, 1], 2),  # 9 of 19 are less than half
    ([4, 2, 1], 1),  # 16 of 21
    ([1, 1, 1, 1], 2),
    ([1, 9], 1),
])
def test_half_of_the_harm_is_counted_in_squares(errors, wanted):
    assert half_of_the_harm(errors) == wanted
