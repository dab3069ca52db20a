# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Located objects as vision_msgs and visualization_msgs messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
import math

from geometry_msgs.msg import Point, PointStamped, Pose, Quaternion, Vector3, Vector3Stamped
from lite_detector.core.draw import class_color
import numpy as np
import numpy.typing as npt
from std_msgs.msg import ColorRGBA, Header
from vision_msgs.msg import Detection2D, Detection3D, Detection3DArray, ObjectHypothesisWithPose
from visualization_msgs.msg import Marker, MarkerArray

UNKNOWN_ANGLE = math.pi ** 2 / 3
"""Variance of an angle that may be anything; rad^2."""
LEAST_SIDE_M = 0.02
"""Thickness of a marker whose object has none that is known."""
CERTAIN_M_S = 1.0
"""Velocities with a larger standard deviation are not shown."""
TEXT_M = 0.15

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Objects:
    """
    Located objects of one image, in the frame that they are published in.

    :param detections: the 2D detections that they are, n of them.
    :param positions: metres, shape (n, 3).
    :param sizes: along the axes of the camera, metres, shape (n, 3).
    :param covariances: of the positions, shape (n, 3, 3).
    :param orientation: of the axes of the camera, x, y, z, w.
    :param distances: from the camera, metres, shape (n,).
    """

    detections: Sequence[Detection2D]
    positions: Array
    sizes: Array
    covariances: Array
    orientation: tuple[float, float, float, float]
    distances: Array


class Detections3DWriter:
    """
    Turns objects into messages; owned by one thread.

    The messages are used again: one is valid until the next call of ``write``.
    """

    def __init__(self) -> None:
        self._pool: list[Detection3D] = []

    def write(self, header: Header, objects: Objects) -> Detection3DArray:
        """
        Fill a message.

        :param header: stamp of the image, and frame of the positions.
        """
        while len(self._pool) < len(objects.detections):
            result = ObjectHypothesisWithPose()
            self._pool.append(Detection3D(results=[result]))
            self._pool[-1].bbox.center = result.pose.pose  # one pose for both
        items = self._pool[:len(objects.detections)]
        covariances = np.zeros((len(items), 6, 6))
        covariances[:, :3, :3] = objects.covariances
        covariances[:, (3, 4, 5), (3, 4, 5)] = UNKNOWN_ANGLE
        covariances = covariances.reshape(-1, 36)
        x, y, z, w = objects.orientation
        orientation = Quaternion(x=x, y=y, z=z, w=w)
        for item, found, position, size, covariance in zip(
                items, objects.detections, objects.positions.tolist(), objects.sizes.tolist(),
                covariances, strict=True):
            item.header, item.id = header, found.id
            result, box = item.results[0], item.bbox
            result.hypothesis = found.results[0].hypothesis
            result.pose.covariance = covariance
            box.center.orientation = orientation
            box.center.position.x, box.center.position.y, box.center.position.z = position
            box.size.x, box.size.y, box.size.z = size
        return Detection3DArray(header=header, detections=items)


def markers_of(header: Header, objects: Objects, velocities: Array,
               deviations: Array) -> MarkerArray:
    """
    Return a box and a text for each object, and what removes those of the last image.

    :param header: stamp of the image, and frame of the positions.
    :param velocities: m/s, shape (n, 3).
    :param deviations: their standard deviations, shape (n,); infinity: unknown.
    """
    x, y, z, w = objects.orientation
    orientation = Quaternion(x=x, y=y, z=z, w=w)
    found = [Marker(header=header, action=Marker.DELETEALL)]
    for index, detection in enumerate(objects.detections):
        hypothesis = detection.results[0].hypothesis
        blue, green, red = class_color(sum(hypothesis.class_id.encode()))
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
            text=_text(detection, objects.distances[index], velocities[index],
                       deviations[index])))
    return MarkerArray(markers=found)


def _text(detection: Detection2D, distance: float, velocity: Array, deviation: float) -> str:
    name = detection.results[0].hypothesis.class_id
    lines = [f'{name} #{detection.id}' if detection.id else name, f'{distance:.1f} m']
    if deviation <= CERTAIN_M_S:
        lines.append(f'{np.linalg.norm(velocity):.1f} m/s')
    return '\n'.join(lines)


def target_of(header: Header, bearing: Sequence[float], distance: float) -> Vector3Stamped:
    """
    Return the bearing error of the followed object.

    :param header: stamp of the image, and frame of the camera.
    :param bearing: azimuth to the right and elevation up, rad.
    :param distance: metres; NaN: unknown.
    """
    return Vector3Stamped(header=header, vector=Vector3(
        x=float(bearing[0]), y=float(bearing[1]), z=float(distance)))


def target_point_of(header: Header, position: Sequence[float]) -> PointStamped:
    """Return where the followed object is, in metres."""
    return PointStamped(header=header, point=_point([float(each) for each in position]))


def _point(position: Sequence[float]) -> Point:
    return Point(x=position[0], y=position[1], z=position[2])
