# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of the locate node."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.ros.parameters import live_parameter, parameter_table
from lite_detector.scene.following import Follower
from lite_detector.scene.object_sizes import parse_object_sizes
from msgspec import Meta


class LocateSettings(Spec):
    """Every parameter of the node, as in docs/reference/locate_node.md and config/locate.yaml."""

    range_from: Annotated[Literal['depth', 'points', 'size'], Meta(
        description='Where distances come from: a depth image, a point cloud, or the known sizes '
        'of object_sizes only.')] = 'depth'
    object_sizes: Annotated[tuple[str, ...], live_parameter(
        'Known heights or widths of classes in metres, such as person:height:1.7 or '
        'car:width:1.8:0.2 with a standard deviation (10 % without). They give a distance where '
        'depth gives none.',
        'list of class:height:metres or class:width:metres')] = ()
    min_distance_m: Annotated[float, live_parameter(
        'Depth below this is a hole, in metres.', ge=0.01, le=100)] = 0.1
    max_distance_m: Annotated[float, live_parameter(
        'Depth above this is a hole, in metres.', ge=0.1, le=1000)] = 60.0
    sync_tolerance_s: Annotated[float, live_parameter(
        'Largest difference between the stamps of detections and depth, and of detections and '
        'the newest transform, in seconds.', ge=0, le=10)] = 0.05
    rectified: Annotated[bool, Meta(
        description='Whether detections are of the rectified image (image_rect): P of the '
        'CameraInfo instead of K and D.')] = False
    target_frame: Annotated[str, Meta(
        description='Frame of detections_3d, markers and target_point, by TF; empty: that of the '
        'camera.', extra={'wanted': 'TF frame; empty: that of the camera'})] = ''
    follow: Annotated[str, live_parameter(
        'Object that target reports: a class name, or id:7 for the track with this id; empty: '
        'none.', 'class name, id:<track id>, or empty')] = ''
    follow_memory_s: Annotated[float, live_parameter(
        'Time for which a followed object that is not seen is predicted before it is lost, in '
        'seconds.', ge=0, le=60)] = 1.0
    autostart: Annotated[bool, Meta(
        description='Configure and activate at start; false: wait for a lifecycle manager.'
    )] = True

    def __post_init__(self) -> None:
        parse_object_sizes(self.object_sizes)
        Follower(self.follow)
        if self.min_distance_m >= self.max_distance_m:
            raise ConfigError(f'min_distance_m: {self.min_distance_m}; expected less than '
                              f'max_distance_m, {self.max_distance_m}')

    @property
    def limits_m(self) -> tuple[float, float]:
        """Return the least and the largest depth that counts."""
        return self.min_distance_m, self.max_distance_m


LOCATE_PARAMETERS = parameter_table(LocateSettings)
