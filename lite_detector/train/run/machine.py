# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Whether the GPU works, and what errors of a machine or its memory mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import os
import warnings

from lite_detector.core.errors import ConfigError
from lite_detector.train.data.shared_memory import loader_death
import torch

FULL = ('out of memory', "can't allocate memory", 'CUBLAS_STATUS_ALLOC_FAILED',
        'CUDNN_STATUS_ALLOC_FAILED')
"""What torch says where memory is missing, also in errors other than OutOfMemoryError."""


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
