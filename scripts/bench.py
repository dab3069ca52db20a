# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure the speed on this machine and print it as Markdown tables (`make bench`).

What a table compares was measured in turn, round by round, so that a change of clock or load meets
all of it alike: trust the ratios, and times only beside times of the same table.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
import sys
import time
from typing import TypeVar

import cv2
from lite_detector import load_model
from lite_detector.bench.load import busy_processes
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.speed import (
    interleave,
    Progress,
    single_threaded_opencv,
    Timing,
)
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.detector import Detector
from lite_detector.ros.domain import enter_own_domain
from lite_detector.zoo import DEFAULT_MODEL, find_model
import numpy as np
from plain_pipeline import PlainPipeline
from tqdm import tqdm

Name = TypeVar('Name')

MODELS = (DEFAULT_MODEL, 'nanodet_m_320', 'nanodet_plus_m_320', 'yolov5_lite_e_320')
SOURCE_SIZE = ImageSize(480, 640)
LARGE_SIZE = ImageSize(720, 1280)
PHOTOS = ('motorcycle_left.png', 'astronaut.png', 'coffee.png', 'chelsea.png')
LOADS = (0, 1, 2)
SELECTION = '\nAP against time, of every model at several sizes: [selection.md](selection.md).'
RUNS = len(MODELS) * (2 + len(LOADS)) + 1


def main() -> int:
    """Measure, print, and write the tables to a file if one is named."""
    parser = argparse.ArgumentParser(description='Measure the speed on this machine.')
    parser.add_argument('--markdown', type=Path, metavar='FILE', help='file for the tables')
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help='source image (a collage of sample photographs)')
    parser.add_argument('--seconds', type=float, default=10.0, metavar='S',
                        help=f'time of each of {RUNS} runs in s (10)')
    args = parser.parse_args()
    enter_own_domain()
    try:
        image_bgr, remark = _source(args.image)
        with tqdm(total=RUNS * args.seconds, disable=None, leave=False,
                  bar_format='{desc} {bar} {n:.0f}/{total:.0f} s') as bar:
            bench = Bench(image_bgr, args.seconds, bar.update)
            tables = [f'# Speed on this machine\n\n{describe_machine()} {remark}',
                      *bench.overhead_table(), *bench.variant_table(), *bench.load_table(),
                      *bench.process_table(), SELECTION]
        text = '\n'.join(tables) + '\n'
        print(text, end='')
        if args.markdown:
            args.markdown.write_text(text, encoding='utf-8')
    except (LiteDetectorError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    return 0


class Bench:
    """
    The measurements; each gives the lines of a section.

    :param image_bgr: Image, uint8, shape (height, width, 3).
    :param seconds: Time of each run in s.
    :param progress: Function called with the time since the last call in s.
    """

    def __init__(self, image_bgr: ImageArray, seconds: float, progress: Progress) -> None:
        self._image_bgr = image_bgr
        self._seconds = seconds
        self._progress = progress

    def overhead_table(self) -> Iterator[str]:
        """Compare the network alone, the detector, the node and the plain pipeline."""
        yield '\n## What the package adds to the network\n'
        yield ('CPU time of the thread that works, 1 thread, and its ratio to the network alone '
               '(`forward`).\n')
        yield '| model | step | CPU ms | ratio |\n|---|---|---|---|'
        remark = ''
        for model in MODELS:
            with ExitStack() as stack:
                steps = self._pipelines(model)
                try:
                    from node_probe import NodeProbe
                    probe = stack.enter_context(NodeProbe(model, self._image_bgr, 'auto'))
                    steps['node, message to message'] = probe.step
                except ImportError as error:
                    remark = f'\nThe node was not measured: {error}.'
                timings = self._run(steps)
            yield from _overhead_rows(model, timings)
        large = self._run(_steps(load_model(DEFAULT_MODEL), _fit(self._image_bgr, LARGE_SIZE)))
        yield from _overhead_rows(f'{DEFAULT_MODEL}, image of {LARGE_SIZE}', large)
        yield ('\n`plain numpy pipeline` is scripts/plain_pipeline.py: square letterbox, final '
               'outputs, whole grid decoded in numpy.' + remark)

    def variant_table(self) -> Iterator[str]:
        """Compare ways to fit the image, precisions and threads."""
        yield '\n## What changes the time\n'
        yield ('Wall time from image to detections with a square letterbox, fp32 and 1 thread, '
               'and the ratio to it of a change to one of these.\n')
        variants = {'rectangular letterbox': {'resize': 'letterbox_rect'},
                    'bf16': {'precision': 'bf16'}, '2 threads': {'num_threads': 2}}
        yield f'| model | ms | {" | ".join(variants)} |\n|---|---|{"---|" * len(variants)}'
        for model in MODELS:
            base = {'resize': 'letterbox_square', 'precision': 'fp32'}
            timings = self._run({
                name: self._detect(load_model(model, **{**base, **options}))
                for name, options in {'base': {}, **variants}.items()})
            ratios = (f'{np.median(timings[name].wall_ms / timings["base"].wall_ms):.2f}'
                      for name in variants)
            yield f'| {model} | {np.median(timings["base"].wall_ms):.2f} | {" | ".join(ratios)} |'

    def load_table(self) -> Iterator[str]:
        """Compare one and two threads under CPU load."""
        yield '\n## Under CPU load\n'
        yield 'Wall time from image to detections in ms, median (and 90th percentile).\n'
        yield (f'| model | threads | {" | ".join(f"{load} busy" for load in LOADS)} |\n'
               f'|---|---|{"---|" * len(LOADS)}')
        for model in MODELS:
            steps = {threads: self._detect(load_model(model, num_threads=threads))
                     for threads in (1, 2)}
            cells: dict[int, list[str]] = {threads: [] for threads in steps}
            for load in LOADS:
                with busy_processes(load):
                    for threads, timing in self._run(steps).items():
                        median, high = np.percentile(timing.wall_ms, (50, 90))
                        cells[threads].append(f'{median:.1f} ({high:.1f})')
            for threads, row in cells.items():
                yield f'| {model} | {threads} | {" | ".join(row)} |'

    def process_table(self) -> Iterator[str]:
        """Watch the node as a process beside a camera."""
        try:
            from node_probe import process_table
        except ImportError:
            return
        yield from process_table(DEFAULT_MODEL, self._image_bgr, self._seconds)
        from node_cost import cost_tables
        from peers import peers_table
        yield from cost_tables(DEFAULT_MODEL, self._image_bgr, self._seconds)
        yield from peers_table(self._image_bgr, self._seconds)

    def _pipelines(self, model: str) -> dict[str, Callable[[], object]]:
        detector = load_model(model)
        steps = _steps(detector, self._image_bgr)
        if model != DEFAULT_MODEL:  # an exported model lacks the final layers of public files
            plain = PlainPipeline(find_model(model))
            steps['plain numpy pipeline'] = lambda: plain.detect(self._image_bgr)
        return steps

    def _detect(self, detector: Detector) -> Callable[[], object]:
        return lambda: detector.detect(self._image_bgr)

    def _run(self, steps: dict[Name, Callable[[], object]]) -> dict[Name, Timing]:
        with single_threaded_opencv():
            return interleave(steps, self._seconds, time.thread_time, self._progress)


def _steps(detector: Detector, image_bgr: ImageArray) -> dict[str, Callable[[], object]]:
    blob = detector.make_blob(image_bgr, detector.fit(image_bgr))
    return {'forward': lambda: detector.backend.infer(blob),
            'end to end, image to detections': lambda: detector.detect(image_bgr)}


def _overhead_rows(title: str, timings: Mapping[str, Timing]) -> Iterator[str]:
    for step, timing in timings.items():
        yield (f'| {title} | {step} | {np.median(timing.cpu_ms):.2f} | '
               f'{timing.cpu_ratio(timings["forward"]):.2f} |')


def _source(path: Path | None) -> tuple[ImageArray, str]:
    """Return the source image and a sentence about it."""
    if path:
        return _fit(read_image(path), SOURCE_SIZE), f'Source: {path.name}, {SOURCE_SIZE}.'
    # found without an import, which would need the dependencies of the library
    spec = find_spec('skimage')
    if spec is None or spec.origin is None:
        return generated_image(SOURCE_SIZE), (f'Source: a generated picture, {SOURCE_SIZE}, with '
                                              'nothing to find in it, for want of scikit-image.')
    photos = [read_image(Path(spec.origin).parent / 'data' / name) for name in PHOTOS]
    quarter = ImageSize(SOURCE_SIZE.height // 2, SOURCE_SIZE.width // 2)
    tiles = [_fit(photo, quarter) for photo in photos]
    collage = np.vstack((np.hstack(tiles[:2]), np.hstack(tiles[2:])))
    return collage, f'Source: a collage of four photographs, {SOURCE_SIZE}.'


def _fit(image_bgr: ImageArray, size: ImageSize) -> ImageArray:
    return cv2.resize(image_bgr, (size.width, size.height), interpolation=cv2.INTER_AREA)


if __name__ == '__main__':
    sys.exit(main())
