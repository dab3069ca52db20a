# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What a recorder of live topics stores, the bytes that ROS sends, is read without ROS."""

from collections.abc import Iterator
import json
import time

from lite_detector.cli import main
from lite_detector.data.bags import Bag
from lite_detector.ros.conversions import (
    bgr_to_compressed_msg,
    bgr_to_image_msg,
    compressed_msg_to_bgr,
)
import numpy as np
import pytest
import rclpy
from rclpy.node import Node
from recorders import mcap_without_chunks, write_metadata, write_sqlite
from recordings import Message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tiny_models import square_image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

RAW, JPEG, FOUND = '/camera/image_raw', '/camera/image_raw/compressed', '/detections'
KINDS = {RAW: Image, JPEG: CompressedImage, FOUND: Detection2DArray}
TIMEOUT_S = 30.0
STEPS = 3


@pytest.fixture(autouse=True)
def needs_rosbags() -> None:
    pytest.importorskip('rosbags')


@pytest.fixture
def node() -> Iterator[Node]:
    rclpy.init()
    node = rclpy.create_node('recorder')
    yield node
    node.destroy_node()
    rclpy.try_shutdown()


def picture(step: int) -> np.ndarray:
    return square_image(128, 192, top=16 * step, left=32, color=(255, 40 * step, 0), side=64)


def messages_of(step: int) -> dict[str, object]:
    """Return what the topics carry at some second; an odd frame moves the bytes behind it."""
    header = Header(frame_id='lens' + 'x' * step)
    header.stamp.sec = 1_700_000_000 + step
    best = ObjectHypothesisWithPose()
    best.hypothesis.class_id, best.hypothesis.score = 'cup', 0.75
    box = Detection2D(header=header, results=[ObjectHypothesisWithPose(), best], id='7' * step)
    box.bbox.center.position.x, box.bbox.center.position.y = 64.0, 32.0 + 16 * step
    box.bbox.size_x = box.bbox.size_y = 64.0
    return {RAW: bgr_to_image_msg(picture(step), header),
            JPEG: bgr_to_compressed_msg(picture(step), header),
            FOUND: Detection2DArray(header=header, detections=[box] * step)}


def recorded_live(node: Node) -> list[Message]:
    """Publish, and return the bytes that arrive as a recorder gets them."""
    got: dict[str, list[bytes]] = {topic: [] for topic in KINDS}
    for topic, kind in KINDS.items():
        node.create_subscription(kind, topic, got[topic].append, 10, raw=True)
    publishers = {topic: node.create_publisher(kind, topic, 10) for topic, kind in KINDS.items()}
    end_s = time.monotonic() + TIMEOUT_S

    def spin_until(enough) -> None:
        while not enough():
            assert time.monotonic() < end_s, 'timed out'
            rclpy.spin_once(node, timeout_sec=0.05)
    spin_until(lambda: all(each.get_subscription_count() for each in publishers.values()))
    for step in range(STEPS):
        for topic, msg in messages_of(step).items():
            publishers[topic].publish(msg)
        spin_until(lambda count=step + 1: all(len(each) == count for each in got.values()))
    kinds = {topic: f'{kind.__module__.split(".")[0]}/msg/{kind.__name__}'
             for topic, kind in KINDS.items()}
    return [Message(topic, kinds[topic], float(step), {'cdr': bytes(got[topic][step])})
            for step in range(STEPS) for topic in KINDS]


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_live_topics_are_read_as_they_were_published(node, tmp_path, storage, tiny_nanodet):
    messages, bag = recorded_live(node), tmp_path / 'bag'
    bag.mkdir()
    name = 'bag_0.mcap' if storage == 'mcap' else 'bag_0.db3'
    if storage == 'mcap':
        (bag / name).write_bytes(mcap_without_chunks(messages))
    else:
        write_sqlite(bag / name, messages)
    write_metadata(bag, 9, storage, {name: messages})
    with Bag(bag) as opened:
        for step, frame in enumerate(opened.frames(RAW)):
            assert (frame.stamp_ns, frame.frame_id) == ((1_700_000_000 + step) * 10 ** 9,
                                                        'lens' + 'x' * step)
            np.testing.assert_array_equal(frame.image_bgr(), picture(step))
        for step, frame in enumerate(opened.frames(JPEG)):
            np.testing.assert_array_equal(frame.image_bgr(),
                                          compressed_msg_to_bgr(messages_of(step)[JPEG]))
        boxes = [found for _, found in opened.detections(FOUND)]
        assert opened.damage == ''
    assert boxes == [[('cup', 0.75, (32, 16 * step, 96, 64 + 16 * step))] * step
                     for step in range(STEPS)]
    assert main(['dataset_from_bag', str(bag), '--topic', JPEG, '--labels-topic', FOUND, '--blur',
                 '0', '--min-difference', '0', '--val-fraction', '0', '--output',
                 str(tmp_path / 'out')]) == 0
    labels = json.loads((tmp_path / 'out' / 'instances_train.json').read_text())
    assert len(labels['images']) == STEPS
    assert sorted(box['bbox'] for box in labels['annotations']) == [
        [32, 16, 64, 64], [32, 32, 64, 64], [32, 32, 64, 64]]
    assert main(['replay', str(bag), '--topic', RAW, '--model', str(tiny_nanodet),
                 '--write-baseline', str(tmp_path / 'baseline.json')]) == 0
