# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure settings in turn in a separate process, because OpenMP keeps its state per process.

The process reads a job from stdin and writes lines of JSON: the elapsed seconds repeatedly, then
the times; or a text, which is an error. It exits when its parent is gone.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import partial
import os
import subprocess
import sys

from lite_detector.bench.setting import open_detectors, Setting
from lite_detector.bench.speed import clock_for, interleave, Progress, single_threaded_opencv
from lite_detector.core.errors import LiteDetectorError
import msgspec
import numpy as np

# Ctrl-C is handled by the parent, which kills this process. A separate session would also block
# Ctrl-C, but Linux shares processors among sessions, and the busy processes have to be in the same
# one, as other nodes are.
START = f"""\
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
from {__name__} import main
main()
"""


# Under CPU load, spinning threads can take seconds for one image.
WARM_UP_ROUNDS, MIN_ROUNDS = 1, 2


class Job(msgspec.Struct, frozen=True):
    """Settings to measure; all have the same threads and wait policy."""

    runtime: str
    device: str
    folders: dict[str, str]
    """Name of the model -> folder."""
    settings: list[Setting]
    seconds: float
    """Wall time of all settings together in seconds."""
    image: str = ''
    """Path of a ``.npy`` file, uint8, shape (height, width, 3)."""


class Times(msgspec.Struct, frozen=True):
    """Times from image to detections in ms, shape (settings, rounds)."""

    wall_ms: list[list[float]]
    cpu_ms: list[list[float]]


def measure_apart(job: Job, progress: Progress) -> Times:
    """
    Measure in a separate process.

    :param job: Settings to measure.
    :param progress: Callback with the seconds since the last call.
    :raises LiteDetectorError: if a setting does not work.
    """
    environment = {**os.environ, 'OMP_WAIT_POLICY': job.settings[0].wait_policy.upper(),
                   'PYTHONPATH': os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen([sys.executable, '-c', START], stdin=subprocess.PIPE,
                          stdout=subprocess.PIPE, env=environment) as process:
        assert process.stdin is not None and process.stdout is not None, 'pipes'
        try:
            with suppress(BrokenPipeError):  # the process exited early; the status is raised below
                process.stdin.write(msgspec.json.encode(job))
                process.stdin.close()
            for line in process.stdout:
                answer = msgspec.json.decode(line, type=float | str | Times)
                if isinstance(answer, Times):
                    return answer
                if isinstance(answer, str):
                    raise LiteDetectorError(answer)
                progress(answer)
            status = process.wait()
        finally:
            process.kill()
    raise LiteDetectorError(f'the measuring process ended with status {status}; check the free '
                            'memory, or measure fewer models')


def main() -> None:
    """Read a job, measure it and write the answer."""
    # Answers use the original stdout; output of libraries is redirected to stderr.
    with os.fdopen(os.dup(1), 'wb') as answers:
        os.dup2(2, 1)

        def answer(what: float | str | Times) -> None:
            answers.write(msgspec.json.encode(what) + b'\n')
            answers.flush()

        try:
            answer(_measure(msgspec.json.decode(sys.stdin.buffer.read(), type=Job), answer))
        except LiteDetectorError as error:
            answer(str(error))
        except BrokenPipeError:
            # the parent is gone; exit without the message that Python would print
            os._exit(1)


def _measure(job: Job, progress: Progress) -> Times:
    image_bgr = np.load(job.image)
    detectors = open_detectors(job.folders, job.settings, job.runtime, job.device)
    with single_threaded_opencv():
        steps = {str(number): partial(detector.detect, image_bgr)
                 for number, detector in enumerate(detectors.values())}
        timings = interleave(steps, job.seconds, clock_for(job.settings[0].threads), progress,
                             WARM_UP_ROUNDS, MIN_ROUNDS)
    return Times([_rounded(each.wall_ms) for each in timings.values()],
                 [_rounded(each.cpu_ms) for each in timings.values()])


def _rounded(times_ms: Iterable[float]) -> list[float]:
    return [round(float(time_ms), 4) for time_ms in times_ms]
