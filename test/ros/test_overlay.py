# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the node publishes for people to look at: image markers, and every frame with boxes."""

import threading

from lite_detector.core.draw import class_color
from lite_detector.core.types import Detections
from lite_detector.ros.conversions import image_msg_to_bgr
from lite_detector.ros.overlay import image_marker
import numpy as np
import pytest
from ros_graph import running_graph
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header
from tiny_models import square_image, write_tiny_nanodet
from visualization_msgs.msg import ImageMarker

# 128 x 192 camera pixels are 64 x 96 network pixels: a square of 64 is one cell of 32
SCENE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
EMPTY = np.zeros_like(SCENE)
CORNERS = ((128, 64), (192, 64), (192, 128), (128, 128))


@pytest.fixture
def graph(tmp_path):
    with running_graph(model=str(write_tiny_nanodet(tmp_path / 'first'))) as running:
        yield running


def test_image_marker_without_boxes_is_an_empty_list_of_lines():
    marker = image_marker(Header(frame_id='lens'), Detections.empty())
    assert (marker.type, marker.action) == (ImageMarker.LINE_LIST, ImageMarker.ADD)
    assert (len(marker.points), len(marker.outline_colors)) == (0, 0)


def test_image_markers_hold_the_sides_of_each_box_in_the_colour_of_its_class(graph):
    markers = graph.listen('image_markers', ImageMarker)
    graph.spin_until(lambda: graph.client.count_publishers('image_markers'))
    graph.spin_for(0.3)
    answer = graph.ask(SCENE)
    graph.spin_until(lambda: markers)
    marker = markers[-1]
    assert (marker.header, marker.ns, marker.id) == (answer.header, 'detections', 0)
    sides = zip(CORNERS, (*CORNERS[1:], CORNERS[0]), strict=True)
    wanted = [corner for side in sides for corner in side]
    np.testing.assert_allclose([(point.x, point.y) for point in marker.points], wanted, atol=0.1)
    blue, green, red = class_color(0)
    assert len(marker.outline_colors) == 4  # one for each line
    for color in marker.outline_colors:
        assert (color.r, color.g, color.b, color.a) == pytest.approx(
            (red / 255, green / 255, blue / 255, 1))
    # nothing found: the message takes away the lines of the one before
    answer = graph.ask(EMPTY)
    graph.spin_until(lambda: markers[-1].header == answer.header)
    assert len(markers[-1].points) == 0


def test_node_without_visualization_msgs_detects(tmp_path, run_python):
    model = write_tiny_nanodet(tmp_path / 'first')
    script = tmp_path / 'node.py'
    script.write_text("""
import sys
sys.modules['visualization_msgs'] = sys.modules['visualization_msgs.msg'] = None
import rclpy
from rclpy.parameter import Parameter
from lite_detector.ros.node import DetectorNode
rclpy.init()
node = DetectorNode(parameter_overrides=[Parameter('model', value=sys.argv[1])])
node.autostart()
print(node._state, sorted(name for name, _ in node.get_publisher_names_and_types_by_node(
    'detector', '/') if name in ('/annotated', '/image_markers')))
node.destroy_node()
""")
    done = run_python(script, model)
    assert done.stdout.strip() == "active ['/annotated']", done.stderr


def test_annotate_every_frame_shows_frames_that_wait_for_a_detection(graph):
    pictures = graph.listen('annotated', Image)
    graph.spin_until(lambda: graph.client.count_publishers('annotated'))
    graph.spin_for(0.3)
    graph.ask(SCENE)
    graph.spin_until(lambda: pictures)
    assert graph.change(annotate_every_frame=True) == ''
    with graph.detector._working:  # the worker cannot detect now
        msg = graph.send(EMPTY)
        graph.spin_until(lambda: pictures[-1].header == msg.header)
        shown = image_msg_to_bgr(pictures[-1])
        # the newest boxes, which are those of the scene
        assert (shown[96, 128] == class_color(0)).all()
        graph.stamp_s += 10
        late = graph.send(EMPTY)
        graph.spin_until(lambda: pictures[-1].header == late.header)
        assert not image_msg_to_bgr(pictures[-1]).any()  # boxes of long ago are not drawn
    count = len(pictures)
    assert graph.change(annotate_every_frame=False) == ''
    graph.ask(SCENE)
    graph.spin_until(lambda: len(pictures) > count)


def test_annotate_every_frame_draws_nothing_and_has_no_thread_while_nobody_listens(graph):
    assert graph.change(annotate_every_frame=True) == ''
    graph.ask(SCENE)
    assert 'live_view' not in [thread.name for thread in threading.enumerate()]
    graph.listen('annotated', Image)
    graph.spin_until(lambda: graph.client.count_publishers('annotated'))
    graph.spin_for(0.3)
    graph.ask(SCENE)
    assert 'live_view' in [thread.name for thread in threading.enumerate()]
    graph.detector.trigger_deactivate()
    assert 'live_view' not in [thread.name for thread in threading.enumerate()]


def test_node_annotates_full_images_although_it_detects_in_reduced_ones(tmp_path):
    model = write_tiny_nanodet(tmp_path / 'first')
    with running_graph(model=str(model), transport='compressed') as graph:
        graph.listen('detections')
        graph.publisher('image/compressed', CompressedImage)
        graph.spin_for(0.2)
        alone = graph.answer(graph.send_compressed(SCENE, 'image/compressed'))
        pictures = graph.listen('annotated', Image)
        graph.spin_until(lambda: graph.client.count_publishers('annotated'))
        graph.spin_for(0.3)
        watched = graph.answer(graph.send_compressed(SCENE, 'image/compressed'))
        graph.spin_until(lambda: pictures)
        assert (pictures[0].height, pictures[0].width) == SCENE.shape[:2]
        for answer in (alone, watched):
            box = answer.detections[0].bbox
            assert (box.center.position.x, box.center.position.y, box.size_x, box.size_y
                    ) == pytest.approx((160, 96, 64, 64), abs=1)
