# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``benchmark``; no test looks at how long anything took."""

import json
import os
from pathlib import Path
import time

import cv2
from lite_detector.bench.load import busy_processes
from lite_detector.bench.speed import (
    interleave,
    single_threaded_opencv,
    Timing,
)
from lite_detector.cli import main
from lite_detector.core.draw import generated_image
from lite_detector.core.types import ImageSize
import numpy as np
import pytest
from tiny_models import square_image
import yaml

KEYS = ['model', 'threads', 'image_size', 'forward_ms', 'end_to_end_ms', 'end_to_end_p95_ms',
        'overhead_ratio', 'forward_cpu_ms', 'end_to_end_cpu_ms', 'peak_rss_mb', 'fps']


@pytest.fixture
def options(tiny_nanodet) -> list[str]:
    return ['benchmark', '--model', str(tiny_nanodet), '--seconds', '0.01']


@pytest.mark.parametrize('threads', [1, 2])
def test_benchmark_writes_positive_figures(options, threads, tmp_path, capsys):
    path = tmp_path / 'figures.json'
    assert main([*options, '--threads', str(threads), '--json', str(path)]) == 0
    figures = json.loads(path.read_text())
    assert list(figures) == KEYS
    assert (figures['model'], figures['threads']) == ('tiny_nanodet', threads)
    assert figures['image_size'] == '640x480'
    assert all(figures[key] > 0 for key in KEYS[3:])
    assert 'tiny_nanodet at 96x64, image 640x480' in capsys.readouterr().out


@pytest.mark.parametrize(('more', 'size'), [
    (['--image-size', '320x200'], '320x200'),
    (['--image', 'photo.png'], '100x80'),
    (['--image', 'photo.png', '--image-size', '50x40'], '50x40'),
])
def test_benchmark_measures_the_image_asked_for(options, more, size, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('photo.png', square_image(80, 100, 0, 0))
    assert main([*options, *more, '--json', 'figures.json']) == 0
    assert json.loads(Path('figures.json').read_text())['image_size'] == size


def test_benchmark_writes_ros_parameters(options, tiny_nanodet, tmp_path, capsys):
    path = tmp_path / 'params.yaml'
    assert main([*options, '--size', '192', '--load', '1', '--output', str(path)]) == 0
    assert yaml.safe_load(path.read_text()) == {'/**/detector': {'ros__parameters': {
        'model': str(tiny_nanodet), 'num_threads': 1, 'input_size': 192, 'runtime': 'ncnn',
        'precision': 'auto', 'device': 'cpu'}}}
    assert f'wrote parameters to {path}' in capsys.readouterr().out


def test_benchmark_at_the_size_of_the_card_leaves_it_to_the_card(options, tmp_path):
    path = tmp_path / 'params.yaml'
    assert main([*options, '--output', str(path)]) == 0
    assert yaml.safe_load(path.read_text())['/**/detector']['ros__parameters']['input_size'] == 0


@pytest.mark.parametrize(('more', 'message'), [
    (['--image-size', '640'], "'640'; expected WIDTHxHEIGHT, e.g. 640x480"),
    (['--image-size', '640x99999'], 'expected sides of 8 to 16384 pixels'),
    (['--seconds', '0'], '--seconds: 0; expected more than 0'),
    (['--seconds', 'nan'], '--seconds: nan; expected more than 0'),
    (['--budget-ms', '-1'], '--budget-ms: -1; expected more than 0'),
    (['--load', '-1'], '--load: -1; expected 0 to 64'),
    (['--threads', '0'], 'num_threads: 0; expected 1 to 64'),
    (['--device', 'tpu'], "device: 'tpu'; expected one of cpu, gpu"),
    (['--device', 'tpu', '--budget-ms', '50'], "device: 'tpu'; expected one of cpu, gpu"),
    (['--image', 'absent.png'], 'absent.png: No such file or directory'),
    (['--output', 'absent/params.yaml'], 'absent/params.yaml: cannot write'),
    (['--resize', 'stretch', '--output', 'params.yaml'], '--resize: not possible with --output'),
    (['--model', 'x.pt', '--output', 'params.yaml'], '--output: x.pt is a checkpoint; expected a'),
])
def test_benchmark_with_a_wrong_option_exits_2_with_one_line(options, more, message,
                                                             one_line_error):
    assert message in one_line_error([*options, *more])


def test_interleave_takes_the_steps_in_turn():
    calls = []
    told = []
    timings = interleave({'a': lambda: calls.append('a'), 'b': lambda: calls.append('b')}, 0,
                         time.thread_time, told.append)
    assert ''.join(calls) == 'ab' * (len(calls) // 2)
    rounds = len(told)
    assert len(calls) > 2 * rounds > 0
    assert timings['b'].wall_ms.shape == timings['b'].cpu_ms.shape == (rounds,)
    assert (timings['a'].wall_ms > 0).all()


def test_cpu_ratio_compares_neighbours():
    # the clock halves in the middle of the second round: the medians would say 2.2 / 1
    one = Timing(np.ones(3), np.array([1.0, 1.0, 2.0]))
    other = Timing(np.ones(3), np.array([1.1, 2.2, 2.2]))
    assert other.cpu_ratio(one) == pytest.approx(1.1)


def test_busy_processes_run_inside_and_end_outside():
    def children() -> set[str]:
        return set(Path(f'/proc/self/task/{os.getpid()}/children').read_text().split())
    if not Path(f'/proc/self/task/{os.getpid()}/children').exists():
        pytest.skip('this system does not list child processes')
    before = children()
    with pytest.raises(KeyError), busy_processes(2):
        assert len(children() - before) == 2
        raise KeyError('an error inside ends them too')
    assert children() == before


def test_busy_process_ends_with_a_parent_that_was_killed(run_python):
    done = run_python('-c', 'import os, signal\n'
                      'from lite_detector.bench.load import busy_processes\n'
                      'with busy_processes(1):\n'
                      '    path = f"/proc/self/task/{os.getpid()}/children"\n'
                      '    print(open(path).read(), flush=True)\n'
                      '    os.kill(os.getpid(), signal.SIGKILL)\n')
    child = Path('/proc') / done.stdout.split()[0]
    deadline = time.monotonic() + 20
    while child.exists() and 'State:\tZ' not in (child / 'status').read_text():
        assert time.monotonic() < deadline, 'still running'
        time.sleep(0.05)


def test_single_threaded_opencv_puts_back_what_was():
    before = cv2.getNumThreads()
    with single_threaded_opencv():
        assert cv2.getNumThreads() == 1
    assert cv2.getNumThreads() == before


def test_generated_image_is_the_same_each_time():
    image = generated_image(ImageSize(48, 64))
    assert (image.shape, image.dtype) == ((48, 64, 3), np.uint8)
    assert np.array_equal(image, generated_image(ImageSize(48, 64)))
    assert image.std() > 30
