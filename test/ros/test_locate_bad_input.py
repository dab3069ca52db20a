# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""One reason in the log and in ``/diagnostics``, and no position that is wrong."""

from collections.abc import Callable
import time

import cv2
from diagnostic_msgs.msg import DiagnosticArray
from lite_detector.core.errors import LocateError
from lite_detector.ros.depth_messages import points_of, read_depth
from lite_detector.ros.space_conversions import stamp_ns_of
import numpy as np
import pytest
import rclpy
from rclpy.parameter import Parameter
from rclpy.serialization import serialize_message
from ros_graph import TIMEOUT_S
from sensor_msgs.msg import CompressedImage, Image
from space_graph import (
    cloud_of,
    depth_of,
    detections_of,
    HEIGHT,
    info_of,
    running_space,
    scene,
    SpaceGraph,
    WIDTH,
)
from std_msgs.msg import String
from vision_msgs.msg import Detection3DArray

PERSON = ('person', '7', 190, 90, 230, 150)


def play(graph: SpaceGraph, stamp_s: float, info: dict | None = None,
         depth: Callable | None = None, **detections) -> None:
    """Send one image; a part that is None is left out."""
    if info is not None:
        graph.send('camera_info', info_of(stamp_s, **info))
    if depth is not None:
        graph.send('depth', depth(stamp_s))
    graph.send('detections', detections_of(stamp_s, PERSON, **detections))


def wait_for_reason(graph: SpaceGraph, said: str, send: Callable[[float], None]) -> None:
    """Send image after image until ``/diagnostics`` has this reason."""
    statuses = graph.listen('/diagnostics', DiagnosticArray)
    end_s, stamp_s = time.monotonic() + TIMEOUT_S, 1.0
    while not any(said in status.message for array in statuses for status in array.status):
        assert time.monotonic() < end_s, [status.message for array in statuses
                                          for status in array.status]
        stamp_s += 0.1
        send(stamp_s)
        graph.spin_for(0.05)


def metres(stamp_s: float) -> Image:
    return depth_of(stamp_s, scene(2.0))


@pytest.mark.parametrize('info, depth, said', [
    ({'k': (0.0,) * 9}, metres, 'K is zero: the camera is not calibrated'),
    ({'distortion_model': 'radial7', 'd': [0.1] * 5}, metres, "distortion_model 'radial7'; exp"),
    ({'width': 640, 'height': 480}, metres, 'K has its principal point at (159.5, 119.5) of a '),
    ({'width': 160, 'height': 120, 'k': (150.0, 0.0, 79.5, 0.0, 150.0, 59.5, 0.0, 0.0, 1.0)},
     metres, 'boxes reach to (230, 150), but camera_info is for 160x120 images'),
    ({'frame_id': 'rear'}, metres, "camera_info has frame 'rear'; expected 'lens'"),
    ({}, lambda stamp_s: depth_of(stamp_s, scene(2000.0, wall_m=6000.0)), 'a median of 6000 m'),
    ({}, lambda stamp_s: depth_of(stamp_s, scene(2.0).astype(np.uint16)), 'a median of 0.006 m'),
    ({}, lambda stamp_s: depth_of(stamp_s, scene(2.0)[:180]), 'depth is 320x180, the camera'),
    ({}, lambda stamp_s: depth_of(stamp_s, scene(2.0), 'infra'), "depth has frame 'infra'"),
    ({}, lambda stamp_s: depth_of(stamp_s, scene(2.0), encoding='bgr8'), "has encoding 'bgr8'"),
    ({}, lambda _: metres(0.3), 'check that both drivers stamp at capture'),
    ({}, lambda stamp_s: metres(stamp_s + 90), 'they are stamped by two clocks'),
])
def test_bad_input_is_one_reason_and_no_output(info, depth, said):
    with running_space() as graph:
        located = graph.listen('detections_3d', Detection3DArray)
        wait_for_reason(graph, said, lambda stamp_s: play(graph, stamp_s, info, depth))
        assert located == []


def test_stamp_of_zero_is_refused():
    with running_space() as graph:
        wait_for_reason(graph, 'detections have stamp 0',
                        lambda _: play(graph, 0.0, {}, metres))


@pytest.mark.parametrize('compressed', [False, True])
def test_camera_info_of_another_size_than_the_image_is_refused(compressed):
    with running_space() as graph:
        located = graph.listen('detections_3d', Detection3DArray)
        publisher = graph.client.create_publisher(
            CompressedImage if compressed else Image,
            'image/compressed' if compressed else 'image', 10)
        image = Image(height=480, width=640, encoding='mono8', step=640, data=bytes(640 * 480))
        if compressed:
            image = CompressedImage(format='jpeg', data=cv2.imencode(
                '.jpg', np.zeros((480, 640), np.uint8))[1].tobytes())

        def send(stamp_s: float) -> None:
            play(graph, stamp_s, {}, metres)
            publisher.publish(image)
        wait_for_reason(graph, 'camera_info has size 320x240; expected 640x480', send)
        assert located == []
        # the image was only needed once
        graph.spin_until(lambda: not publisher.get_subscription_count())


def test_frame_without_transform_is_a_reason_and_positions_come_once_there_is_one():
    with running_space(target_frame='map') as graph:
        located = graph.listen('detections_3d', Detection3DArray)
        wait_for_reason(graph, 'no transform from lens to map: "map" passed to lookupTransform',
                        lambda stamp_s: play(graph, stamp_s, {}, metres))
        assert located == []


def test_missing_topics_are_reported_in_turn_with_what_there_is():
    context = rclpy.Context()
    rclpy.init(context=context)  # one process cannot have two types on a topic
    other = rclpy.create_node('other', context=context)
    other.create_publisher(String, 'camera_info', 10)
    other.create_publisher(Image, '/camera/depth', 10)
    with running_space() as graph:
        assert graph.reason() == 'no publisher on /detections'
        wait_for_reason(graph, '/camera_info has type std_msgs/msg/String; expected sensor_msgs/'
                        'msg/CameraInfo', lambda stamp_s: play(graph, stamp_s))
        graph.send('camera_info', info_of(1.0))
        wait_for_reason(graph, 'no publisher on /depth; sensor_msgs/msg/Image is on /camera/depth:'
                        ' remap with -r depth:=/camera/depth',
                        lambda stamp_s: play(graph, stamp_s, {}))
    other.destroy_node()
    context.shutdown()


def test_wrong_parameter_at_start_is_an_error_until_it_is_corrected():
    with running_space(object_sizes=['person:tall']) as graph:
        assert "unconfigured: object_sizes: 'person:tall'; expected class:height" in graph.reason()
        graph.locate.set_parameters([Parameter('object_sizes', value=['person:height:1.7'])])
        assert graph.frame(PERSON, depth=scene(2.0)).detections


def test_damaged_bytes_are_a_reason():
    with pytest.raises(LocateError, match='malformed message of 4 bytes'):
        stamp_ns_of(b'\0\1\0\0')
    good = serialize_message(metres(1.5))
    assert stamp_ns_of(good) == 1_500_000_000
    with pytest.raises(LocateError, match='malformed message; expected a serialized Image'):
        read_depth(good[:40], 'lens', None)


@pytest.mark.parametrize('changes, said', [
    ({'fields': []}, 'points: field x missing; expected'),
    ({'data': bytes(100)}, 'points: 100 bytes; expected 320x240 points of 16 bytes'),
    ({'point_step': 8}, 'points: a field ends at byte 16; expected at most 8'),
])
def test_points_that_do_not_fit_their_fields_are_refused(changes, said):
    msg = cloud_of(1.0, np.zeros((HEIGHT, WIDTH, 3), np.float32))
    for name, value in changes.items():
        setattr(msg, name, value)
    with pytest.raises(LocateError) as error:
        points_of(msg)
    assert said in str(error.value)


def test_points_of_an_empty_cloud_are_none():
    assert points_of(cloud_of(1.0, np.zeros((0, 0, 3), np.float32))).shape == (0, 0)
