# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of a model: input size, resize mode, precision, threads and wait policy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import product
import os
from pathlib import Path

from lite_detector.core.model_card import GRID, ModelCard
from lite_detector.core.types import ImageSize
from lite_detector.detector import Detector, with_resize
import msgspec

PASSIVE, ACTIVE = 'passive', 'active'
WAIT_POLICIES = (PASSIVE, ACTIVE)
"""Values of OMP_WAIT_POLICY; the first one is the default of the package."""
MIN_SIDE = 160
"""Minimum side of the measured input sizes in pixels."""


class Setting(msgspec.Struct, frozen=True):
    """One way to run a model."""

    model: str
    input_size: ImageSize
    resize: str
    precision: str
    threads: int = 1
    wait_policy: str = PASSIVE
    """Behaviour of waiting threads: passive threads sleep, active threads spin."""

    @property
    def with_one_thread(self) -> Setting:
        """Return the same setting with one thread, because detections do not depend on threads."""
        return Setting(self.model, self.input_size, self.resize, self.precision)

    def __str__(self) -> str:
        """Return the setting in one line."""
        waiting = f' ({self.wait_policy})' if self.threads > 1 else ''
        return (f'{self.model} at {self.input_size}, {self.resize}, {self.precision}, '
                f'threads {self.threads}{waiting}')


def settings_of(card: ModelCard, sizes: Sequence[ImageSize], resizes: Sequence[str],
                precisions: Sequence[str], threads: Sequence[int],
                wait_policies: Sequence[str]) -> list[Setting]:
    """
    Return the distinct settings of a model; with one thread the wait policy is irrelevant.

    :param card: Card of the model.
    :param sizes: Network input sizes.
    :param resizes: Resize modes.
    :param precisions: Precisions.
    :param threads: Numbers of threads.
    :param wait_policies: Wait policies for several threads.
    """
    return list(dict.fromkeys(
        Setting(card.name, size, resize, precision, count, policy if count > 1 else PASSIVE)
        for precision, resize, size, count, policy
        in product(precisions, resizes, sizes, threads, wait_policies)))


def fitting_sizes(card: ModelCard, sides: Sequence[int]) -> list[ImageSize]:
    """Return the sizes that the network supports; sizes that no network supports are kept."""
    left_out = [side for side in sides if side % card.grid and side % GRID == 0]
    if len(left_out) == len(sides):
        left_out = []
    if left_out:
        print(f'{card.name}: skips the sizes {", ".join(map(str, left_out))}; expected multiples '
              f'of {card.grid}')
    return [ImageSize(side, side) for side in sides if side not in left_out]


def sizes_down_from(largest: ImageSize, grid: int) -> list[ImageSize]:
    """
    Return a network input size and the squares inside it, the largest first.

    :param largest: Network input size in pixels.
    :param grid: Multiple for all sides in pixels.
    """
    squares = (ImageSize(side, side) for side in range(min(largest), MIN_SIDE - 1, -grid))
    return [largest, *(size for size in squares if size != largest)]


def default_threads() -> list[int]:
    """Return the numbers of threads to measure on this board."""
    cores = len(os.sched_getaffinity(0))
    return [count for count in (1, 2, 4) if count <= cores]


def open_detectors(folders: Mapping[str, str | Path], settings: Iterable[Setting], runtime: str,
                   device: str) -> dict[Setting, Detector]:
    """
    Open a detector for each setting; on the CPU, equal models and precisions share a network.

    :param folders: Name of the model -> folder.
    :param settings: Settings with the same number of threads.
    :param runtime: Runtime: ncnn or onnx.
    :param device: Device name.
    :raises LiteDetectorError: if a setting does not work.
    """
    detectors: dict[Setting, Detector] = {}
    loaded: dict[object, Detector] = {}
    for setting in settings:
        # a device prepares each input size separately
        key = (setting.model, setting.precision) if device == 'cpu' else setting
        if key not in loaded:
            loaded[key] = Detector.from_folder(
                Path(folders[setting.model]), runtime=runtime, num_threads=setting.threads,
                precision=setting.precision, input_size=setting.input_size,
                resize=setting.resize, device=device)
        first = loaded[key]
        detectors[setting] = Detector(with_resize(first.card, setting.resize), first.backend,
                                      input_size=setting.input_size, device=first.device)
        detectors[setting].warm_up()
    return detectors
