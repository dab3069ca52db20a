# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From boxes in an image to positions and sizes in metres, with their uncertainty."""

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
"""Standard deviation of a depth camera or a LiDAR, as part of the depth."""
PERCENTILE_SPAN = 3.29
"""Standard deviations between the 5th and the 95th percentile of a normal distribution."""
LEAST_SPREAD_M = 0.001
"""Added across, so that no covariance is singular."""
BORDER_PX = 2.0
"""A box that ends so near to the border of the image is cut by it."""

Array = npt.NDArray[np.float64]


class BoxRays(NamedTuple):
    """Where boxes are in the plane at depth 1."""

    middle: Array
    """Of the centre of the box, x / z and y / z, shape (n, 2); NaN: no ray."""
    sides: Array
    """Width and height, shape (n, 2)."""


@dataclass(frozen=True)
class Located:
    """
    Where objects are, in the optical frame in metres; NaN where that is unknown.

    A position is the middle of what the camera sees of the object: the ray through the centre of
    its box, at the median depth of its visible part. The extent along z is that of the visible
    part, or 0 where only the size of the class is known.

    :param positions: x to the right, y down, z forward, shape (n, 3).
    :param sizes: along x, y, z, shape (n, 3).
    :param covariances: of the positions, m^2, shape (n, 3, 3).
    :param bearings: azimuth to the right and elevation up, rad, shape (n, 2).
    """

    positions: Array
    sizes: Array
    covariances: Array
    bearings: Array

    @property
    def known(self) -> npt.NDArray[np.intp]:
        """Return the places of the objects that have a position."""
        return np.flatnonzero(np.isfinite(self.positions[:, 2]))


def locate(boxes_xyxy: FloatArray, class_names: Sequence[str], camera: CameraModel,
           depth: DepthImage | None, sizes: Mapping[str, KnownSize],
           limits_m: tuple[float, float]) -> Located:
    """
    Locate the objects of one image.

    :param boxes_xyxy: in pixels of the camera, shape (n, 4).
    :param class_names: by box.
    :param depth: of the same time, registered to the camera; None: only known sizes give a range.
    :param sizes: by class name; used where depth gives no distance.
    :param limits_m: least and largest depth that counts.
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
    Refuse boxes of a larger image than the camera's.

    :raises LocateError: with how far they reach.
    """
    if not len(boxes_xyxy):
        return
    right, bottom = boxes_xyxy[:, 2:].max(axis=0)
    if right > camera.size.width + BORDER_PX or bottom > camera.size.height + BORDER_PX:
        raise LocateError(f'boxes reach to ({right:.0f}, {bottom:.0f}), camera_info is of '
                          f'{camera.size} images; expected that of the images that were detected '
                          'in')


def box_rays(boxes_xyxy: FloatArray, camera: CameraModel) -> BoxRays:
    """
    Return the rays of boxes: of the centre, and of the middle of each edge for the sides.

    :param boxes_xyxy: in pixels of the camera, shape (n, 4).
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
    Return the depth at which objects of a known size fill their boxes, and its deviation.

    The known side is taken as parallel to the image. A box that the border of the image cuts
    along that side gives no depth.

    :return: metres, shape (n,) each; NaN: unknown.
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
