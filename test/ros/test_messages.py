# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import importlib.util
from pathlib import Path

from geometry_msgs.msg import PoseWithCovariance
from lite_detector.core.config import from_mapping
from lite_detector.core.model_card import ModelCard
from lite_detector.core.types import Detections
from lite_detector.ros import messages
from lite_detector.ros.messages import (
    class_id_strings,
    detection_array,
    label_info,
    vision_info,
)
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from tiny_models import tiny_card
import vision_msgs.msg
from vision_msgs.msg import Detection2DArray

NAMES = ['person', 'bicycle', 'car']


@pytest.fixture
def card() -> ModelCard:
    fields = tiny_card('nanodet', {'reg_max': 7, 'grid_offset': 0.5}, num_classes=3)
    return from_mapping({**fields, 'class_names': NAMES}, ModelCard, 'test card')


def header(frame_id: str = 'lens', sec: int = 7) -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = sec, 500
    return made


def detections(*rows) -> Detections:
    """Make detections of (box_xyxy, score, class_id)."""
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32),
                      np.array(class_ids, np.int64))


def numbered(count: int) -> Detections:
    """Make detections that can be told apart."""
    return detections(*(((index, 0, index + 10, 20), 0.5, index % 3) for index in range(count)))


def over_the_wire(message):
    """Return what a subscriber gets; fails where a field has not the type of the message."""
    return deserialize_message(serialize_message(message), type(message))


def written(*arguments):
    """Return what a subscriber gets of detections."""
    return deserialize_message(detection_array(*arguments), Detection2DArray)


def test_write_fills_every_field_of_every_detection():
    found = detections(((10, 20, 50, 100), 0.75, 2), ((-0.5, 0, 640.25, 480), 0.1, 0))
    message = written(header(), found, NAMES)
    assert message.header == header()
    first, second = message.detections
    assert (first.bbox.center.position.x, first.bbox.center.position.y) == (30, 60)
    assert (first.bbox.size_x, first.bbox.size_y) == (40, 80)
    assert (second.bbox.center.position.x, second.bbox.center.position.y) == (319.875, 240)
    assert (second.bbox.size_x, second.bbox.size_y) == (640.75, 480)
    assert [item.results[0].hypothesis.class_id for item in (first, second)] == ['car', 'person']
    # a float32 of the network, as exact as float64 holds it
    assert [item.results[0].hypothesis.score for item in (first, second)] == [
        0.75, float(np.float32(0.1))]
    for item in (first, second):
        assert item.header == header()
        assert item.id == ''
        assert len(item.results) == 1
        assert item.bbox.center.theta == 0
        assert item.results[0].pose == PoseWithCovariance()


def test_write_of_no_detections_is_an_empty_array_with_its_header():
    message = written(header(), Detections.empty(), NAMES)
    assert message.header == header()
    assert list(message.detections) == []


@pytest.mark.parametrize(('class_id_format', 'wanted'), [
    ('name', ['person', 'bicycle', 'car']), ('index', ['0', '1', '2']),
])
def test_write_says_class_id_by_name_or_index(card, class_id_format, wanted):
    class_ids = class_id_strings(card, class_id_format)
    assert class_ids == wanted
    message = written(header(), numbered(3), class_ids)
    assert [item.results[0].hypothesis.class_id for item in message.detections] == wanted


def test_write_says_ids_and_none_where_nobody_tracks():
    message = written(header(), numbered(2), NAMES, np.array([7, 12]))
    assert [item.id for item in message.detections] == ['7', '12']
    assert [item.id for item in written(header(), numbered(2), NAMES).detections] == ['', '']


def test_label_info_maps_every_index_to_its_name(card):
    if messages.LabelInfo is None:
        pytest.skip('this vision_msgs has no LabelInfo')
    message = over_the_wire(label_info(header(), card, 0.25))
    assert message.header == header()
    assert message.threshold == pytest.approx(0.25)
    assert [(item.class_id, item.class_name) for item in message.class_map] == [
        (0, 'person'), (1, 'bicycle'), (2, 'car')]


def test_vision_info_names_the_model_and_its_folder(card):
    message = over_the_wire(vision_info(header(), card, Path('/models/tiny')))
    assert message.header == header()
    assert message.method == 'tiny_nanodet: one convolution per stride'
    assert message.database_location == '/models/tiny'
    assert message.database_version == 1


def test_messages_without_label_info_in_vision_msgs_still_imports_and_writes(monkeypatch):
    for name in ('LabelInfo', 'VisionClass'):
        monkeypatch.delattr(vision_msgs.msg, name, raising=False)
    spec = importlib.util.spec_from_file_location('messages_of_early_humble', messages.__file__)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.LabelInfo is None
    assert module.VisionClass is None
    assert module.detection_array(header(), numbered(2), NAMES) == detection_array(
        header(), numbered(2), NAMES)
