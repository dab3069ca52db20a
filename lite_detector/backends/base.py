# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Interface between the detector and the inference runtimes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
import re
from typing import get_args, Literal, NamedTuple, Protocol

from lite_detector.backends.shapes import InputShapes
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.media import is_utf8
from lite_detector.core.model_card import checked_files, ModelCard
from lite_detector.core.types import DEVICE_PATTERN, DEVICES, FloatArray, MAX_THREADS

Precision = Literal['auto', 'fp32', 'bf16', 'int8', 'int8_auto', 'int8_bf16']

BACKENDS = {
    'ncnn': 'lite_detector.backends.ncnn_backend',
    'onnx': 'lite_detector.backends.onnx_backend',
}
PRECISIONS: tuple[str, ...] = get_args(Precision)
INT8 = tuple(each for each in PRECISIONS if each.startswith('int8'))


class Backend(Protocol):
    """A loaded network."""

    def infer(self, blob: FloatArray) -> Sequence[FloatArray]:
        """
        Run the network once.

        :param blob: Normalized pixels, float32, C-contiguous, shape (3, height, width).
        :return: Outputs in the order of the card, float32, without batch axis; valid as long as
            they are referenced.
        :raises ModelError: if the runtime fails.
        """


class RuntimeNetwork(Backend, Protocol):
    """A network that is loaded by one of the runtimes."""

    device: str
    """Device name: cpu, gpu:N, or an execution provider."""
    device_name: str
    """Name of the device in its driver; empty for the CPU."""


Report = Callable[[str], None]
"""Callback for a progress line."""


class DeviceChoice(NamedTuple):
    """Device that runs a network, with the measurements that led to it."""

    name: str = 'cpu'
    """Device name: cpu, gpu:N, or an execution provider."""
    report: str = ''
    """Measurements in one line; empty: the CPU was requested."""


def check_device(device: str, runtime: str) -> None:
    """Raise ConfigError for a device that the runtime does not support."""
    if not re.fullmatch(DEVICE_PATTERN, device):
        raise ConfigError(f'device: {device!r}; expected one of {DEVICES}')
    if runtime != 'onnx' and not re.match('cpu|gpu|auto', device):
        raise ConfigError(f'device: {device} needs runtime onnx; runtime {runtime} supports cpu, '
                          'gpu, gpu:N and auto')


def check_threads(num_threads: int) -> None:
    """Raise ConfigError for a number of threads outside of 1 to MAX_THREADS."""
    if not 1 <= num_threads <= MAX_THREADS:
        raise ConfigError(f'num_threads: {num_threads}; expected 1 to {MAX_THREADS}')


def open_backend(card: ModelCard, folder: Path, runtime: str, num_threads: int,
                 precision: str, device: str = 'cpu',
                 shapes: InputShapes | None = None) -> RuntimeNetwork:
    """
    Load the weights of a model folder.

    :param card: Card of the model folder.
    :param folder: Path of the model folder.
    :param runtime: Runtime, a key of ``BACKENDS``.
    :param num_threads: Number of threads per inference, 1 to ``MAX_THREADS``.
    :param precision: auto (default of the runtime), fp32, bf16 (storage), int8 (int8 files, float
        layers in fp32), int8_auto or int8_bf16 (float layers in auto or bf16).
    :param device: Device name except auto; devices.py first checks devices other than the CPU.
    :param shapes: Possible input sizes, required for other devices.
    :raises ConfigError: if an option is not one of the choices.
    :raises ModelError: if the device is absent, or the weights are missing, damaged or belong to
        another network.
    """
    for name, value, choices in (('runtime', runtime, tuple(BACKENDS)),
                                 ('precision', precision, PRECISIONS)):
        if value not in choices:
            raise ConfigError(f'{name}: {value!r}; expected one of {", ".join(choices)}')
    check_threads(num_threads)
    if not is_utf8(folder):  # no runtime accepts such a path
        raise ModelError(f'{str(folder)!r}: not UTF-8; rename the folder')
    files = card.runtime_files(runtime)
    if precision in INT8 and runtime == 'ncnn':
        files = card.int8_files()
    elif precision == 'int8':
        files = card.int8_onnx_files(signed=device.startswith(('tensorrt', 'gpu')))
    paths = checked_files(folder, files)
    try:
        module = import_module(BACKENDS[runtime])
    except ImportError as error:
        package = {'ncnn': 'ncnn', 'onnx': 'onnxruntime'}[runtime]
        raise ModelError(f'runtime {runtime}: {error}; install it with '
                         f'`python3 -m pip install {package}`') from None
    if device == 'cpu':
        return module.open_network(files, paths, num_threads, precision)
    return module.open_on_device(files, paths, num_threads, precision, device,
                                 shapes or InputShapes.of(card, None, card.preprocess.resize))
