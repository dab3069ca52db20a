# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The life of a process that holds one node."""

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
"""Where in the sources of ROS it was found, which helps nobody here."""
PARAMETER_FILE = re.compile(r"params file: '--params-file (.*)'\. Error: (.*)", re.DOTALL)
"""How ROS begins to say what is wrong in a file of parameters."""


def run_node(make_node: Callable[[], N], args: Sequence[str] | None,
             finished: Callable[[N], bool] = lambda node: False) -> N:
    """
    Make a node and serve it until it has finished or the process is asked to end.

    :param make_node: called once ROS is up.
    :param args: command line with the ROS arguments.
    :param finished: asked after every callback.
    :return: the node, destroyed; what it remembers can still be read.
    :raises ConfigError: if the arguments are no ROS arguments, name a file of parameters that
        ROS cannot read, or give a parameter that ROS itself declares another type.
    """
    stop = _Stop()
    with _asked_by_signals(stop):
        _start_ros(args)
        try:
            try:
                node = make_node()
            except ParameterException as error:  # use_sim_time and the like; ours are lenient
                raise ConfigError(f'ROS parameters: {error}') from None
            _serve(node, finished, stop)
            node.destroy_node()
            return node
        finally:
            rclpy.try_shutdown()


def _start_ros(args: Sequence[str] | None) -> None:
    try:
        # the first word would be the name of the program
        stray = remove_ros_args(['program', *(args or ())])[1:]
        if not stray:
            rclpy.init(args=None if args is None else list(args),
                       signal_handler_options=SignalHandlerOptions.NO)
    except Exception as error:  # its type has no public name
        raise ConfigError(_refusal(str(error))) from None
    if stray:
        raise ConfigError(f'{stray[0]!r} is no ROS argument; give parameters as '
                          '--ros-args -p name:=value')


def _refusal(said: str) -> str:
    """Return in one line what ROS says, perhaps in several, against its arguments."""
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
        reason = 'it is not a text file'
    return (f'{path}: ROS cannot read this file of parameters: {reason}; wanted YAML as in '
            'config/detect.yaml, without tabs and aliases')


class _Stop:
    """A wish that the process ends; may come before there is an executor that waits, or after."""

    def __init__(self) -> None:
        self.asked = False
        self._lock = Lock()
        self._executor: SingleThreadedExecutor | None = None

    def ask(self) -> None:
        """Let the executor look at ``asked``; from any thread."""
        with self._lock:
            self.asked = True
            if self._executor:
                self._executor.create_task(lambda: None)  # after a mere wake it would wait on

    def watch(self, executor: SingleThreadedExecutor | None) -> None:
        """Wake this one from now on."""
        with self._lock:
            self._executor = executor


@contextmanager
def _asked_by_signals(stop: _Stop) -> Iterator[None]:
    """
    Let SIGINT and SIGTERM ask for the end, and raise nothing.

    KeyboardInterrupt comes between any two steps of rclpy, whose C++ turns it into other errors,
    and the handlers of rclpy shut ROS down in a thread beside the one that is using it: one node
    in some hundreds ended with a segmentation fault, or not at all. So the interpreter writes a
    byte per signal, whichever thread meets it, and a thread reads.
    """
    if current_thread() is not main_thread():  # Python lets no other one handle signals
        yield
        return
    reader, writer = socket.socketpair()
    writer.setblocking(False)

    def listen() -> None:
        while reader.recv(1):
            stop.ask()

    def note(*_: object) -> None:  # at once, where the main thread does not wait for ROS
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
