# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics of the detector node: ``/diagnostics``, and throttled warnings in the log."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import time
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper, Updater
from lite_detector.detector import Detector
from lite_detector.ros.camera import Camera
from lite_detector.ros.settings import Settings
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import Header

HEALTH_PERIOD_S = 1.0
SEARCH_PERIOD_S = 0.2
"""Period of the search for publishers of a silent camera in s; a search takes less than 1 ms."""
WARNING_PERIOD_S = 5.0
OVERRUN_SHARE = 0.75


class _NamespacedUpdater(Updater):
    """
    Publisher of diagnostics under the fully qualified name of the node.

    Without the namespace, two detectors would overwrite each other: in Humble the updater uses
    only the base name.
    """

    def publish(self, msg: DiagnosticStatus | list[DiagnosticStatus]) -> None:
        statuses = msg if isinstance(msg, list) else [msg]
        name = self.node.get_fully_qualified_name().lstrip('/')
        stamp = self.node.get_clock().now().to_msg()
        self.publisher.publish(DiagnosticArray(header=Header(stamp=stamp), status=[
            DiagnosticStatus(level=each.level, name=f'{name}: {each.name}', message=each.message,
                             hardware_id=each.hardware_id, values=each.values)
            for each in statuses]))


def steady_updater(node: Node) -> tuple[Updater, Clock]:
    """
    Return the updater that publishes ``/diagnostics`` of a node, and its clock.

    The clock is steady, because health must be monitored also while simulated time stands still.
    """
    updater = _NamespacedUpdater(node)
    updater.setHardwareID('lite_detector')
    clock = Clock(clock_type=ClockType.STEADY_TIME)
    node.destroy_timer(updater.timer)  # this timer uses the clock of the node
    updater.timer = node.create_timer(updater.period, updater.update, clock=clock)
    return updater, clock


class NodeStatus(NamedTuple):
    """Current status of the node."""

    state: str
    enabled: bool
    problem: str
    """Reason why the node is not configured; empty: no problem."""
    settings: Settings | None
    detector: Detector | None


class Diagnostics:
    """
    Health monitor of the cameras of a node; checks and reports once a second.

    :param node: Node that publishes and logs.
    :param status: Function that returns the status of the node.
    """

    def __init__(self, node: Node, status: Callable[[], NodeStatus]) -> None:
        self._node = node
        self._status = status
        self._cameras: Sequence[Camera] = ()
        self._warned_s: dict[str, float] = {}
        self._seen: dict[str, tuple[int, int]] = {}
        self._reported: dict[str, tuple[int, int]] = {}
        self._updater, self.clock = steady_updater(node)
        self._updater.add('detector', self._diagnose_detector)
        node.create_timer(HEALTH_PERIOD_S, self._watch_health, clock=self.clock)
        self._search_timer = node.create_timer(SEARCH_PERIOD_S, self._search, clock=self.clock)

    def watch(self, cameras: Sequence[Camera]) -> None:
        """Set the cameras to report."""
        for camera in self._cameras:
            self._updater.removeByName(f'camera {camera.label}')
        self._cameras = cameras
        self._search_timer.reset()
        self._seen.clear()
        self._reported.clear()
        for camera in cameras:
            self._updater.add(f'camera {camera.label}',
                              lambda status, of=camera: self._diagnose_camera(of, status))

    def warn(self, camera: Camera, what: str) -> None:
        """Log a warning about a camera, at most every ``WARNING_PERIOD_S`` for each."""
        # By hand: rclpy throttles per line of code, which would mute one camera while another
        # complains.
        now = time.monotonic()
        if now - self._warned_s.get(camera.label, -WARNING_PERIOD_S) >= WARNING_PERIOD_S:
            self._warned_s[camera.label] = now
            self._node.get_logger().warning(f'camera {camera.label}: {what}')

    def _search(self) -> None:
        silent = [camera for camera in self._cameras if not camera.stats.ever_received()
                  or camera.stats.silent_s() > HEALTH_PERIOD_S]
        for camera in silent:
            camera.follow_publishers()
        if not silent:  # each call of a timer costs as much as two images
            self._search_timer.cancel()

    def _watch_health(self) -> None:
        if self._status().state != 'active':
            return
        for camera in self._cameras:
            camera.follow_publishers()
            if camera.stats.silent_s() > HEALTH_PERIOD_S and self._search_timer.is_canceled():
                self._search_timer.reset()
            reason = camera.silence() or self._overrun(camera)
            if reason:
                self.warn(camera, reason)

    def _overrun(self, camera: Camera) -> str | None:
        stats = camera.stats
        received_before, dropped_before = self._seen.get(camera.label, (0, 0))
        received = stats.received - received_before
        dropped = stats.dropped_newer - dropped_before
        self._seen[camera.label] = (stats.received, stats.dropped_newer)
        settings = self._status().settings
        if settings is None or settings.max_rate_hz or dropped <= OVERRUN_SHARE * received:
            return None
        return (f'{dropped} of {received} frames dropped in the last {HEALTH_PERIOD_S:.0f} s '
                'for a newer one: the camera is much faster than the model; lower the camera rate')

    def _diagnose_detector(self, report: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        status = self._status()
        if status.problem:
            report.summary(DiagnosticStatus.ERROR, f'{status.state}: {status.problem}')
        elif status.state == 'active' and not status.enabled:
            report.summary(DiagnosticStatus.OK, 'disabled')
        else:
            report.summary(DiagnosticStatus.OK, status.state)
        report.add('state', status.state)
        report.add('enabled', str(status.enabled))
        if status.detector and status.settings:
            report.add('model', status.detector.card.name)
            report.add('runtime', status.settings.runtime)
            device = status.detector.device
            report.add('device', device.name)
            if device.report:
                report.add('device choice', device.report)
            report.add('input size', str(status.detector.input_size))
        return report

    def _diagnose_camera(self, camera: Camera,
                         report: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        state = self._status().state
        unusable = self._unusable(camera)
        reason = camera.silence() or unusable if state == 'active' else None
        report.summary(DiagnosticStatus.WARN if reason else DiagnosticStatus.OK, reason or state)
        report.add('topic', camera.topic)
        report.add('transport', camera.transport)
        for key, value in camera.stats.figures().items():
            report.add(key, value)
        return report

    def _unusable(self, camera: Camera) -> str | None:
        stats = camera.stats
        published_before, bad_before = self._reported.get(camera.label, (0, 0))
        self._reported[camera.label] = stats.published, stats.dropped_bad
        bad = stats.dropped_bad - bad_before
        if not bad or stats.published > published_before:
            return None
        return (f'no usable frames, {bad} dropped since the last report; reason: '
                f'{stats.last_drop}')
