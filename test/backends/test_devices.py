# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Devices other than the CPU: their names, the probe of a driver, and the choice."""

import json

from lite_detector.backends import devices, providers
from lite_detector.backends.base import check_device, open_backend
from lite_detector.backends.devices import open_on_device, probe
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
import msgspec
import pytest
from tiny_models import square_image

REQUEST = {'device': 'gpu', 'runtime': 'ncnn'}


@pytest.mark.parametrize(('device', 'runtime'), [
    ('cpu', 'ncnn'), ('gpu', 'ncnn'), ('gpu:0', 'ncnn'), ('gpu:12', 'onnx'), ('auto', 'ncnn'),
    ('tensorrt', 'onnx'), ('cuda:1', 'onnx'), ('openvino', 'onnx'), ('coreml', 'onnx')])
def test_device_that_a_runtime_has_is_accepted(device, runtime):
    check_device(device, runtime)


@pytest.mark.parametrize(('device', 'runtime', 'message'), [
    ('', 'ncnn', "device: ''; expected one of cpu, gpu"),
    ('GPU', 'ncnn', "'GPU'; expected one of cpu, gpu"),
    ('gpu:', 'ncnn', 'expected one of'),
    ('gpu:-1', 'ncnn', 'expected one of'),
    ('gpu:0\n', 'ncnn', 'expected one of'),
    ('openvino:1', 'onnx', 'expected one of'),
    ('cuda', 'ncnn', 'device: cuda needs runtime onnx; runtime ncnn supports cpu, gpu, '),
])
def test_device_that_a_runtime_lacks_is_refused(device, runtime, message):
    with pytest.raises(ConfigError) as caught:
        check_device(device, runtime)
    assert message in str(caught.value)


def test_input_shapes_cover_images_of_any_ratio(tiny_nanodet):
    card = load_card(tiny_nanodet)  # 64 high, 96 wide
    assert InputShapes.of(card, None, 'letterbox_rect') == (
        ImageSize(32, 32), ImageSize(64, 96), ImageSize(64, 96))
    for resize in ('letterbox_rect', 'stretch_rect'):
        assert InputShapes.of(card, ImageSize(320, 320), resize) == (
            ImageSize(32, 32), ImageSize(256, 320), ImageSize(320, 320))
    deep = msgspec.structs.replace(card, decode=msgspec.structs.replace(
        card.decode, strides=(8, 16, 32, 64)))
    assert InputShapes.of(deep, ImageSize(416, 416), 'letterbox_rect') == (
        ImageSize(64, 64), ImageSize(320, 448), ImageSize(448, 448))
    assert InputShapes.of(card, ImageSize(32, 32), 'letterbox_rect') == (ImageSize(32, 32),) * 3
    assert InputShapes.of(card, None, 'letterbox_square') == (ImageSize(64, 96),) * 3


# the process that asks a device


@pytest.fixture
def probe_module(tmp_path, monkeypatch):
    """Return what writes a module that stands for the probe."""
    def write(code: str) -> str:
        (tmp_path / 'stand_in.py').write_text(f'import json, os, signal, sys, time\n{code}\n')
        monkeypatch.syspath_prepend(str(tmp_path))
        return 'stand_in'
    return write


def test_probe_returns_the_last_line_whatever_a_driver_prints(probe_module):
    module = probe_module('print("{llvmpipe}\\n" * 9)\nprint(json.dumps({"got": sys.argv[1]}))')
    assert json.loads(probe(REQUEST, print, module)['got']) == REQUEST


@pytest.mark.parametrize(('code', 'message'), [
    ('os.kill(os.getpid(), signal.SIGSEGV)', 'the driver crashed (SIGSEGV) during the device'),
    ('print("bad state", file=sys.stderr)\nos.abort()', 'SIGABRT) during the device test'),
    ('print("bad state", file=sys.stderr, flush=True)\nos.kill(os.getpid(), 9)',
     's: bad state; check the driver'),  # an emulator adds a line of its own to an abort
    ('print(json.dumps({"ms": 1}), flush=True)\nos.kill(os.getpid(), 11)', 'crashed (SIGSEGV)'),
    ('sys.exit(3)', 'device gpu: the process ended with code 3'),
    ('os._exit(0)', 'the process ended with code 0'),
    ('print(json.dumps({"problem": "no such GPU"}))', 'no such GPU'),
])
def test_probe_that_fails_is_one_line(probe_module, code, message):
    with pytest.raises(ModelError) as caught:
        probe(REQUEST, print, probe_module(code))
    assert message in str(caught.value)
    assert '\n' not in str(caught.value)


def test_probe_reports_that_it_is_alive_and_ends_a_driver_that_hangs(probe_module, monkeypatch):
    monkeypatch.setattr(devices, 'ALIVE_S', 0.05)
    monkeypatch.setattr(devices, 'TIMEOUT_S', 0.2)
    lines = []
    with pytest.raises(ModelError, match='device tensorrt: not ready after .* check the driver'):
        probe({'device': 'tensorrt', 'runtime': 'onnx'}, lines.append,
              probe_module('time.sleep(60)'))
    assert lines
    assert 'device tensorrt: still preparing after ' in lines[0]
    assert 'TensorRT builds an engine once per model and board' in lines[0]


# the choice


def choice(folder, monkeypatch, answers, **options):
    """Open a network where devices answer as given: device, precision -> ms and error."""
    opened = []

    def answer(request, report):
        got = answers[request['device'], request['precision']]
        if isinstance(got, str):
            raise ModelError(got)
        return {'device': request['device'], 'name': 'X1', 'ms': got[0], 'error': got[1],
                'cpu_ms': 10.0, 'first_s': 1.0}

    def open_there(*arguments):
        opened.append(arguments[4:6])
        return open_backend(*arguments[:5])

    monkeypatch.setattr(devices, 'probe', answer)
    monkeypatch.setattr(devices, 'open_backend', open_there)
    monkeypatch.setattr(providers, 'available', lambda: ['tensorrt', 'cuda'])
    card = load_card(folder)
    options = {'runtime': 'ncnn', 'num_threads': 1, 'precision': 'auto', **options}
    _, chosen = open_on_device(card, folder, input_size=None, resize='letterbox_rect', **options)
    return opened[0], chosen


NAN = float('nan')


@pytest.mark.parametrize(('options', 'answers', 'opened'), [
    ({'device': 'gpu'}, {('gpu', 'auto'): (50, 1)}, ('auto', 'gpu')),  # slower, but asked for
    ({'device': 'gpu'}, {('gpu', 'auto'): (5, NAN), ('gpu', 'fp32'): (9, 0)}, ('fp32', 'gpu')),
    ({'device': 'gpu', 'precision': 'bf16'}, {('gpu', 'bf16'): (5, 10)}, ('bf16', 'gpu')),
    ({'device': 'auto'}, {('gpu', 'auto'): (5, 1)}, ('auto', 'gpu')),
    ({'device': 'auto'}, {('gpu', 'auto'): (50, 1)}, ('auto', 'cpu')),
    ({'device': 'auto'}, {('gpu', 'auto'): (9.9, 1)}, ('auto', 'cpu')),  # as fast, less exact
    ({'device': 'auto'}, {('gpu', 'auto'): (5, 90), ('gpu', 'fp32'): (5, 90)}, ('auto', 'cpu')),
    ({'device': 'auto'}, {('gpu', 'auto'): 'no libvulkan'}, ('auto', 'cpu')),
    ({'device': 'auto', 'runtime': 'onnx'},
     {('tensorrt', 'auto'): (2, 1), ('cuda', 'auto'): (4, 0)}, ('auto', 'tensorrt')),
    ({'device': 'auto', 'runtime': 'onnx'},
     {('tensorrt', 'auto'): 'no libnvinfer', ('cuda', 'auto'): (4, 0)}, ('auto', 'cuda')),
])
def test_device_that_is_opened(tiny_nanodet, monkeypatch, options, answers, opened):
    got, chosen = choice(tiny_nanodet, monkeypatch, answers, **options)
    assert got == opened
    assert chosen.name == opened[1]
    assert chosen.report.startswith(f'device {options["device"]}: chose {opened[1]}')
    for answer in answers.values():
        if isinstance(answer, str):
            assert answer in chosen.report


def test_device_that_computes_another_network_is_refused(tiny_nanodet, monkeypatch):
    answers = {('gpu', 'auto'): (5, 90), ('gpu', 'fp32'): (5, 80)}
    with pytest.raises(ModelError, match='device gpu: gpu computes wrong outputs: error '
                                         '80 % relative to fp32 on the CPU; expected at most 15'):
        choice(tiny_nanodet, monkeypatch, answers, device='gpu')


def test_cpu_asks_no_device_and_imports_nothing_for_it(tiny_nanodet, run_python):
    code = ('import sys, pathlib\n'
            'from lite_detector.detector import Detector\n'
            'print(Detector.from_folder(pathlib.Path(sys.argv[1])).device)\n'
            'print([name for name in sys.modules if name in (\n'
            '    "lite_detector.backends.devices", "lite_detector.backends.vulkan",\n'
            '    "lite_detector.backends.providers", "onnxruntime", "openvino")])')
    done = run_python('-c', code, tiny_nanodet)
    assert done.stdout.splitlines() == ["DeviceChoice(name='cpu', report='')", '[]'], done.stderr


def test_configured_detector_keeps_its_device(tiny_nanodet, monkeypatch):
    chosen = devices.DeviceChoice('gpu:0', 'measured')
    monkeypatch.setattr(devices, 'open_on_device', lambda card, folder, *_: (
        open_backend(card, folder, 'ncnn', 1, 'fp32'), chosen))
    detector = Detector.from_folder(tiny_nanodet, device='gpu')
    assert detector.configured(detector.selection, detector.view).device == chosen
    assert len(detector.detect(square_image(64, 96, 32, 32))) == 1
