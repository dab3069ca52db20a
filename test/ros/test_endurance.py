# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The endurance tests see what is wrong; a few of them at toy size."""

from pathlib import Path

from lite_detector import detector as detector_module
from lite_detector.ros.camera import Camera
import pytest
import rclpy
from ros_graph import running_graph
from sensor_msgs.msg import CompressedImage, Image
from tiny_models import square_image, write_tiny_nanodet
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose

SCRIPTS = Path(__file__).resolve().parents[1] / 'endurance'
SCENE = square_image(128, 192, top=64, left=128, color=(255, 0, 0), side=64)
NAN, INFINITE = float('nan'), float('inf')


@pytest.fixture
def model(tmp_path) -> str:
    return str(write_tiny_nanodet(tmp_path / 'model'))


@pytest.fixture(autouse=True)
def scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))


def array_of(x: float, y: float, width: float, height: float, score: float) -> Detection2DArray:
    item = Detection2D(results=[ObjectHypothesisWithPose()])
    item.bbox.center.position.x, item.bbox.center.position.y = x, y
    item.bbox.size_x, item.bbox.size_y = width, height
    item.results[0].hypothesis.score = score
    return Detection2DArray(detections=[item])


def broken(figures) -> list[str]:
    """Return the names of the figures whose condition does not hold."""
    return [figure.name for figure in figures if not figure.holds]


def test_wrong_boxes_of_no_or_sound_detections_are_none():
    from figures import wrong_boxes
    assert wrong_boxes(Detection2DArray(), 60, 40) == []
    assert wrong_boxes(array_of(30., 20., 60., 40., 1.0), 60, 40) == []


@pytest.mark.parametrize('values', [
    (30, 20, 60.1, 40, 0.5), (-1, 20, 10, 10, 0.5), (30, 36, 10, 10, 0.5),
    (30, 20, 0, 10, 0.5), (30, 20, 10, -1, 0.5), (NAN, 20, 10, 10, 0.5),
    (30, 20, INFINITE, 10, 0.5), (30, 20, 10, 10, 1.1), (30, 20, 10, 10, NAN)])
def test_wrong_boxes_names_each_that_is_none(values):
    from figures import wrong_boxes
    assert len(wrong_boxes(array_of(*map(float, values)), 60, 40)) == 1


def test_figures_hold_up_to_their_limit_and_nothing_measured_is_broken():
    from figures import at_least, at_most, equal, none_of, table, told
    holds = [at_most('a', 2, 2), at_least('b', 2, 2), equal('c', 0, 0), none_of('d', []),
             told('e', 7)]
    assert broken(holds) == []
    fails = [at_most('a', 2.1, 2), at_most('b', NAN, 2), at_least('c', 1, 2),
             at_least('d', NAN, 2), equal('e', None, 0), none_of('f', ['x'])]
    assert broken(fails) == list('abcdef')
    assert table({'all': holds}).count('BROKEN') == 0
    assert table({'all': fails}).count('BROKEN') == 6


def test_fuzzed_messages_find_nothing_in_the_node(model):
    from fuzz_messages import fuzz_messages
    figures = list(fuzz_messages(model, 400, seed=1))
    assert broken(figures) == []
    values = {figure.name: figure.value for figure in figures}
    # 200 messages and the known picture once
    assert values['raw: published + dropped'] == values['compressed: published + dropped'] == '201'


def test_fuzzed_messages_find_planted_faults(model, monkeypatch):
    from fuzz_messages import fuzz_messages
    monkeypatch.setattr(detector_module, 'clip_boxes', lambda boxes, size: boxes + 5)
    read = Camera.read

    def stumble(camera, msg):
        if getattr(msg, 'encoding', '') == 'rgb8':  # read in place: no Image
            raise ZeroDivisionError('division by zero')
        return read(camera, msg)
    monkeypatch.setattr(Camera, 'read', stumble)
    found = broken(fuzz_messages(model, 400, seed=1))
    assert 'raw: wrong boxes' in found
    assert 'raw: drops without a clear reason' in found


def test_fuzzed_cards_and_parameters_find_nothing(model, tmp_path):
    from fuzz_files import fuzz_cards, fuzz_parameter_files, fuzz_parameters
    assert broken(fuzz_cards(model, 40, 1, tmp_path / 'scratch')) == []
    assert broken(fuzz_parameters(model, 50, 1)) == []
    assert broken(fuzz_parameter_files(model, 5, 1, tmp_path)) == []


def test_node_outlives_participants_that_come_and_go(model):
    with running_graph(model=model) as graph:
        assert len(graph.ask(SCENE).detections) == 1
        for kind, topic in ((Image, 'image'), (CompressedImage, 'image'), (Image, 'annotated')):
            other = rclpy.Context()
            rclpy.init(context=other)
            guest = rclpy.create_node('guest', context=other)
            if topic == 'annotated':
                guest.create_subscription(kind, topic, lambda msg: None, 1)
            else:
                guest.create_publisher(kind, topic, 1)
            graph.spin_for(0.3)
            assert len(graph.ask(SCENE).detections) == 1
            rclpy.shutdown(context=other)
            assert len(graph.ask(SCENE).detections) == 1
