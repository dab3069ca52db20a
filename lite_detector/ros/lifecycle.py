# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the lifecycle nodes share."""

from __future__ import annotations

from collections.abc import Callable

from lifecycle_msgs.srv import ChangeState
from lite_detector.core.errors import LiteDetectorError
from rclpy.lifecycle import LifecycleNode


def guard_transitions(node: LifecycleNode, state: Callable[[], str]) -> None:
    """
    Refuse an impossible transition, where rclpy ends the process (ros2/rclpy#1209).

    :param state: returns the state of the node, for the warning.
    """
    service = node._service_change_state
    change = service.callback

    def guarded(request: ChangeState.Request,
                response: ChangeState.Response) -> ChangeState.Response:
        try:
            return change(request, response)
        except RuntimeError:  # RCLError, before anything has changed
            node.get_logger().warning(f'transition {request.transition.id} is refused: the '
                                      f'node is {state()}')
            response.success = False
            return response
    service.callback = guarded


def reason_of(error: Exception) -> str:
    """Return one line that says what went wrong."""
    if isinstance(error, LiteDetectorError):
        return str(error)
    return f'{type(error).__name__}: {" ".join(str(error).split())}'
