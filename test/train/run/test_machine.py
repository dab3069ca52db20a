# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Errors of a broken GPU and of missing memory: one line with advice."""

from lite_detector.core.errors import ConfigError, DataError
from lite_detector.train.config.training import load_config
from lite_detector.train.data.shared_memory import loader_death
from lite_detector.train.run import machine
from lite_detector.train.run.console import SILENT
from lite_detector.train.run.machine import explained, gpu_problem
from lite_detector.train.run.train import make_accelerator
from lite_detector.zoo import find_config
import pytest
import torch

NO_KERNEL = ('CUDA error: no kernel image is available for execution on the device\n'
             'CUDA kernel errors might be asynchronously reported at some other API call.')


@pytest.mark.parametrize(('text', 'words'), [
    ('DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that '
     "dataloader's workers are out of shared memory.", '--shm-size'),
    ('unable to allocate shared memory(shm) for file </torch_7_1>: No space left', '--shm-size'),
    ('DataLoader worker (pid 7) is killed by signal: Killed. ', 'fewer workers'),
    ('DataLoader worker (pid(s) 7) exited unexpectedly', 'fewer workers')])
def test_loader_death_says_what_to_do(text, words):
    assert words in str(loader_death(RuntimeError(text)))
    with pytest.raises(DataError, match=words), explained():
        raise RuntimeError(text)


def test_step_that_needs_more_memory_than_there_is_says_what_to_do():
    with pytest.raises(ConfigError, match='out of memory; use a smaller batch_size'), \
            explained():
        torch.empty(2 ** 50)
    with pytest.raises(RuntimeError, match='size of tensor'), explained():
        torch.empty(2) + torch.empty(3)


@pytest.mark.parametrize('error', [
    torch.cuda.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has ...'),
    RuntimeError('CUDA error: out of memory\nCUDA kernel errors might be ...'),
    RuntimeError('CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`')])
def test_gpu_without_memory_is_one_line(error):
    with pytest.raises(ConfigError) as found, explained():
        raise error
    assert str(found.value) == ('out of memory; use a smaller batch_size, or phases with a '
                                'smaller input_size; nvidia-smi shows the other processes on the '
                                'GPU')


def test_gpu_problem_without_a_gpu_is_none(monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert gpu_problem() == ''


def test_training_on_a_gpu_without_kernels_goes_to_the_cpu_with_a_warning(monkeypatch):
    def no_kernel(device: torch.device) -> None:
        raise RuntimeError(NO_KERNEL)
    asked = iter([True])  # once: torch itself would look for the driver
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: next(asked, False))
    monkeypatch.setattr(torch.cuda, 'get_device_capability', lambda: (5, 2))
    monkeypatch.setattr(torch.cuda, 'get_arch_list', lambda: ['sm_75', 'sm_90'])
    monkeypatch.setattr(machine, '_compute_on', no_kernel)
    lines = []
    console = SILENT._replace(say=lines.append)
    config = load_config(find_config('nanodet_m_320'))
    assert make_accelerator(config, console).device.type == 'cpu'
    line, = lines
    assert line == ('warning: the GPU cannot be used, training on the CPU: CUDA error: no kernel '
                    'image is available for execution on the device; this torch has kernels for '
                    'sm_75, sm_90, the GPU needs sm_52: install a torch that has them '
                    '(https://pytorch.org/get-started)')
    asked = iter([True])
    with pytest.raises(ConfigError, match='precision: fp16 without a GPU'):
        make_accelerator(load_config(find_config('nanodet_m_320'), ['precision=fp16']), console)
