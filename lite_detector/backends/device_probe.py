# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure a network on a device in a separate process, because some drivers abort their process.

``python -m lite_detector.backends.device_probe REQUEST`` prints one line of JSON at its end.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
import json
from pathlib import Path
import sys
import time
from typing import Any

from lite_detector.backends.base import Backend, open_backend
from lite_detector.backends.shapes import InputShapes
from lite_detector.core.agreement import output_error
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import LiteDetectorError, ModelError
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import load_card
from lite_detector.core.preprocess import BlobCache
from lite_detector.core.types import FloatArray, ImageSize
import numpy as np

ROUNDS, SECONDS = 10, 2.0
"""Maximum number of timed inferences, and maximum time in seconds; the first limit counts."""


def measure(folder: str, runtime: str, num_threads: int, precision: str, device: str,
            input_size: Sequence[int] | None, resize: str) -> dict[str, Any]:
    """
    Load a network on a device and on the CPU, and compare both.

    :param folder: Path of the model folder.
    :param runtime: Runtime: ncnn or onnx.
    :param num_threads: Number of threads per inference on the CPU.
    :param precision: Precision on the device; the reference on the CPU is fp32.
    :param device: Device name.
    :param input_size: Height and width of the largest input in pixels; None: those of the card.
    :param resize: Resize mode of the preprocessing.
    :return: Device, its name, latencies ms and cpu_ms of one inference, and error in percent.
    :raises ModelError: if the device is absent or cannot compute the network.
    """
    card, path = load_card(Path(folder)), Path(folder)
    shapes = InputShapes.of(card, ImageSize(*input_size) if input_size else None, resize)
    begin = time.perf_counter()
    network = open_backend(card, path, runtime, num_threads, precision, device, shapes)
    # all sizes that images can have, because a provider may be correct for only one of them
    blobs = []
    for size in dict.fromkeys((shapes.largest, shapes.usual)):
        letterbox = Letterbox.fit(size, size, card.preprocess, card.padded_to)
        blobs.append(BlobCache(card.preprocess).make(generated_image(size), letterbox))
    given = [[output.copy() for output in network.infer(blob)] for blob in blobs]
    first_s = time.perf_counter() - begin
    exact = open_backend(card, path, runtime, num_threads, 'fp32')
    wanted = [[output.copy() for output in exact.infer(blob)] for blob in blobs]
    _check_shapes(given, wanted, device)
    on_cpu = open_backend(card, path, runtime, num_threads, precision)
    return {'device': network.device, 'name': network.device_name, 'first_s': first_s,
            'ms': _time(network, blobs[-1]), 'cpu_ms': _time(on_cpu, blobs[-1]),
            'error': output_error(wanted, given)}


def _check_shapes(given: Sequence[Sequence[FloatArray]], wanted: Sequence[Sequence[FloatArray]],
                  device: str) -> None:
    for outputs, references in zip(given, wanted, strict=True):
        shapes = [output.shape for output in outputs]
        if shapes != [reference.shape for reference in references]:
            raise ModelError(f'device {device}: outputs have the shapes {shapes}; expected '
                             f'{[reference.shape for reference in references]}')


def _time(network: Backend, blob: FloatArray) -> float:
    """Return the wall-clock latency of one inference, which includes the GPU, in ms."""
    times: list[float] = []
    while len(times) < ROUNDS and sum(times) < SECONDS:
        begin = time.perf_counter()
        network.infer(blob)
        times.append(time.perf_counter() - begin)
    return 1000 * float(np.median(times))


def main(argv: Sequence[str], work: Callable[..., dict[str, Any]] = measure) -> None:
    """Print the measurement as JSON, or an error as ``problem``."""
    try:
        result = work(**json.loads(argv[0]))
    except LiteDetectorError as error:
        result = {'problem': str(error)}
    print('\n' + json.dumps(result), flush=True)


if __name__ == '__main__':
    main(sys.argv[1:])
