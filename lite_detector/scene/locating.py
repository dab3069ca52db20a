# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Convert boxes to positions and sizes in metres, with uncertainty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from lite_detector.core.errors import LocateError
from lite_detector.core.types import FloatArray
from lite_detector.scene.depth import DepthImage, object_depths
from lite_detector.scene.object_sizes import KnownSize
from lite_detector.scene.projection import bearings, CameraModel
from lite_detector.scene.tracking import MEASURED
import numpy as np
import numpy.typing as npt

DEPTH_NOISE = 0.01
"""Standard deviation of a depth camera or a LiDAR, relative to the depth."""
PERCENTILE_SPAN = 3.29
"""Distance of the 5th and the 95th percentile of a normal distribution in standard deviations."""
LEAST_SPREAD_M = 0.001
"""Lateral standard deviation in metres that keeps covariances regular."""
BORDER_PX = 2.0
"""Distance to the image border in pixels below which a box counts as cut off."""

Array = npt.NDArray[np.float64]


class BoxRays(NamedTuple):
    """Boxes in the plane at depth 1."""

    middle: Array
    """Centre of the box, x / z and y / z, shape (n, 2); NaN: no ray."""
    sides: Array
    """Width and height, shape (n, 2)."""


@dataclass(frozen=True)
class Located:
    """
    Positions of objects in the optical frame in metres; NaN where unknown.

    A position is the centre of the visible part of the object: the ray through the centre of its
    box, at the median depth. The extent along z is that of the visible part, or 0 if only the size
    of the class is known.

    :param positions: x to the right, y down, z forward, in metres, shape (n, 3).
    :param sizes: Extents along x, y, z in metres, shape (n, 3).
    :param covariances: Covariances of the positions in m^2, shape (n, 3, 3).
    :param bearings: Azimuth to the right and elevation up in rad, shape (n, 2).
    """

    positions: Array
    sizes: Array
    covariances: Array
    bearings: Array

    @property
    def known(self) -> npt.NDArray[np.intp]:
        """Return the indices of the objects with a known position."""
        return np.flatnonzero(np.isfinite(self.positions[:, 2]))


def locate(boxes_xyxy: FloatArray, class_names: Sequence[str], camera: CameraModel,
           depth: DepthImage | None, sizes: Mapping[str, KnownSize],
           limits_m: tuple[float, float]) -> Located:
    """
    Locate the objects of one image.

    :param boxes_xyxy: Boxes in pixels of the camera, shape (n, 4).
    :param class_names: Class name of each box.
    :param camera: Camera model.
    :param depth: Depth image of the same time, registered to the camera; None: use known sizes.
    :param sizes: Known sizes by class name, used where the depth image has no distance.
    :param limits_m: Minimum and maximum valid depth in metres.
    """
    rays = box_rays(boxes_xyxy, camera)
    number = len(boxes_xyxy)
    z, spread, thickness = np.full(number, np.nan), np.zeros(number), np.zeros(number)
    if depth is not None and number:
        found = object_depths(depth, boxes_xyxy, camera.size,
                              np.nan_to_num(rays.sides.min(axis=1)), limits_m)
        z = found.median.astype(float)
        thickness = np.nan_to_num((found.farthest - found.nearest).astype(float))
        spread = np.hypot(DEPTH_NOISE * z, thickness / PERCENTILE_SPAN)
    if sizes:
        by_size, by_size_spread = depths_by_size(boxes_xyxy, class_names, rays, camera, sizes)
        missing = ~np.isfinite(z)
        z[missing], spread[missing] = by_size[missing], by_size_spread[missing]
    z[~np.isfinite(rays.middle).all(axis=1)] = np.nan
    return _located(rays, z, spread, thickness)


def check_boxes(boxes_xyxy: FloatArray, camera: CameraModel) -> None:
    """
    Raise an error for boxes outside of the camera image.

    :param boxes_xyxy: Boxes in pixels of the camera, shape (n, 4).
    :param camera: Camera model.
    :raises LocateError: if a box exceeds the image size of the calibration.
    """
    if not len(boxes_xyxy):
        return
    right, bottom = boxes_xyxy[:, 2:].max(axis=0)
    if right > camera.size.width + BORDER_PX or bottom > camera.size.height + BORDER_PX:
        raise LocateError(f'boxes reach to ({right:.0f}, {bottom:.0f}), but camera_info is for '
                          f'{camera.size} images; expected the calibration of the images that '
                          'were detected in')


def box_rays(boxes_xyxy: FloatArray, camera: CameraModel) -> BoxRays:
    """
    Return the rays through the centre of each box, and its sides at depth 1.

    :param boxes_xyxy: Boxes in pixels of the camera, shape (n, 4).
    :param camera: Camera model.
    """
    left, top, right, bottom = np.asarray(boxes_xyxy, float).T
    x, y = (left + right) / 2, (top + bottom) / 2
    points = np.stack(((x, y), (left, y), (right, y), (x, top), (x, bottom)))
    middle, *edges = camera.normalized(points.transpose(0, 2, 1).reshape(-1, 2)).reshape(5, -1, 2)
    sides = np.column_stack((edges[1][:, 0] - edges[0][:, 0], edges[3][:, 1] - edges[2][:, 1]))
    return BoxRays(middle, sides)


def depths_by_size(boxes_xyxy: FloatArray, class_names: Sequence[str], rays: BoxRays,
                   camera: CameraModel, sizes: Mapping[str, KnownSize]) -> tuple[Array, Array]:
    """
    Return the depth of objects from the known size of their class, and its standard deviation.

    The known side is assumed to be parallel to the image plane. Boxes that the image border cuts
    along that side are skipped.

    :param boxes_xyxy: Boxes in pixels of the camera, shape (n, 4).
    :param class_names: Class name of each box.
    :param rays: Rays of the boxes.
    :param camera: Camera model.
    :param sizes: Known sizes by class name.
    :return: Depth and standard deviation in metres, shape (n,) each; NaN: unknown.
    """
    depth, spread = np.full((2, len(class_names)), np.nan)
    known = [(index, size) for index, name in enumerate(class_names) if (size := sizes.get(name))]
    if not known:
        return depth, spread
    rows = np.array([index for index, _ in known])
    axis, metres, deviation = np.array([size for _, size in known], float).T
    axis = axis.astype(np.intp)
    sides = rays.sides[rows, axis]
    border = np.array((camera.size.width, camera.size.height)) - BORDER_PX
    whole = ((boxes_xyxy[rows, axis] > BORDER_PX) & (boxes_xyxy[rows, axis + 2] < border[axis])
             & (sides > 0))
    rows, sides, metres, deviation = (each[whole] for each in (rows, sides, metres, deviation))
    depth[rows] = metres / sides
    spread[rows] = depth[rows] * np.hypot(deviation / metres, MEASURED)
    return depth, spread


def _located(rays: BoxRays, z: Array, spread: Array, thickness: Array) -> Located:
    directions = np.column_stack((rays.middle, np.ones(len(z))))
    metres = rays.sides * z[:, None]
    covariances = directions[:, :, None] * directions[:, None] * (spread ** 2)[:, None, None]
    for axis in (0, 1):
        covariances[:, axis, axis] += (MEASURED * metres[:, axis]) ** 2 + LEAST_SPREAD_M ** 2
    return Located(directions * z[:, None], np.column_stack((metres, thickness)), covariances,
                   bearings(rays.middle))
