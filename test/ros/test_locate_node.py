# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the locate node publishes, on a real graph."""

import math
import sys

from geometry_msgs.msg import PointStamped, TransformStamped, Vector3Stamped
import numpy as np
import pytest
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from space_graph import (
    cloud_of,
    detections_of,
    FOCAL,
    HEIGHT,
    info_of,
    running_space,
    scene,
    WIDTH,
)
from std_msgs.msg import Bool
from tf2_msgs.msg import TFMessage
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

BOX = (190, 90, 230, 150)
PERSON = ('person', '7', *BOX)
# the centre of the box is 50 px right of the axis and 0 px below it; at 2 m
POSITION = (50 / FOCAL * 2, 0.0, 2.0)
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def xyz(point) -> tuple[float, float, float]:
    return point.x, point.y, point.z


def transform_msg(target: str, source: str, stamp, translation, quaternion) -> TFMessage:
    """Return a TF message for points of the source in the target frame."""
    msg = TransformStamped(child_frame_id=source)
    msg.header.frame_id, msg.header.stamp = target, stamp
    x, y, z = translation
    msg.transform.translation.x, msg.transform.translation.y = x, y
    msg.transform.translation.z = z
    q = msg.transform.rotation
    q.x, q.y, q.z, q.w = quaternion
    return TFMessage(transforms=[msg])


def test_detection_is_located_field_by_field():
    with running_space() as graph:
        found = graph.frame(PERSON, depth=scene(2.0))
        assert found.header.frame_id == 'lens'
        detection, = found.detections
        assert detection.header == found.header and detection.id == '7'
        result, = detection.results
        assert (result.hypothesis.class_id, result.hypothesis.score) == ('person', 0.75)
        np.testing.assert_allclose(xyz(result.pose.pose.position), POSITION, atol=1e-9)
        assert result.pose.pose == detection.bbox.center
        assert detection.bbox.center.orientation.w == 1
        np.testing.assert_allclose(xyz(detection.bbox.size), (40 / FOCAL * 2, 60 / FOCAL * 2, 0))
        covariance = result.pose.covariance.reshape(6, 6)
        assert covariance[2, 2] == pytest.approx(0.02 ** 2)
        assert np.linalg.eigvalsh(covariance).min() > 0
        # no objects, and one without depth: arrays all the same
        assert graph.frame(depth=scene(2.0)).detections == []
        assert graph.frame(PERSON, depth=np.zeros((HEIGHT, WIDTH), np.uint16)).detections == []
        # millimetres, at half the resolution
        millimetres = (scene(2.0)[::2, ::2] * 1000).astype(np.uint16)
        detection, = graph.frame(PERSON, depth=millimetres).detections
        np.testing.assert_allclose(xyz(detection.bbox.center.position), POSITION, atol=1e-6)


def test_known_size_gives_the_range_of_a_plain_camera_and_loads_no_tf():
    with running_space(range_from='size', object_sizes=['person:height:1.7']) as graph:
        found = graph.frame(PERSON, ('dog', '8', 10, 90, 50, 150))
        detection, = found.detections
        assert detection.bbox.center.position.z == pytest.approx(1.7 * FOCAL / 60)
        assert 'tf2_ros' not in sys.modules or graph.locate._transforms is None
        topics = {name for name, _ in graph.locate.get_subscriber_names_and_types_by_node(
            'locate', '/')}
        assert not topics & {'/tf', '/depth', '/points'}


@pytest.mark.parametrize('organised', [True, False])
def test_points_locate_like_depth(organised):
    z = scene(2.0)
    x = (np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL * z
    y = ((np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL)[:, None] * z
    points = np.stack((x, y, z), axis=-1)
    if not organised:
        points = points[::3, ::2].reshape(1, -1, 3)
    with running_space(range_from='points') as graph:
        graph.listen('detections_3d', Detection3DArray)
        graph.send('camera_info', info_of(1.0))
        graph.send('points', cloud_of(1.0, points))
        graph.send('detections', detections_of(1.0, PERSON))
        found = graph.spin_until(lambda: graph.received['detections_3d'])
        np.testing.assert_allclose(xyz(found[0].detections[0].bbox.center.position), POSITION,
                                   atol=1e-6)


def test_points_of_a_lidar_come_by_tf():
    # the LiDAR looks along its x, is 0.2 m above the camera: lens = R * lidar + t
    z = scene(2.0)[::3, ::3]
    x = ((np.arange(WIDTH) + 0.5 - WIDTH / 2) / FOCAL)[::3] * z
    y = ((np.arange(HEIGHT) + 0.5 - HEIGHT / 2) / FOCAL)[::3, None] * z
    lidar = np.stack((z, -x, -(y + 0.2)), axis=-1).reshape(1, -1, 3)
    with running_space(range_from='points') as graph:
        graph.listen('detections_3d', Detection3DArray)
        graph.send('camera_info', info_of(1.0))
        graph.send('points', cloud_of(1.0, lidar, 'lidar'))
        graph.send('detections', detections_of(1.0, PERSON))
        assert 'no transform from lidar to lens' in graph.reason()
        info = info_of(1.0)
        graph.client.create_publisher(TFMessage, '/tf_static', LATCHED).publish(transform_msg(
            'lens', 'lidar', info.header.stamp, (0.0, -0.2, 0.0), (0.5, -0.5, 0.5, 0.5)))
        graph.spin_for(0.3)
        graph.send('points', cloud_of(1.5, lidar, 'lidar'))
        graph.send('detections', detections_of(1.5, PERSON))
        found = graph.spin_until(lambda: graph.received['detections_3d'])
        np.testing.assert_allclose(xyz(found[0].detections[0].bbox.center.position), POSITION,
                                   atol=1e-6)


def test_target_frame_turns_positions_and_covariances():
    # map x is forward, y left, z up: from the optical frame, 10 m further on
    with running_space(target_frame='map') as graph:
        publisher = graph.client.create_publisher(TFMessage, '/tf', 10)
        graph.spin_until(publisher.get_subscription_count)
        points = graph.listen('target_point', PointStamped)
        graph.locate.set_parameters([Parameter('follow', value='id:7')])
        for stamp_s in (1000.0, 1001.0):
            publisher.publish(transform_msg('map', 'lens', info_of(stamp_s).header.stamp,
                                            (9.0 + stamp_s - 1000, 0.0, 1.0),
                                            (-0.5, 0.5, -0.5, 0.5)))
        graph.spin_for(0.3)
        graph.stamp_s = 1000.4
        found = graph.frame(PERSON, depth=scene(2.0))
        assert found.header.frame_id == 'map'
        detection, = found.detections
        assert detection.header == found.header
        # at 1000.5 s the camera is at 9.5 m
        expected = (9.5 + POSITION[2], -POSITION[0], 1 - POSITION[1])
        np.testing.assert_allclose(xyz(detection.bbox.center.position), expected, atol=1e-6)
        q = detection.bbox.center.orientation
        # q and -q are the same rotation
        assert abs(np.dot((q.x, q.y, q.z, q.w), (-0.5, 0.5, -0.5, 0.5))) == pytest.approx(1)
        covariance = detection.results[0].pose.covariance.reshape(6, 6)
        assert covariance[0, 0] == pytest.approx(0.02 ** 2)
        assert covariance[0, 1] == pytest.approx(-POSITION[0] / 2 * 0.02 ** 2)
        point = graph.spin_until(lambda: points)[0]
        assert point.header == found.header
        np.testing.assert_allclose(xyz(point.point), expected, atol=1e-6)


def test_markers_are_published_only_while_somebody_listens():
    with running_space() as graph:
        graph.frame(PERSON, depth=scene(2.0))
        assert not graph.locate._motion._ids  # nor is anything computed for them
        markers = graph.listen('markers', MarkerArray)
        graph.spin_until(lambda: graph.locate.count_subscribers('markers'))
        for step in range(6):  # away at 1 m/s
            depth = scene(2.0 + 0.1 * step)
            depth[90:150, 20:60] = 4.0
            graph.frame(PERSON, ('dog', '', 20, 90, 60, 150), depth=depth)
        newest = graph.spin_until(lambda: markers[5:])[0].markers
        clear, box, text, _, dog = newest
        assert clear.action == Marker.DELETEALL
        assert (box.type, text.type) == (Marker.CUBE, Marker.TEXT_VIEW_FACING)
        assert (box.ns, box.header.frame_id) == ('boxes', 'lens')
        np.testing.assert_allclose(xyz(box.pose.position), np.array(POSITION) * 1.25, atol=1e-6)
        assert text.text == 'person #7\n2.5 m\n1.0 m/s'
        assert dog.text == 'dog\n4.3 m'  # not tracked


def test_follow_publishes_bearing_distance_and_loss():
    with running_space(follow='person', follow_memory_s=0.25) as graph:
        targets = graph.listen('target', Vector3Stamped)
        lost = graph.listen('target_lost', Bool, LATCHED)
        graph.frame(PERSON, depth=scene(2.0))
        graph.frame(PERSON, depth=scene(2.0))  # seen twice
        target = graph.spin_until(lambda: targets)[0]
        assert target.header.frame_id == 'lens'
        assert target.vector.x == pytest.approx(math.atan(50 / FOCAL))
        assert target.vector.y == pytest.approx(0, abs=1e-9)
        assert target.vector.z == pytest.approx(math.hypot(*POSITION))
        graph.frame(depth=scene(2.0))  # not seen, predicted
        predicted = graph.spin_until(lambda: targets[1:])[0]
        assert predicted.vector.x == pytest.approx(math.atan(50 / FOCAL), abs=0.01)
        assert math.isnan(predicted.vector.z)
        for _ in range(3):
            graph.frame(depth=scene(2.0))
        graph.spin_until(lambda: len(lost) > 2)
        assert [msg.data for msg in lost[:3]] == [True, False, True]
        assert graph.reason('target') == 'lost person'


def test_target_needs_no_depth():
    with running_space(follow='id:7') as graph:
        targets = graph.listen('target', Vector3Stamped)
        graph.send('camera_info', info_of(1.0))
        for stamp_s in (1.0, 1.1):
            graph.send('detections', detections_of(stamp_s, PERSON))
        graph.spin_for(0.6)
        graph.send('detections', detections_of(2.0, PERSON))
        target = graph.spin_until(lambda: targets)[0]
        assert target.vector.x == pytest.approx(math.atan(50 / FOCAL))
        assert math.isnan(target.vector.z)


def test_parameters_change_at_run_time_or_are_refused():
    with running_space() as graph:
        def change(name, value):
            return graph.locate.set_parameters([Parameter(name, value=value)])[0].reason
        assert change('follow', 'person') == ''
        assert 'object_sizes' in change('object_sizes', ['person'])
        assert 'expected unconfigured' in change('target_frame', 'map')
        assert 'min_distance_m' in change('min_distance_m', 70.0)
        assert change('object_sizes', ['person:height:1.7']) == ''
        none = np.zeros((HEIGHT, WIDTH), np.uint16)
        assert len(graph.frame(PERSON, depth=none).detections) == 1
        graph.locate.trigger_deactivate()
        graph.locate.trigger_activate()
        assert len(graph.frame(PERSON, depth=none).detections) == 1
        graph.locate.trigger_deactivate()
        graph.locate.trigger_cleanup()
        assert graph.locate.count_publishers('detections_3d') == 0
