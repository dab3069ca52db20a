# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The shared memory of loader processes: how many fit, and what their end means."""

from __future__ import annotations

import os
from pathlib import Path

from lite_detector.core.errors import DataError

SHARED_MEMORY = Path('/dev/shm')
BATCHES_PER_WORKER = 2
"""That torch lets each loader process prepare in advance."""
MORE_SHARED_MEMORY = ('start the container with --shm-size=2g or --ipc=host, or set '
                      'data.workers=0')
SHARED_MEMORY_FULL = ('signal: Bus error', 'shared memory(shm)', '</torch_')
"""What torch says where the memory of loader processes is missing."""


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
