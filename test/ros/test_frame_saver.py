# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import json
from pathlib import Path

import cv2
from lite_detector.ros.conversions import bgr_to_image_msg
from node_process import assert_one_error_line, Client, RELIABLE, ros_arguments
import numpy as np
import pytest
from rclpy.duration import Duration
from sensor_msgs.msg import Image
from std_msgs.msg import Header
from vision_msgs.msg import (
    Detection2D,
    Detection2DArray,
    ObjectHypothesis,
    ObjectHypothesisWithPose,
)


def picture(level: int, frame_id: str) -> Image:
    return bgr_to_image_msg(np.full((48, 64, 3), level, np.uint8), Header(frame_id=frame_id))


def found(frame_id: str, *objects: tuple[str, float]) -> Detection2DArray:
    """Make a message of (class_id, score)."""
    return Detection2DArray(header=Header(frame_id=frame_id), detections=[
        Detection2D(results=[ObjectHypothesisWithPose(
            hypothesis=ObjectHypothesis(class_id=class_id, score=score))])
        for class_id, score in objects])


class Detector:
    """Publishes what the test says it found; stands in for the detector node."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._annotated = client.node.create_publisher(Image, 'annotated', RELIABLE)
        self._detections = client.node.create_publisher(Detection2DArray, 'detections', RELIABLE)

    def connect(self) -> None:
        self._client.spin_until(lambda: self._annotated.get_subscription_count()
                                and self._detections.get_subscription_count())
        # The other side may not know us yet; DDS would repeat what it misses only 3 s later.
        self._client.spin_for(0.2)

    def publish(self, *messages: Image | Detection2DArray) -> None:
        for message in messages:
            publisher = self._annotated if isinstance(message, Image) else self._detections
            publisher.publish(message)
            assert publisher.wait_for_all_acked(Duration(seconds=20))


@pytest.fixture
def client():
    client = Client()
    yield client
    client.close()


def pictures(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob('*.jpg'))


def test_frame_saver_writes_pictures_and_reports_on_ctrl_c(client, tmp_path):
    folder = tmp_path / 'new' / 'folder'
    detector = Detector(client)
    process = client.start('frame_saver', *ros_arguments(output_dir=str(folder), max_frames=5))
    detector.connect()
    broken = picture(0, 'street')
    broken.encoding = 'pigeon'
    without_results = found('street')
    without_results.detections = [Detection2D()]
    # A callback per topic and round: once the fifth picture is there, so are the detections.
    detector.publish(
        found('street', ('car', 0.5), ('person', 0.75), ('person', 0.25)),
        found('street', ('person', 0.25)),
        without_results,
        found('yard'),
        found('street', ('car', 0.25), ('person', 0.5)))
    detector.publish(broken, picture(40, 'street'), picture(80, 'left/eye 1'), picture(120, ''),
                     picture(160, 'yard'), picture(200, 'yard'), picture(240, 'too many'))
    wanted = ['0001_street.jpg', '0002_left_eye_1.jpg', '0003_frame.jpg', '0004_yard.jpg',
              '0005_yard.jpg']
    client.spin_until(lambda: pictures(folder) == wanted)
    process.interrupt()
    status, stdout, stderr = process.result()
    assert status == 0
    assert 'Traceback' not in stderr
    assert "street: encoding 'pigeon' is not one of" in stderr
    assert pictures(folder) == wanted
    for name, level in zip(wanted, (40, 80, 120, 160, 200), strict=True):
        image = cv2.imread(str(folder / name))
        assert image.shape == (48, 64, 3)
        np.testing.assert_allclose(image, level, atol=3)
    # of two objects of a class in one frame the better one counts
    assert stdout.splitlines() == [
        'street: 4 frames: person in 75% (score 0.50), car in 50% (score 0.38)',
        'yard: 1 frames: nothing',
        f'wrote 5 pictures to {folder}']
    assert json.loads((folder / 'summary.json').read_text()) == {
        'street': {'frames': 4, 'classes': {
            'person': {'share_of_frames': 0.75, 'mean_best_score': 0.5},
            'car': {'share_of_frames': 0.5, 'mean_best_score': 0.38}}},
        'yard': {'frames': 1, 'classes': {}}}


def test_frame_saver_that_cannot_write_its_summary_says_so_after_the_report(client, tmp_path):
    (tmp_path / 'summary.json').mkdir()
    detector = Detector(client)
    process = client.start('frame_saver', *ros_arguments(output_dir=str(tmp_path)))
    detector.connect()
    detector.publish(picture(40, 'street'))
    client.spin_until(lambda: pictures(tmp_path) == ['0001_street.jpg'])
    process.interrupt()
    status, stdout, stderr = process.result()
    assert status == 2
    assert stdout == f'wrote 1 pictures to {tmp_path}\n'
    assert_one_error_line(stderr, 'summary.json: Is a directory')


@pytest.mark.parametrize(('parameters', 'parts'), [
    ({'output_dir': 'a_file/below'}, ['output_dir', 'below: Not a directory']),
    ({'output_dir': 'fine', 'max_frames': -1}, ['max_frames: -1; expected 0 .. 1000000']),
], ids=['below a file', 'parameter'])
def test_frame_saver_with_a_wrong_parameter_ends_with_one_line(
        run_python, tmp_path, parameters, parts):
    (tmp_path / 'a_file').write_text('')
    parameters = {**parameters, 'output_dir': str(tmp_path / parameters['output_dir'])}
    done = run_python('-m', 'lite_detector', 'frame_saver', *ros_arguments(**parameters))
    assert done.returncode == 2
    assert done.stdout == ''
    assert_one_error_line(done.stderr, *parts)
