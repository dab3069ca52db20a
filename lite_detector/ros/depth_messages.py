# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Conversion of depth images and point clouds to a depth image registered to the camera."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from builtin_interfaces.msg import Time
from lite_detector.core.encodings import check_sides, image_view, LONGEST_NAME
from lite_detector.core.errors import LocateError
from lite_detector.ros.serialized import read_in_place
from lite_detector.scene.depth import check_depth, DepthImage
from lite_detector.scene.point_cloud import project_points
from lite_detector.scene.projection import CameraModel
import numpy as np
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import Image, PointCloud2, PointField

if TYPE_CHECKING:
    from lite_detector.ros.transforms import Transform

DEPTH_ENCODINGS = {'16UC1': (np.uint16, 0.001), 'mono16': (np.uint16, 0.001),
                   '32FC1': (np.float32, 1.0)}
"""Encoding -> type of a pixel, and its unit in metres (REP 118)."""
POINT_TYPES = {PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}
AXES = ('x', 'y', 'z')


def read_depth(data: bytes, frame_id: str, camera: CameraModel) -> DepthImage:
    """
    Read the depth image of a serialized Image.

    :param data: Serialized Image.
    :param frame_id: Frame of the camera to which the depth must be registered.
    :param camera: Model of the camera.
    :raises LocateError: if frame, shape, encoding or unit is wrong.
    :raises ImageError: if sizes, step and data are inconsistent.
    """
    msg = _unpacked(data, Image, read_in_place)
    if msg.header.frame_id != frame_id:
        raise LocateError(
            f'depth has frame {msg.header.frame_id!r}; expected {frame_id!r}, the frame of the '
            'detections; register the depth image to this camera, or use a point cloud '
            '(range_from: points)')
    depth = depth_of(msg)
    check_depth(depth, camera.size)
    return depth


def read_points(data: bytes, frame_id: str, camera: CameraModel, max_distance_m: float,
                lookup: Callable[[str, Time], Transform]) -> DepthImage:
    """
    Create a depth image from a serialized PointCloud2.

    An organized cloud in the frame of the camera is used directly; any other cloud is projected.

    :param data: Serialized PointCloud2.
    :param frame_id: Frame of the camera.
    :param camera: Model of the camera.
    :param max_distance_m: Maximum distance of a point in metres.
    :param lookup: Function that returns the transform from a frame to the camera at a time.
    :raises LocateError: if there are no points, the unit is wrong, or there is no transform.
    """
    msg = _unpacked(data, PointCloud2, deserialize_message)
    cloud = points_of(msg)
    if msg.height > 1 and msg.header.frame_id == frame_id:
        depth = DepthImage(cloud['z'])
    else:
        points = np.stack([cloud[axis].ravel() for axis in AXES], axis=-1)
        if msg.header.frame_id != frame_id:
            transform = lookup(msg.header.frame_id, msg.header.stamp)
            points = points @ transform.rotation.T + transform.translation
        depth = project_points(points, camera, max_distance_m)
    check_depth(depth, camera.size)
    return depth


def _unpacked(data: bytes, kind: type, read: Callable) -> Image | PointCloud2:
    try:
        return read(data, kind)
    except Exception:  # RMWError has no public name
        raise LocateError(f'malformed message; expected a serialized {kind.__name__}') from None


def depth_of(msg: Image) -> DepthImage:
    """
    Return the pixels of a depth image as a view of the memory of the message.

    :param msg: Depth image message.
    :raises LocateError: if the encoding is not a depth encoding.
    :raises ImageError: if sizes, step and data are inconsistent.
    """
    if msg.encoding not in DEPTH_ENCODINGS:
        raise LocateError(f'depth has encoding {msg.encoding[:LONGEST_NAME]!r}; expected one of '
                          f'{", ".join(DEPTH_ENCODINGS)}')
    check_sides(msg)
    dtype, unit_m = DEPTH_ENCODINGS[msg.encoding]
    return DepthImage(image_view(msg, 1, dtype)[..., 0], unit_m)


def points_of(msg: PointCloud2) -> np.ndarray:
    """
    Return the points of a cloud as a view of the memory of the message.

    :param msg: Point cloud message.
    :return: Array with fields x, y and z, shape (height, width); LiDARs usually have height 1.
    :raises LocateError: if x, y or z is missing, or sizes and data are inconsistent.
    """
    fields = {field.name: field for field in msg.fields}
    missing = [axis for axis in AXES if axis not in fields
               or fields[axis].datatype not in POINT_TYPES]
    if missing:
        raise LocateError(f'points: field {missing[0]} missing; expected x, y, z of float32 or '
                          'float64')
    if msg.row_step < msg.width * msg.point_step or len(msg.data) < msg.height * msg.row_step:
        raise LocateError(f'points: {len(msg.data)} bytes; expected {msg.width}x{msg.height} '
                          f'points of {msg.point_step} bytes in rows of {msg.row_step} bytes')
    order = '>' if msg.is_bigendian else '<'
    kinds = [order + POINT_TYPES[fields[axis].datatype] for axis in AXES]
    ends = [fields[axis].offset + np.dtype(kind).itemsize
            for axis, kind in zip(AXES, kinds, strict=True)]
    if max(ends) > msg.point_step:
        raise LocateError(f'points: a field ends at byte {max(ends)}; expected at most '
                          f'{msg.point_step} bytes per point')
    record = np.dtype({'names': list(AXES), 'formats': kinds, 'itemsize': msg.point_step,
                       'offsets': [fields[axis].offset for axis in AXES]})
    if not msg.height * msg.width:
        return np.zeros((msg.height, msg.width), record)
    return np.ndarray((msg.height, msg.width), record, msg.data,
                      strides=(msg.row_step, msg.point_step))
