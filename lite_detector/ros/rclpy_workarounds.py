# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Workarounds for faults of rclpy, each with the version that makes it unnecessary.

Only this module uses private names of rclpy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, ExitStack
import os
import sys
import threading

from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import CallbackGroup
from rclpy.context import Context
from rclpy.guard_condition import GuardCondition
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from rclpy.subscription import Subscription


def guard_transitions(node: LifecycleNode, state: Callable[[], str]) -> None:
    """
    Refuse an impossible transition; rclpy would end the process.

    https://github.com/ros2/rclpy/issues/1209, fixed by pull request 1319, which Jazzy (rclpy 7)
    does not contain: remove this when Kilted is the oldest supported distribution.

    :param node: Lifecycle node to guard.
    :param state: Function that returns the state of the node, for the warning.
    """
    service = node._service_change_state
    change = service.callback

    def guarded(request: ChangeState.Request,
                response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except RuntimeError:  # RCLError, raised before the state changes
            node.get_logger().warning(f'transition {request.transition.id}: refused, because the '
                                      f'node is {state()}')
            response.success = False
            return response
    service.callback = guarded


def given_parameters(node: Node) -> Iterable[str]:
    """
    Return the names of the parameters from the command line, a file or the constructor.

    No version of rclpy has a public way to find given parameters that the node does not declare.
    """
    return node._parameter_overrides


def end_process() -> None:
    """
    End the process with status 0, also if a thread is still running C++ code.

    The interpreter would abort the process: https://github.com/python/cpython/issues/87135, fixed
    in Python 3.14, where the thread hangs instead.
    """
    if threading.active_count() > 1:
        sys.stderr.flush()
        os._exit(0)


class OwnThreadGroup(CallbackGroup):
    """Callback group whose entities no executor serves."""

    def can_execute(self, entity: object) -> bool:
        return False

    def beginning_execution(self, entity: object) -> bool:
        return False

    def ending_execution(self, entity: object) -> None:
        """Do nothing."""


@contextmanager
def waiting_for(context: Context, subscriptions: Sequence[Subscription],
                guard: GuardCondition) -> Iterator[Callable[[float], None]]:
    """
    Yield a function that waits for a message or the guard, for at most a number of seconds.

    The code follows ``rclpy.wait_for_message``, because no version of rclpy has a public wait set.
    The executors of rclpy collect all entities of the node for each message, which takes longer
    than receiving an image. Entities are destroyed only after the end of this context.

    :raises InvalidHandle: if an entity is destroyed before.
    """
    with ExitStack() as held:
        for handle in (context.handle, guard.handle, *(each.handle for each in subscriptions)):
            held.enter_context(handle)
        wait_set = rclpy_implementation.WaitSet(len(subscriptions), 1, 0, 0, 0, 0, context.handle)

        def wait(timeout_s: float) -> None:
            wait_set.clear_entities()  # a wait removes entities that are not ready
            wait_set.add_guard_condition(guard.handle)
            for subscription in subscriptions:
                wait_set.add_subscription(subscription.handle)
            wait_set.wait(round(timeout_s * 1e9))
        yield wait


def take_serialized(subscription: Subscription) -> bytes | None:
    """Return the next serialized message, or None; rclpy has no public function for it."""
    with subscription.handle:
        taken = subscription.handle.take_message(subscription.msg_type, True)
    return taken and taken[0]
