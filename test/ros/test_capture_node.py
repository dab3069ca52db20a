# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A node that keeps frames worth a label, and goes on where it cannot."""

from pathlib import Path

from builtin_interfaces.msg import Time
import cv2
from lite_detector.ros.conversions import bgr_to_image_msg
import numpy as np
from ros_graph import running_graph
from std_msgs.msg import Header
from tiny_models import square_image, write_tiny_nanodet

# a channel of 122 scores sigmoid(20 * 122 / 255 - 10) = 0.394
UNSURE = square_image(128, 192, top=64, left=128, color=(122, 0, 0), side=64)
SURE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)


def test_node_keeps_the_frame_that_it_is_unsure_of(tmp_path):
    model, folder = write_tiny_nanodet(tmp_path / 'model'), tmp_path / 'kept'
    with running_graph(model=str(model), capture_folder=str(folder)) as graph:
        assert len(graph.ask(SURE).detections) == 1
        answer = graph.ask(UNSURE)
        assert len(answer.detections) == 1
        path, = graph.spin_until(lambda: list(folder.glob('*.jpg')))
    seconds, _, *_, reason, percent = path.stem.split('_')
    assert int(seconds) == answer.header.stamp.sec
    # 0.044 above the threshold, of 0.1: 0.56 of a half
    assert (reason, int(percent)) == ('margin', 28)
    assert cv2.imread(str(path)).shape == UNSURE.shape


def test_node_keeps_the_frame_in_which_a_track_was_lost(tmp_path):
    model, folder = write_tiny_nanodet(tmp_path / 'model'), tmp_path / 'kept'
    empty = np.zeros((192, 192, 3), np.uint8)
    middle = square_image(192, 192, top=64, left=64, color=(255, 0, 0), side=64)
    with running_graph(model=str(model), capture_folder=str(folder), tracking=True,
                       input_size=96) as graph:
        graph.ask(empty)
        for tick, scene in enumerate((middle, middle, empty)):
            stamp = Time(sec=2000, nanosec=tick * 10 ** 8)
            msg = bgr_to_image_msg(scene, Header(stamp=stamp))
            graph.publisher('image').publish(msg)
            ids = [item.id for item in graph.answer(msg).detections]
            assert ids == ([] if scene is empty else ['1'])
        path, = graph.spin_until(lambda: list(folder.glob('*.jpg')))
    assert path.name == '2000_200000000_image_lost_100.jpg'


def test_node_whose_captures_cannot_be_written_detects_on(tmp_path):
    model = write_tiny_nanodet(tmp_path / 'model')
    (tmp_path / 'file').write_text('no folder')
    with running_graph(model=str(model), capture_folder=str(tmp_path / 'file' / 'kept'),
                       capture_max_files=1, capture_max_mb=1) as graph:
        for _ in range(3):
            assert len(graph.ask(UNSURE).detections) == 1
        assert int(graph.values(graph.diagnosis('camera /image'))['dropped as unusable']) == 0
    assert Path(tmp_path / 'file').read_text() == 'no folder'
