# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Subscribers, publishers and whole DDS participants come and go around the node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
import subprocess
import sys
import time

from diagnostic_msgs.msg import DiagnosticArray
from figures import at_most, Figure, told
from flight import environment, flight, SENSOR_QOS, SIZE, size_name
from lite_detector.core.draw import generated_image
from lite_detector.ros.conversions import bgr_to_image_msg
import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray, VisionInfo

GROWTH_MB = 20.0
BACK_S = 5.0
STAY_S = 0.7
KILLED_EVERY = 5
LISTENS = (('front/detections', Detection2DArray), ('front/annotated', Image),
           ('rear/annotated/compressed', CompressedImage), ('vision_info', VisionInfo),
           ('/diagnostics', DiagnosticArray))
RELIABLE = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE)
# two types on a topic is a mistake that people make
PUBLISHES = (('front/image', Image, SENSOR_QOS), ('front/image', Image, RELIABLE),
             ('rear/image', Image, RELIABLE), ('front/image', CompressedImage, SENSOR_QOS))


def churn(model: str, length: float) -> Iterator[Figure]:
    """
    Let participants come, publish and listen, and go; some of them are killed.

    :param length: in minutes.
    """
    random = np.random.default_rng(0)
    with flight(model) as flying:
        guests, killed, back_s = 0, 0, []
        end_s = time.monotonic() + 60 * length
        while time.monotonic() < end_s:
            guests += 1
            if guests % KILLED_EVERY == 0:
                killed += 1
                with _killed_guest():
                    flying.fly(3)
            else:
                with _guest(random):
                    flying.fly(STAY_S)
            if random.random() < 0.3:
                flying.fly(STAY_S, send=False)
            back_s.append(flying.answered_s(2 * BACK_S))
        yield told('participants that came and went, of them killed', f'{guests}, {killed}')
        yield at_most('from a departure to detections of both cameras, at most', max(back_s),
                      BACK_S, 's')
        yield from flying.health(GROWTH_MB)


@contextmanager
def _guest(random: np.random.Generator | None = None) -> Iterator[Node]:
    """Join with a participant of its own; without a generator, with everything there is."""
    context = rclpy.Context()
    rclpy.init(context=context)
    node = rclpy.create_node('guest', context=context)
    image = bgr_to_image_msg(generated_image(SIZE), Header(frame_id=size_name(*SIZE)))
    for topic, kind in LISTENS:
        if random is None or random.random() < 0.5:
            node.create_subscription(kind, topic, lambda msg: None, 1)
    index = 0 if random is None else random.integers(len(PUBLISHES))
    topic, kind, qos = PUBLISHES[index]
    publisher = node.create_publisher(kind, topic, qos)
    if kind is Image:
        image.header.stamp = node.get_clock().now().to_msg()
        publisher.publish(image)
    try:
        yield node
    finally:
        node.destroy_node()
        rclpy.shutdown(context=context)


@contextmanager
def _killed_guest() -> Iterator[None]:
    """Let a process join that is killed, so that it does not take its leave."""
    process = subprocess.Popen([sys.executable, __file__], env=environment())
    try:
        yield
    finally:
        process.kill()
        process.wait()


def main() -> None:
    """Be the guest that is killed."""
    with _guest():
        time.sleep(60)


if __name__ == '__main__':
    main()
