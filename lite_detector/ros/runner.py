# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Start, execution and shutdown of a process with one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
import re
import signal
import socket
from threading import current_thread, Lock, main_thread, Thread
from typing import TypeVar

from lite_detector.core.errors import ConfigError
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.utilities import remove_ros_args

N = TypeVar('N', bound=Node)

SOURCE_PLACE = re.compile(r', at \S+:\d+')
"""Pattern of a place in the sources of ROS, which is removed from errors."""
PARAMETER_FILE = re.compile(r"params file: '--params-file (.*)'\. Error: (.*)", re.DOTALL)
"""Pattern of an error of ROS about a parameter file."""


def run_node(make_node: Callable[[], N], args: Sequence[str] | None,
             finished: Callable[[N], bool] = lambda node: False) -> N:
    """
    Create a node and run it until it has finished or the process receives a signal.

    :param make_node: Function that creates the node, called after the start of ROS.
    :param args: Command line with the ROS arguments.
    :param finished: Function that returns whether the node has finished, called after every
        callback.
    :return: Destroyed node; its attributes can still be read.
    :raises ConfigError: if an argument is not a ROS argument, a parameter file is not readable by
        ROS, or a parameter that ROS declares has another type.
    """
    stop = _Stop()
    with _asked_by_signals(stop):
        _start_ros(args)
        try:
            try:
                node = make_node()
            except ParameterException as error:  # parameters of ROS, such as use_sim_time
                raise ConfigError(f'ROS parameters: {error}') from None
            _serve(node, finished, stop)
            node.destroy_node()
            return node
        finally:
            rclpy.try_shutdown()


def _start_ros(args: Sequence[str] | None) -> None:
    try:
        # remove_ros_args expects the name of the program as first argument
        stray = remove_ros_args(['program', *(args or ())])[1:]
        if not stray:
            rclpy.init(args=None if args is None else list(args),
                       signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # its type has no public name
        raise ConfigError(_refusal(str(error))) from None
    if stray:
        raise ConfigError(f'{stray[0]!r}: unknown argument; expected ROS arguments, e.g. '
                          '--ros-args -p name:=value')


def _refusal(said: str) -> str:
    """Convert an error of ROS about its arguments to one line."""
    said = SOURCE_PLACE.sub('', said)
    found = PARAMETER_FILE.search(said)
    if not found:
        return f'ROS arguments: {" ".join(said.split())}'
    path, reason = found[1], ' '.join(found[2].split())
    try:
        Path(path).read_text(encoding='utf-8')
    except OSError as error:
        reason = error.strerror or str(error)
    except UnicodeDecodeError:
        reason = 'not a text file'
    return (f'{path}: ROS cannot read this parameter file: {reason}; expected YAML as in '
            'config/detect.yaml, without tabs and aliases')


class _Stop:
    """Request to end the process; it may arrive before or after the executor starts."""

    def __init__(self) -> None:
        self.asked = False
        self._lock = Lock()
        self._executor: SingleThreadedExecutor | None = None

    def ask(self) -> None:
        """Wake the executor so that it checks ``asked``; thread-safe."""
        with self._lock:
            self.asked = True
            if self._executor:
                # a wake without a task would not end the wait
                self._executor.create_task(lambda: None)

    def watch(self, executor: SingleThreadedExecutor | None) -> None:
        """Set the executor to wake."""
        with self._lock:
            self._executor = executor


@contextmanager
def _asked_by_signals(stop: _Stop) -> Iterator[None]:
    """
    Handle SIGINT and SIGTERM as a request to end, without exceptions.

    KeyboardInterrupt comes between any two steps of rclpy, whose C++ turns it into other errors,
    and the handlers of rclpy shut ROS down in a thread beside the one that is using it: one node
    in some hundreds ended with a segmentation fault, or not at all. So the interpreter writes a
    byte per signal, whichever thread meets it, and a thread reads.
    """
    if current_thread() is not main_thread():  # in Python only the main thread handles signals
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while reader.recv(1):
            stop.ask()

    def note(*_: object) -> None:  # immediate, if the main thread does not wait for ROS
        stop.asked = True

    listener = Thread(target=listen, name='signals', daemon=True)
    listener.start()
    before_fd = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(before_fd)
        writer.close()
        listener.join()
        reader.close()


def _serve(node: N, finished: Callable[[N], bool], stop: _Stop) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    stop.watch(executor)
    try:
        while not stop.asked and rclpy.ok() and not finished(node):
            executor.spin_once()
    except ExternalShutdownException:
        pass
    finally:
        stop.watch(None)
        executor.shutdown()
