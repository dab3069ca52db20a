# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The life of a process that holds one node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

N = TypeVar('N', bound=Node)


def run_node(make_node: Callable[[], N], args: Sequence[str] | None,
             finished: Callable[[N], bool] = lambda node: False) -> N:
    """
    Make a node and serve it until it has finished or the process is asked to end.

    :param make_node: called once ROS is up.
    :param args: command line with the ROS arguments.
    :param finished: asked after every callback.
    :return: the node, destroyed; what it remembers can still be read.
    """
    rclpy.init(args=args)
    try:
        node = make_node()
        executor = SingleThreadedExecutor()
        executor.add_node(node)
        try:
            while rclpy.ok() and not finished(node):
                executor.spin_once()
        except (KeyboardInterrupt, ExternalShutdownException):
            pass
        except Exception:
            # A signal can end the context in the middle of a wait, which is no fault.
            if rclpy.ok():
                raise
        node.destroy_node()
        return node
    finally:
        rclpy.try_shutdown()
