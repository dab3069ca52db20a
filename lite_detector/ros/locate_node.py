# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Locate node: converts detections to bearings, distances, 3D boxes and a target."""

from __future__ import annotations

from collections.abc import Sequence
import time
from typing import Any, TYPE_CHECKING

from builtin_interfaces.msg import Time as TimeMsg
from geometry_msgs.msg import PointStamped, Vector3Stamped
from lite_detector.core.errors import LocateError
from lite_detector.ros.camera import NO_EVENTS
from lite_detector.ros.camera_info import CameraInfoInput
from lite_detector.ros.camera_stats import CameraStats
from lite_detector.ros.depth_messages import read_depth, read_points
from lite_detector.ros.inputs import Input
from lite_detector.ros.lifecycle import ManagedNode, reason_of
from lite_detector.ros.locate_diagnostics import LocateDiagnostics, LocateStatus
from lite_detector.ros.locate_messages import (
    detection_3d_array,
    markers_of,
    Objects,
    target_of,
    target_point_of,
)
from lite_detector.ros.locate_settings import LOCATE_PARAMETERS, LocateSettings
from lite_detector.ros.pairing import Pair, Pairing
from lite_detector.ros.runner import run_node
from lite_detector.ros.serialized_detections import FoundObjects, read_detections
from lite_detector.ros.space_conversions import seen_of, stamp_ns_of
from lite_detector.scene.depth import DepthImage
from lite_detector.scene.following import Follower, Target
from lite_detector.scene.locating import box_rays, check_boxes, locate, Located
from lite_detector.scene.motion import PositionFilter
from lite_detector.scene.object_sizes import parse_object_sizes
from lite_detector.scene.projection import bearings, CameraModel
import numpy as np
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from rclpy.time import Time
from sensor_msgs.msg import Image, PointCloud2
from std_msgs.msg import Bool, Header
from vision_msgs.msg import Detection2DArray, Detection3DArray
from visualization_msgs.msg import MarkerArray

if TYPE_CHECKING:
    from lite_detector.ros.transforms import Transform, Transforms

OUTPUT_DEPTH = 5
DEPTH_QUEUE = 5
OUTPUTS = {'detections_3d': Detection3DArray, 'markers': MarkerArray, 'target': Vector3Stamped,
           'target_point': PointStamped}
RANGES = {'depth': Image, 'points': PointCloud2}
RESTART_S = 2.0
"""Minimum step back of stamps in s that means another recording."""


class LocateNode(ManagedNode[LocateSettings]):
    """
    Lifecycle node ``locate``.

    Topics, parameters and services: docs/reference/locate_node.md. All work runs in the thread of
    the executor, as soon as the depth for the detections has arrived.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__('locate', LocateSettings, LOCATE_PARAMETERS, **node_options)
        self._stats = CameraStats()
        self._follower = Follower()
        self._lost: bool | None = None
        self._motion = PositionFilter()
        self._camera: CameraInfoInput | None = None
        self._transforms: Transforms | None = None
        self._pairing: Pairing[FoundObjects] | None = None
        self._inputs: list[Input] = []
        self._outputs: dict = {}
        self._last_ns = 0
        self._diagnostics = LocateDiagnostics(self, self._status)
        self.warn_of_unknown_parameters('docs/reference/locate_node.md')

    # lifecycle

    def _configure(self, settings: LocateSettings) -> None:
        latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        self._outputs = {topic: self.create_publisher(kind, topic, OUTPUT_DEPTH,
                                                      event_callbacks=NO_EVENTS)
                         for topic, kind in OUTPUTS.items()}
        self._outputs['target_lost'] = self.create_publisher(
            Bool, 'target_lost', latched, event_callbacks=NO_EVENTS)
        self._follow(settings)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Create the subscriptions."""
        settings = self.settings
        self._stats.restart()
        self._camera = CameraInfoInput(self, settings.rectified)
        detections = Input(self, 'detections', Detection2DArray, self._on_detections)
        self._inputs = [detections, self._camera.input]
        if settings.range_from in RANGES:
            what = settings.range_from
            self._pairing = Pairing(what, settings.sync_tolerance_s)
            self._inputs.append(Input(self, what, RANGES[what], self._on_depth, DEPTH_QUEUE))
        if settings.target_frame:
            self._listen_to_tf()
        self.get_logger().info(f'locating {detections.topic}, range_from {settings.range_from}')
        return super().on_activate(state)

    def stop(self) -> None:
        """Destroy the subscriptions; safe to call at any time."""
        if self._camera:
            self._camera.destroy()
        for each in self._inputs:
            if each is not (self._camera and self._camera.input):
                each.destroy()
        if self._transforms:
            self._transforms.destroy()
        self._camera = self._transforms = self._pairing = None
        self._inputs = []

    def _release(self) -> None:
        self.stop()
        for publisher in self._outputs.values():
            self.destroy_publisher(publisher)
        self._outputs = {}

    def _status(self) -> LocateStatus:
        return LocateStatus(self._state, self._problem, self._inputs, self._stats, self._follower)

    def _listen_to_tf(self) -> Transforms:
        from lite_detector.ros.transforms import Transforms  # tf2 is loaded only if needed
        self._transforms = self._transforms or Transforms(self)
        return self._transforms

    def _change(self, old: LocateSettings, new: LocateSettings) -> None:
        if (new.follow, new.follow_memory_s) != (old.follow, old.follow_memory_s):
            self._follow(new)
        if self._pairing:
            self._pairing.tolerance_s = new.sync_tolerance_s

    def _follow(self, settings: LocateSettings) -> None:
        self._follower = Follower(settings.follow, settings.follow_memory_s)
        self._lost = None

    # one image

    def _on_detections(self, data: bytes) -> None:
        self._stats.on_received()
        try:
            stamp_ns = stamp_ns_of(data)
            found = read_detections(data)
            if stamp_ns <= 0:
                raise LocateError('detections have stamp 0; expected the stamp of their image')
        except Exception as error:
            self._drop(reason_of(error))
            return
        if stamp_ns < self._last_ns - RESTART_S * 1e9 and self._transforms:
            self._transforms.restart()
        self._last_ns = stamp_ns
        if self._pairing is None:
            self._process(Pair(found, None))
            return
        self._pairing.add_detections(stamp_ns, found, time.monotonic())
        self._serve_pairs()

    def _on_depth(self, data: bytes) -> None:
        assert self._pairing is not None, 'created with the subscription'
        try:
            self._pairing.add_depth(stamp_ns_of(data), data)
        except LocateError as error:
            self._drop(f'{self.settings.range_from}: {error}')
        self._serve_pairs()

    def _serve_pairs(self) -> None:
        assert self._pairing is not None, 'created with the subscription'
        for pair in self._pairing.decided(time.monotonic()):
            self._process(pair)

    def _process(self, pair: Pair[FoundObjects]) -> None:
        begin_s = time.monotonic()
        try:
            self.process(pair)
        except Exception as error:  # a malformed message must not stop the node
            self._drop(reason_of(error))
            return
        self._stats.on_worked(time.monotonic() - begin_s)

    def _drop(self, reason: str) -> None:
        if self.context.ok():
            self._stats.on_bad(reason)
            self._diagnostics.warn(reason)

    def process(self, pair: Pair[FoundObjects]) -> None:
        """
        Locate and publish the objects of one image.

        :param pair: Detections and their depth.
        :raises LocateError: if there are no positions; the bearing of the target is published
            also in this case.
        """
        found = pair.detections
        header = found.header
        assert self._camera is not None, 'created with the subscription'
        camera = self._camera.model(header.frame_id)
        seen = seen_of(found)
        check_boxes(seen.boxes_xyxy, camera)
        target = self._follower.update(seen, (camera.size.width / 2, camera.size.height / 2))
        self._report_lost()
        located, objects, problem = None, None, None
        try:
            if pair.reason:
                raise LocateError(pair.reason)
            depth = self._depth(pair.depth, header, camera) if pair.depth else None
            located = locate(seen.boxes_xyxy, seen.class_names, camera, depth,
                             parse_object_sizes(self.settings.object_sizes),
                             self.settings.limits_m)
            out, objects = self._objects(found, located)
        except Exception as error:  # raised after the target, which does not need depth
            problem = error
        if target:
            self._publish_target(header, target, camera, located)
        if problem:
            raise problem
        assert located is not None and objects is not None, 'set if there is no problem'
        self._outputs['detections_3d'].publish(detection_3d_array(out, objects))
        age = self.get_clock().now() - Time.from_msg(header.stamp)
        self._stats.on_published(age.nanoseconds / 1e9)
        self._publish_markers(out, objects, seen.stamp_s)
        if target and target.index in (known := located.known.tolist()):
            position = objects.positions[known.index(target.index)]
            self._outputs['target_point'].publish(target_point_of(out, position))

    def _depth(self, data: bytes, header: Header, camera: CameraModel) -> DepthImage:
        settings = self.settings
        if settings.range_from == 'depth':
            return read_depth(data, header.frame_id, camera)

        def lookup(source: str, stamp: TimeMsg) -> Transform:
            return self._listen_to_tf().lookup(header.frame_id, source, Time.from_msg(stamp),
                                               settings.sync_tolerance_s)
        return read_points(data, header.frame_id, camera, settings.max_distance_m, lookup)

    def _objects(self, found: FoundObjects, located: Located) -> tuple[Header, Objects]:
        """Return the objects that have a position, in the output frame."""
        header, known = found.header, located.known
        positions, covariances = located.positions[known], located.covariances[known]
        distances = np.linalg.norm(positions, axis=1)
        orientation, frame_id = (0.0, 0.0, 0.0, 1.0), header.frame_id
        if self._transforms and self.settings.target_frame not in ('', header.frame_id):
            frame_id = self.settings.target_frame
            transform = self._transforms.lookup(frame_id, header.frame_id,
                                                Time.from_msg(header.stamp),
                                                self.settings.sync_tolerance_s)
            orientation, rotation = transform.quaternion, transform.rotation
            positions = positions @ rotation.T + transform.translation
            covariances = rotation @ covariances @ rotation.T
        return Header(stamp=header.stamp, frame_id=frame_id), Objects(
            [found.class_names[index] for index in known],
            [found.scores[index] for index in known], [found.ids[index] for index in known],
            positions, located.sizes[known], covariances, orientation, distances)

    def _publish_markers(self, header: Header, objects: Objects, stamp_s: float) -> None:
        if not self._outputs['markers'].get_subscription_count():
            return
        number = len(objects.ids)
        velocities, deviations = np.zeros((number, 3)), np.full(number, np.inf)
        tracked = [index for index, each in enumerate(objects.ids) if each]
        velocities[tracked], deviations[tracked] = self._motion.update(
            [objects.ids[index] for index in tracked], objects.positions[tracked],
            objects.covariances[tracked], stamp_s)
        self._outputs['markers'].publish(markers_of(header, objects, velocities, deviations))

    def _publish_target(self, header: Header, target: Target, camera: CameraModel,
                        located: Located | None) -> None:
        bearing = bearings(box_rays(target.box_xyxy[None], camera).middle)[0]
        distance = np.nan
        if located is not None and target.index is not None:
            distance = float(np.linalg.norm(located.positions[target.index]))
        if np.isfinite(bearing).all():
            self._outputs['target'].publish(target_of(header, bearing, distance))

    def _report_lost(self) -> None:
        """Publish target_lost when it changes."""
        if not self._follower.wanted:
            return
        lost = not self._follower.held
        if lost == self._lost:
            return
        self._outputs['target_lost'].publish(Bool(data=lost))
        what = f'{self._follower.class_name} {self._follower.track_id}'.strip()
        if not lost or self._lost is not None:  # before the first target, nothing is lost
            self.get_logger().info(f'lost {what}' if lost else f'following {what}')
        self._lost = lost


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    def make_node() -> LocateNode:
        node = LocateNode()
        node.autostart()
        return node
    run_node(make_node, args)
    return 0
