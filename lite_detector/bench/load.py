# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Simulate the load of other nodes: processes that compute and copy memory."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, ExitStack
import os
import subprocess
import sys

# Half of the time is spent on copies larger than the caches of a board, half in the interpreter.
# A busy process exits by itself when its parent is gone for any reason.
BUSY = """\
import os, sys
parent = int(sys.argv[1])
source, copy = bytearray(8 << 20), bytearray(8 << 20)
print('busy', flush=True)
while os.getppid() == parent:
    copy[:] = source
    for _ in range(100000):
        pass
"""


@contextmanager
def busy_processes(count: int) -> Iterator[None]:
    """
    Load processors and memory during the block, like other nodes of a robot.

    :param count: Number of busy processes; all run when the block starts and none after it.
    """
    with ExitStack() as stack:
        for _ in range(count):
            process = subprocess.Popen([sys.executable, '-I', '-S', '-c', BUSY,
                                        str(os.getpid())], stdout=subprocess.PIPE,
                                       stderr=subprocess.DEVNULL)
            stack.enter_context(process)
            stack.callback(process.kill)
            assert process.stdout is not None, 'a pipe'
            process.stdout.readline()
        yield
