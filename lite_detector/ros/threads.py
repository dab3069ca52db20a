# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Threads of the node, named for ``top -H`` and with a priority."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
import os
from pathlib import Path
import threading


def start_thread(name: str, work: Callable[..., object], *arguments: object,
                 niceness: int = 0) -> threading.Thread:
    """
    Start a daemon thread.

    :param name: at most 15 letters, which is what Linux keeps.
    :param work: called with the arguments.
    :param niceness: added priority of the thread on Linux, 0 .. 19; 19 comes last.
    """
    def run() -> None:
        thread_id = threading.get_native_id()
        with suppress(OSError):  # before 3.14 Python does not hand the name on
            Path(f'/proc/self/task/{thread_id}/comm').write_text(name)
        with suppress(OSError):
            if niceness:  # Linux knows priorities of threads
                os.setpriority(os.PRIO_PROCESS, thread_id, niceness)
        work(*arguments)
    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    return thread
