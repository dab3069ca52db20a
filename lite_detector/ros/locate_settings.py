# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parameters of the locate node."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.ros.parameters import live_parameter, parameter_table
from lite_detector.scene.following import Follower
from lite_detector.scene.object_sizes import parse_object_sizes
from msgspec import Meta


class LocateSettings(Spec):
    """All parameters of the node, as in docs/reference/locate_node.md and config/locate.yaml."""

    range_from: Annotated[Literal['depth', 'points', 'size'], Meta(
        description='Source of the distances: a depth image, a point cloud, or only the known '
        'sizes of object_sizes.')] = 'depth'
    object_sizes: Annotated[tuple[str, ...], live_parameter(
        'Known heights or widths of classes in metres, e.g. person:height:1.7 or '
        'car:width:1.8:0.2 with a standard deviation (default 10 %). They give the distance of '
        'an object without valid depth.',
        'list of class:height:metres or class:width:metres')] = ()
    min_distance_m: Annotated[float, live_parameter(
        'Minimum valid depth in metres; smaller values are ignored.', ge=0.01, le=100)] = 0.1
    max_distance_m: Annotated[float, live_parameter(
        'Maximum valid depth in metres; larger values are ignored.', ge=0.1, le=1000)] = 60.0
    sync_tolerance_s: Annotated[float, live_parameter(
        'Maximum difference in seconds between the stamps of detections and depth, and of '
        'detections and the newest transform.', ge=0, le=10)] = 0.05
    rectified: Annotated[bool, Meta(
        description='Type of the images. true: detections are in the rectified image '
        '(image_rect), so P of the CameraInfo applies instead of K and D.')] = False
    target_frame: Annotated[str, Meta(
        description='TF frame of detections_3d, markers and target_point; empty: frame of the '
        'camera.', extra={'expected': 'TF frame; empty: frame of the camera'})] = ''
    follow: Annotated[str, live_parameter(
        'Object to publish as target: a class name, or id:7 for the track with this id; empty: '
        'none.', 'class name, id:<track id>, or empty')] = ''
    follow_memory_s: Annotated[float, live_parameter(
        'Time in seconds for which the position of an undetected target is predicted before the '
        'target is lost.', ge=0, le=60)] = 1.0
    autostart: Annotated[bool, Meta(
        description='Start of the node. true: configure and activate at start; false: wait for '
        'a lifecycle manager.'
    )] = True

    def __post_init__(self) -> None:
        parse_object_sizes(self.object_sizes)
        Follower(self.follow)
        if self.min_distance_m >= self.max_distance_m:
            raise ConfigError(f'min_distance_m: {self.min_distance_m}; expected less than '
                              f'max_distance_m, {self.max_distance_m}')

    @property
    def limits_m(self) -> tuple[float, float]:
        """Return the minimum and maximum valid depth in metres."""
        return self.min_distance_m, self.max_distance_m


LOCATE_PARAMETERS = parameter_table(LocateSettings)
