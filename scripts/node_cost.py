# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""CPU time of the node by thread of the process, and by step of one frame."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, ExitStack
from pathlib import Path
import re
import tempfile
import time
from typing import NamedTuple
from unittest import mock

import cv2
from lite_detector.backends.ncnn_backend import NcnnNetwork
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.detector import Detector
from lite_detector.ros.camera import Camera
from lite_detector.ros.overlay import Overlay
from node_probe import CAMERA_RATE_HZ, NodeProbe, reader, spin, START_TIMEOUT_S, started
import numpy as np
from sensor_msgs.msg import Image

STEPS = {
    'unpack': (Camera, 'unpack'),
    'convert, decode': (Camera, 'read_for'),
    'resize, normalise': (Detector, 'make_blob'),
    'network': (NcnnNetwork, 'infer'),
    'boxes, NMS': (Detector, 'postprocess'),
    'publish': (Camera, 'publish'),
    'draw': (Overlay, 'draw'),
}
"""Step -> its method."""


class Case(NamedTuple):
    """Configuration of the node and its cameras."""

    size: ImageSize = ImageSize(480, 640)
    transport: str = 'raw'
    cameras: int = 1
    viewer: bool = False
    """True: annotated has a subscriber."""

    def __str__(self) -> str:
        return (f'{self.transport} {self.size}' + ', 2 cameras' * (self.cameras == 2)
                + ', annotated' * self.viewer)


CASES = (Case(), Case(ImageSize(720, 1280)), Case(transport='compressed'),
         Case(ImageSize(1080, 1920), 'compressed'), Case(cameras=2), Case(viewer=True))


def cost_tables(model: str, image_bgr: ImageArray, seconds: float) -> Iterator[str]:
    """
    Measure all cases.

    :param model: Name or folder of a model.
    :param image_bgr: Image of the cameras, uint8, shape (h, w, 3), enlarged for some cases.
    :param seconds: Time for each case in s, and again for each process.
    :return: lines of two Markdown sections.
    """
    yield '\n## CPU time of the node by step\n'
    yield (f'{model}, CPU time of the worker per frame in ms, medians; under it the ratio to the '
           'network of the same row.\n')
    yield (f'| camera | {" | ".join(STEPS)} | rest | all |\n|---|{"---|" * len(STEPS)}---|---|')
    for case in CASES:
        if case.cameras == 1:
            yield from _step_row(model, case, enlarged(image_bgr, case.size), seconds)
    yield '\n## CPU time of the node by thread\n'
    yield (f'{model}, the node as a process beside cameras of {CAMERA_RATE_HZ:.0f} Hz: CPU ms per '
           'detection. `detect` is the worker, `messages` takes the images, `executor` is the '
           'main thread with the rest, `DDS` all threads of the middleware.\n')
    yield ('| camera | Hz | detect | messages | executor | DDS | others | all | '
           'memory MB (anonymous, shared by DDS) |\n|---|---|---|---|---|---|---|---|---|')
    for case in CASES:
        yield _thread_row(model, case, enlarged(image_bgr, case.size), seconds)


def enlarged(image_bgr: ImageArray, size: ImageSize) -> ImageArray:
    """Return an image at the size of a camera."""
    return cv2.resize(image_bgr, (size.width, size.height), interpolation=cv2.INTER_CUBIC)


def _step_row(model: str, case: Case, image_bgr: ImageArray, seconds: float) -> Iterator[str]:
    with NodeProbe(model, image_bgr, 'auto', case.transport) as probe:
        if case.viewer:
            probe.listen('annotated', Image)
        frames = []
        with timed_steps() as times:
            end = time.monotonic() + seconds
            while time.monotonic() < end:
                times.clear()
                start = time.thread_time()
                probe.step()
                frames.append({**times, 'all': time.thread_time() - start})
    medians = {name: 1e3 * np.median([frame.get(name, 0.0) for frame in frames])
               for name in (*STEPS, 'all')}
    medians['rest'] = medians['all'] - sum(medians[name] for name in STEPS)
    order = (*STEPS, 'rest', 'all')
    yield f'| {case} | {" | ".join(f"{medians[name]:.2f}" for name in order)} |'
    network = medians['network']
    yield f'| | {" | ".join(f"{medians[name] / network:.2f}" for name in order)} |'


@contextmanager
def timed_steps() -> Iterator[dict[str, float]]:
    """Sum up the CPU seconds of this thread in each of ``STEPS``, less those of steps inside."""
    times: dict[str, float] = defaultdict(float)
    inside: list[float] = [0.0]

    def timed(name: str, method: Callable) -> Callable:
        def call(*arguments: object, **options: object) -> object:
            inside.append(0.0)
            start = time.thread_time()
            try:
                return method(*arguments, **options)
            finally:
                spent = time.thread_time() - start
                times[name] += spent - inside.pop()
                inside[-1] += spent
        return call

    with ExitStack() as stack:
        for name, (owner, method) in STEPS.items():
            stack.enter_context(mock.patch.object(owner, method,
                                                  timed(name, getattr(owner, method))))
        yield times


def _thread_row(model: str, case: Case, image_bgr: ImageArray, seconds: float) -> str:
    names = ['front', 'rear'] if case.cameras == 2 else []
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        cv2.imwrite(str(folder / 'camera.png'), image_bgr)
        executor, ages_s, _ = stack.enter_context(reader(
            [f'{name}/detections' for name in names] or ['detections'],
            'annotated' if case.viewer else None))
        for name in names or ['']:
            stack.enter_context(started(
                'camera_replay', '-r', f'__ns:=/{name}', '-r', f'__node:=camera_{name}',
                source=folder / 'camera.png', rate_hz=CAMERA_RATE_HZ, transport=case.transport))
        node = stack.enter_context(started(
            'detect_node', model=model, transport=case.transport,
            **({'cameras': '[front,rear]'} if names else {})))
        spin(executor, START_TIMEOUT_S, lambda: ages_s)
        spin(executor, 1.0, lambda: False)
        before = thread_times(node.pid)
        ages_s.clear()
        spin(executor, seconds, lambda: False)
        count = max(len(ages_s), 1)
        spent = {name: 1e3 * (seconds_ - before.get(name, 0.0)) / count
                 for name, seconds_ in thread_times(node.pid).items()}
        status = Path(f'/proc/{node.pid}/status').read_text()
    rss, anonymous, shared = (int(re.search(rf'{key}:\s+(\d+) kB', status)[1]) / 1024
                              for key in ('VmRSS', 'RssAnon', 'RssShmem'))
    dds = sum(value for name, value in spent.items() if name.startswith('dds'))
    known = [*(spent.get(name, 0.0) for name in ('detect', 'messages', 'executor')), dds]
    columns = [*known, sum(spent.values()) - sum(known), sum(spent.values())]
    return (f'| {case} | {count / seconds:.1f} | {" | ".join(f"{ms:.2f}" for ms in columns)} | '
            f'{rss:.0f} ({anonymous:.0f}, {shared:.0f}) |')


def thread_times(pid: int) -> dict[str, float]:
    """Return the CPU seconds of a process by name of its threads; the main one is executor."""
    times: dict[str, float] = defaultdict(float)
    for task in Path(f'/proc/{pid}/task').iterdir():
        name = 'executor' if task.name == str(pid) else (task / 'comm').read_text().strip()
        times[name] += int((task / 'schedstat').read_text().split()[0]) / 1e9
    return times
