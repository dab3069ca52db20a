# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import cv2
from lite_detector.core.errors import LocateError
from lite_detector.core.types import ImageSize
from lite_detector.scene.projection import bearings, Calibration, CameraModel
import numpy as np
import pytest

SIZE = ImageSize(480, 640)
K = (600.0, 0, 320, 0, 500, 240, 0, 0, 1)
COEFFICIENTS = {
    'plumb_bob': (-0.35, 0.15, 0.001, -0.0005, -0.02),
    'rational_polynomial': (4.2, 1.8, 0.0004, -0.0003, 0.06, 4.6, 2.9, 0.5),
    'equidistant': (-0.02, 0.008, -0.004, 0.0006),
}


def calibration(**changes) -> Calibration:
    return Calibration(**{'size': SIZE, 'k': K, **changes})


def angle_deg(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the angles between rays, shape (n, 3) each; accurate for small ones too."""
    cross = np.linalg.norm(np.cross(first, second), axis=1)
    return np.degrees(np.arctan2(cross, (first * second).sum(axis=1)))


def rays_of(normalized: np.ndarray) -> np.ndarray:
    return np.column_stack((normalized, np.ones(len(normalized))))


def opencv_pixels(points: np.ndarray, model: str, k=K) -> np.ndarray:
    """Project with OpenCV, whose pixels are integers at their centre."""
    project = cv2.fisheye.projectPoints if model == 'equidistant' else cv2.projectPoints
    pixels, _ = project(points[:, None], np.zeros(3), np.zeros(3), np.reshape(k, (3, 3)),
                        np.array(COEFFICIENTS[model]))
    return pixels.reshape(-1, 2)


def seen_points(model: str, k=K) -> np.ndarray:
    """Return 1000 random points that lie in the image."""
    random = np.random.default_rng(4)
    wide = 3.0 if model == 'equidistant' else 0.58
    points = random.uniform((-wide, -wide, 1), (wide, wide, 1), (200000, 3))
    pixels = opencv_pixels(points, model, k)
    inside = ((pixels > 0) & (pixels < (SIZE.width, SIZE.height))).all(axis=1)
    points = points[inside][:1000] * random.uniform(0.3, 40, (1000, 1))
    assert len(points) == 1000
    return points


def test_normalized_of_no_pixels_is_empty():
    assert CameraModel(calibration()).normalized([]).shape == (0, 2)
    assert bearings(np.zeros((0, 2))).shape == (0, 2)


def test_normalized_of_a_pinhole_worked_by_hand():
    camera = CameraModel(calibration())
    # the centre of pixel (320, 240) is at 320.5, 240.5
    found = camera.normalized([(320.5, 240.5), (620.5, 240.5), (320.5, 490.5)])
    np.testing.assert_allclose(found, [(0, 0), (0.5, 0), (0, 0.5)], atol=1e-12)


def test_bearings_are_positive_to_the_right_and_up():
    # 45 degrees right; 45 degrees down; right and up: the elevation is over the ground distance
    found = bearings(np.array([(1.0, 0.0), (0.0, 1.0), (1.0, -np.sqrt(2))]))
    quarter = np.pi / 4
    np.testing.assert_allclose(found, [(quarter, 0), (0, -quarter), (quarter, quarter)])


@pytest.mark.parametrize('model', COEFFICIENTS)
def test_bearing_of_1000_random_points_is_within_a_tenth_of_a_degree_of_opencv(model):
    # narrow enough a lens for the widest angle to be in the image
    k = (220.0, 0, 320, 0, 220, 240, 0, 0, 1) if model == 'equidistant' else K
    points = seen_points(model, k)
    camera = CameraModel(calibration(k=k, d=COEFFICIENTS[model], distortion_model=model))
    normalized = camera.normalized(opencv_pixels(points, model, k) + 0.5)
    assert angle_deg(rays_of(normalized), points).max() < 0.02
    azimuth, elevation = bearings(normalized).T
    direction = np.column_stack((np.sin(azimuth) * np.cos(elevation), -np.sin(elevation),
                                 np.cos(azimuth) * np.cos(elevation)))
    assert angle_deg(direction, points).max() < 0.02


@pytest.mark.parametrize('model', COEFFICIENTS)
def test_project_is_the_inverse_of_normalized(model):
    camera = CameraModel(calibration(d=COEFFICIENTS[model], distortion_model=model))
    pixels = np.random.default_rng(2).uniform((0, 0), (640, 480), (300, 2))
    points = rays_of(camera.normalized(pixels)) * 7
    np.testing.assert_allclose(camera.project(points), pixels, atol=0.11)


def test_project_behind_and_beside_the_camera_is_nan():
    camera = CameraModel(calibration(d=COEFFICIENTS['plumb_bob'], distortion_model='plumb_bob'))
    # the polynomial would fold the last one back into the image
    found = camera.project([(0, 0, -1), (0, 0, 0), (9, 0, 1), (0, 0, 2)])
    assert np.isnan(found[:3]).all()
    np.testing.assert_allclose(found[3], (320.5, 240.5))


def test_region_and_binning_give_the_rays_of_the_full_image():
    full = CameraModel(calibration())
    part = CameraModel(calibration(roi=(100, 60, 400, 300), binning=(2, 3)))
    assert part.size == ImageSize(100, 200)
    assert part.focal == (300.0, 500 / 3)
    # left edge of binned pixel 10 is full pixel 100 + 20; top edge of 20 is 60 + 60
    np.testing.assert_allclose(part.normalized([(10, 20)]), full.normalized([(120, 120)]))
    np.testing.assert_allclose(part.project([(0.1, -0.1, 1)]) * (2, 3) + (100, 60),
                               full.project([(0.1, -0.1, 1)]))


def test_rectified_pixels_go_by_p_without_distortion():
    p = (400.0, 0, 300, -40, 0, 400, 200, 0, 0, 0, 1, 0)
    camera = CameraModel(calibration(p=p, d=COEFFICIENTS['plumb_bob'],
                                     distortion_model='plumb_bob'), rectified=True)
    np.testing.assert_allclose(camera.normalized([(500.5, 100.5)]), [(0.5, -0.25)])


def test_rotation_turns_rays_into_the_rectified_frame():
    rotation, _ = cv2.Rodrigues(np.array([0.0, 0.1, 0.02]))
    camera = CameraModel(calibration(r=rotation.ravel(), d=COEFFICIENTS['plumb_bob'],
                                     distortion_model='plumb_bob'))
    points = seen_points('plumb_bob')
    pixels = opencv_pixels(points, 'plumb_bob') + 0.5
    assert angle_deg(rays_of(camera.normalized(pixels)), points @ rotation.T).max() < 0.02
    np.testing.assert_allclose(camera.project(points[:5] @ rotation.T), pixels[:5], atol=1e-6)


def test_fisheye_pixel_beyond_85_degrees_has_no_ray():
    camera = CameraModel(calibration(k=(150.0, 0, 320, 0, 150, 240, 0, 0, 1),
                                     distortion_model='equidistant', d=(0.0, 0, 0, 0)))
    # 150 pixels per rad: 84 degrees are 219.9 pixels, 86 degrees are 225.1
    found = camera.normalized([(320.5 + 219.9, 240.5), (320.5 + 225.2, 240.5)])
    assert found[0, 0] == pytest.approx(np.tan(219.9 / 150), rel=1e-3)
    assert np.isnan(found[1]).all()


@pytest.mark.parametrize('changes, said', [
    ({'k': (0.0,) * 9}, 'K is zero: the camera is not calibrated'),
    ({'k': ()}, 'K is zero'),
    ({'k': (-600.0, 0, 320, 0, 500, 240, 0, 0, 1)}, 'focal lengths -600 and 500'),
    ({'k': (float('nan'), 0, 320, 0, 500, 240, 0, 0, 1)}, 'focal lengths nan'),
    ({'k': (1200.0, 0, 640, 0, 1000, 480, 0, 0, 1)}, 'belongs to another resolution'),
    ({'k': (300.0, 0, 160, 0, 250, 120, 0, 0, 1)}, 'belongs to another resolution'),
    ({'distortion_model': 'radial7', 'd': (0.1, 0, 0, 0, 0)}, "distortion_model 'radial7'; exp"),
    ({'distortion_model': 'plumb_bob', 'd': (0.1, 0)}, '2 values; expected 4 or 5 for plumb_bob'),
    ({'distortion_model': 'plumb_bob', 'd': (float('nan'),) * 5}, 'expected finite numbers'),
    ({'roi': (600, 0, 100, 100)}, 'region of 100x100 at (600, 0)'),
    ({'size': ImageSize(0, 0)}, 'of a 0x0 image'),
    ({'r': (2.0,) * 9}, 'R; expected a rotation matrix'),
])
def test_camera_of_an_impossible_calibration_is_refused(changes, said):
    with pytest.raises(LocateError, match='^camera_info: ') as error:
        CameraModel(calibration(**changes))
    assert said in str(error.value)


def test_rectified_camera_without_p_is_refused():
    with pytest.raises(LocateError, match='P is zero'):
        CameraModel(calibration(p=(0.0,) * 12), rectified=True)


@pytest.mark.parametrize('model', ['', 'plumb_bob', 'unknown'])
def test_no_distortion_needs_no_model(model):
    camera = CameraModel(calibration(distortion_model=model, d=(0.0,) * 5))
    np.testing.assert_allclose(camera.normalized([(620.5, 240.5)]), [(0.5, 0)])
