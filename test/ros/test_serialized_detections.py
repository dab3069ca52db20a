# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Detections that are written and read as bytes are those of rclpy."""

from lite_detector.ros import serialized_detections
from lite_detector.ros.serialized_detections import (
    empty_rows,
    FoundObjects,
    read_detections,
    RESULT,
    write_detections,
)
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

KINDS = (Detection2DArray, Detection3DArray)


def header(frame_id: str = 'lens') -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = 2 ** 31 - 1, 999_999_999
    return made


def sample(kind, count: int, frame_id: str, length: int):
    """Return what is written, with numbers that can be told apart and names of any length."""
    rows = np.random.default_rng(count).normal(size=empty_rows(kind, count).shape)
    names = [chr(97 + index) * (length + index) for index in range(count)]
    return header(frame_id), names, rows, [str(10 ** (index % 9)) for index in range(count)]


# every remainder of the lengths by eight, so that every padding occurs
@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'vorne/Objektiv \u00e4'])
@pytest.mark.parametrize('length', range(8))
def test_write_gives_the_fields_that_rclpy_writes(kind, frame_id, length, monkeypatch):
    for count in (0, 1, 2, 9):
        fields = sample(kind, count, frame_id, length)
        found = deserialize_message(write_detections(kind, *fields), kind)
        monkeypatch.setattr(serialized_detections, '_is_known', lambda kind: False)
        assert found == deserialize_message(write_detections(kind, *fields), kind)
        monkeypatch.undo()


@pytest.mark.parametrize('kind', KINDS)
def test_layout_of_the_installed_vision_msgs_is_known(kind):
    assert serialized_detections._is_known(kind)


def test_layout_of_another_message_is_not_known(monkeypatch):
    monkeypatch.setattr(serialized_detections, 'BOX', {Detection2DArray: 6})
    assert not serialized_detections._is_known.__wrapped__(Detection2DArray)


def test_write_puts_the_numbers_of_a_row_where_they_belong():
    rows = empty_rows(Detection3DArray, 1)
    rows[0, 0], rows[0, 1:4], rows[0, RESULT:] = 0.5, (1, 2, 3), range(10)
    msg = deserialize_message(
        write_detections(Detection3DArray, header(), ['person'], rows, ['7']), Detection3DArray)
    found, = msg.detections
    assert (found.header, found.id) == (header(), '7')
    result, = found.results
    assert (result.hypothesis.class_id, result.hypothesis.score) == ('person', 0.5)
    position, orientation = result.pose.pose.position, result.pose.pose.orientation
    assert (position.x, position.y, position.z) == (1, 2, 3)
    assert (orientation.x, orientation.y, orientation.z, orientation.w) == (0, 0, 0, 1)
    assert (found.bbox.center.orientation.w, found.bbox.size.x, found.bbox.size.z) == (6, 7, 9)


def assert_same(found: FoundObjects, wanted: FoundObjects) -> None:
    np.testing.assert_array_equal(found.boxes, wanted.boxes)
    assert found._replace(boxes=None) == wanted._replace(boxes=None)


@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'vorne/Objektiv \u00e4'])
def test_read_gives_the_first_result_of_each_detection_as_rclpy_does(frame_id, monkeypatch):
    msg = Detection2DArray(header=header(frame_id))
    for count, name in ((2, 'cat'), (0, ''), (1, 'bicycle'), (3, 'car')):
        item = Detection2D(header=header('another'), id=name * count, results=[
            ObjectHypothesisWithPose(hypothesis=ObjectHypothesis(class_id=f'{name}{index}',
                                                                 score=0.1 * index))
            for index in range(count)])
        item.bbox.center.position.x, item.bbox.center.position.y = 1.5, 2.5
        item.bbox.size_x, item.bbox.size_y = float(count), 4.0
        msg.detections.append(item)
    data = serialize_message(msg)
    found = read_detections(data)
    assert found.class_names == ['cat0', 'bicycle0', 'car0']
    assert found.boxes.tolist() == [[1.5, 2.5, 2, 4], [1.5, 2.5, 1, 4], [1.5, 2.5, 3, 4]]
    assert found.ids == ['catcat', 'bicycle', 'carcarcar']
    monkeypatch.setattr(serialized_detections, '_is_known', lambda kind: False)
    assert_same(found, read_detections(data))


def test_read_of_no_detections_is_empty():
    found = read_detections(serialize_message(Detection2DArray(header=header())))
    assert (found.header, found.boxes.shape, found.ids) == (header(), (0, 4), [])


def test_read_of_a_damaged_message_raises():
    data = serialize_message(Detection2DArray(header=header(), detections=[Detection2D()] * 3))
    for end in range(4, len(data) - 4, 7):
        with pytest.raises(Exception, match='buffer|bytes'):
            read_detections(data[:end])
