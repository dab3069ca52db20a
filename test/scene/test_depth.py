# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

from depth_scenes import center_medians, mean_depths, scenes
from lite_detector.core.errors import LocateError
from lite_detector.core.types import ImageSize
from lite_detector.scene.depth import check_depth, DepthImage, object_depths
from lite_detector.scene.point_cloud import project_points
from lite_detector.scene.projection import Calibration, CameraModel
import numpy as np
import pytest

SIZE = ImageSize(240, 320)
LIMITS_M = (0.1, 60.0)
BOX = np.array([(100, 60, 180, 160)], np.float32)


def wall_with(object_m: float | None = None, wall_m: float = 5.0) -> np.ndarray:
    """Return a wall with a plate before it that covers 40 % of the box, on its left side."""
    pixels = np.full(SIZE, wall_m, np.float32)
    if object_m is not None:
        pixels[60:160, 100:132] = object_m
    return pixels


def measure(depth: DepthImage, boxes: np.ndarray = BOX, camera: ImageSize = SIZE) -> tuple:
    found = object_depths(depth, boxes, camera, np.full(len(boxes), 0.2), LIMITS_M)
    return tuple(each.tolist() for each in found)


def test_object_depths_of_no_boxes_are_empty():
    assert measure(DepthImage(wall_with()), np.zeros((0, 4), np.float32)) == ([], [], [])


def test_object_depth_is_of_the_object_though_the_wall_fills_most_of_the_box():
    assert measure(DepthImage(wall_with(2.0))) == ([2.0], [2.0], [2.0])


def test_object_depth_is_behind_a_rail_that_goes_on_outside_of_the_box():
    pixels = wall_with(2.0)
    pixels[90:130] = 1.0
    assert measure(DepthImage(pixels))[0] == [2.0]


def test_object_depth_in_millimetres_with_holes():
    pixels = (wall_with(2.0) * 1000).astype(np.uint16)
    pixels[::2, ::3] = 0
    pixels[60:120, 110:132] = 0
    assert measure(DepthImage(pixels, 0.001))[0] == [pytest.approx(2.0)]


@pytest.mark.parametrize('hole', [0, np.nan, np.inf, -np.inf, -3, 1e9, 0.05])
def test_object_depth_counts_no_hole(hole):
    pixels = wall_with(2.0)
    pixels[60:160:2] = hole
    assert measure(DepthImage(pixels))[0] == [2.0]


def test_object_depth_of_an_object_without_depth_is_unknown_not_the_wall():
    assert np.isnan(measure(DepthImage(wall_with(np.nan)))).all()
    assert np.isnan(measure(DepthImage(np.full(SIZE, np.nan, np.float32)))).all()


def test_object_depth_of_a_box_that_fills_the_image_is_the_nearest_thing_in_its_middle():
    pixels = wall_with()
    pixels[40:200, 40:280] = 3.0
    box = np.array([(0, 0, 320, 240)], np.float32)
    assert measure(DepthImage(pixels), box)[0] == [3.0]


def test_object_depth_of_a_box_beyond_the_border():
    pixels = wall_with()
    pixels[200:, :60] = 1.5
    box = np.array([(-10, 195, 58, 260)], np.float32)
    assert measure(DepthImage(pixels), box)[0] == [1.5]


def test_object_depth_of_a_depth_image_of_half_the_size():
    half = wall_with(2.0)[::2, ::2]
    boxes = np.concatenate((BOX, [(200, 60, 300, 160)])).astype(np.float32)
    median, _, _ = measure(DepthImage(half), boxes)
    assert median[0] == 2.0 and np.isnan(median[1])


def test_object_depths_give_the_extent_of_what_is_visible():
    pixels = wall_with()
    pixels[60:160, 100:180] = np.linspace(2.0, 2.2, 80)  # a side that turns away
    median, nearest, farthest = measure(DepthImage(pixels))
    assert median == [pytest.approx(2.1, abs=0.01)]
    # 5 % and 95 % of 0.2 m
    assert nearest == [pytest.approx(2.01, abs=0.01)]
    assert farthest == [pytest.approx(2.19, abs=0.01)]


def test_check_depth_refuses_another_shape():
    with pytest.raises(LocateError, match='is 320x240, the camera 640x360: other aspect ratio'):
        check_depth(DepthImage(wall_with()), ImageSize(360, 640))
    check_depth(DepthImage(wall_with()), ImageSize(480, 640))


@pytest.mark.parametrize('pixels, unit_m, median', [
    (wall_with(wall_m=5000.0), 1.0, '5000'),              # 32FC1 in mm
    (np.full(SIZE, 5, np.uint16), 0.001, '0.005'),        # 16UC1 in m
])
def test_check_depth_refuses_another_unit(pixels, unit_m, median):
    with pytest.raises(LocateError, match=f'depth has a median of {median} m; expected .*REP'):
        check_depth(DepthImage(pixels, unit_m), SIZE)


def test_check_depth_takes_an_image_of_holes():
    check_depth(DepthImage(np.zeros(SIZE, np.uint16), 0.001), SIZE)


def angles(scene) -> np.ndarray:
    sides = scene.boxes_xyxy[:, 2:] - scene.boxes_xyxy[:, :2]
    return sides.min(axis=1) / scene.focal


def test_accuracy_on_rendered_scenes_beats_the_mean_and_the_median_of_the_centre():
    errors = {'object': [], 'mean': [], 'center': []}
    on_background = []
    for scene in scenes(40, seed=1, size=ImageSize(120, 160)):
        depths = object_depths(scene.depth, scene.boxes_xyxy, scene.size, angles(scene),
                               LIMITS_M).median
        for name, found in (('object', depths), ('mean', mean_depths(scene)),
                            ('center', center_medians(scene))):
            errors[name].extend(np.abs(found - scene.depths_m) / scene.depths_m)
        on_background.extend(np.abs(depths - scene.background_m)
                             < np.abs(depths - scene.depths_m))
    median = {name: np.nanmedian(each) for name, each in errors.items()}
    assert median['object'] < 0.005 < median['mean']
    assert median['object'] < median['center'] < median['mean']
    assert np.isnan(errors['object']).mean() < 0.02
    assert np.mean(on_background) <= 0.01


def test_accuracy_with_a_lidar_of_30_m():
    errors = []
    for scene in scenes(15, seed=3, reach_m=25.0, size=SIZE):
        x, y = scene.center
        camera = CameraModel(Calibration(scene.size, (scene.focal, 0, x - 0.5, 0, scene.focal,
                                                      y - 0.5, 0, 0, 1)))
        depth = project_points(scene.points, camera, LIMITS_M[1])
        found = object_depths(depth, scene.boxes_xyxy, scene.size, angles(scene), LIMITS_M)
        errors.extend(np.abs(found.median - scene.depths_m) / scene.depths_m)
    assert np.nanmedian(errors) < 0.01
    assert np.nanpercentile(errors, 90) < 0.05


def test_project_points_keeps_the_nearest_in_a_cell():
    camera = CameraModel(Calibration(SIZE, (300.0, 0, 160, 0, 300, 120, 0, 0, 1)))
    # two points on the axis, one 15 px right of it, one behind the camera, one that is none
    points = np.array([(0, 0, 4), (0, 0, 2), (0.05 * 3, 0, 3), (0, 0, -1), (np.nan,) * 3])
    image = project_points(points, camera, 10.0).pixels
    assert image.shape == (10, 14)  # cells of at most 24 px
    assert sorted(image[np.isfinite(image)].tolist()) == [2.0]
    image = project_points(np.tile(points, (3000, 1)), camera, 10.0).pixels
    assert sorted(image[np.isfinite(image)].tolist()) == [2.0, 3.0]


def test_project_points_of_none_is_an_image_of_holes():
    camera = CameraModel(Calibration(SIZE, (300.0, 0, 160, 0, 300, 120, 0, 0, 1)))
    assert np.isinf(project_points(np.zeros((0, 3)), camera, 10.0).pixels).all()
