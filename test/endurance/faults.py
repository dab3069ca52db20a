# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Flights in which something happens to the node: to its model, its process, clock and disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
import resource
import signal
import subprocess
import tempfile
import time

import cv2
from figures import at_least, at_most, equal, Figure, told
from flight import Flight, flight
from lite_detector.ros.capture import RETRY_S
from rcl_interfaces.msg import Parameter as ParameterMsg
from rcl_interfaces.msg import ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rosgraph_msgs.msg import Clock

OTHER_MODEL = 'coco_320'
GROWTH_MB = 20.0
BACK_S = 5.0
"""Time in which detections have to come again; a second on an idle machine."""
STOP_S, PHASE_S, FULL_S = 4.0, 4.0, 10.0
SMALL_DISK, LARGE_DISK = '300k', '50m'


def swap(model: str, length: float) -> Iterator[Figure]:
    """
    Change the model every second, with tracks and tiles.

    :param length: in minutes.
    """
    with flight(model, tiles='2x2', tracking=True) as flying:
        client = flying.client.create_client(SetParameters, '/detector/set_parameters')
        accepted: list[bool] = []
        gaps_s = []
        flying.fly(10, client.service_is_ready)
        end_s = time.monotonic() + 60 * length
        while time.monotonic() < end_s:
            name = (OTHER_MODEL, model)[len(accepted) % 2]
            value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=name)
            request = SetParameters.Request(parameters=[ParameterMsg(name='model', value=value)])
            future = client.call_async(request)
            begin_s = time.monotonic()
            flying.fly(10, future.done)
            accepted.append(future.done() and future.result().results[0].successful)
            gaps_s.append(flying.answered_s(2 * BACK_S))
            flying.fly(begin_s + 1 - time.monotonic())
        yield told('swaps', len(accepted))
        yield equal('swaps that were refused or lost', accepted.count(False), 0)
        yield at_most('from a swap to detections of both cameras, at most', max(gaps_s), BACK_S,
                      's')
        yield from flying.health(GROWTH_MB)


def pause(model: str) -> Iterator[Figure]:
    """Stop the process and let it go on, three times."""
    with flight(model, tracking=True) as flying:
        back_s, stale = [], 0
        for _ in range(3):
            flying.fly(2)
            flying.process.send(signal.SIGSTOP)
            flying.fly(STOP_S)
            first = [len(stream.ages_s) for stream in flying.streams]
            flying.process.send(signal.SIGCONT)
            back_s.append(flying.answered_s(2 * BACK_S))
            stale += sum(age > STOP_S / 2 for stream, index in
                         zip(flying.streams, first, strict=True) for age in stream.ages_s[index:])
        yield at_most('from SIGCONT to new detections, at most', max(back_s), BACK_S, 's')
        # of each camera one may be in work and one may wait
        yield at_most('detections of images from before the end of a stop', stale, 3 * 4)
        yield from flying.health(GROWTH_MB)


class SimulatedTime:
    """A clock that jumps and stands still as it is told."""

    def __init__(self) -> None:
        self.offset_ns = 1000 * 10 ** 9 - time.monotonic_ns()
        self._stands_ns: int | None = None

    def now_ns(self) -> int:
        """Return the time."""
        return self._stands_ns or time.monotonic_ns() + self.offset_ns

    def stand(self, still: bool) -> None:
        """Stand still, or go on."""
        self._stands_ns = self.now_ns() if still else None


def clock(model: str) -> Iterator[Figure]:
    """Let simulated time jump by an hour and back, and stand still."""
    simulated = SimulatedTime()
    with flight(model, simulated.now_ns, use_sim_time=True, tracking=True) as flying:
        publisher = flying.client.create_publisher(Clock, '/clock', 1)

        def tick() -> None:
            msg = Clock()
            msg.clock.sec, msg.clock.nanosec = divmod(simulated.now_ns(), 10 ** 9)
            publisher.publish(msg)
        flying.client.create_timer(0.02, tick)
        flying.fly(PHASE_S)
        for jump_s in (3600, -3600, -0.5):
            simulated.offset_ns += int(jump_s * 1e9)
            yield from _goes_on(flying, f'after a jump by {jump_s} s')
        simulated.stand(True)
        yield from _goes_on(flying, 'while time stands still')
        simulated.stand(False)
        yield from _goes_on(flying, 'when time goes on')
        yield from flying.health(GROWTH_MB)


def _goes_on(flying: Flight, what: str) -> Iterator[Figure]:
    flying.restart()
    yield at_most(f'first detections {what}', flying.answered_s(2 * BACK_S), BACK_S, 's')
    flying.fly(PHASE_S)
    rate_hz = min(len(stream.ages_s) for stream in flying.streams) / PHASE_S
    yield at_least(f'detections of the slower camera {what}', rate_hz, 1, 'Hz')
    yield at_least(f'/diagnostics {what}', len(flying.diagnosed_s), 1)


def full_disk(model: str) -> Iterator[Figure]:
    """Capture into a disk that is full, and later is not."""
    with tempfile.TemporaryDirectory() as folder:
        with small_disk(Path(folder)) as mounted, flight(
                model, capture_folder=folder, score_threshold=0.02) as flying:
            disk = _Disk(flying, Path(folder), mounted)
            yield told('disk', f'tmpfs of {SMALL_DISK}' if mounted else
                       'no rights to mount one: RLIMIT_FSIZE of 4 kB')
            disk.fill()
            flying.fly(FULL_S)
            before = len(disk.pictures())
            flying.restart()
            yield equal('warnings about it', len(flying.process.log('capture_folder')), 1)
            yield at_most('detections on the full disk after', flying.answered_s(2 * BACK_S),
                          BACK_S, 's')
            disk.free()
            flying.fly(RETRY_S + 15, lambda: len(disk.pictures()) > before)
            yield at_least('frames kept before, and when there is room again',
                           len(disk.pictures()), before + 1)
            yield from flying.health(GROWTH_MB)
            broken = [path for path in disk.pictures() if cv2.imread(str(path)) is None]
            half = [path for path in Path(folder).iterdir() if path.suffix == '.tmp']
            yield equal('files that are half written', len(broken + half), 0)


class _Disk:
    def __init__(self, flying: Flight, folder: Path, mounted: bool) -> None:
        self._pid, self._folder, self._mounted = flying.process.pid, folder, mounted

    def fill(self) -> None:
        """Let no more be written; a small disk fills itself."""
        if not self._mounted:
            self._limit(4096)

    def free(self) -> None:
        """Make room."""
        if self._mounted:
            subprocess.run(['mount', '-o', f'remount,size={LARGE_DISK}', str(self._folder)],
                           check=True)
        else:
            self._limit(resource.RLIM_INFINITY)

    def pictures(self) -> list[Path]:
        """Return the frames that were kept."""
        return sorted(self._folder.glob('*.jpg'))

    def _limit(self, size: int) -> None:
        _, hard = resource.prlimit(self._pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._pid, resource.RLIMIT_FSIZE, (size, hard))


@contextmanager
def small_disk(folder: Path) -> Iterator[bool]:
    """Mount a small disk on a folder where that is allowed; return whether it was."""
    mounted = subprocess.run(['mount', '-t', 'tmpfs', '-o', f'size={SMALL_DISK}', 'tmpfs',
                              str(folder)], capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(['umount', str(folder)], check=True)
