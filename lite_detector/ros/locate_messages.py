# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Located objects as vision_msgs and visualization_msgs messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from geometry_msgs.msg import Point, PointStamped, Pose, Quaternion, Vector3, Vector3Stamped
from lite_detector.core.draw import class_color
from lite_detector.ros.serialized_detections import empty_rows, RESULT, write_detections
import numpy as np
import numpy.typing as npt
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import Detection3DArray
from visualization_msgs.msg import Marker, MarkerArray

UNKNOWN_ANGLE = math.pi ** 2 / 3
"""Variance of an unknown angle in rad^2."""
LEAST_SIDE_M = 0.02
"""Thickness of the marker of an object with unknown depth, in metres."""
CERTAIN_M_S = 1.0
"""Velocities with a larger standard deviation are not shown."""
TEXT_M = 0.15

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Objects:
    """
    Located objects of one image, in the frame that they are published in.

    :param class_names: Class names, n of them.
    :param scores: Scores of the detections.
    :param ids: Track ids; an empty text without tracking.
    :param positions: Positions in metres, shape (n, 3).
    :param sizes: Sizes along the axes of the camera in metres, shape (n, 3).
    :param covariances: Covariances of the positions in m^2, shape (n, 3, 3).
    :param orientation: Orientation of the camera as a quaternion x, y, z, w.
    :param distances: Distances from the camera in metres, shape (n,).
    """

    class_names: Sequence[str]
    scores: Sequence[float]
    ids: Sequence[str]
    positions: Array
    sizes: Array
    covariances: Array
    orientation: tuple[float, float, float, float]
    distances: Array


def detection_3d_array(header: Header, objects: Objects) -> bytes:
    """
    Return a serialized Detection3DArray.

    :param header: Header with the stamp of the image and the frame of the positions.
    """
    rows = empty_rows(Detection3DArray, len(objects.ids))
    rows[:, 0] = objects.scores
    pose, box = rows[:, 1:8], rows[:, RESULT:]
    pose[:, :3], pose[:, 3:] = objects.positions, objects.orientation
    covariances = rows[:, 8:RESULT].reshape(-1, 6, 6)  # a copy
    covariances[:, :3, :3] = objects.covariances
    covariances[:, (3, 4, 5), (3, 4, 5)] = UNKNOWN_ANGLE
    rows[:, 8:RESULT] = covariances.reshape(-1, 36)
    box[:, :7], box[:, 7:] = pose, objects.sizes
    return write_detections(Detection3DArray, header, objects.class_names, rows, objects.ids)


def markers_of(header: Header, objects: Objects, velocities: Array,
               deviations: Array) -> MarkerArray:
    """
    Return a box and a text for each object, and what removes those of the last image.

    :param header: Header with the stamp of the image and the frame of the positions.
    :param velocities: Velocities in m/s, shape (n, 3).
    :param deviations: Standard deviations in m/s, shape (n,); infinity: unknown velocity.
    """
    x, y, z, w = objects.orientation
    orientation = Quaternion(x=x, y=y, z=z, w=w)
    found = [Marker(header=header, action=Marker.DELETEALL)]
    for index, class_name in enumerate(objects.class_names):
        blue, green, red = class_color(sum(class_name.encode()))
        color = ColorRGBA(r=red / 255, g=green / 255, b=blue / 255, a=0.5)
        size = np.maximum(objects.sizes[index], LEAST_SIDE_M).tolist()
        pose = Pose(position=_point(objects.positions[index].tolist()), orientation=orientation)
        found.append(Marker(
            header=header, ns='boxes', id=index, type=Marker.CUBE, action=Marker.ADD, pose=pose,
            scale=Vector3(x=size[0], y=size[1], z=size[2]), color=color))
        found.append(Marker(
            header=header, ns='texts', id=index, type=Marker.TEXT_VIEW_FACING, action=Marker.ADD,
            pose=pose, scale=Vector3(z=max(TEXT_M, objects.distances[index] * 0.03)),
            color=ColorRGBA(r=1.0, g=1.0, b=1.0, a=1.0),
            text=_text(class_name, objects.ids[index], objects.distances[index],
                       velocities[index], deviations[index])))
    return MarkerArray(markers=found)


def _text(class_name: str, track_id: str, distance: float, velocity: Array,
          deviation: float) -> str:
    lines = [f'{class_name} #{track_id}' if track_id else class_name, f'{distance:.1f} m']
    if deviation <= CERTAIN_M_S:
        lines.append(f'{np.linalg.norm(velocity):.1f} m/s')
    return '\n'.join(lines)


def target_of(header: Header, bearing: Sequence[float], distance: float) -> Vector3Stamped:
    """
    Return the bearing error of the followed object.

    :param header: Header with the stamp of the image and the frame of the camera.
    :param bearing: Azimuth to the right and elevation up in rad, shape (2,).
    :param distance: Distance in metres; NaN: unknown.
    """
    return Vector3Stamped(header=header, vector=Vector3(
        x=float(bearing[0]), y=float(bearing[1]), z=float(distance)))


def target_point_of(header: Header, position: Sequence[float]) -> PointStamped:
    """Return the position of the followed object in metres."""
    return PointStamped(header=header, point=_point([float(each) for each in position]))


def _point(position: Sequence[float]) -> Point:
    return Point(x=position[0], y=position[1], z=position[2])
