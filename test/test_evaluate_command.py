# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``evaluate``, and the AP of the public weights."""

import json

import cv2
from lite_detector.cli import main
import pytest
from tiny_models import square_image

TOLERANCE = 0.3
"""Nearly all of it is used by yolov5_lite_s_416, which gives 29.99 with the resize of OpenCV and
29.69 with that of ncnn: a fraction of a pixel is as much on 88 images."""
PUBLISHED_AP = {
    'nanodet_m_320': 27.1,
    'nanodet_m_416': 28.7,
    'nanodet_plus_m_320': 34.4,
    'nanodet_plus_m_416': 37.2,
    'yolov5_lite_e_320': 23.7,
    'yolov5_lite_s_416': 29.7,
}
"""Measured apart from this package, with other code for every step."""


@pytest.fixture(autouse=True)
def coco_eval():
    # inside a test: a skip of the whole module would trip the pytest plugin of launch_testing
    pytest.importorskip('faster_coco_eval')


@pytest.fixture
def options(tiny_nanodet, tmp_path) -> list[str]:
    """Return a command line that works: one image with a blue square that is labelled."""
    images = tmp_path / 'images'
    images.mkdir()
    cv2.imwrite(str(images / 'a.png'), square_image(64, 96, 32, 32, (255, 0, 0)))
    annotations = tmp_path / 'instances.json'
    annotations.write_text(json.dumps({
        'images': [{'id': 1, 'file_name': 'a.png', 'height': 64, 'width': 96}],
        'annotations': [{'id': 1, 'image_id': 1, 'category_id': 3, 'bbox': [32, 32, 32, 32]}],
        'categories': [{'id': 3, 'name': 'object0'}, {'id': 4, 'name': 'unicorn'}]}))
    return ['evaluate', '--model', str(tiny_nanodet), '--annotations', str(annotations),
            '--images', str(images)]


def test_evaluate_writes_figures_and_prints_a_table(options, tmp_path, capsys):
    path = tmp_path / 'figures.json'
    assert main([*options, '--json', str(path)]) == 0
    assert json.loads(path.read_text()) == {
        'ap': 100, 'ap50': 100, 'ap75': 100, 'ap_small': 100, 'ap_medium': 100, 'ap_large': None,
        'images': 1, 'per_class': {'object0': 100}}
    printed = capsys.readouterr().out
    assert 'tiny_nanodet at 96x64 on 1 images' in printed
    assert 'AP50                   100.0' in printed
    assert 'AP large                   -' in printed


def test_evaluate_names_the_categories_that_it_leaves_out(options, capsys):
    assert main(options) == 0
    assert 'tiny_nanodet has no such class: unicorn' in capsys.readouterr().err


@pytest.mark.parametrize(('option', 'value', 'message'), [
    ('--annotations', 'absent.json', 'absent.json: No such file or directory'),
    ('--images', 'absent', 'a.png: no such image; 1 of 1'),
    ('--model', 'absent', "model 'absent' not found"),
    ('--score-threshold', '7', '$.score_threshold'),
    ('--json', 'absent/figures.json', 'absent/figures.json: cannot write'),
])
def test_evaluate_with_a_wrong_option_exits_2_with_one_line(options, option, value, message,
                                                            capsys):
    assert main([*options, option, value]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith('error: ')
    assert message in error


@pytest.mark.slow
@pytest.mark.parametrize('model', PUBLISHED_AP)
def test_evaluate_finds_the_ap_of_the_public_weights(model, fetched_models, shared_data, tmp_path):
    data = shared_data / 'coco_mini'
    if not data.is_dir():
        pytest.skip(f'no images in {data}')
    path = tmp_path / 'figures.json'
    assert main(['evaluate', '--model', str(fetched_models[model]), '--precision', 'fp32',
                 '--annotations', str(data / 'instances_val.json'), '--images', str(data / 'val'),
                 '--json', str(path)]) == 0
    figures = json.loads(path.read_text())
    assert figures['images'] == 88
    assert figures['ap'] == pytest.approx(PUBLISHED_AP[model], abs=TOLERANCE)
