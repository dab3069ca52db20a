# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Image subscription of a camera: adapts to its publishers, and reports why nothing arrives."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
import re
import time
from typing import Any, NamedTuple

from lite_detector.ros.camera_stats import CameraStats
from lite_detector.ros.message_thread import MessageThread
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, HistoryPolicy, QoSProfile, ReliabilityPolicy
from rclpy.utilities import get_rmw_implementation_identifier
from sensor_msgs.msg import CompressedImage, Image

NO_COLOUR = re.compile('depth|infra|disparity|mask')
"""Image topics that are unlikely as input."""
TYPE_NAMES = {Image: 'sensor_msgs/msg/Image', CompressedImage: 'sensor_msgs/msg/CompressedImage'}
TRANSPORTS = {Image: 'raw', CompressedImage: 'compressed'}
SUFFIX = '/compressed'
HANDOVER_S = 1.0
"""Maximum time for which a replaced subscription waits for its successor, in s."""
STAMP = slice(4, 12)
"""Position of the stamp in a serialized message that begins with a header."""
UNREACHED = '_NODE_NAME_UNKNOWN_'
"""Name of a publisher that is discovered, but whose process sends no messages to this one."""
LARGE_IMAGES = ('export FASTRTPS_DEFAULT_PROFILES_FILE='
                '$(ros2 pkg prefix --share lite_detector)/config/fastdds_large_images.xml')
"""Command for the shell of a camera, for images larger than the shared memory of Fast DDS."""


class Source(NamedTuple):
    """A topic and its message type."""

    topic: str
    message_type: type


class Received(NamedTuple):
    """A received message."""

    message_type: type
    data: bytes
    """Serialized message."""


def sources_of(topic: str, transport: str) -> tuple[Source, ...]:
    """
    Return the possible sources of a camera, best first.

    :param topic: Topic name of ``image`` after remapping.
    :param transport: Transport: auto, raw or compressed.
    """
    base = topic.removesuffix(SUFFIX)
    compressed = Source(base + SUFFIX, CompressedImage)
    if transport == 'raw':
        return tuple(dict.fromkeys((Source(topic, Image), Source(base, Image))))
    if transport == 'compressed' or topic != base:
        same = (CompressedImage,) if transport == 'compressed' else (CompressedImage, Image)
        return tuple(dict.fromkeys((compressed, *(Source(topic, kind) for kind in same))))
    return Source(topic, Image), Source(topic, CompressedImage), compressed


def choose_source(sources: Sequence[Source], current: Source,
                  published: Collection[Source]) -> Source:
    """
    Return the source to subscribe to.

    :param sources: Possible sources of the camera, best first.
    :param current: Current source; it is kept if its topic is the best published one.
    :param published: Sources that have a publisher.
    """
    there = [source for source in sources if source in published]
    if not there or current in there and current.topic == there[0].topic:
        return current
    return there[0]


class _Subscription:
    """A subscription, and the stamp of its last message; empty: no message has arrived."""

    def __init__(self, source: Source, reliability: ReliabilityPolicy) -> None:
        self.source = source
        self.reliability = reliability
        self.began_s = time.monotonic()
        self.stamp = b''
        self.entity: Any = None


class ImageInput:
    """
    Subscription to a camera with the type and reliability of its publishers.

    Call all methods in the thread of the executor; messages arrive in a separate thread.

    :param node: Node for the ROS graph and the log.
    :param messages: Thread that receives the messages.
    :param prefix: Namespace of the camera with a slash; empty: namespace of the node.
    :param transport: Transport: auto, raw or compressed.
    :param reliability: Reliability: auto, best_effort or reliable.
    :param stats: Statistics of the camera.
    :param on_message: Function called with each message.
    """

    def __init__(self, node: Node, messages: MessageThread, prefix: str, transport: str,
                 reliability: str, stats: CameraStats,
                 on_message: Callable[[Received], None]) -> None:
        self._node = node
        self._messages = messages
        self._prefix = prefix
        self._stats = stats
        self._transport = transport
        self._on_message = on_message
        # Resolved first, so that a remapping of `image` applies to `image/compressed` too.
        self._sources = sources_of(node.resolve_topic_name(f'{prefix}image'), transport)
        self.source = self._sources[0]
        self._follows_reliability = reliability == 'auto'
        self._reliability = (ReliabilityPolicy.RELIABLE if reliability == 'reliable'
                             else ReliabilityPolicy.BEST_EFFORT)
        self._current: _Subscription | None = None
        self._former: _Subscription | None = None
        self._problem = ''
        self._ambiguous: set[str] = set()
        self.is_listening = False

    @property
    def transport(self) -> str:
        """Return the current transport: raw or compressed."""
        return TRANSPORTS[self.source.message_type]

    # subscriptions

    def subscribe(self) -> None:
        """Create the subscription."""
        self.is_listening = True
        self.follow()

    def unsubscribe(self) -> None:
        """Destroy the subscription, so that messages cost no CPU time."""
        self.is_listening = False
        self._destroy_former()
        if self._current:
            self._messages.unsubscribe(self._current.entity)
            self._current = None

    def follow(self) -> None:
        """Adapt the subscription to the current publishers."""
        if not self.is_listening:
            return
        offers: dict[Source, set[ReliabilityPolicy]] = {}
        for topic in dict.fromkeys(source.topic for source in self._sources):
            for info in self._node.get_publishers_info_by_topic(topic):
                for kind, name in TYPE_NAMES.items():
                    if info.topic_type == name:
                        offers.setdefault(Source(topic, kind), set()).add(
                            info.qos_profile.reliability)
        source = choose_source(self._sources, self.source, offers)
        reliability = self._reliability
        if self._follows_reliability and source in offers:
            reliability = (ReliabilityPolicy.RELIABLE
                           if offers[source] == {ReliabilityPolicy.RELIABLE}
                           else ReliabilityPolicy.BEST_EFFORT)
        self._warn_of_two_types(source, offers)
        current = self._current
        if current is None or (current.source, current.reliability) != (source, reliability):
            self._switch(source, reliability)
        elif current.stamp or time.monotonic() - current.began_s > HANDOVER_S:
            self._destroy_former()

    def _switch(self, source: Source, reliability: ReliabilityPolicy) -> None:
        """Replace the subscription; the former one ends when the new one receives messages."""
        self._destroy_former()
        if source != self.source:
            self._node.get_logger().info(
                f'subscribed to {source.topic} ({TYPE_NAMES[source.message_type]})')
        with self._messages.lock:
            self._former, self._current = self._current, None
        if source.topic == self.source.topic and source != self.source:
            self._destroy_former()  # in Fast DDS a process has one type per topic
        self.source, self._reliability = source, reliability
        self._create()

    def _create(self) -> None:
        new = _Subscription(self.source, self._reliability)
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         durability=DurabilityPolicy.VOLATILE, reliability=new.reliability)
        try:
            # Raw messages, which the worker deserializes: a replaced message costs no CPU time,
            # and a malformed one is only a dropped frame. Fast DDS 2.14 itself would try to
            # deserialize it in an endless loop.
            with self._messages.lock:  # no message arrives before the subscription is current
                new.entity = self._messages.subscribe(
                    new.source.message_type, new.source.topic,
                    lambda data: self._on_data(new, data), qos)
                self._current = new
        except Exception as error:  # the type is not public; `follow` tries again
            self._problem = ' '.join(str(error).split())
            return
        self._problem = ''
        self._stats.restart()

    def _destroy_former(self) -> None:
        if self._former:
            self._messages.unsubscribe(self._former.entity)
            self._former = None

    def _on_data(self, subscription: _Subscription, data: bytes) -> None:
        is_first, subscription.stamp = not subscription.stamp, data[STAMP]
        if self._former and self._current:  # take each image from one of the two
            if subscription is self._former and self._current.stamp:
                return
            if (subscription is self._current and is_first
                    and subscription.stamp == self._former.stamp):
                return
        self._on_message(Received(subscription.source.message_type, data))

    def _warn_of_two_types(self, source: Source, offers: Collection[Source]) -> None:
        kinds = [each for each in self._sources if each in offers and each.topic == source.topic]
        if len(kinds) > 1 and source.topic not in self._ambiguous:
            self._ambiguous.add(source.topic)
            self._node.get_logger().warning(
                f'{source.topic} has publishers of two types; subscribed to '
                f'{TYPE_NAMES[source.message_type]}. Give each type a topic of its own, or set '
                'transport to raw or compressed')

    # reasons why nothing arrives

    def reason(self, silent_s: float) -> str:
        """
        Return the reason why no image arrives.

        :param silent_s: Time since the last image, or since the start, in s.
        """
        topic, name = self.source.topic, TYPE_NAMES[self.source.message_type]
        if self._problem:
            return f'{topic}: subscription failed: {self._problem}'
        every = [(source.topic, info) for source in self._sources
                 for info in self._node.get_publishers_info_by_topic(source.topic)]
        if not every:
            return f'no publisher on {topic}{self._other_transport() or self._other_topics()}'
        typed = [info for place, info in every if (place, info.topic_type) == (topic, name)]
        if not typed:
            return self._other_type(every[0][0], every[0][1].topic_type)
        if self._reliability == ReliabilityPolicy.RELIABLE and not any(
                info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in typed):
            return (f'QoS mismatch: the publishers of {topic} offer best_effort; expected '
                    'reliable (parameter reliability); set reliability to auto')
        what = 'went silent' if self._stats.ever_received() else 'sends nothing'
        name = typed[0].node_name
        reasons = self._lost_on_the_way(is_reached=name != UNREACHED)
        return (f'{"a publisher" if name == UNREACHED else f"publisher {name}"} of {topic} '
                f'{what} for {silent_s:.0f} s'
                + (f'; possible reasons: {"; or ".join(reasons)}' if reasons else ''))

    def _lost_on_the_way(self, is_reached: bool) -> list[str]:
        """
        Return possible reasons why images of a matching publisher do not arrive.

        :param is_reached: True: at least the node name of the publisher has arrived.
        """
        shares_memory = 'fastrtps' in get_rmw_implementation_identifier()
        reasons = []
        if is_reached and self.transport == 'raw' and (
                self._reliability == ReliabilityPolicy.BEST_EFFORT):
            where = f'in the shell of the camera `{LARGE_IMAGES}`, or ' if shares_memory else ''
            reasons.append(f'its images are too large for DDS: {where}transport: compressed')
        if not self._stats.ever_received():
            memory = 'no shared memory ' if shares_memory else 'no network '
            flags = '--ipc=host --net=host and as the same user' if shares_memory else '--net=host'
            reasons.append(f'{memory}between containers, or between container and host: start '
                           f'them with {flags} (docs/guides/docker.md)')
        return reasons

    def _other_type(self, topic: str, type_name: str) -> str:
        text = f'{topic} has type {type_name}; expected '
        if self._transport == 'auto':
            return text + ' or '.join(TYPE_NAMES.values()) + self._other_topics()
        expected = f'{TYPE_NAMES[self.source.message_type]} (transport: {self._transport})'
        advice = '; set transport to auto' if type_name in TYPE_NAMES.values() else ''
        return text + expected + advice

    def _other_transport(self) -> str:
        """Return a hint if the camera publishes in the transport that the parameter excludes."""
        if self._transport == 'auto':
            return ''
        others = sources_of(self.source.topic.removesuffix(SUFFIX), 'auto')
        there = [each.topic for each in others if self._node.count_publishers(each.topic)]
        return f'; {there[0]} has a publisher: set transport to auto' if there else ''

    def _other_topics(self) -> str:
        """Return a hint with image topics of the graph that the user may have meant."""
        kinds = {TYPE_NAMES[source.message_type] for source in self._sources}
        own = {source.topic for source in self._sources}
        bases = {topic.removesuffix(SUFFIX)
                 for topic, types in self._node.get_topic_names_and_types()
                 if topic not in own and kinds.intersection(types)
                 and self._node.count_publishers(topic)}
        others = sorted(base for base in bases if not base.endswith('/annotated'))
        if not others:
            return ''
        # topics of this camera first, depth and infrared last
        others.sort(key=lambda base: (self._prefix not in base, bool(NO_COLOUR.search(base))))
        remap = f'{self._prefix}image:={others[0]}'
        how = f'-r {remap}' if self._prefix else f'-r {remap}, or {remap} for the launch file'
        return f'; images are on {", ".join(others[:3])}: remap with {how}'
