# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Choice of the precision for ``precision: auto``, measured on this board."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
import time
from typing import Any, NamedTuple

from lite_detector.core.agreement import choose, MAX_ERROR, output_error, SAME_TIME
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import load_card
from lite_detector.core.types import FloatArray, ImageSize
from lite_detector.detector import Detector
from lite_detector.ros.memory import give_memory_back
from lite_detector.ros.precision_cache import Choice, entry_of, recall, remember
import numpy as np

EXACT = 'fp32'
FASTER = ('auto', 'bf16', 'int8', 'int8_auto', 'int8_bf16')
"""Candidates, the most exact first; auto is the choice of ncnn, fp16 on many ARM boards."""
ROUNDS, SECONDS = 7, 2.0
"""Number of measurements of each precision, and maximum wall time for all of them in s."""
CAMERA = ImageSize(480, 640)


class Probe(NamedTuple):
    """Measurement of one precision on the warm-up image."""

    precision: str
    ms: float
    """CPU time of the network in ms, which is least affected by other processes."""
    error: float
    """Error of the outputs relative to fp32 in percent."""

    def __str__(self) -> str:
        """Return a text such as ``bf16 8.1 ms, error 0.4 %``."""
        return f'{self.precision} {self.ms:.1f} ms, error {self.error:.1f} %'


def load_detector(folder: Path, options: Mapping[str, Any],
                  quiet: AbstractContextManager | None = None) -> tuple[Detector, str]:
    """
    Load a model; ``precision: auto`` becomes the fastest precision that agrees with fp32.

    :param folder: Folder with ``card.yaml`` and the weights.
    :param options: Keyword arguments of ``Detector.from_folder``.
    :param quiet: Context manager that is active during the timing, but not while models load.
    :return: Detector, and log message about the choice; empty if there was no choice.
    :raises LiteDetectorError: see ``Detector.from_folder``.
    """
    if options.get('device', 'cpu') != 'cpu':
        detector = Detector.from_folder(folder, **options)
        device, chosen = detector.device, ''
        if device.name == 'cpu':  # device auto has chosen the CPU
            detector, chosen = load_detector(folder, {**options, 'device': 'cpu'}, quiet)
            detector.device = device
        return detector, '; '.join(filter(None, (device.report, chosen)))
    if options['precision'] != 'auto' or options['runtime'] != 'ncnn':
        return Detector.from_folder(folder, **options), ''
    entry = entry_of(folder, options, (FASTER, MAX_ERROR, SAME_TIME))
    known = recall(entry)
    if known and known.precision in (EXACT, *FASTER):
        with suppress(ModelError):  # after an error, measure again
            return (Detector.from_folder(folder, **{**options, 'precision': known.precision}),
                    f'{known.report}; measured at an earlier start, stored in {entry}')
    detector, report = _measured(folder, options, quiet)
    give_memory_back()
    remember(entry, Choice(*report))
    return detector, report[1]


def _measured(folder: Path, options: Mapping[str, Any], quiet: AbstractContextManager | None
              ) -> tuple[Detector, tuple[str, str]]:
    """Load all precisions; return the best one, its name and the log message."""
    detectors = {EXACT: Detector.from_folder(folder, **{**options, 'precision': EXACT})}
    ncnn, failures = load_card(folder).runtimes.ncnn, []
    for precision in FASTER:
        if precision.startswith('int8') and not (ncnn and ncnn.int8):
            continue
        try:
            detectors[precision] = Detector.from_folder(
                folder, **{**options, 'precision': precision})
        except ModelError as error:  # NaN in half precision, or a damaged int8 file
            failures.append(f'; not {precision}: {error}')
    probes = probe(detectors, options['num_threads'], quiet)
    best = choose(probes)
    report = (f'precision auto: chose {best.precision} of ' + ', '.join(map(str, probes))
              + ''.join(failures))
    return detectors[best.precision], (best.precision, report)


def probe(detectors: Mapping[str, Detector], num_threads: int,
          quiet: AbstractContextManager | None = None) -> list[Probe]:
    """
    Time the networks, interleaved, and compare their outputs with those of the first one.

    :param detectors: Precision -> detector; the first is the exact one.
    :param num_threads: Number of threads of the detectors.
    :param quiet: Context manager that is active during the timing, about ``SECONDS`` at most.
    :return: in the same order, without those whose outputs are bit-identical to an earlier one's:
        they run the same code, as auto and fp32 do where the processor has no fp16 arithmetic.
    """
    clock = time.thread_time if num_threads == 1 else time.process_time
    first = next(iter(detectors.values()))
    image_bgr = generated_image(CAMERA)
    blob = first.make_blob(image_bgr, first.fit(image_bgr))
    outputs: dict[str, list[FloatArray]] = {}
    for name, detector in detectors.items():
        given = [output.copy() for output in detector.backend.infer(blob)]
        if not any(all(map(np.array_equal, given, earlier)) for earlier in outputs.values()):
            outputs[name] = given
    times: dict[str, list[float]] = {name: [] for name in outputs}
    # with several threads only the CPU time of the process is available
    with quiet or nullcontext():
        begin = time.perf_counter()
        for _ in range(ROUNDS):
            for name in times:
                start = clock()
                detectors[name].backend.infer(blob)
                times[name].append(clock() - start)
            if time.perf_counter() - begin > SECONDS:
                break
    expected = next(iter(outputs.values()))
    return [Probe(name, 1000 * min(times[name]), output_error([expected], [outputs[name]]))
            for name in outputs]
