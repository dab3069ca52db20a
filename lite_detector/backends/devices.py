# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Run a network on devices other than the CPU.

A device is first tested in a separate process, because its driver may crash or compute wrong
results. A requested device is used or an error is raised; only auto may select the CPU.
"""

from __future__ import annotations

from collections.abc import Mapping
import json
import os
from pathlib import Path
import signal
import subprocess
import sys
import tempfile
import time
from typing import Any, NamedTuple

from lite_detector.backends.base import (
    check_device,
    check_threads,
    DeviceChoice,
    open_backend,
    Report,
    RuntimeNetwork,
)
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.agreement import choose, MAX_ERROR
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import ModelCard
from lite_detector.core.types import ImageSize

ALIVE_S = 10.0
"""Interval of the progress lines in seconds."""
TIMEOUT_S = 1800.0
"""Time limit of a device test in seconds; TensorRT builds engines for many minutes."""
PROBE = 'lite_detector.backends.device_probe'


class Trial(NamedTuple):
    """Measurement of a device on a test image."""

    device: str
    name: str
    precision: str
    ms: float
    """Wall-clock latency of one inference; CPU and device are measured in one process."""
    cpu_ms: float
    error: float
    """Error of the outputs relative to fp32 on the CPU, in percent."""
    first_s: float
    """Time in seconds to load the network and run it once for each size."""

    def __str__(self) -> str:
        """Return a line such as ``gpu:0 (Orin) auto 5.1 ms, error 0.4 %, ready after 2.1 s``."""
        name = f' ({self.name})' if self.name else ''
        return (f'{self.device}{name} {self.precision} {self.ms:.1f} ms, error '
                f'{self.error:.2g} %, ready after {self.first_s:.1f} s')


def open_on_device(card: ModelCard, folder: Path, runtime: str, num_threads: int, precision: str,
                   device: str, input_size: ImageSize | None, resize: str,
                   report: Report = lambda line: None) -> tuple[RuntimeNetwork, DeviceChoice]:
    """
    Load the weights of a model folder on a device, after a comparison with fp32 on the CPU.

    :param card: Card of the model folder.
    :param folder: Path of the model folder.
    :param runtime: Runtime, a key of ``base.BACKENDS``.
    :param num_threads: Number of threads per inference, for parts that run on the CPU.
    :param precision: Precision; auto is half precision if supported and exact enough, else fp32.
    :param device: Device name of ``types.DEVICE_PATTERN`` except cpu; auto selects the fastest
        device that is exact enough.
    :param input_size: Largest network input; None: that of the card.
    :param resize: Resize mode of the preprocessing.
    :param report: Callback for a line every ``ALIVE_S`` seconds while a device prepares.
    :return: Network, and the device with its measurements.
    :raises ModelError: if the device is absent, crashes or computes wrong results.
    """
    check_device(device, runtime)
    check_threads(num_threads)
    request = {'folder': str(folder), 'runtime': runtime, 'num_threads': num_threads,
               'input_size': input_size, 'resize': resize}
    trials, problems = [], []
    for name in _candidates(device, runtime):
        try:
            trials.append(_try_device(request, name, precision, report))
        except ModelError as error:
            if device != 'auto':
                raise
            problems.append(str(error))
    best = _choose(trials, precision) if device == 'auto' else trials[0]
    shapes = InputShapes.of(card, input_size, resize)
    backend = open_backend(card, folder, runtime, num_threads, best.precision, best.device, shapes)
    measured = [', '.join((*map(str, trials), f'CPU {trials[0].cpu_ms:.1f} ms'))] if trials else []
    return backend, DeviceChoice(best.device, '; '.join(
        (f'device {device}: chose {best.device}', *measured, *problems)))


def _candidates(device: str, runtime: str) -> list[str]:
    if device != 'auto':
        return [device]
    if runtime == 'ncnn':
        return ['gpu']
    from lite_detector.backends import providers  # imports the runtime
    return providers.available()


def _choose(trials: list[Trial], precision: str) -> Trial:
    on_cpu = Trial('cpu', '', precision, min((trial.cpu_ms for trial in trials), default=0.0),
                   0.0, 0.0, 0.0)
    return choose([on_cpu, *trials])


def _try_device(request: Mapping[str, Any], device: str, precision: str,
                report: Report) -> Trial:
    """Return the measurement of a device in the fastest precision that is exact enough."""
    for tried in ('auto', 'fp32') if precision == 'auto' else (precision,):
        result = probe({**request, 'device': device, 'precision': tried}, report)
        trial = Trial(precision=tried, **result)
        if trial.error <= MAX_ERROR:
            return trial
    raise ModelError(f'device {device}: {trial.device} computes wrong outputs: error '
                     f'{trial.error:.0f} % relative to fp32 on the CPU; expected at most '
                     f'{MAX_ERROR:.0f} %; export the model again, use device cpu, or another '
                     'version of the driver or library')


def probe(request: Mapping[str, Any], report: Report, module: str = PROBE) -> dict[str, Any]:
    """
    Measure a device in a separate process.

    :param request: Arguments of :func:`lite_detector.backends.device_probe.measure`.
    :param report: Callback for a line every ``ALIVE_S`` seconds.
    :param module: Module to run.
    :return: Result of the module.
    :raises ModelError: if the process failed, crashed or timed out.
    """
    device = request['device']
    # Spawned, because a fork hangs after use of a GPU. Files, because drivers can fill a pipe.
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        child = subprocess.Popen(
            [sys.executable, '-m', module, json.dumps(request)], stdin=subprocess.DEVNULL,
            stdout=output, stderr=errors,
            # import the same modules as this process, and nothing from the current folder
            env={**os.environ, 'PYTHONSAFEPATH': '1',
                 'PYTHONPATH': os.pathsep.join(path or os.getcwd() for path in sys.path)})
        begin = time.monotonic()
        try:
            _wait(child, request, report)
        finally:
            if child.poll() is None:  # after a timeout or Ctrl-C
                child.kill()
                child.wait()
        lines = _lines(output)
        if child.returncode != 0 or not lines:
            raise ModelError(f'device {device}: {_end(child.returncode)} during the device test, '
                             f'after {time.monotonic() - begin:.0f} s: '
                             f'{(_lines(errors) or ["no message"])[-1][:200]}; check the driver')
    result = json.loads(lines[-1])
    if 'problem' in result:
        raise ModelError(result['problem'])
    return result


def _wait(child: subprocess.Popen, request: Mapping[str, Any], report: Report) -> None:
    device = request['device']
    builds = request['runtime'] == 'onnx' and device.startswith(('tensorrt', 'gpu'))
    begin = time.monotonic()
    while True:
        try:
            child.wait(ALIVE_S)
            return
        except subprocess.TimeoutExpired:
            passed = time.monotonic() - begin
        if passed > TIMEOUT_S:
            raise ModelError(f'device {device}: not ready after {passed:.0f} s; check the driver')
        report(f'device {device}: still preparing after {passed:.0f} s'
               + (' (TensorRT builds an engine once per model and board, which takes minutes)'
                  if builds else ''))


def _lines(file: Any) -> list[str]:
    file.seek(0)
    return file.read().decode(errors='replace').split('\n')[:-1]


def _end(code: int) -> str:
    if code >= 0:
        return f'the process ended with code {code}'
    try:
        return f'the driver crashed ({signal.Signals(-code).name})'
    except ValueError:
        return f'the driver crashed (signal {-code})'
