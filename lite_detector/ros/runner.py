# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The life of a process that holds one node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
import re
import signal
from threading import current_thread, Event, main_thread
from types import FrameType
from typing import TypeVar

from lite_detector.core.errors import ConfigError
import rclpy
from rclpy.exceptions import ParameterException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
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
    with _noted_interrupt() as interrupt:  # before ROS, which calls it from its own handler
        _start_ros(args)
        try:
            try:
                node = make_node()
            except ParameterException as error:  # use_sim_time and the like; ours are lenient
                raise ConfigError(f'ROS parameters: {error}') from None
            _serve(node, finished, interrupt)
            node.destroy_node()
            return node
        finally:
            rclpy.try_shutdown()


def _start_ros(args: Sequence[str] | None) -> None:
    try:
        # the first word would be the name of the program
        stray = remove_ros_args(['program', *(args or ())])[1:]
        if not stray:
            rclpy.init(args=args)
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
        reason = error.strerror
    except UnicodeDecodeError:
        reason = 'it is not a text file'
    return (f'{path}: ROS cannot read this file of parameters: {reason}; wanted YAML as in '
            'config/detect.yaml, without tabs and aliases')


@contextmanager
def _noted_interrupt() -> Iterator[Event]:
    """Note Ctrl-C before it is raised: rclpy's C++ can turn KeyboardInterrupt into any error."""
    came = Event()

    def note(number: int, frame: FrameType | None) -> None:
        came.set()
        signal.default_int_handler(number, frame)

    if (current_thread() is not main_thread()
            or signal.getsignal(signal.SIGINT) is not signal.default_int_handler):
        yield came
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield came
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _serve(node: N, finished: Callable[[N], bool], interrupt: Event) -> None:
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not finished(node):
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal can come in the middle of a wait or a message, which is no fault.
        if rclpy.ok() and not interrupt.is_set():
            raise
