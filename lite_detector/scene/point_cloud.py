# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Project points of a LiDAR or of another depth camera into a depth image of the camera."""

from __future__ import annotations

import math

from lite_detector.scene.depth import DepthImage
from lite_detector.scene.projection import CameraModel
import numpy as np
import numpy.typing as npt

POINTS_PER_CELL = 1.7
"""Mean number of points per pixel of the depth image, so that few pixels are holes."""
CELL_PX = (1.0, 24.0)
"""Minimum and maximum side of a pixel of the depth image in pixels of the camera."""


def project_points(points: npt.NDArray[np.floating], camera: CameraModel,
                   max_distance_m: float) -> DepthImage:
    """
    Project points into a coarse depth image; the nearest point of each pixel counts.

    :param points: x, y, z in the optical frame of the camera in metres, shape (n, 3); NaN is
        ignored.
    :param camera: Camera model.
    :param max_distance_m: Maximum depth in metres; farther points are ignored.
    """
    depths = points[:, 2]
    ahead = points[(depths > 0) & (depths < max_distance_m)]
    pixels = camera.project(ahead)
    seen = ((pixels >= 0) & (pixels < (camera.size.width, camera.size.height))).all(axis=1)
    area = camera.size.height * camera.size.width
    cell = math.sqrt(POINTS_PER_CELL * area / max(int(seen.sum()), 1))
    cell = min(max(cell, CELL_PX[0]), CELL_PX[1])
    scale = np.ceil(np.array(camera.size) / cell) / camera.size  # full pixels, same aspect ratio
    image = np.full(np.ceil(np.array(camera.size) / cell).astype(int), np.inf, np.float32)
    rows, columns = (pixels[seen, ::-1] * scale).astype(np.intp).T
    np.minimum.at(image, (rows, columns), ahead[seen, 2].astype(np.float32))
    return DepthImage(image, sparse=True)
