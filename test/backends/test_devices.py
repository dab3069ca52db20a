# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Devices other than the CPU.

Vulkan runs on a software driver (Debian: libvulkan1 and mesa-vulkan-drivers), OpenVINO in an
ONNX Runtime of its own (scripts/setup.sh test). TensorRT and CUDA are not here: what is tested of
them is what is asked of ONNX Runtime and what is made of its answers.
"""

from collections import namedtuple
import ctypes
from functools import cache
import json
import os
from pathlib import Path
import subprocess
import sys

from lite_detector.backends import device_probe, devices, providers, vulkan
from lite_detector.backends.base import check_device, open_backend
from lite_detector.backends.devices import open_on_device, probe
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector
import pytest
from tiny_models import change_card, square_image, write_gather_nanodet, write_tiny_nanodet

REQUEST = {'device': 'gpu', 'runtime': 'ncnn'}
SHAPES = InputShapes(ImageSize(32, 32), ImageSize(224, 320), ImageSize(320, 320))
OPENVINO = Path(sys.prefix) / 'onnxruntime-openvino'
Node = namedtuple('Node', 'op_type')


@cache
def software_gpu() -> bool:
    """Return whether Vulkan finds llvmpipe; asked in a process of its own, as by the package."""
    done = subprocess.run([sys.executable, '-c', 'import ncnn; print(ncnn.get_gpu_count())'],
                          capture_output=True, text=True)
    return done.returncode == 0 and int(done.stdout.split()[-1]) > 0


@pytest.fixture
def gpu(monkeypatch):
    """Leave a test out where there is no Vulkan device, and allow a software driver."""
    if not software_gpu():
        pytest.skip('no Vulkan device (Debian: apt install libvulkan1 mesa-vulkan-drivers)')
    monkeypatch.setenv(vulkan.SOFTWARE_VARIABLE, '1')


def run_python(code: str, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    """Run a program in a process of its own."""
    paths = [variables.pop('FIRST', ''), *sys.path]
    return subprocess.run([sys.executable, '-c', code, *map(str, arguments)], capture_output=True,
                          text=True, env={**os.environ, **variables,
                                          'PYTHONPATH': os.pathsep.join(filter(None, paths))})


# names


@pytest.mark.parametrize(('device', 'runtime'), [
    ('cpu', 'ncnn'), ('gpu', 'ncnn'), ('gpu:0', 'ncnn'), ('gpu:12', 'onnx'), ('auto', 'ncnn'),
    ('tensorrt', 'onnx'), ('cuda:1', 'onnx'), ('openvino', 'onnx'), ('coreml', 'onnx')])
def test_device_that_a_runtime_has_is_accepted(device, runtime):
    check_device(device, runtime)


@pytest.mark.parametrize(('device', 'runtime', 'message'), [
    ('', 'ncnn', "device: got '', expected one of cpu, gpu"),
    ('GPU', 'ncnn', "got 'GPU', expected one of cpu, gpu"),
    ('gpu:', 'ncnn', 'expected one of'),
    ('gpu:-1', 'ncnn', 'expected one of'),
    ('gpu:0\n', 'ncnn', 'expected one of'),
    ('openvino:1', 'onnx', 'expected one of'),
    ('cuda', 'ncnn', 'device: cuda needs runtime onnx; runtime ncnn has cpu, gpu, gpu:N and auto'),
])
def test_device_that_a_runtime_lacks_is_refused(device, runtime, message):
    with pytest.raises(ConfigError) as caught:
        check_device(device, runtime)
    assert message in str(caught.value)


def test_input_shapes_cover_images_of_any_ratio(tiny_nanodet):
    card = load_card(tiny_nanodet)  # 64 high, 96 wide
    assert InputShapes.of(card, None, 'letterbox_rect') == (
        ImageSize(32, 32), ImageSize(64, 96), ImageSize(64, 96))
    assert InputShapes.of(card, ImageSize(320, 320), 'letterbox_rect') == (
        ImageSize(32, 32), ImageSize(224, 320), ImageSize(320, 320))
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
    ('os.kill(os.getpid(), signal.SIGSEGV)', 'the driver crashed (SIGSEGV) while the device was'),
    ('print("bad state", file=sys.stderr)\nos.abort()', 'SIGABRT) while the device was tried'),
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
    with pytest.raises(ModelError, match='device gpu: gpu computes another network: outputs are '
                                         'off by 80 % from fp32 on the CPU, expected at most 15'):
        choice(tiny_nanodet, monkeypatch, answers, device='gpu')


# Vulkan


class FakeGpu:
    """What ncnn reports of a Vulkan device."""

    def __init__(self, name: str, kind: int) -> None:
        self.device_name, self.type = lambda: name, lambda: kind


ORIN, LLVMPIPE = FakeGpu('Orin', 1), FakeGpu('llvmpipe', 3)


@pytest.mark.parametrize(('gpus', 'device', 'found'), [
    ([ORIN], 'gpu', 0), ([LLVMPIPE, ORIN], 'gpu', 1), ([LLVMPIPE, ORIN], 'gpu:1', 1)])
def test_find_gpu_takes_hardware(monkeypatch, gpus, device, found):
    monkeypatch.setattr(vulkan, '_gpus', lambda: dict(enumerate(gpus)))
    monkeypatch.delenv(vulkan.SOFTWARE_VARIABLE, raising=False)
    assert vulkan.find_gpu(device) == (found, 'Orin')


@pytest.mark.parametrize(('gpus', 'device', 'message'), [
    ([LLVMPIPE], 'gpu', 'only a software driver is there (gpu:0 is llvmpipe), slower than the'),
    ([LLVMPIPE], 'gpu', 'in a container, mount its ICD file such as nvidia_icd.json'),
    ([LLVMPIPE, ORIN], 'gpu:0', 'device gpu:0: llvmpipe is a software driver'),
    # ncnn would take its default device
    ([ORIN], 'gpu:1', 'device gpu:1: there is no such device; gpu:0 is Orin'),
])
def test_find_gpu_refuses_what_is_not_there(monkeypatch, gpus, device, message):
    monkeypatch.setattr(vulkan, '_gpus', lambda: dict(enumerate(gpus)))
    monkeypatch.delenv(vulkan.SOFTWARE_VARIABLE, raising=False)
    with pytest.raises(ModelError) as caught:
        vulkan.find_gpu(device)
    assert message in str(caught.value)


def test_find_gpu_without_a_device_gives_the_reason(monkeypatch, tmp_path):
    def no_library(name):
        raise OSError(name)

    monkeypatch.setattr(vulkan, '_gpus', dict)
    monkeypatch.setattr(ctypes, 'CDLL', no_library)
    with pytest.raises(ModelError, match=r'libvulkan.so.1 is not installed; .*apt install libv'):
        vulkan.find_gpu('gpu')
    monkeypatch.setattr(ctypes, 'CDLL', lambda name: None)
    driver = tmp_path / 'nvidia_icd.json'
    monkeypatch.setenv('VK_DRIVER_FILES', str(driver))
    with pytest.raises(ModelError, match=r'no Vulkan driver \(.json file\) in /usr/share/vulkan'):
        vulkan.find_gpu('gpu')
    driver.write_text('{}')
    with pytest.raises(ModelError, match=r'drivers find no GPU \(nvidia_icd.json\); check with '):
        vulkan.find_gpu('gpu')


@pytest.mark.slow
@pytest.mark.parametrize(('precision', 'most'), [('fp32', 0.01), ('auto', 5)])
def test_vulkan_gives_what_the_cpu_gives_at_any_size(gpu, tmp_path, precision, most):
    folder = write_tiny_nanodet(tmp_path / 'random', seed=0)
    measured = device_probe.measure(str(folder), 'ncnn', 1, precision, 'gpu', (96, 96),
                                    'letterbox_rect')
    assert measured['device'] == 'gpu:0'
    assert measured['error'] < most


LIVE_NETS = """
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import sys
from lite_detector.detector import Detector
import numpy as np
first, second = (Detector.from_folder(Path(sys.argv[1]), device='gpu:0') for _ in range(2))
assert first.device.name == 'gpu:0' and first.backend._net.opt.use_vulkan_compute
image = np.zeros((64, 96, 3), np.uint8)
image[32:, 32:64] = 255
with ThreadPoolExecutor() as pool:
    for found in pool.map(lambda detector: detector.detect(image), (first, second)):
        print(found.boxes_xyxy.round(1).tolist())
print(len(first.detect(image[:40])))
"""


@pytest.mark.slow
def test_vulkan_nets_live_beside_each_other_and_until_the_exit(gpu, tmp_path):
    folder = write_tiny_nanodet(tmp_path / 'quiet')
    done = run_python(LIVE_NETS, folder)
    assert done.returncode == 0, done.stderr
    box = '[[32.0, 32.0, 64.0, 64.0]]'
    assert done.stdout.splitlines()[-3:-1] == [box, box]


def test_vulkan_has_no_int8(gpu, tiny_nanodet):
    change_card(tiny_nanodet, 'runtimes.ncnn.int8', {'param': 'model.param', 'bin': 'model.bin'})
    card = load_card(tiny_nanodet)
    with pytest.raises(ModelError, match='ncnn computes int8 on the CPU alone; use precision'):
        open_backend(card, tiny_nanodet, 'ncnn', 1, 'int8', 'gpu')


# execution providers


@pytest.fixture
def wheel(monkeypatch):
    """Return what sets the providers of the installed wheel."""
    def has(*names: str) -> None:
        monkeypatch.setattr(providers.onnxruntime, 'get_available_providers',
                            lambda: [*(providers.PROVIDERS[name] for name in names),
                                     'CPUExecutionProvider'])
    return has


@pytest.mark.parametrize(('names', 'device', 'found'), [
    (('tensorrt', 'cuda'), 'gpu', ('tensorrt', 0)), (('cuda',), 'gpu:2', ('cuda', 2)),
    (('tensorrt', 'cuda'), 'cuda:1', ('cuda', 1)), (('openvino',), 'openvino', ('openvino', 0))])
def test_resolve_takes_what_the_wheel_has(wheel, names, device, found):
    wheel(*names)
    assert providers.resolve(device) == found


@pytest.mark.parametrize(('device', 'message'), [
    ('gpu', 'has no TensorrtExecutionProvider or CUDAExecutionProvider or CoreMLExecutionProvider '
            '(it has OpenVINOExecutionProvider, CPUExecutionProvider); install onnxruntime-gpu'),
    ('cuda', "on a Jetson the wheel of NVIDIA's Jetson package index"),
    ('coreml', 'has no CoreMLExecutionProvider'),
])
def test_resolve_refuses_what_the_wheel_lacks(wheel, device, message):
    wheel('openvino')
    with pytest.raises(ModelError) as caught:
        providers.resolve(device)
    assert message in str(caught.value)


def test_tensorrt_never_builds_in_flight(tiny_nanodet, monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    path = tiny_nanodet / 'model.onnx'
    options = providers.provider_options('tensorrt', 1, path, 'auto', 1, SHAPES, 'images')
    assert (options['trt_profile_min_shapes'], options['trt_profile_opt_shapes'],
            options['trt_profile_max_shapes']) == (
        'images:1x3x32x32', 'images:1x3x224x320', 'images:1x3x320x320')
    assert (options['device_id'], options['trt_fp16_enable']) == ('1', '1')
    folder = Path(options['trt_engine_cache_path'])
    assert folder.parent == tmp_path / 'cache' / 'lite_detector' / 'engines'
    assert options['trt_timing_cache_path'] == str(folder)
    assert {options['trt_engine_cache_enable'], options['trt_timing_cache_enable']} == {'1'}
    exact = providers.provider_options('tensorrt', 1, path, 'fp32', 1, SHAPES, 'images')
    assert exact['trt_fp16_enable'] == '0'
    # what it fails by says where the engines are
    assert str(folder) in providers.with_engines('cannot deserialize engine', options)


def test_engines_are_kept_apart_by_all_that_they_depend_on(tiny_nanodet, monkeypatch):
    path = tiny_nanodet / 'model.onnx'
    folders = [providers.engine_folder(path, 0, 'auto', SHAPES)]
    assert providers.engine_folder(path, 0, 'auto', SHAPES) == folders[0]
    folders += [providers.engine_folder(path, 0, 'fp32', SHAPES),
                providers.engine_folder(path, 0, 'auto', SHAPES._replace(usual=SHAPES.largest))]
    monkeypatch.setattr(providers, 'gpu_name', lambda index: f'Orin {index}')
    folders += [providers.engine_folder(path, index, 'auto', SHAPES) for index in (0, 1)]
    monkeypatch.setattr(providers, 'tensorrt_version', lambda: '100300')
    folders.append(providers.engine_folder(path, 0, 'auto', SHAPES))
    monkeypatch.setattr(providers.onnxruntime, '__version__', '1.0')
    folders.append(providers.engine_folder(path, 0, 'auto', SHAPES))
    path.write_bytes(path.read_bytes() + b'\0')
    folders.append(providers.engine_folder(path, 0, 'auto', SHAPES))
    assert len(set(folders)) == len(folders)


def test_engines_that_cannot_be_written_are_one_line(tiny_nanodet, monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'file'))
    with pytest.raises(ModelError, match='cannot write engines: Not a directory; point XDG_CACHE'):
        providers.engine_folder(tiny_nanodet / 'model.onnx', 0, 'auto', SHAPES)


def test_gpu_name_is_the_card_or_the_board(tmp_path):
    assert providers.gpu_name(0, tmp_path) == ''
    (tmp_path / 'proc/device-tree').mkdir(parents=True)
    (tmp_path / 'proc/device-tree/model').write_text('NVIDIA Jetson Orin Nano\0')
    assert providers.gpu_name(0, tmp_path) == 'NVIDIA Jetson Orin Nano'
    card = tmp_path / 'proc/driver/nvidia/gpus/0000:01:00.0'
    card.mkdir(parents=True)
    (card / 'information').write_text('Model: \t\t RTX 4000\nIRQ: 5\n')
    assert providers.gpu_name(0, tmp_path) == 'RTX 4000'
    (card / 'information').write_text('IRQ: 5\n')
    assert providers.gpu_name(0, tmp_path) == ''


def test_cuda_does_not_search_algorithms_in_flight():
    options = providers.provider_options('cuda', 1, Path(), 'fp32', 1, SHAPES, 'images')
    assert options == {'device_id': '1', 'cudnn_conv_algo_search': 'HEURISTIC', 'use_tf32': '0'}


class FakeSession:
    """What ONNX Runtime reports of a session: provider -> kinds of its nodes."""

    def __init__(self, taken: dict[str, list[str]], has: list[str] | None = None) -> None:
        self._taken, self._has = taken, has or [*taken]

    def get_providers(self):
        return self._has

    def get_provider_graph_assignment_info(self):
        Graph = namedtuple('Graph', 'ep_name get_nodes')
        return [Graph(name, lambda kinds=kinds: [Node(kind) for kind in kinds])
                for name, kinds in self._taken.items()]


TENSORRT, ON_CPU = 'TensorrtExecutionProvider', 'CPUExecutionProvider'


@pytest.mark.parametrize('taken', [
    {TENSORRT: ['Conv', 'Resize']}, {TENSORRT: ['Conv', 'Conv'], ON_CPU: ['Resize']}])
def test_session_whose_convolutions_the_provider_took_is_accepted(taken):
    providers.check_assignment(FakeSession(taken), 'tensorrt', 'tensorrt')


@pytest.mark.parametrize(('session', 'message'), [
    (FakeSession({ON_CPU: ['Conv']}), 'device gpu: TensorrtExecutionProvider cannot start, ONNX '
                                      'Runtime fell back to the CPU; check that TensorRT'),
    (FakeSession({TENSORRT: ['Conv'] * 2, ON_CPU: ['Conv', 'Resize', 'Conv']}),
     'device gpu: 3 of 5 nodes stayed on the CPU (2 Conv, 1 Resize); check'),
    (FakeSession({ON_CPU: ['Add']}, [TENSORRT, ON_CPU]), '1 of 1 nodes stayed on the CPU (1 Add)'),
])
def test_session_that_fell_back_to_the_cpu_is_refused(session, message):
    with pytest.raises(ModelError) as caught:
        providers.check_assignment(session, 'gpu', 'tensorrt')
    assert message in str(caught.value)


IN_OPENVINO = """
import sys
from pathlib import Path
import lite_detector
from lite_detector.core.errors import LiteDetectorError
import numpy as np
image = np.zeros((64, 96, 3), np.uint8)
image[32:, 32:64] = 255
for model, device in (arg.split('=') for arg in sys.argv[1:]):
    try:
        detector = lite_detector.load_model(model, runtime='onnx', device=device)
        boxes = [detector.detect(part).boxes_xyxy[:1].round(1).tolist() for part in
                 (image, image[32:])]
        print(detector.device.name, boxes, detector.device.report)
    except LiteDetectorError as error:
        print('error', error)
"""


@pytest.mark.slow
@pytest.mark.skipif(not OPENVINO.is_dir(), reason=f'no {OPENVINO}; scripts/setup.sh test makes it')
def test_openvino_finds_what_the_cpu_finds_and_never_computes_another_network(tmp_path):
    right, wrong = write_tiny_nanodet(tmp_path / 'a'), write_gather_nanodet(tmp_path / 'b')
    done = run_python(IN_OPENVINO, f'{right}=openvino', f'{wrong}=openvino', f'{wrong}=auto',
                      FIRST=str(OPENVINO))
    assert done.returncode == 0, done.stderr
    same, refused, on_cpu = done.stdout.splitlines()
    assert same.startswith('openvino [[[32.0, 32.0, 64.0, 64.0]], [[32.0, 0.0, 64.0, 32.0]]] ')
    assert refused.startswith('error device openvino: openvino computes another network: outputs ')
    assert on_cpu.startswith('cpu ')
    assert 'computes another network' in on_cpu


def test_cpu_asks_no_device_and_imports_nothing_for_it(tiny_nanodet):
    code = ('import sys, pathlib\n'
            'from lite_detector.detector import Detector\n'
            'print(Detector.from_folder(pathlib.Path(sys.argv[1])).device)\n'
            'print([name for name in sys.modules if name in (\n'
            '    "lite_detector.backends.devices", "lite_detector.backends.vulkan",\n'
            '    "lite_detector.backends.providers", "onnxruntime", "openvino")])')
    done = run_python(code, tiny_nanodet)
    assert done.stdout.splitlines() == ["DeviceChoice(name='cpu', report='')", '[]'], done.stderr


def test_configured_detector_keeps_its_device(tiny_nanodet, monkeypatch):
    chosen = devices.DeviceChoice('gpu:0', 'measured')
    monkeypatch.setattr(devices, 'open_on_device', lambda card, folder, *_: (
        open_backend(card, folder, 'ncnn', 1, 'fp32'), chosen))
    detector = Detector.from_folder(tiny_nanodet, device='gpu')
    assert detector.configured(detector.selection, detector.view).device == chosen
    assert len(detector.detect(square_image(64, 96, 32, 32))) == 1
