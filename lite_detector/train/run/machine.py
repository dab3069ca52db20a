# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Check of the GPU, and advice on errors of the machine or its memory."""

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
"""Parts of torch's error messages for missing memory, not only of OutOfMemoryError."""


def gpu_problem() -> str:
    """Return why the GPU that torch finds cannot compute; empty if it can or there is none."""
    if not torch.cuda.is_available():
        return ''
    device = torch.device('cuda', int(os.environ.get('LOCAL_RANK', 0)))
    try:
        with warnings.catch_warnings():  # torch prints ten lines for the problem returned here
            warnings.simplefilter('ignore')
            _compute_on(device)
    except (RuntimeError, AssertionError) as error:
        return str(error).strip().splitlines()[0].rstrip('.')
    return ''


def _compute_on(device: torch.device) -> None:
    torch.ones(1, device=device).add(1).item()


def gpu_warning(problem: str) -> str:
    """
    Return a warning that the training runs on the CPU, with advice.

    :param problem: Text from :func:`gpu_problem`.
    """
    advice = 'check the output of nvidia-smi'
    if 'no kernel image' in problem:
        major, minor = torch.cuda.get_device_capability()
        advice = (f'this torch has kernels for {", ".join(torch.cuda.get_arch_list())}, the GPU '
                  f'needs sm_{major}{minor}: install a torch that has them '
                  '(https://pytorch.org/get-started)')
    return f'warning: the GPU cannot be used, training on the CPU: {problem}; {advice}'


@contextmanager
def explained() -> Iterator[None]:
    """Add advice to errors of torch that the configuration or the machine causes."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:  # of the GPU, the CPU or the loaders
        text = str(error)
        is_full = isinstance(error, (torch.cuda.OutOfMemoryError, MemoryError))
        if is_full or any(words in text for words in FULL):
            gpu = '; nvidia-smi shows the other processes on the GPU' if 'CU' in text else ''
            raise ConfigError('out of memory; use a smaller batch_size, or phases with a '
                              f'smaller input_size{gpu}') from None
        death = loader_death(error)
        if death is None:
            raise
        raise death from None
    except ValueError as error:
        if 'more than 1 value per channel' not in str(error):
            raise
        raise ConfigError('one image per process, with one cell at the coarsest stride; batch '
                          'norm needs more: use a larger batch_size or input_size') from None
