# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Threads of the node with a name for ``top -H`` and a priority."""

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

    :param name: Name of at most 15 letters, the limit of Linux.
    :param work: Function that the thread runs.
    :param arguments: Arguments of ``work``.
    :param niceness: Increase of the nice value on Linux, 0 to 19; 19 is the lowest priority.
    """
    def run() -> None:
        thread_id = threading.get_native_id()
        with suppress(OSError):  # Python before 3.14 does not set the name of the thread
            Path(f'/proc/self/task/{thread_id}/comm').write_text(name)
        with suppress(OSError):
            if niceness:  # Linux has a nice value per thread
                os.setpriority(os.PRIO_PROCESS, thread_id, niceness)
        work(*arguments)
    thread = threading.Thread(target=run, daemon=True, name=name)
    thread.start()
    return thread
