# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Diagnostics of the locate node: one reason why there are no positions, and the target."""

from __future__ import annotations

from collections.abc import Callable
import time
from typing import NamedTuple

from diagnostic_msgs.msg import DiagnosticStatus
from diagnostic_updater import DiagnosticStatusWrapper
from lite_detector.ros.camera_stats import CameraStats
from lite_detector.ros.diagnostics import HEALTH_PERIOD_S, steady_updater, WARNING_PERIOD_S
from lite_detector.ros.inputs import Input
from lite_detector.scene.following import Follower, FOLLOWING, OFF
from rclpy.node import Node


class LocateStatus(NamedTuple):
    """Current status of the node."""

    state: str
    problem: str
    """Reason why the node is not configured; empty: no problem."""
    inputs: list[Input]
    """Subscriptions, in the order in which their silence is reported."""
    stats: CameraStats
    follower: Follower


class LocateDiagnostics:
    """
    Publisher of ``/diagnostics`` once a second, and of warnings in the log.

    :param node: Node that publishes and logs.
    :param status: Function that returns the status of the node.
    """

    def __init__(self, node: Node, status: Callable[[], LocateStatus]) -> None:
        self._node, self._status = node, status
        self._warned = '', -WARNING_PERIOD_S
        self._reported = 0, 0
        self._unusable = ''  # reason why nothing is published since the last publication
        self._updater, self.clock = steady_updater(node)
        self._updater.add('locate', self._diagnose)
        self._updater.add('target', self._diagnose_target)
        node.create_timer(HEALTH_PERIOD_S, self._watch, clock=self.clock)

    def warn(self, reason: str) -> None:
        """Log a reason, at most every ``WARNING_PERIOD_S``."""
        now_s = time.monotonic()
        if now_s - self._warned[1] >= WARNING_PERIOD_S:
            self._warned = reason, now_s
            self._node.get_logger().warning(reason)

    def _watch(self) -> None:
        status = self._status()
        if status.state != 'active':
            return
        stats = status.stats
        (published, bad), self._reported = self._reported, (stats.published, stats.dropped_bad)
        if stats.published > published:
            self._unusable = ''
        elif stats.dropped_bad > bad:
            self._unusable = stats.last_drop
        if reason := self._reason(status):
            self.warn(reason)

    def _reason(self, status: LocateStatus) -> str:
        silences = (each.silence() for each in status.inputs)
        return next(filter(None, silences), '') or self._unusable

    def _diagnose(self, report: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        status = self._status()
        reason = self._reason(status) if status.state == 'active' else ''
        if status.problem:
            report.summary(DiagnosticStatus.ERROR, f'{status.state}: {status.problem}')
        else:
            report.summary(DiagnosticStatus.WARN if reason else DiagnosticStatus.OK,
                           reason or status.state)
        report.add('state', status.state)
        for each in status.inputs:
            report.add('topic', each.topic)
        for key, value in status.stats.figures().items():
            report.add(key, value)
        return report

    def _diagnose_target(self, report: DiagnosticStatusWrapper) -> DiagnosticStatusWrapper:
        follower = self._status().follower
        quiet = follower.state in (OFF, FOLLOWING)
        what = f'{follower.state} {follower.wanted}'.strip()
        report.summary(DiagnosticStatus.OK if quiet else DiagnosticStatus.WARN, what)
        report.add('follow', follower.wanted)
        report.add('class', follower.class_name)
        report.add('track id', follower.track_id)
        return report
