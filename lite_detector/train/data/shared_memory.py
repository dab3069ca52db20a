# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The shared memory of loader processes: their largest number, and errors of dead workers."""

from __future__ import annotations

import os
from pathlib import Path

from lite_detector.core.errors import DataError

SHARED_MEMORY = Path('/dev/shm')
BATCHES_PER_WORKER = 2
"""Number of batches that torch lets each loader process prepare in advance."""
MORE_SHARED_MEMORY = ('start the container with --shm-size=2g or --ipc=host, or set '
                      'data.workers=0')
SHARED_MEMORY_FULL = ('signal: Bus error', 'shared memory(shm)', '</torch_')
"""Parts of torch's error messages when loader processes run out of shared memory."""


def fitting_workers(workers: int, batch_bytes: int, folder: Path = SHARED_MEMORY) -> int:
    """
    Return how many loader processes have room for their batches in shared memory.

    :param workers: Largest number of loader processes.
    :param batch_bytes: Size of one batch in bytes.
    :param folder: Folder of the shared memory; if it does not exist, all workers fit.
    """
    try:
        state = os.statvfs(folder)
    except OSError:
        return workers
    here = int(os.environ.get('LOCAL_WORLD_SIZE', 1))  # torchrun: processes on this machine
    room = state.f_bavail * state.f_frsize // here
    in_use = 1  # the batch of the current step
    return max(0, min(workers, (room // max(1, batch_bytes) - in_use) // BATCHES_PER_WORKER))


def loader_death(error: Exception) -> DataError | None:
    """
    Return the error for a loader process that died; None if the error has another cause.

    :param error: Error of torch in the waiting process.
    """
    text = str(error)
    if any(words in text for words in SHARED_MEMORY_FULL):
        return DataError(f'the loader processes have no room in {SHARED_MEMORY}: '
                         f'{MORE_SHARED_MEMORY}')
    if 'exited unexpectedly' in text or 'DataLoader worker' in text:
        return DataError('a loader process was killed, most likely for lack of memory; use '
                         'fewer workers (data.workers) or a smaller cache (data.cache_megabytes)')
    return None
