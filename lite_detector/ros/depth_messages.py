# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Depth images and point clouds as a depth image that is registered to the camera."""

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
"""Encoding -> type of a pixel, and what a value of 1 is in metres (REP 118)."""
POINT_TYPES = {PointField.FLOAT32: 'f4', PointField.FLOAT64: 'f8'}
AXES = ('x', 'y', 'z')


def read_depth(data: bytes, frame_id: str, camera: CameraModel) -> DepthImage:
    """
    Return the depth image of a serialized Image.

    :param frame_id: of the camera that it has to be registered to.
    :raises LocateError: if it is of another frame, shape, encoding or unit.
    :raises ImageError: if sizes, step and data do not fit each other.
    """
    msg = _unpacked(data, Image, read_in_place)
    if msg.header.frame_id != frame_id:
        raise LocateError(
            f'depth is in the frame {msg.header.frame_id!r}, the detections in {frame_id!r}; '
            'expected depth that is registered to the camera of the detections; depth of another '
            'camera can come as points')
    depth = depth_of(msg)
    check_depth(depth, camera.size)
    return depth


def read_points(data: bytes, frame_id: str, camera: CameraModel, max_distance_m: float,
                lookup: Callable[[str, Time], Transform]) -> DepthImage:
    """
    Return the depth image of a serialized PointCloud2.

    A cloud with rows (organised) in the frame of the camera is one already; any other is
    projected.

    :param frame_id: of the camera.
    :param max_distance_m: points behind it are left out.
    :param lookup: returns the transform from another frame to that of the camera, at a time.
    :raises LocateError: if there are no points, their unit makes no sense, or TF has no transform.
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
        raise LocateError(f'damaged message: it holds no {kind.__name__}') from None


def depth_of(msg: Image) -> DepthImage:
    """
    Return the pixels of a depth image, as a view of the message's memory.

    :raises LocateError: if its encoding is none of depth.
    :raises ImageError: if sizes, step and data do not fit each other.
    """
    if msg.encoding not in DEPTH_ENCODINGS:
        raise LocateError(f'depth has the encoding {msg.encoding[:LONGEST_NAME]!r}; expected one '
                          f'of {", ".join(DEPTH_ENCODINGS)}')
    check_sides(msg)
    dtype, unit_m = DEPTH_ENCODINGS[msg.encoding]
    return DepthImage(image_view(msg, 1, dtype)[..., 0], unit_m)


def points_of(msg: PointCloud2) -> np.ndarray:
    """
    Return the points of a cloud, as a view of the message's memory.

    :return: fields x, y and z, shape (height, width); of a LiDAR the height is mostly 1.
    :raises LocateError: if there are no x, y, z, or sizes and data do not fit each other.
    """
    fields = {field.name: field for field in msg.fields}
    missing = [axis for axis in AXES if axis not in fields
               or fields[axis].datatype not in POINT_TYPES]
    if missing:
        raise LocateError(f'points have no field {missing[0]} of float32 or float64')
    if msg.row_step < msg.width * msg.point_step or len(msg.data) < msg.height * msg.row_step:
        raise LocateError(f'points have {len(msg.data)} bytes, {msg.width}x{msg.height} of '
                          f'{msg.point_step} bytes in rows of {msg.row_step}')
    order = '>' if msg.is_bigendian else '<'
    kinds = [order + POINT_TYPES[fields[axis].datatype] for axis in AXES]
    ends = [fields[axis].offset + np.dtype(kind).itemsize
            for axis, kind in zip(AXES, kinds, strict=True)]
    if max(ends) > msg.point_step:
        raise LocateError(f'points of {msg.point_step} bytes have a field that ends at '
                          f'{max(ends)}')
    record = np.dtype({'names': list(AXES), 'formats': kinds, 'itemsize': msg.point_step,
                       'offsets': [fields[axis].offset for axis in AXES]})
    if not msg.height * msg.width:
        return np.zeros((msg.height, msg.width), record)
    return np.ndarray((msg.height, msg.width), record, msg.data,
                      strides=(msg.row_step, msg.point_step))
