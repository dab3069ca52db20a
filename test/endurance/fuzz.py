# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Malformed messages, parameters and cards for the node, in this and in a separate process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
import tempfile

from figures import at_most, Figure, told
from flight import flight, RATE_HZ, size_name
from fuzz_files import fuzz_cards, fuzz_parameter_files, fuzz_parameters
from fuzz_messages import fuzz_messages, INPUT_SIZE, SCORE_THRESHOLD
from messages import random_image
import numpy as np
from rclpy.qos import QoSProfile
from sensor_msgs.msg import Image
from std_msgs.msg import Header

SEED = 0
GROWTH_MB = 20.0
BACK_S = 5.0
RELIABLE = QoSProfile(depth=10)


def fuzz(model: str, length: int) -> Iterator[Figure]:
    """
    Feed the node, the reader of cards and that of parameters with mistakes.

    :param length: messages in this process; a fiftieth as many cards, parameters and messages
        through the real graph.
    """
    yield from fuzz_messages(model, length, SEED)
    with tempfile.TemporaryDirectory() as scratch:
        yield from fuzz_cards(model, length // 50, SEED, Path(scratch))
        yield from fuzz_parameter_files(model, length // 200, SEED, Path(scratch))
    yield from fuzz_parameters(model, length // 50, SEED)
    yield from fuzz_graph(model, length // 50, SEED)


def fuzz_graph(model: str, messages: int, seed: int) -> Iterator[Figure]:
    """
    Publish malformed messages between the images of two cameras.

    :param messages: how many.
    """
    random = np.random.default_rng(seed)
    with flight(model, input_size=INPUT_SIZE, score_threshold=SCORE_THRESHOLD) as flying:
        publishers = [flying.client.create_publisher(Image, stream.name + '/image', RELIABLE)
                      for stream in flying.streams]
        for _ in range(messages):
            msg = random_image(random, Header(stamp=flying.client.get_clock().now().to_msg()))
            if not msg.header.frame_id:
                msg.header.frame_id = size_name(msg.height, msg.width)
            publishers[random.integers(2)].publish(msg)
            flying.fly(0.3 / RATE_HZ)
        flying.fly(1)
        sent = sum(stream.sent for stream in flying.streams)
        yield told('graph: malformed messages between valid ones', f'{messages}, {sent}')
        yield at_most('graph: first detections afterwards', flying.answered_s(10), BACK_S, 's')
        yield from flying.health(GROWTH_MB, unusable=messages)
