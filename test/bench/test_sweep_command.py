# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``benchmark`` of several settings: what it writes, chooses and refuses."""

import json
from pathlib import Path

import cv2
from lite_detector.bench.setting import sizes_down_from
from lite_detector.cli import main
from lite_detector.core.types import ImageSize
import pytest
from tiny_models import change_card, write_tiny_nanodet
import yaml


@pytest.fixture
def options(tiny_nanodet) -> list[str]:
    return ['benchmark', '--sweep', '--model', str(tiny_nanodet), '--seconds', '0.01',
            '--image-size', '96x64', '--precision', 'fp32', '--size', '96', '--threads', '1']


def test_sweep_writes_everything(options, tiny_nanodet, tmp_path, capsys, monkeypatch):
    pytest.importorskip('matplotlib')
    change_card(tiny_nanodet, 'metrics', {'ap': 31.5, 'annotations': 'val.json', 'images': 8})
    monkeypatch.chdir(tmp_path)
    assert main([*options[:-4], '--threads', '1', '2', '--wait-policy', 'active', '--load', '1',
                 '--budget-ms', '1e6', '--output', 'params.yaml', '--json', 'sweep.json',
                 '--markdown', 'sweep.md', '--plot', 'sweep.png']) == 0
    figures = json.loads(Path('sweep.json').read_text())
    assert [(each['setting']['input_size'], each['setting']['threads'],
             each['setting']['wait_policy'], each['ap']) for each in figures['rows']] == [
        ('96x64', 1, 'passive', 31.5), ('96x64', 2, 'active', 31.5)]
    for each in figures['rows']:
        for load in ('idle', 'loaded'):
            assert each[load]['p95_ms'] >= each[load]['wall_ms'] > 0
            assert each[load]['cpu_ms'] > 0
    assert figures['chosen'] == figures['rows'][0]
    assert {sample['busy_processes'] for sample in figures['samples']} <= {0, 1}
    assert figures['slowdown'].keys() == {'idle', 'loaded'}
    # the card's own size, which no square can say
    assert yaml.safe_load(Path('params.yaml').read_text()) == {'/**/detector': {
        'ros__parameters': {'model': str(tiny_nanodet), 'num_threads': 1, 'input_size': 0,
                            'runtime': 'ncnn', 'precision': 'fp32', 'device': 'cpu'}}}
    text, out = Path('sweep.md').read_text(), capsys.readouterr().out
    assert '| **tiny_nanodet** | 96x64 |' in text and '(sweep.png)' in text
    assert '| **tiny_nanodet** | 96x64 |' in out
    assert 'wrote parameters to params.yaml' in out
    assert cv2.imread('sweep.png').std() > 1


def test_sweep_without_a_fitting_setting_tells_what_it_measured(options, tmp_path, capsys):
    assert main([*options, '--budget-ms', '1e-6', '--json', str(tmp_path / 'sweep.json'),
                 '--output', str(tmp_path / 'params.yaml')]) == 2
    out, err = capsys.readouterr()
    assert err.startswith('error: --budget-ms: no setting fits into 1e-06 ms minus 25% '
                          'for the node; the fastest is tiny_nanodet at 96x96, '
                          'letterbox_rect, fp32, threads 1 ')
    assert len(err.splitlines()) == 1
    assert '| tiny_nanodet | 96x96 |' in out
    assert json.loads((tmp_path / 'sweep.json').read_text())['chosen'] is None
    assert not (tmp_path / 'params.yaml').exists()


@pytest.mark.parametrize(('more', 'message'), [
    (['--model', 'a.pt'], '--model: a.pt is a checkpoint; expected a model folder'),
    (['--model', 'absent'], "model 'absent' not found"),
    (['--size', '100'], 'input size 100x100'),
    (['--output', 'params.yaml'], '--output: several settings and no budget; expected '
                                  '--budget-ms'),
    (['--load', '65'], '--load: 65; expected 0 to 64'),
    (['--plot', '/absent/plot.png'], '/absent/plot.png: cannot write'),
    (['--wait-policy', 'lazy'], "invalid choice: 'lazy'"),
    (['--runtime', 'onnx', '--precision', 'bf16'], 'precision: bf16; expected auto, fp32 or int8'),
])
def test_sweep_with_a_wrong_option_exits_2_with_one_line(options, more, message, one_line_error):
    assert message in one_line_error([*options, *more])


def test_sweep_refuses_two_models_of_one_name(options, tmp_path, capsys):
    twin = write_tiny_nanodet(tmp_path / 'twin')
    options[3:4] = [options[3], str(twin)]
    assert main(options) == 2
    assert "are both named 'tiny_nanodet'" in capsys.readouterr().err


def test_budget_alone_tries_smaller_inputs_at_one_thread(tiny_nanodet, tmp_path, capsys):
    change_card(tiny_nanodet, 'input_size', {'height': 192, 'width': 224})
    figures = tmp_path / 'figures.json'
    assert main(['benchmark', '--model', str(tiny_nanodet), '--seconds', '0.01', '--budget-ms',
                 '1e6', '--json', str(figures)]) == 0
    rows = json.loads(figures.read_text())['rows']
    assert [each['setting']['input_size'] for each in rows] == ['224x192', '192x192', '160x160']
    assert {(each['setting']['threads'], each['setting']['precision'], each['loaded'] is None)
            for each in rows} == {(1, 'auto', True)}
    assert 'For a budget of 1e+06 ms: tiny_nanodet at 224x192' in capsys.readouterr().out


def test_sizes_go_down_in_the_steps_of_the_network():
    assert sizes_down_from(ImageSize(320, 320), 64) == [
        ImageSize(side, side) for side in (320, 256, 192)]
    assert sizes_down_from(ImageSize(64, 96), 32) == [ImageSize(64, 96)]
    assert sizes_down_from(ImageSize(192, 320), 32) == [
        ImageSize(192, 320), ImageSize(192, 192), ImageSize(160, 160)]


@pytest.mark.parametrize('option', ['--plot', '--markdown', '--wait-policy'])
def test_options_of_several_settings_want_several(tiny_nanodet, option, capsys, monkeypatch,
                                                  tmp_path):
    monkeypatch.chdir(tmp_path)
    value = 'passive.png' if option == '--plot' else 'passive'
    assert main(['benchmark', '--model', str(tiny_nanodet), option, value]) == 2
    assert capsys.readouterr().err == (
        f'error: {option}: one setting; expected several settings: give several values, --sweep '
        'or --budget-ms\n')
