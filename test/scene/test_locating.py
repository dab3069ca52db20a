# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from lite_detector.core.errors import ConfigError
from lite_detector.core.types import ImageSize
from lite_detector.scene.depth import DepthImage
from lite_detector.scene.locating import locate
from lite_detector.scene.object_sizes import KnownSize, parse_object_sizes
from lite_detector.scene.projection import Calibration, CameraModel
import numpy as np
import pytest

SIZE = ImageSize(480, 640)
CAMERA = CameraModel(Calibration(SIZE, (500.0, 0, 319.5, 0, 500, 239.5, 0, 0, 1)))
LIMITS_M = (0.1, 60.0)
# 100 px right of the axis, 50 px above it; 100 wide, 200 high
BOX = np.array([(370, 90, 470, 290)], np.float32)
PERSON = {'person': KnownSize(1, 1.7, 0.17)}


def test_locate_nothing():
    found = locate(np.zeros((0, 4), np.float32), [], CAMERA, None, PERSON, LIMITS_M)
    assert found.positions.shape == found.sizes.shape == (0, 3)
    assert found.covariances.shape == (0, 3, 3) and found.bearings.shape == (0, 2)
    assert not len(found.known)


def test_locate_by_depth_worked_by_hand():
    pixels = np.full(SIZE, 10.0, np.float32)
    pixels[90:290, 370:470] = 4.0
    found = locate(BOX, ['dog'], CAMERA, DepthImage(pixels), {}, LIMITS_M)
    np.testing.assert_allclose(found.positions, [(100 / 500 * 4, -50 / 500 * 4, 4)])
    np.testing.assert_allclose(found.sizes, [(100 / 500 * 4, 200 / 500 * 4, 0)])
    wanted = [(np.arctan(0.2), np.arctan2(0.1, np.hypot(0.2, 1)))]
    np.testing.assert_allclose(found.bearings, wanted)
    # 1 % of the depth along the ray (0.2, -0.1, 1), 5 % of each side across
    wanted = np.outer((0.2, -0.1, 1), (0.2, -0.1, 1)) * 0.04 ** 2
    wanted += np.diag(((0.05 * 0.8) ** 2, (0.05 * 1.6) ** 2, 0))
    np.testing.assert_allclose(found.covariances[0], wanted, atol=2e-6)


def test_locate_by_known_height_worked_by_hand():
    found = locate(BOX, ['person'], CAMERA, None, PERSON, LIMITS_M)
    # 1.7 m are 200 of 500 px: 4.25 m
    np.testing.assert_allclose(found.positions, [(0.85, -0.425, 4.25)])
    np.testing.assert_allclose(found.sizes, [(0.85, 1.7, 0)])
    # 10 % by the size and 5 % by the box
    assert found.covariances[0, 2, 2] == pytest.approx(4.25 ** 2 * (0.1 ** 2 + 0.05 ** 2))


def test_locate_by_known_width():
    found = locate(BOX, ['car'], CAMERA, None, {'car': KnownSize(0, 1.8, 0.1)}, LIMITS_M)
    assert found.positions[0, 2] == pytest.approx(1.8 * 500 / 100)


@pytest.mark.parametrize('box, name, known', [
    ((370, 90, 470, 290), 'dog', False),     # size unknown
    ((370, 1, 470, 290), 'person', False),   # cut by the upper border
    ((370, 90, 470, 479), 'person', False),  # by the lower one
    ((370, 90, 640, 290), 'person', True),   # the height is whole
    ((370, 90, 370, 90), 'person', False),   # no height
])
def test_locate_by_known_height_only_where_the_box_shows_all_of_it(box, name, known):
    found = locate(np.array([box], np.float32), [name], CAMERA, None, PERSON, LIMITS_M)
    assert len(found.known) == known
    assert np.isfinite(found.bearings).all()


def test_locate_prefers_depth_and_falls_back_to_the_size():
    pixels = np.full(SIZE, 10.0, np.float32)
    pixels[90:290, 370:470] = 4.0
    pixels[90:290, 100:200] = 0  # a hole as large as the box
    boxes = np.array([BOX[0], (100, 90, 200, 290)], np.float32)
    found = locate(boxes, ['person'] * 2, CAMERA, DepthImage(pixels), PERSON, LIMITS_M)
    np.testing.assert_allclose(found.positions[:, 2], (4, 4.25))


def test_parse_object_sizes():
    assert parse_object_sizes([]) == {}
    assert parse_object_sizes(['traffic light:height:0.9', 'car:width:1.8:0.2']) == {
        'traffic light': KnownSize(1, 0.9, pytest.approx(0.09)), 'car': KnownSize(0, 1.8, 0.2)}


@pytest.mark.parametrize('entries, said', [
    (['person'], "'person'; expected class:height:metres"),
    (['person:depth:1'], 'expected class:height'),
    (['person:height:tall'], 'expected class:height'),
    (['person:height:-1'], 'expected class:height'),
    (['person:height:nan'], 'expected class:height'),
    (['person:height:1.7:2'], 'expected class:height'),
    (['person:height:1.7', 'person:width:0.5'], 'duplicate class person'),
])
def test_parse_object_sizes_of_a_wrong_entry_is_refused(entries, said):
    with pytest.raises(ConfigError, match='^object_sizes: ') as error:
        parse_object_sizes(entries)
    assert said in str(error.value)
