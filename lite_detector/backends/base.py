# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What the detector asks of a runtime."""

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

        :param blob: normalised pixels, float32, C-contiguous, shape (3, height, width).
        :return: the outputs in the order of the card, float32, without a batch axis; valid as
            long as they are referenced.
        :raises ModelError: if the runtime fails.
        """


class RuntimeNetwork(Backend, Protocol):
    """A network that one of the runtimes loaded."""

    device: str
    """cpu, gpu:N, or the name of an execution provider."""
    device_name: str
    """What the driver calls the device; empty for the CPU."""


Report = Callable[[str], None]
"""Takes a line for the user."""


class DeviceChoice(NamedTuple):
    """Where a network runs, and why."""

    name: str = 'cpu'
    """cpu, gpu:N, or the name of an execution provider."""
    report: str = ''
    """What was measured, in one line; empty: the CPU was asked for."""


def check_device(device: str, runtime: str) -> None:
    """Raise ConfigError for a device that this runtime does not know."""
    if not re.fullmatch(DEVICE_PATTERN, device):
        raise ConfigError(f'device: got {device!r}, expected one of {DEVICES}')
    if runtime != 'onnx' and not re.match('cpu|gpu|auto', device):
        raise ConfigError(f'device: {device} needs runtime onnx; runtime {runtime} has cpu, gpu, '
                          'gpu:N and auto')


def check_threads(num_threads: int) -> None:
    """Raise ConfigError for a number of threads that no board has."""
    if not 1 <= num_threads <= MAX_THREADS:
        raise ConfigError(f'num_threads: got {num_threads}, wanted 1 to {MAX_THREADS}')


def open_backend(card: ModelCard, folder: Path, runtime: str, num_threads: int,
                 precision: str, device: str = 'cpu',
                 shapes: InputShapes | None = None) -> RuntimeNetwork:
    """
    Load the weights of a model folder.

    :param card: the folder's card.
    :param folder: where its files lie.
    :param runtime: a key of ``BACKENDS``.
    :param num_threads: threads for one inference, 1 .. ``MAX_THREADS``.
    :param precision: auto (the runtime's own choice), fp32, bf16 (storage), int8 (the int8 form
        of the folder, its float layers in fp32), int8_auto or int8_bf16 (its float layers in
        these).
    :param device: any but auto; devices.py checks one that is not the CPU, and asks first.
    :param shapes: sizes that the input may have; needed for other devices.
    :raises ConfigError: if an option is not among the choices.
    :raises ModelError: if the device is not there, or the weights are missing, damaged or another
        network's.
    """
    for name, value, choices in (('runtime', runtime, tuple(BACKENDS)),
                                 ('precision', precision, PRECISIONS)):
        if value not in choices:
            raise ConfigError(f'{name}: got {value!r}, wanted one of {", ".join(choices)}')
    check_threads(num_threads)
    if not is_utf8(folder):  # no runtime takes such a path
        raise ModelError(f'{str(folder)!r}: no UTF-8, wanted another name for a folder')
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
