# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Subscriptions that report why nothing arrives."""

from __future__ import annotations

from collections.abc import Callable
import time

from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy

SILENCE_S = 3.0


class Input:
    """
    Subscription of serialized messages; best effort, which is compatible with every publisher.

    :param node: Node of the subscription.
    :param topic: Relative name of the topic.
    :param kind: Type of the message.
    :param on_data: Function called with each serialized message.
    :param depth: Queue depth of the middleware in messages.
    """

    def __init__(self, node: Node, topic: str, kind: type, on_data: Callable[[bytes], None],
                 depth: int = 2) -> None:
        self.topic = node.resolve_topic_name(topic)
        self._name, self._node, self._on_data = topic, node, on_data
        self._type_name = f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
        self._received_s: float | None = None
        self._started_s = time.monotonic()
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=depth,
                         reliability=ReliabilityPolicy.BEST_EFFORT)
        self._subscription = node.create_subscription(kind, topic, self._receive, qos, raw=True)

    def _receive(self, data: bytes) -> None:
        self._received_s = time.monotonic()
        self._on_data(data)

    def destroy(self) -> None:
        """Destroy the subscription."""
        self._node.destroy_subscription(self._subscription)

    def silence(self) -> str | None:
        """Return the reason why no message arrives; None: messages arrive."""
        silent_s = time.monotonic() - (self._received_s or self._started_s)
        if silent_s < SILENCE_S:
            return None
        publishers = self._node.get_publishers_info_by_topic(self.topic)
        if not publishers:
            return f'no publisher on {self.topic}{self._others()}'
        typed = [info for info in publishers if info.topic_type == self._type_name]
        if not typed:
            return (f'{self.topic} has type {publishers[0].topic_type}; expected '
                    f'{self._type_name}')
        what = 'went silent' if self._received_s else 'sends nothing'
        return f'publisher {typed[0].node_name} of {self.topic} {what} for {silent_s:.0f} s'

    def _others(self) -> str:
        """Return a hint with topics of this type that the user may have meant."""
        others = sorted(topic for topic, types in self._node.get_topic_names_and_types()
                        if self._type_name in types and self._node.count_publishers(topic))
        if not others:
            return ''
        return (f'; {self._type_name} is on {", ".join(others[:3])}: remap with '
                f'-r {self._name}:={others[0]}')
