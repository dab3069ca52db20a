# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Tracks and tiles on a real graph: with two cameras, through model swaps, set at run time."""

import cv2
import numpy as np
import pytest
from ros_graph import running_graph
from sensor_msgs.msg import Image
from tiny_models import square_image, write_tiny_nanodet, write_tiny_yolov5

BLUE, DIM_BLUE, GREEN = (255, 0, 0), (128, 0, 0), (0, 255, 0)
EMPTY = np.zeros((128, 192, 3), np.uint8)
SMALL = square_image(128, 192, top=96, left=160)
"""A quarter of a cell in the full image, a cell in one of 2x2 tiles."""


def scene(color: tuple[int, int, int] = BLUE) -> np.ndarray:
    # 128 x 192 camera pixels are 64 x 96 network pixels: a square of 64 is one cell of 32
    return square_image(128, 192, top=64, left=128, color=color, side=64)


@pytest.fixture
def model(tmp_path):
    return write_tiny_nanodet(tmp_path / 'first')


def ids_of(answer) -> list[str]:
    return [item.id for item in answer.detections]


def test_node_tracking_fills_ids_and_follows_below_the_threshold(model):
    with running_graph(model=str(model), tracking=True, score_threshold=0.6) as graph:
        dim = scene(DIM_BLUE)  # scores 0.5
        assert ids_of(graph.ask(dim)) == []
        assert ids_of(graph.ask(scene())) == ['1']
        assert ids_of(graph.ask(scene())) == ['1']
        assert ids_of(graph.ask(dim)) == ['1']
        assert ids_of(graph.ask(EMPTY)) == []
        assert ids_of(graph.ask(scene())) == ['1']
        assert ids_of(graph.ask(scene(GREEN))) == ['2'], 'of another class'
        assert graph.change(tracking=False) == ''
        assert ids_of(graph.ask(dim)) == []
        assert ids_of(graph.ask(scene())) == ['']
        assert graph.change(tracking=True) == ''
        assert ids_of(graph.ask(scene())) == ['3'], 'a number is never given twice'


def test_node_tracks_of_two_cameras_survive_a_model_swap(model, tmp_path):
    with running_graph(model=str(model), cameras=['front', 'rear'], tracking=True) as graph:
        for name in ('front', 'rear'):
            graph.listen(f'{name}/detections')
            graph.publisher(f'{name}/image')
            graph.spin_until(lambda of=name: graph.client.count_publishers(f'{of}/detections'))
        graph.spin_for(0.1)

        def ask() -> dict[str, list[str]]:
            stamp_s = graph.stamp_s
            answers = {}
            for name in ('front', 'rear'):
                graph.stamp_s = stamp_s  # both at the same time
                answers[name] = ids_of(graph.answer(graph.send(scene(), f'{name}/image'),
                                                    f'{name}/detections'))
            return answers

        assert [ask() for _ in range(3)] == [{'front': ['1'], 'rear': ['2']}] * 3
        other = write_tiny_yolov5(tmp_path / 'second', num_classes=3)
        assert graph.change(model=str(other)) == ''
        assert ask() == {'front': ['1'], 'rear': ['2']}


def test_node_tiles_region_and_mask_change_at_run_time(model, tmp_path):
    mask = np.full((64, 96), 255, np.uint8)
    mask[32:, 48:] = 0
    cv2.imwrite(str(tmp_path / 'mask.png'), mask)
    with running_graph(model=str(model), score_threshold=0.9) as graph:
        assert graph.ask(SMALL).detections == []
        assert graph.change(tiles='2x2', tile_overlap=0.05) == ''
        box, = graph.ask(SMALL).detections
        assert box.bbox.center.position.x == pytest.approx(176, abs=2)
        assert box.bbox.center.position.y == pytest.approx(112, abs=2)
        assert graph.change(tile_mode='in_turn') == ''
        assert sorted(len(graph.ask(SMALL).detections) for _ in range(4)) == [0, 0, 0, 1]
        assert graph.change(tile_mode='all', mask=str(tmp_path / 'mask.png')) == ''
        assert graph.ask(SMALL).detections == []
        assert graph.change(mask='', tiles='1x1', region=[0.5, 0.5, 1.0, 1.0]) == ''
        assert len(graph.ask(SMALL).detections) == 1
        assert graph.change(region=[0, 0, 96, 64]) == ''
        assert graph.ask(SMALL).detections == []
        for values, words in (
                ({'tiles': '2'}, ('tiles', "'2'", '1x1 .. 8x8')),
                ({'region': [0.5, 0.0, 0.2, 1.0]}, ('region', '0.2', 'left < right')),
                ({'region': [0.5, 0.5]}, ('region', 'left, top, right, bottom')),
                ({'mask': '/absent.png'}, ('/absent.png', 'No such file'))):
            reason = graph.change(**values)
            assert all(word in reason for word in words), reason
        assert graph.ask(SMALL).detections == [], 'the last region still holds'


def test_node_rotate_changes_at_run_time_and_boxes_stay_in_camera_pixels(model, tmp_path):
    kept = tmp_path / 'kept'
    with running_graph(model=str(model), input_size=96, tracking=True,
                       capture_folder=str(kept)) as graph:
        pictures = graph.listen('annotated', Image)
        graph.spin_until(lambda: graph.client.count_publishers('annotated'))
        unsure = scene((122, 0, 0))
        for angle in (0, 90, 180, 270):
            assert graph.change(rotate=angle) == ''
            answer = graph.ask(unsure)
            box, = answer.detections
            assert (box.bbox.center.position.x, box.bbox.center.position.y, box.bbox.size_x,
                    box.bbox.size_y) == pytest.approx((160, 96, 64, 64), abs=0.1)
            assert box.id == '1', 'the object is where it was'
            graph.spin_until(lambda of=answer: pictures
                             and pictures[-1].header.stamp == of.header.stamp)
            assert (pictures[-1].height, pictures[-1].width) == (128, 192)
        graph.spin_until(lambda: list(kept.glob('*_margin_*.jpg')))
        assert {cv2.imread(str(path)).shape for path in kept.glob('*.jpg')} == {(128, 192, 3)}
        for wrong in (45, -90, 360, 'up'):
            assert f'rotate: {wrong!r}; expected' in (reason := graph.change(rotate=wrong)), reason
            assert 'one of 0, 90, 180, 270' in reason
