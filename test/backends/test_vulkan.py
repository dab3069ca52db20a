# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Networks of ncnn on a GPU: a software driver (libvulkan1 and mesa-vulkan-drivers)."""

import ctypes
from functools import cache
import subprocess
import sys

from lite_detector.backends import device_probe, vulkan
from lite_detector.backends.base import open_backend
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import ImageSize
import pytest
from tiny_models import change_card, write_tiny_nanodet

SHAPES = InputShapes(ImageSize(32, 32), ImageSize(224, 320), ImageSize(320, 320))


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
    ([LLVMPIPE], 'gpu', 'only a software driver was found (gpu:0 is llvmpipe), slower than the'),
    ([LLVMPIPE], 'gpu', 'in a container, also mount its ICD file such as nvidia_icd.json'),
    ([LLVMPIPE, ORIN], 'gpu:0', 'device gpu:0: llvmpipe is a software driver'),
    # ncnn would take its default device
    ([ORIN], 'gpu:1', 'device gpu:1: no such device; gpu:0 is Orin'),
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
def test_vulkan_nets_live_beside_each_other_and_until_the_exit(gpu, tmp_path, run_python):
    folder = write_tiny_nanodet(tmp_path / 'quiet')
    done = run_python('-c', LIVE_NETS, folder)
    assert done.returncode == 0, done.stderr
    box = '[[32.0, 32.0, 64.0, 64.0]]'
    assert done.stdout.splitlines()[-3:-1] == [box, box]


def test_vulkan_has_no_int8(gpu, tiny_nanodet):
    change_card(tiny_nanodet, 'runtimes.ncnn.int8', {'param': 'model.param', 'bin': 'model.bin'})
    card = load_card(tiny_nanodet)
    with pytest.raises(ModelError, match='ncnn computes int8 on the CPU only; use precision'):
        open_backend(card, tiny_nanodet, 'ncnn', 1, 'int8', 'gpu')
