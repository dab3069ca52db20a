# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The locate node in a thread of its own, and a client that plays its camera and detector."""

from contextlib import AbstractContextManager
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from lite_detector.ros.locate_node import LocateNode
import numpy as np
from rclpy.parameter import Parameter
from ros_graph import NodeGraph, running
from sensor_msgs.msg import CameraInfo, Image, PointCloud2, PointField
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    Detection3DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)

WIDTH, HEIGHT, FOCAL = 320, 240, 300.0
INPUTS = {'detections': Detection2DArray, 'camera_info': CameraInfo, 'depth': Image,
          'points': PointCloud2}


def header_of(stamp_s: float, frame_id: str = 'lens') -> Header:
    header = Header(frame_id=frame_id)
    header.stamp.sec, header.stamp.nanosec = int(stamp_s), round(stamp_s % 1 * 1e9)
    return header


def info_of(stamp_s: float, frame_id: str = 'lens', **changes: Any) -> CameraInfo:
    """Return the calibration of a camera of 320x240 with its axis in pixel 160, 120."""
    k = (FOCAL, 0.0, 159.5, 0.0, FOCAL, 119.5, 0.0, 0.0, 1.0)
    return CameraInfo(**{'header': header_of(stamp_s, frame_id), 'width': WIDTH, 'height': HEIGHT,
                         'k': k, 'distortion_model': 'plumb_bob', 'd': [0.0] * 5, **changes})


def detections_of(stamp_s: float, *objects: tuple, frame_id: str = 'lens') -> Detection2DArray:
    """Return detections of (name, id, left, top, right, bottom)."""
    header = header_of(stamp_s, frame_id)
    found = []
    for name, id_, left, top, right, bottom in objects:
        detection = Detection2D(header=header, id=id_, results=[ObjectHypothesisWithPose(
            hypothesis=ObjectHypothesis(class_id=name, score=0.75))])
        detection.bbox.center.position.x = (left + right) / 2
        detection.bbox.center.position.y = (top + bottom) / 2
        detection.bbox.size_x, detection.bbox.size_y = float(right - left), float(bottom - top)
        found.append(detection)
    return Detection2DArray(header=header, detections=found)


def scene(object_m: float, box: tuple = (190, 90, 230, 150), wall_m: float = 6.0) -> np.ndarray:
    """Return depth in metres: an object that fills a box, before a wall."""
    depth = np.full((HEIGHT, WIDTH), wall_m, np.float32)
    left, top, right, bottom = box
    depth[top:bottom, left:right] = object_m
    return depth


def depth_of(stamp_s: float, depth: np.ndarray, frame_id: str = 'lens',
             encoding: str = '') -> Image:
    """Return a depth message: 32FC1 of floats, 16UC1 of integers."""
    height, width = depth.shape
    encoding = encoding or ('32FC1' if depth.dtype == np.float32 else '16UC1')
    return Image(header=header_of(stamp_s, frame_id), height=height, width=width,
                 encoding=encoding, step=width * depth.itemsize, data=depth.tobytes())


def cloud_of(stamp_s: float, points: np.ndarray, frame_id: str = 'lens') -> PointCloud2:
    """Return a cloud of points of shape (height, width, 3) with a field between y and z."""
    height, width, _ = points.shape
    record = np.zeros((height, width), np.dtype(
        [('x', '<f4'), ('y', '<f4'), ('intensity', '<f4'), ('z', '<f4')]))
    for axis, name in enumerate('xyz'):
        record[name] = points[..., axis]
    fields = [PointField(name=name, offset=offset, datatype=PointField.FLOAT32, count=1)
              for name, offset in (('x', 0), ('y', 4), ('intensity', 8), ('z', 12))]
    return PointCloud2(header=header_of(stamp_s, frame_id), height=height, width=width,
                       fields=fields, point_step=16, row_step=16 * width,
                       data=record.tobytes())


class SpaceGraph(NodeGraph):
    """
    A running locate node and a test client.

    :param values: parameter values of the node.
    """

    def __init__(self, values: dict[str, Any]) -> None:
        self.locate = LocateNode(parameter_overrides=[
            Parameter(name, value=value) for name, value in values.items()])
        self.stamp_s = 1000.0
        super().__init__(self.locate)

    def listen(self, topic: str, kind: type, qos: Any = 10) -> list[Any]:
        """Subscribe once the topic is there, and return the list that messages go to."""
        messages = self.received[topic]
        self.client.create_subscription(kind, topic, messages.append, qos)
        self.spin_until(lambda: self.client.count_publishers(topic))
        self.spin_for(0.1)
        return messages

    def send(self, topic: str, msg: Any) -> None:
        """Publish a message that the node hears."""
        if topic not in self._publishers:
            publisher = self.client.create_publisher(INPUTS.get(topic, type(msg)), topic, 10)
            self._publishers[topic] = publisher
            self.spin_until(publisher.get_subscription_count)
        self._publishers[topic].publish(msg)

    def frame(self, *objects: tuple, depth: np.ndarray | None = None,
              **fields: Any) -> Detection3DArray:
        """Send calibration, depth and detections of a new image; return what is located."""
        if 'detections_3d' not in self.received:
            self.listen('detections_3d', Detection3DArray)
        self.stamp_s += 0.1
        self.send('camera_info', info_of(self.stamp_s))
        if depth is not None:
            self.send('depth', depth_of(self.stamp_s, depth))
        msg = detections_of(self.stamp_s, *objects, **fields)
        self.send('detections', msg)
        return self.spin_until(lambda: next(
            (answer for answer in self.received['detections_3d']
             if answer.header.stamp == msg.header.stamp), None))

    def reason(self, name: str = 'locate') -> str:
        """Wait for a warning in ``/diagnostics``, and return it."""
        if '/diagnostics' not in self.received:
            self.listen('/diagnostics', DiagnosticArray)
        self.received['/diagnostics'].clear()

        def newest() -> list[str]:
            return [status.message for array in self.received['/diagnostics']
                    for status in array.status if status.name == f'locate: {name}'
                    and status.level in (DiagnosticStatus.WARN, DiagnosticStatus.ERROR)]
        return self.spin_until(newest)[-1]


def running_space(**values: Any) -> AbstractContextManager[SpaceGraph]:
    """Run a locate node with these parameters."""
    return running(lambda: SpaceGraph(values))
