# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Memory that the process keeps for the next image."""

import subprocess
import sys

import pytest

IMAGE_BYTES = 1280 * 720 * 3
PAGES = IMAGE_BYTES // 4096
SECOND_IMAGE = f"""
import ctypes, resource
from lite_detector.ros.memory import keep_freed_memory
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
{{call}}
for _ in range(2):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    memory = libc.malloc({IMAGE_BYTES})
    ctypes.memset(memory, 1, {IMAGE_BYTES})
    libc.free(memory)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults_of_a_second_image(call: str) -> int:
    done = subprocess.run([sys.executable, '-c', SECOND_IMAGE.format(call=call)], text=True,
                          capture_output=True, check=True)
    return int(done.stdout)


@pytest.mark.skipif(not sys.platform.startswith('linux'), reason='about the C library of Linux')
def test_a_second_image_takes_the_memory_of_the_first():
    if faults_of_a_second_image('') < PAGES // 2:
        pytest.skip('this C library keeps the memory anyway')
    assert faults_of_a_second_image('keep_freed_memory()') < PAGES // 10
