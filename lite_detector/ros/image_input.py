# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The image subscription of a camera: follows its publishers, and knows why nothing arrives."""

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
"""Image topics that are hardly meant."""
TYPE_NAMES = {Image: 'sensor_msgs/msg/Image', CompressedImage: 'sensor_msgs/msg/CompressedImage'}
TRANSPORTS = {Image: 'raw', CompressedImage: 'compressed'}
SUFFIX = '/compressed'
HANDOVER_S = 1.0
"""How long a former subscription waits for the first message of its successor."""
STAMP = slice(4, 12)
"""Where a serialized message, which begins with its header, has the stamp."""
UNREACHED = '_NODE_NAME_UNKNOWN_'
"""Name of a publisher that is discovered while no message of its process arrives."""
LARGE_IMAGES = ('export FASTRTPS_DEFAULT_PROFILES_FILE='
                '$(ros2 pkg prefix --share lite_detector)/config/fastdds_large_images.xml')
"""What the shell of a camera needs, for images larger than the shared memory of Fast DDS."""


class Source(NamedTuple):
    """A topic and the type of the messages that are read from it."""

    topic: str
    message_type: type


class Received(NamedTuple):
    """A message as it came."""

    message_type: type
    data: bytes
    """Serialized."""


def sources_of(topic: str, transport: str) -> tuple[Source, ...]:
    """
    Return what a camera may be subscribed to, best first.

    :param topic: that ``image`` stands for.
    :param transport: auto, raw or compressed.
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
    Return what to subscribe to.

    :param sources: of the camera, best first.
    :param current: what is subscribed to; it stays where its topic is the best that there is.
    :param published: what has a publisher now.
    """
    there = [source for source in sources if source in published]
    if not there or current in there and current.topic == there[0].topic:
        return current
    return there[0]


class _Subscription:
    """One subscription, and the stamp of its last message; empty: none came yet."""

    def __init__(self, source: Source, reliability: ReliabilityPolicy) -> None:
        self.source = source
        self.reliability = reliability
        self.began_s = time.monotonic()
        self.stamp = b''
        self.entity: Any = None


class ImageInput:
    """
    Subscribes to the topic of a camera, in the type and with the reliability that it offers.

    All methods belong to the thread of the executor; messages come in a thread of their own.

    :param node: asked for topics and publishers.
    :param messages: takes the messages.
    :param prefix: namespace of the camera with its slash; empty: the node's own.
    :param transport: auto, raw or compressed.
    :param reliability: auto, best_effort or reliable.
    :param stats: of the camera.
    :param on_message: called with each message.
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
        # Resolved first, so that a remapping of `image` moves `image/compressed` along with it.
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
        """Return how the images come: raw or compressed."""
        return TRANSPORTS[self.source.message_type]

    # subscriptions

    def subscribe(self) -> None:
        """Begin to listen."""
        self.is_listening = True
        self.follow()

    def unsubscribe(self) -> None:
        """Stop listening, which also takes the messages' cost off the processor."""
        self.is_listening = False
        self._destroy_former()
        if self._current:
            self._messages.unsubscribe(self._current.entity)
            self._current = None

    def follow(self) -> None:
        """Subscribe to what the publishers offer now, and no more."""
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
        """Replace the subscription; the former one goes when its successor gets messages."""
        self._destroy_former()
        if source != self.source:
            self._node.get_logger().info(
                f'subscribed to {source.topic} ({TYPE_NAMES[source.message_type]})')
        with self._messages.lock:
            self._former, self._current = self._current, None
        if source.topic == self.source.topic and source != self.source:
            self._destroy_former()  # a process has one type for a topic in Fast DDS
        self.source, self._reliability = source, reliability
        self._create()

    def _create(self) -> None:
        new = _Subscription(self.source, self._reliability)
        qos = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1,
                         durability=DurabilityPolicy.VOLATILE, reliability=new.reliability)
        try:
            # Raw, for the worker to unpack: a message that is replaced costs nothing, and one
            # that is damaged is a dropped frame, where Fast DDS 2.14 tries to unpack it without
            # an end.
            with self._messages.lock:  # no message before it is the current one
                new.entity = self._messages.subscribe(
                    new.source.message_type, new.source.topic,
                    lambda data: self._on_data(new, data), qos)
                self._current = new
        except Exception as error:  # its type has no public name; `follow` tries again
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
        if self._former and self._current:  # each image from one of the two
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

    # why nothing arrives

    def reason(self, silent_s: float) -> str:
        """
        Return why no image arrives.

        :param silent_s: seconds since the last image, or since the start.
        """
        topic, name = self.source.topic, TYPE_NAMES[self.source.message_type]
        if self._problem:
            return f'{topic}: no subscription: {self._problem}'
        every = [(source.topic, info) for source in self._sources
                 for info in self._node.get_publishers_info_by_topic(source.topic)]
        if not every:
            return f'no publisher on {topic}{self._other_transport() or self._other_topics()}'
        typed = [info for place, info in every if (place, info.topic_type) == (topic, name)]
        if not typed:
            return self._other_type(every[0][0], every[0][1].topic_type)
        if self._reliability == ReliabilityPolicy.RELIABLE and not any(
                info.qos_profile.reliability == ReliabilityPolicy.RELIABLE for info in typed):
            return (f'QoS mismatch: the publishers of {topic} offer best effort, '
                    'reliability: reliable asks for more; set reliability to auto')
        what = 'went silent' if self._stats.ever_received() else 'sends nothing'
        name = typed[0].node_name
        reasons = self._lost_on_the_way(is_reached=name != UNREACHED)
        return (f'{"a publisher" if name == UNREACHED else f"publisher {name}"} of {topic} '
                f'{what} for {silent_s:.0f} s'
                + (f'; possible reasons: {"; or ".join(reasons)}' if reasons else ''))

    def _lost_on_the_way(self, is_reached: bool) -> list[str]:
        """
        Return what may keep the images of a publisher from a subscription that fits it.

        :param is_reached: whether anything arrives from its process, its name at least.
        """
        shares_memory = 'fastrtps' in get_rmw_implementation_identifier()
        reasons = []
        if is_reached and self.transport == 'raw' and (
                self._reliability == ReliabilityPolicy.BEST_EFFORT):
            where = f': in the shell of the camera `{LARGE_IMAGES}`' if shares_memory else ''
            reasons.append(f'its images are too large for DDS{where}, or transport: compressed')
        if not self._stats.ever_received():
            memory = 'no shared memory ' if shares_memory else 'no network '
            flags = '--ipc=host --net=host and as the same user' if shares_memory else '--net=host'
            reasons.append(f'{memory}between containers, or a container and its host: start them '
                           f'with {flags} (docs/guides/docker.md)')
        return reasons

    def _other_type(self, topic: str, type_name: str) -> str:
        text = f'{topic} carries {type_name}, wanted '
        if self._transport == 'auto':
            return text + ' or '.join(TYPE_NAMES.values()) + self._other_topics()
        wanted = f'{TYPE_NAMES[self.source.message_type]} (transport: {self._transport})'
        advice = '; set transport to auto' if type_name in TYPE_NAMES.values() else ''
        return text + wanted + advice

    def _other_transport(self) -> str:
        """Say so where the camera publishes, but in the way that the parameter excludes."""
        if self._transport == 'auto':
            return ''
        others = sources_of(self.source.topic.removesuffix(SUFFIX), 'auto')
        there = [each.topic for each in others if self._node.count_publishers(each.topic)]
        return f'; there is {there[0]}: set transport to auto' if there else ''

    def _other_topics(self) -> str:
        """Name image topics of the graph that the user may have meant."""
        kinds = {TYPE_NAMES[source.message_type] for source in self._sources}
        own = {source.topic for source in self._sources}
        bases = {topic.removesuffix(SUFFIX)
                 for topic, types in self._node.get_topic_names_and_types()
                 if topic not in own and kinds.intersection(types)
                 and self._node.count_publishers(topic)}
        others = sorted(base for base in bases if not base.endswith('/annotated'))
        if not others:
            return ''
        # those of this camera first, depth and infrared last
        others.sort(key=lambda base: (self._prefix not in base, bool(NO_COLOUR.search(base))))
        remap = f'{self._prefix}image:={others[0]}'
        how = f'-r {remap}' if self._prefix else f'-r {remap}, for the launch file {remap}'
        return f'; images are on {", ".join(others[:3])}: remap with {how}'
