# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The life of a process that holds one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from lite_detector.core.errors import ConfigError
import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.utilities import remove_ros_args

N = TypeVar('N', bound=Node)


def run_node(make_node: Callable[[], N], args: Sequence[str] | None,
             finished: Callable[[N], bool] = lambda node: False) -> N:
    """
    Make a node and serve it until it has finished or the process is asked to end.

    :param make_node: called once ROS is up.
    :param args: command line with the ROS arguments.
    :param finished: asked after every callback.
    :return: the node, destroyed; what it remembers can still be read.
    :raises ConfigError: if the arguments are no ROS arguments.
    """
    try:
        # the first word would be the name of the program
        stray = remove_ros_args(['program', *(args or ())])[1:]
        rclpy.init(args=args)
    except Exception as error:  # its type has no public name
        reason = str(error).split(', at ')[0]
        raise ConfigError(f'ROS arguments: {reason}') from None
    try:
        if stray:
            raise ConfigError(f'{stray[0]!r} is no ROS argument; give parameters as '
                              '--ros-args -p name:=value')
        node = make_node()
        _serve(node, finished)
        node.destroy_node()
        return node
    finally:
        rclpy.try_shutdown()


def _serve(node: N, finished: Callable[[N], bool]) -> None:
    try:
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        while rclpy.ok() and not finished(node):
            executor.spin_once()
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except Exception:
        # A signal can end the context in the middle of a wait, which is no fault.
        if rclpy.ok():
            raise
