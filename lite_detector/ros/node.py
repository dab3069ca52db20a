# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Detector node: subscribes to camera topics and publishes detections."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
import os
from pathlib import Path
import threading
from typing import Any

import cv2
from lite_detector.core.selection import margins
from lite_detector.detector import Detector
from lite_detector.ros.camera import Camera, NO_EVENTS, Serving
from lite_detector.ros.capture import Capture, Seen
from lite_detector.ros.diagnostics import Diagnostics, NodeStatus
from lite_detector.ros.frames import FrameSlots
from lite_detector.ros.image_input import Received
from lite_detector.ros.lifecycle import ManagedNode, reason_of
from lite_detector.ros.live_view import LiveView
from lite_detector.ros.message_thread import MessageThread
from lite_detector.ros.messages import (
    class_id_strings,
    label_info,
    LabelInfo,
    vision_info,
)
from lite_detector.ros.precision import load_detector
from lite_detector.ros.rclpy_workarounds import end_process
from lite_detector.ros.runner import run_node
from lite_detector.ros.settings import PARAMETERS, Settings
from lite_detector.ros.thread_choice import with_threads
from lite_detector.ros.threads import start_thread
from lite_detector.scene.tracking import FOLLOW_SHARE
from lite_detector.zoo import find_model
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from vision_msgs.msg import VisionInfo

EXIT_TIMEOUT_S = 0.7
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


class DetectorNode(ManagedNode[Settings]):
    """
    Lifecycle node ``detector``; topics, parameters and services are in docs/reference/node.md.

    One thread stores the newest serialized message of each camera. One worker thread deserializes,
    detects and publishes. The executor does everything else.
    """

    def __init__(self, **node_options: Any) -> None:
        super().__init__('detector', Settings, PARAMETERS, **node_options)
        self._serving: Serving | None = None
        self._messages = MessageThread(self)
        self._cameras: list[Camera] = []
        self._slots: FrameSlots[Camera, Received] | None = None
        self._worker: threading.Thread | None = None
        self._live_view: LiveView | None = None
        self._working = threading.Lock()  # held for a frame, or to time a network undisturbed
        self._capture: Capture | None = None
        self._enabled = True
        self._info_publishers: list = []
        self._track_ids = count(1)  # shared by all cameras, so that ids are unique
        self.create_service(SetBool, 'enable', self._on_enable)
        self._diagnostics = Diagnostics(self, self._status)
        self.warn_of_unknown_parameters('docs/reference/node.md')

    # lifecycle

    def _configure(self, settings: Settings) -> None:
        self._serving = self._load(settings)
        for name in settings.cameras or ('',):
            self._cameras.append(Camera(self, self._messages, name, settings, self._on_image,
                                        self._track_ids))
        self._diagnostics.watch(self._cameras)
        if settings.capture_folder:
            self._capture = Capture(
                Path(os.path.expanduser(settings.capture_folder)), settings.capture_max_files,
                settings.capture_max_mb, self.get_logger().warning)
        infos = [(VisionInfo, 'vision_info')]
        if LabelInfo is not None:
            infos.append((LabelInfo, 'label_info'))
        self._info_publishers = [
            self.create_publisher(kind, topic, LATCHED, event_callbacks=NO_EVENTS)
            for kind, topic in infos]
        self._publish_infos(settings)

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Start to detect."""
        self._slots = FrameSlots(self._cameras, self.settings.max_rate_hz)
        self._worker = start_thread('detect', self._work, self._slots)
        self._live_view = LiveView(self._cameras, self._warn)
        if self._enabled:
            self._subscribe()
        card = self._served().detector.card
        self.get_logger().info(f'detecting with {card.name} ({self.settings.runtime}) on '
                               + ', '.join(camera.topic for camera in self._cameras))
        return super().on_activate(state)

    def destroy_node(self) -> None:
        """End the worker before its publishers, without waiting for a slow network."""
        self.stop(EXIT_TIMEOUT_S)
        if self._capture:
            self._capture.close(EXIT_TIMEOUT_S)
        super().destroy_node()

    def stop(self, timeout_s: float | None = None) -> None:
        """
        End the worker; safe to call at any time.

        :param timeout_s: Maximum time to wait for the current frame in s; None: no limit.
        """
        for camera in self._cameras:
            camera.unsubscribe()
        if self._slots:
            self._slots.close()
        if self._worker:
            self._worker.join(timeout_s)
        if self._live_view:
            self._live_view.close(timeout_s)
        self._slots = self._worker = self._live_view = None

    def _release(self) -> None:
        self.stop()
        self._diagnostics.watch([])
        for camera in self._cameras:
            camera.destroy()
        for publisher in self._info_publishers:
            self.destroy_publisher(publisher)
        self._cameras, self._info_publishers = [], []
        if self._capture:
            self._capture.close(EXIT_TIMEOUT_S)
            self._capture = None
        self._serving = None

    def _status(self) -> NodeStatus:
        return NodeStatus(self._state, self._enabled, self._problem, self._settings,
                          self._serving.detector if self._serving else None)

    def _served(self) -> Serving:
        """Return the model of a configured node."""
        assert self._serving is not None, 'the node is configured'
        return self._serving

    def _load(self, settings: Settings) -> Serving:
        folder = find_model(settings.model)
        options, chosen_threads = with_threads(folder, settings.detector_options(), self._working)
        detector, chosen = load_detector(
            folder, {**options, 'report': self.get_logger().info}, self._working)
        for choice in filter(None, (chosen_threads, chosen)):
            self.get_logger().info(choice)
        cv2.setNumThreads(options['num_threads'])
        return self._serve(detector, folder, settings)

    def _serve(self, detector: Detector, folder: Path, settings: Settings) -> Serving:
        class_ids = class_id_strings(detector.card, settings.class_id_format)
        thresholds = detector.score_thresholds / FOLLOW_SHARE if settings.tracking else None
        return Serving(detector, class_ids, folder, thresholds)

    def _subscribe(self) -> None:
        for camera in self._cameras:
            camera.subscribe()

    # one frame

    def _on_image(self, camera: Camera, received: Received) -> None:
        camera.stats.on_received()
        if self._live_view and self.settings.annotate_every_frame:
            self._live_view.offer(camera, received)
        if self._slots and self._slots.put(camera, received):
            camera.stats.on_replaced()

    def _work(self, slots: FrameSlots[Camera, Received]) -> None:
        while (taken := slots.take()) is not None:
            camera, received = taken
            try:
                with self._working:
                    self.process(camera, received)
            except Exception as error:  # a malformed frame must not stop the node
                self._drop(camera, reason_of(error))

    def process(self, camera: Camera, received: Received) -> None:
        """Detect in one frame, publish, and capture the frame; runs in the worker thread."""
        serving = self._served()
        served = camera.serve(received, serving, full=self._capture is not None,
                              draw=not self.settings.annotate_every_frame)
        if self._capture:
            card, detector = serving.detector.card, serving.detector
            thresholds = serving.track_thresholds
            if thresholds is None:
                thresholds = detector.score_thresholds
            self._capture.look(camera.label, served.image.image_bgr, Seen(
                served.stamp_ns,
                served.found.select(margins(served.found, thresholds, card.class_names) >= 0),
                served.image.full_size, card.class_names, thresholds, served.tracked.lost,
                complete=detector.view.mode != 'in_turn'))

    def _drop(self, camera: Camera, reason: str) -> None:
        if not self.context.ok():  # the reason is a shutdown, not a bad frame
            return
        camera.stats.on_bad(reason)
        self._warn(camera, f'frame dropped: {reason}')

    def _warn(self, camera: Camera, what: str) -> None:
        if self.context.ok():
            self._diagnostics.warn(camera, what)

    # parameters and services

    def _change(self, old: Settings, new: Settings) -> None:
        if new.model != old.model:
            self._serving = self._load(new)
            self.get_logger().info(f'changed the model to {self._serving.detector.card.name}')
        else:
            # a new detector, so that a frame never uses a partial change
            serving = self._served()
            detector = serving.detector.configured(new.selection(), new.view())
            self._serving = self._serve(detector, serving.folder, new)
        if self._slots and new.max_rate_hz != old.max_rate_hz:
            self._slots.set_max_rate(new.max_rate_hz)
        self._publish_infos(new)

    def _on_enable(self, request: SetBool.Request,
                   response: SetBool.Response) -> SetBool.Response:
        if request.data != self._enabled and self._state == 'active':
            if request.data:
                self._subscribe()
            else:
                for camera in self._cameras:
                    camera.unsubscribe()
                # else the worker would publish these frames after the change
                for camera in self._slots.clear() if self._slots else ():
                    camera.stats.on_replaced()
        self._enabled = request.data
        response.success = True
        response.message = f'{"enabled" if self._enabled else "disabled"}, node is {self._state}'
        return response

    def _publish_infos(self, settings: Settings) -> None:
        header = Header(stamp=self.get_clock().now().to_msg())
        detector, _, folder, _ = self._served()
        self._info_publishers[0].publish(vision_info(header, detector.card, folder))
        for publisher in self._info_publishers[1:]:
            publisher.publish(label_info(header, detector.card, settings.score_threshold))


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until it is interrupted."""
    def make_node() -> DetectorNode:
        node = DetectorNode()
        node.autostart()
        return node
    run_node(make_node, args)
    end_process()  # a slow network or disk may still keep a thread busy
    return 0
