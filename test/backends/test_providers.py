# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Execution providers of ONNX Runtime.

OpenVINO runs in an ONNX Runtime of its own (scripts/setup.sh test). TensorRT and CUDA are not
here: what is tested of them is what is asked of ONNX Runtime and what is made of its answers.
"""

from collections import namedtuple
import os
from pathlib import Path
import sys

from lite_detector.backends import providers
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ModelError
from lite_detector.core.types import ImageSize
import pytest
from tiny_models import write_gather_nanodet, write_tiny_nanodet

OPENVINO = Path(sys.prefix) / 'onnxruntime-openvino'
SHAPES = InputShapes(ImageSize(32, 32), ImageSize(224, 320), ImageSize(320, 320))
Node = namedtuple('Node', 'op_type')


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
    with pytest.raises(ModelError, match='cannot write engines: Not a directory; set XDG_CACHE'):
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
def test_openvino_finds_what_the_cpu_finds_and_never_another_network(tmp_path, run_python):
    right, wrong = write_tiny_nanodet(tmp_path / 'a'), write_gather_nanodet(tmp_path / 'b')
    done = run_python('-c', IN_OPENVINO, f'{right}=openvino', f'{wrong}=openvino',
                      f'{wrong}=auto', PYTHONPATH=os.pathsep.join((str(OPENVINO), *sys.path)))
    assert done.returncode == 0, done.stderr
    same, refused, on_cpu = done.stdout.splitlines()
    assert same.startswith('openvino [[[32.0, 32.0, 64.0, 64.0]], [[32.0, 0.0, 64.0, 32.0]]] ')
    assert refused.startswith('error device openvino: openvino computes wrong outputs: error ')
    assert on_cpu.startswith('cpu ')
    assert 'computes wrong outputs' in on_cpu
