# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Camera model: transform pixels to rays and back, based on ``sensor_msgs/msg/CameraInfo``.

Frames follow REP 103: the optical frame has x to the right, y down and z forward. OpenCV computes
the distortion; values that it cannot invert become NaN.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
from lite_detector.core.errors import LocateError
from lite_detector.core.types import ImageSize
import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

PINHOLE = {'plumb_bob': (4, 5), 'rational_polynomial': (8, 12, 14)}
"""Distortion model -> allowed numbers of coefficients."""
FISHEYE = {'equidistant': (4,), 'fisheye': (4,)}
MAX_RESIDUAL_PX = 0.1
"""Maximum reprojection error of a ray, in pixels of the full resolution."""
REFINEMENTS = 20
OFF_CENTER = 0.24
"""Maximum distance of the principal point in K from the centre, in sides of the image. A K for
twice the resolution has a distance of at least 0.25."""
WIDEST = np.tan(np.radians(85.0))
"""Maximum length of a normalized point; the image plane cannot represent wider rays."""


@dataclass(frozen=True)
class Calibration:
    """
    Fields of a CameraInfo message; arrays are row-major.

    ``roi`` is (left, top, width, height) in pixels of the full resolution. A width and height of
    zero mean the full image. A binning of 0 means 1.
    """

    size: ImageSize
    k: Sequence[float]
    d: Sequence[float] = ()
    distortion_model: str = ''
    r: Sequence[float] = ()
    p: Sequence[float] = ()
    binning: tuple[int, int] = (1, 1)
    roi: tuple[int, int, int, int] = (0, 0, 0, 0)


class CameraModel:
    """
    Rays of pixels, and pixels of points, for one calibration.

    Pixels are continuous coordinates of the image after region of interest and binning: 0 is the
    left edge of the first pixel, as in ``Detections``. If R is not the identity (stereo), rays are
    in the rectified frame, as in ``image_geometry``.

    :param calibration: Calibration of the camera.
    :param rectified: True: pixels are of the rectified image, so P is used instead of K and D.
    :raises LocateError: if the calibration is invalid: zeros, NaN, an unknown distortion model, or
        a region or a principal point outside of the image.
    """

    def __init__(self, calibration: Calibration, rectified: bool = False) -> None:
        left, top, width, height = calibration.roi
        full = calibration.size
        self._binning = np.array([max(each, 1) for each in calibration.binning], float)
        self._offset = np.array((left, top), float)
        width, height = width or full.width, height or full.height
        if min(full) < 1 or left + width > full.width or top + height > full.height:
            raise LocateError(f'camera_info: region of {width}x{height} at ({left}, {top}) of a '
                              f'{full} image; expected one inside the image')
        self.size = ImageSize(height // int(self._binning[1]), width // int(self._binning[0]))
        self._matrix = _matrix(calibration, rectified)
        self._coefficients, self._fisheye = np.zeros(0), False
        self._rotation = np.eye(3)
        if not rectified:
            self._coefficients, self._fisheye = _coefficients(calibration)
            self._rotation = _rotation(calibration.r)
        self._turned = not np.allclose(self._rotation, np.eye(3), atol=1e-6)
        self._widest = self._largest_radius()

    @property
    def focal(self) -> tuple[float, float]:
        """Horizontal and vertical focal lengths in pixels of the image."""
        return (float(self._matrix[0, 0] / self._binning[0]),
                float(self._matrix[1, 1] / self._binning[1]))

    def normalized(self, pixels: npt.ArrayLike) -> Points:
        """
        Return the points at depth 1 that project to pixels.

        :param pixels: x and y, shape (n, 2).
        :return: x / z and y / z, float64, shape (n, 2); NaN if there is no ray or its angle to the
            axis exceeds 85 degrees.
        """
        pixels = np.asarray(pixels, float).reshape(-1, 2)
        if not len(pixels):
            return np.zeros((0, 2))
        full = pixels * self._binning + self._offset - 0.5
        found = self._undistorted(full)
        if self._turned:
            rays = np.column_stack((found, np.ones(len(found)))) @ self._rotation.T
            found = np.where(rays[:, 2:] > 0, rays[:, :2] / rays[:, 2:], np.nan)
        return found

    def _undistorted(self, full: Points) -> Points:
        focal, center = self._matrix.diagonal()[:2], self._matrix[:2, 2]
        if not self._coefficients.any() and not self._fisheye:
            return (full - center) / focal
        undistort = cv2.fisheye.undistortPoints if self._fisheye else cv2.undistortPoints
        found = undistort(full[:, None], self._matrix, self._coefficients)[:, 0]
        found[~(np.abs(found) < WIDEST).all(axis=1)] = np.nan
        for _ in range(REFINEMENTS):  # OpenCV stops after five iterations by default
            residual = full - self._distorted(found)
            wrong = (np.abs(residual) > MAX_RESIDUAL_PX).any(axis=1)  # False for NaN
            if self._fisheye or not wrong.any():
                break
            found[wrong] += residual[wrong] / focal
        found[wrong] = np.nan
        return found

    def _distorted(self, normalized: Points) -> Points:
        if not self._coefficients.any() and not self._fisheye:
            return normalized * self._matrix.diagonal()[:2] + self._matrix[:2, 2]
        points = np.column_stack((normalized, np.ones(len(normalized))))[:, None]
        zeros = np.zeros(3)
        project = cv2.fisheye.projectPoints if self._fisheye else cv2.projectPoints
        return project(points, zeros, zeros, self._matrix, self._coefficients)[0].reshape(-1, 2)

    def _largest_radius(self) -> float:
        """Return the largest distance of the image border from the axis at depth 1."""
        width, height = float(self.size.width), float(self.size.height)
        border = [(x, y) for x in np.linspace(0, width, 9).tolist() for y in (0.0, height)]
        border += [(x, y) for x in (0.0, width) for y in np.linspace(0, height, 9).tolist()]
        radius = np.linalg.norm(self.normalized(border), axis=1)
        return 1.05 * float(np.nanmax(radius, initial=0.0)) or float(WIDEST)

    def project(self, points: npt.ArrayLike) -> Points:
        """
        Project points to pixels.

        :param points: x, y, z in the optical frame in metres, shape (n, 3).
        :return: Pixels, float64, shape (n, 2); NaN behind the camera and outside of its field of
            view, where distortion polynomials are invalid.
        """
        points = np.asarray(points, float).reshape(-1, 3)
        pixels = np.full((len(points), 2), np.nan)
        with np.errstate(divide='ignore', invalid='ignore'):
            normalized = points[:, :2] / points[:, 2:]
            seen = (points[:, 2] > 0) & (np.hypot(*normalized.T) <= self._widest)
        if not seen.any():
            return pixels
        normalized = normalized[seen]
        if self._turned:
            rays = np.column_stack((normalized, np.ones(len(normalized)))) @ self._rotation
            normalized = rays[:, :2] / rays[:, 2:]
        pixels[seen] = (self._distorted(normalized) + 0.5 - self._offset) / self._binning
        return pixels


def bearings(normalized: Points) -> Points:
    """
    Return the directions of rays in the optical frame.

    :param normalized: Points from :meth:`CameraModel.normalized`, shape (n, 2).
    :return: Azimuth (positive to the right) and elevation (positive up) in rad, shape (n, 2).
    """
    x, y = normalized.T
    return np.column_stack((np.arctan(x), np.arctan2(-y, np.hypot(x, 1.0))))


def _matrix(calibration: Calibration, rectified: bool) -> Points:
    values = calibration.p if rectified else calibration.k
    name, shape = ('P', (3, 4)) if rectified else ('K', (3, 3))
    matrix = np.array(values, float)
    if matrix.size != shape[0] * shape[1] or not matrix.any():
        raise LocateError(f'camera_info: {name} is zero: the camera is not calibrated; calibrate '
                          'it, or pass the calibration file to its driver')
    matrix = np.ascontiguousarray(matrix.reshape(shape)[:, :3])
    size, center = calibration.size, matrix[:2, 2]
    if not np.isfinite(matrix).all() or matrix[0, 0] <= 0 or matrix[1, 1] <= 0:
        raise LocateError(f'camera_info: {name} has the focal lengths {matrix[0, 0]:g} and '
                          f'{matrix[1, 1]:g}; expected pixels above 0')
    inside = center / (size.width, size.height)
    if not (np.abs(inside - 0.5) < (OFF_CENTER if name == 'K' else 0.5)).all():
        raise LocateError(
            f'camera_info: {name} has its principal point at ({center[0]:g}, {center[1]:g}) of a '
            f'{size} image; it belongs to another resolution')
    matrix[0, 1], matrix[1, 0], matrix[2] = 0.0, 0.0, (0.0, 0.0, 1.0)
    return matrix


def _coefficients(calibration: Calibration) -> tuple[Points, bool]:
    """Return the distortion coefficients, and whether the lens is a fisheye."""
    model, d = calibration.distortion_model, np.array(calibration.d, float)
    if not np.isfinite(d).all():
        raise LocateError('camera_info: D contains NaN or infinity; expected finite numbers')
    if not d.any() and model not in FISHEYE:
        return np.zeros(0), False
    known = {**PINHOLE, **FISHEYE}
    if model not in known:
        raise LocateError(f'camera_info: distortion_model {model[:60]!r}; expected one of '
                          + ', '.join(known))
    if len(d) not in known[model] and len(d):
        counts = ' or '.join(map(str, known[model]))
        raise LocateError(f'camera_info: D has {len(d)} values; expected {counts} for {model}')
    if model in FISHEYE:
        return (d if len(d) else np.zeros(4)), True
    return d, False


def _rotation(r: Sequence[float]) -> Points:
    rotation = np.array(r, float)
    if not rotation.any():  # many drivers do not set it
        return np.eye(3)
    rotation = rotation.reshape(3, 3)
    if not np.allclose(rotation @ rotation.T, np.eye(3), atol=0.01):
        raise LocateError('camera_info: R; expected a rotation matrix')
    return rotation
