# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From a board to the detections of a frame, at toy size."""

import json

import cv2
from lite_detector.cli import main
from lite_detector.commands import profile_latency
from lite_detector.core.model_card import load_card
import pytest
from shapes import write_shapes
from tiny_search import tiny_operators, write_search


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_profile_search_train_export_and_serve_a_frame(tmp_path, monkeypatch):
    for library in ('ncnn', 'pnnx', 'onnx', 'onnxruntime', 'faster_coco_eval'):
        pytest.importorskip(library)
    # the operators of the smallest and of the largest network; all others lie in between
    monkeypatch.setattr(profile_latency, 'operator_grid', lambda quick: tiny_operators())
    table, found, folder = (tmp_path / name for name in ('board.json', 'found', 'run'))
    labels = write_shapes(tmp_path / 'shapes', height=64, width=96)
    assert main(['profile_latency', '--output', str(table), '--quick']) == 0
    assert main(['search', '--config', str(write_search(tmp_path)), '--table', str(table),
                 'budget.latency_ms=100', '--output', str(found), '--processes', '1']) == 0
    assert main(['train', '--config', str(found / 'tiny_1.yaml'), f'data.train={labels}',
                 f'data.val={labels}', '--output', str(folder)]) == 0
    model = folder / 'tiny_1'
    card = load_card(model)
    assert card.training['settings']['network']['backbone']['stages'][0]['block'] == 'mobile'
    # as many layers as the search counted
    head = (found / 'tiny_1.yaml').read_text().splitlines()[0]
    layers = [line.split()[0] for line in (model / 'model.param').read_text().splitlines()[2:]]
    convolutions = sum(layer.startswith('Convolution') for layer in layers)
    assert f' {convolutions} layers' in head
    predicted_mb = float(head.rpartition(', ')[2].removesuffix(' MB'))
    assert (model / 'model.bin').stat().st_size / 1e6 == pytest.approx(predicted_mb, abs=0.006)
    frame = tmp_path / 'frame.png'
    cv2.imwrite(str(frame), cv2.imread(str(tmp_path / 'shapes' / 'images' / '0.png')))
    served = tmp_path / 'served.json'
    assert main(['detect', str(frame), '--model', str(model), '--json', str(served),
                 '--score-threshold', '0']) == 0
    result, = json.loads(served.read_text())
    assert (result['width'], result['height']) == (96, 64)
    assert len(result['detections']) > 0
