# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Comparison of the node with a minimal node: process CPU time per detection, and ages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
import tempfile
import time

import cv2
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.zoo import find_model
from node_cost import Case, enlarged, thread_times
from node_probe import CAMERA_RATE_HZ, reader, spin, START_TIMEOUT_S, started
import numpy as np
from plain_pipeline import PlainPipeline

MODEL = 'nanodet_m_320'
"""Public network whose file has the final layers that the minimal code needs."""
PLAIN_NODE = Path(__file__).parent / 'plain_node.py'
PEERS = {'this package': 'detect_node', 'minimal rclpy node': PLAIN_NODE}
CASES = (Case(), Case(ImageSize(1080, 1920), 'compressed'))
ROUNDS = 3


def peers_table(image_bgr: ImageArray, seconds: float) -> Iterator[str]:
    """
    Start each node as a process beside a camera, in turn.

    :param image_bgr: Image of the camera, uint8, shape (h, w, 3).
    :param seconds: Time for each node and camera in s.
    :return: lines of a Markdown section.
    """
    yield '\n## Comparison with a minimal node\n'
    yield (f'{MODEL}, one camera of {CAMERA_RATE_HZ:.0f} Hz in another process, medians of '
           f'{ROUNDS} rounds in turn. `minimal rclpy node` is scripts/plain_node.py: messages as '
           'objects, full decode, default executor, plain numpy pipeline. `plain numpy pipeline` '
           'is that pipeline alone, from decoded images to detections, without ROS.\n')
    yield ('| camera | what | CPU ms per detection | Hz | age at arrival, p95, ms |\n'
           '|---|---|---|---|---|')
    for case in CASES:
        image = enlarged(image_bgr, case.size)
        rows = {name: [] for name in PEERS}
        for _ in range(ROUNDS):
            for name, command in PEERS.items():
                rows[name].append(_measured(case, image, command, seconds / ROUNDS))
        yield f'| {case} | plain numpy pipeline | {_pipeline_ms(image):.2f} | | |'
        for name, row in rows.items():
            cpu_ms, rate_hz, age_ms = np.median(row, axis=0)
            yield f'| {case} | {name} | {cpu_ms:.2f} | {rate_hz:.1f} | {age_ms:.1f} |'


def _measured(case: Case, image_bgr: ImageArray, command: str | Path,
              seconds: float) -> tuple[float, float, float]:
    """Return CPU time per detection in ms, detections per second, and p95 of the ages in ms."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cv2.imwrite(str(folder / 'camera.png'), image_bgr)
        executor, ages_s, _ = stack.enter_context(reader())
        stack.enter_context(started('camera_replay', source=folder / 'camera.png',
                                    rate_hz=CAMERA_RATE_HZ, transport=case.transport))
        node = stack.enter_context(started(command, model=MODEL))
        spin(executor, START_TIMEOUT_S, lambda: ages_s)
        spin(executor, 1.0, lambda: False)
        ages_s.clear()
        before_s = sum(thread_times(node.pid).values())
        spin(executor, seconds, lambda: False)
        spent_s = sum(thread_times(node.pid).values()) - before_s
    count = max(len(ages_s), 1)
    return 1e3 * spent_s / count, count / seconds, 1e3 * float(np.percentile(ages_s or [0], 95))


def _pipeline_ms(image_bgr: ImageArray) -> float:
    pipeline, times_s = PlainPipeline(find_model(MODEL)), []
    for _ in range(100):
        start = time.thread_time()
        pipeline.detect(image_bgr)
        times_s.append(time.thread_time() - start)
    return 1e3 * float(np.median(times_s))
