# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Loader processes in a container with little shared memory."""

import os
import subprocess
import sys
from types import SimpleNamespace

from lite_detector.train.data.shared_memory import fitting_workers
import pytest

TINY_SHARED_MEMORY = ('unshare', '--mount', 'sh', '-c',
                      'mount -t tmpfs -o size=1m tmpfs /dev/shm && exec "$@"', 'sh')
LOADER = """
from lite_detector.core.errors import DataError
from lite_detector.train.data.loader import Batch, EpochLoader
from lite_detector.train.data.shared_memory import fitting_workers
import torch

class Zeros(EpochLoader):
    def make_batch(self, number):
        return Batch(torch.zeros(4_000_000), [], [])

print(fitting_workers(2, 16_000_000))
try:
    for batch in Zeros(range(4), None, None, 32, None, 1, 0, 0, workers=1):
        print(batch.images.shape)
except DataError as error:
    print(error)
"""


@pytest.mark.parametrize(('batch_mb', 'workers', 'wanted'), [
    (10, 8, 2),  # of 64 MB six batches: one in use, two for each process
    (10, 1, 1), (64, 8, 0), (400, 8, 0), (0, 8, 8)])
def test_fitting_workers_have_room_for_their_batches(monkeypatch, batch_mb, workers, wanted):
    monkeypatch.delenv('LOCAL_WORLD_SIZE', raising=False)
    monkeypatch.setattr(os, 'statvfs',
                        lambda folder: SimpleNamespace(f_bavail=64_000, f_frsize=1000))
    assert fitting_workers(workers, batch_mb * 1_000_000) == wanted


def test_fitting_workers_share_the_room_of_their_machine(monkeypatch):
    monkeypatch.setenv('LOCAL_WORLD_SIZE', '2')
    monkeypatch.setattr(os, 'statvfs',
                        lambda folder: SimpleNamespace(f_bavail=64_000, f_frsize=1000))
    assert fitting_workers(8, 10_000_000) == 1


def test_fitting_workers_without_shared_memory_are_those_wanted(tmp_path):
    assert fitting_workers(3, 10 ** 12, tmp_path / 'absent') == 3


@pytest.mark.skipif(subprocess.run([*TINY_SHARED_MEMORY, 'true'], capture_output=True).returncode,
                    reason='needs the right to mount a /dev/shm')
def test_loader_in_a_container_with_little_shared_memory_is_one_line():
    done = subprocess.run([*TINY_SHARED_MEMORY, sys.executable, '-c', LOADER], text=True,
                          capture_output=True, timeout=100)
    none_fit, line = done.stdout.splitlines()
    assert none_fit == '0'
    assert line.startswith('the loader processes have no room in /dev/shm: start the container '
                           'with --shm-size=2g or --ipc=host')
