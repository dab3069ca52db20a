# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a machine or a container gives a training: a GPU that works, and memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
from pathlib import Path
import warnings

from lite_detector.core.errors import ConfigError, DataError
import torch

SHARED_MEMORY = Path('/dev/shm')
BATCHES_PER_WORKER = 2
"""That torch lets each loader process prepare in advance."""
MORE_SHARED_MEMORY = ('start the container with --shm-size=2g or --ipc=host, or set '
                      'data.workers=0')
FULL = ('out of memory', "can't allocate memory", 'CUBLAS_STATUS_ALLOC_FAILED',
        'CUDNN_STATUS_ALLOC_FAILED')
"""What torch says where memory is missing, also in errors other than OutOfMemoryError."""
SHARED_MEMORY_FULL = ('signal: Bus error', 'shared memory(shm)', '</torch_')
"""What torch says where the memory of loader processes is missing."""


def gpu_problem() -> str:
    """Return why the GPU that torch finds cannot compute; empty: it can, or there is none."""
    if not torch.cuda.is_available():
        return ''
    device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0)))
    try:
        with warnings.catch_warnings():  # torch warns in ten lines of what is said here in one
            warnings.simplefilter('ignore')
            _compute_on(device)
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0].rstrip('.')
    return ''


def _compute_on(device: torch.device) -> None:
    torch.ones(1, device=device).add(1).item()


def gpu_warning(problem: str) -> str:
    """
    Return the line that tells why a training goes to the CPU, and what to do about it.

    :param problem: of :func:`gpu_problem`.
    """
    advice = 'see what nvidia-smi says'
    if 'no kernel image' in problem:
        major, minor = torch.cuda.get_device_capability()
        advice = (f'this torch has kernels for {", ".join(torch.cuda.get_arch_list())}, the GPU '
                  f'needs sm_{major}{minor}: install a torch that has them '
                  '(https://pytorch.org/get-started)')
    return f'warning: the GPU cannot be used, training on the CPU: {problem}; {advice}'


def fitting_workers(workers: int, batch_bytes: int, folder: Path = SHARED_MEMORY) -> int:
    """
    Return how many loader processes have room for their batches in shared memory.

    :param workers: wanted at most.
    :param batch_bytes: of one batch.
    :param folder: where the system keeps shared memory; where there is none, all fit.
    """
    try:
        state = os.statvfs(folder)
    except OSError:
        return workers
    here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # torchrun's: processes on this machine
    room = state.f_bavail * state.f_frsize // here
    in_use = 1  # by the step
    return max(0, min(workers, (room // max(1, batch_bytes) - in_use) // BATCHES_PER_WORKER))


def loader_death(error: Exception) -> DataError | None:
    """
    Return what the end of a loader process means; None: the error is another one.

    :param error: of torch, in the process that waits.
    """
    text = str(error)
    if any(words in text for words in SHARED_MEMORY_FULL):
        return DataError(f'the loader processes have no room in {SHARED_MEMORY}: '
                         f'{MORE_SHARED_MEMORY}')
    if 'exited unexpectedly' in text or 'DataLoader worker' in text:
        return DataError('a loader process was ended from outside, most likely for lack of '
                         'memory; wanted fewer workers or a smaller cache')
    return None


@contextmanager
def explained() -> Iterator[None]:
    """Say what can be done about errors of torch that a configuration or a machine causes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # of a GPU, of the processor, of loaders
        text = str(error)
        is_full = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        if is_full or any(words in text for words in FULL):
            gpu = '; nvidia-smi shows what else is on the GPU' if 'CU' in text else ''
            raise ConfigError('out of memory: wanted a smaller batch_size, or phases with a '
                              f'smaller input_size{gpu}') from None
        death = loader_death(error)
        if death is None:
            raise
        raise death from None
    except ValueError as error:
        if 'more than 1 value per channel' not in str(error):
            raise
        raise ConfigError('one image in a process, of one cell at the coarsest stride: batch norm '
                          'needs more; wanted a larger batch_size or input_size') from None
