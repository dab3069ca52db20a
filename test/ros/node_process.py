# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Nodes of the package as processes, and a test client beside them."""

from collections.abc import Callable, Sequence
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import time
from typing import Any

import lite_detector
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.qos import QoSProfile, ReliabilityPolicy

TIMEOUT_S = 20.0
START_TIMEOUT_S = 45.0
"""Until a process has imported all and loaded its model, on a busy machine."""
RELIABLE = QoSProfile(depth=100, reliability=ReliabilityPolicy.RELIABLE)
BEST_EFFORT = QoSProfile(depth=100, reliability=ReliabilityPolicy.BEST_EFFORT)


def ros_arguments(*arguments: str, **parameters: Any) -> list[str]:
    """Return ``--ros-args`` with parameters; JSON is the YAML that ROS wants."""
    pairs = [('-p', f'{name}:={json.dumps(value)}') for name, value in parameters.items()]
    return ['--ros-args', *arguments, *(word for pair in pairs for word in pair)]


class NodeProcess:
    """``python -m lite_detector`` while it runs."""

    def __init__(self, *arguments: str, prefix: Sequence[str] = ()) -> None:
        package = str(Path(lite_detector.__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, [package, os.environ.get('PYTHONPATH')]))
        self._process = subprocess.Popen(
            [*prefix, sys.executable, '-m', 'lite_detector', *arguments], text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**os.environ, 'PYTHONPATH': path})

    def is_running(self) -> bool:
        return self._process.poll() is None

    def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)

    def result(self) -> tuple[int, str, str]:
        """Wait for the end; return exit status, stdout and stderr."""
        try:
            stdout, stderr = self._process.communicate(timeout=TIMEOUT_S)
        finally:
            self._process.kill()
        return self._process.returncode, stdout, stderr


class Client:
    """A node in this process."""

    def __init__(self) -> None:
        self._context = rclpy.Context()
        rclpy.init(context=self._context)
        self.node = rclpy.create_node('client', context=self._context)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.node)
        self._processes: list[NodeProcess] = []

    def start(self, *arguments: str, prefix: Sequence[str] = ()) -> NodeProcess:
        """Start ``python -m lite_detector *arguments`` beside it, by a command in front."""
        self._processes.append(NodeProcess(*arguments, prefix=prefix))
        return self._processes[-1]

    def listen(self, topic: str, kind: type, qos: QoSProfile = BEST_EFFORT) -> list[Any]:
        """Subscribe and return the list that messages go to."""
        messages: list[Any] = []
        self.node.create_subscription(kind, topic, messages.append, qos)
        return messages

    def spin_until(self, condition: Callable[[], Any], timeout_s: float = TIMEOUT_S) -> None:
        """Serve the client until something holds; fail if that takes too long."""
        end_s = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end_s, 'timed out'
            self._executor.spin_once(timeout_sec=0.02)

    def spin_for(self, seconds: float) -> None:
        """Serve the client for a while."""
        end_s = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() >= end_s)

    def close(self) -> None:
        """End everything."""
        for process in self._processes:
            if process.is_running():
                process.interrupt()
            process.result()
        self._executor.shutdown()
        self.node.destroy_node()
        self._context.try_shutdown()


def assert_one_error_line(stderr: str, *parts: str) -> None:
    """Fail unless a node said what is wrong in one line, besides its log."""
    assert 'Traceback' not in stderr
    lines = [line for line in stderr.splitlines() if not line.startswith('[')]
    assert len(lines) == 1, stderr
    assert lines[0].startswith('error: ')
    for part in parts:
        assert part in lines[0]
