# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Thread that receives messages in place of the executor of the node."""

from __future__ import annotations

from collections.abc import Callable
import threading
import time

from lite_detector.ros.memory import keep_freed_memory
from lite_detector.ros.rclpy_workarounds import (
    OwnThreadGroup,
    take_serialized,
    waiting_for,
)
from lite_detector.ros.threads import start_thread
from rclpy.exceptions import InvalidHandle
from rclpy.guard_condition import GuardCondition
from rclpy.node import Node
from rclpy.qos import QoSProfile
from rclpy.subscription import Subscription

try:
    from rclpy.event_handler import SubscriptionEventCallbacks
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks

NO_EVENTS = SubscriptionEventCallbacks(use_default_callbacks=False)
WAIT_S = 1.0
"""Maximum delay of the end of the thread after a shutdown of the context, in s."""
RETRY_S = 0.1


class MessageThread:
    """
    Thread that takes serialized messages and calls a function.

    This needs half the CPU time of an executor, which collects all entities of the node for each
    message. The thread runs while there is a subscription. Call all methods in one other thread.

    :param node: Node of the subscriptions.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._group = OwnThreadGroup()
        self._callbacks: dict[Subscription, Callable[[bytes], None]] = {}
        self._guard: GuardCondition | None = None
        self._thread: threading.Thread | None = None
        self.lock = threading.RLock()
        """Held while a callback runs."""

    def subscribe(self, kind: type, topic: str, on_data: Callable[[bytes], None],
                  qos: QoSProfile) -> Subscription:
        """
        Subscribe to a topic.

        :param kind: Type of the message.
        :param topic: Name of the topic.
        :param on_data: Function called in the thread with each serialized message.
        :param qos: QoS of the subscription.
        :raises Exception: see ``Node.create_subscription``.
        """
        subscription = self._node.create_subscription(
            kind, topic, on_data, qos, callback_group=self._group, event_callbacks=NO_EVENTS,
            raw=True)
        with self.lock:
            self._callbacks[subscription] = on_data
            if self._thread is None:
                keep_freed_memory()
                self._guard = self._node.create_guard_condition(lambda: None, self._group)
                self._thread = start_thread('messages', self._work, self._guard)
            self._wake()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription; its callback is not called afterwards."""
        with self.lock:
            del self._callbacks[subscription]
            self._wake()
        if not self._callbacks and self._thread and self._guard:
            self._thread.join()
            self._node.destroy_guard_condition(self._guard)
            self._guard = self._thread = None
        self._node.destroy_subscription(subscription)

    def _wake(self) -> None:
        if self._guard:
            self._guard.trigger()

    def _work(self, guard: GuardCondition) -> None:
        while self._node.context.ok():
            subscriptions = self._subscriptions()
            if not subscriptions:
                return
            try:
                with waiting_for(self._node.context, subscriptions, guard) as wait:
                    while subscriptions == self._subscriptions() and self._node.context.ok():
                        wait(WAIT_S)
                        for subscription in subscriptions:
                            self._take(subscription)
            except InvalidHandle:  # unsubscribed between the two
                pass
            except Exception as error:  # RCLError has no public name
                if self._node.context.ok():
                    self._node.get_logger().error(f'cannot receive a message: {error}')
                    time.sleep(RETRY_S)

    def _subscriptions(self) -> list[Subscription]:
        with self.lock:
            return list(self._callbacks)

    def _take(self, subscription: Subscription) -> None:
        with self.lock:
            on_data = self._callbacks.get(subscription)
            if on_data is None:
                return
            data = take_serialized(subscription)
            if data:
                on_data(data)
