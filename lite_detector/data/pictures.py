# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Labelled images to look at: a sheet of samples, and histograms."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType

import cv2
from lite_detector.core.draw import draw_boxes
from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.core.types import ImageArray
from lite_detector.data.check import LARGE, SMALL, SplitReport
from lite_detector.data.dataset import Dataset, Sample
import numpy as np

COLUMNS, ROWS = 4, 4
CELL = 480
"""Side of a cell of the sheet in pixels."""
MAX_BARS = 80
"""Classes that a histogram has room for."""
MAX_SIDE = 2048
"""Pixels at which the histogram of sizes ends."""


def spread_indices(count: int, wanted: int) -> list[int]:
    """Return that many indices below ``count``, evenly apart, or all."""
    wanted = min(count, wanted)
    return [index * count // wanted for index in range(wanted)]


def draw_sheet(samples: Iterable[Sample], class_names: Sequence[str]) -> ImageArray:
    """
    Draw samples with their boxes side by side; a region to ignore says so.

    :param samples: at most COLUMNS * ROWS are drawn.
    :param class_names: what their class ids mean.
    :return: uint8 BGR, as many rows of cells as are needed, at least one.
    """
    cells = [_draw_cell(sample.shrunk(CELL), class_names)
             for sample, _ in zip(samples, range(COLUMNS * ROWS), strict=False)]
    rows = max(1, -(-len(cells) // COLUMNS))
    sheet = np.full((rows * CELL, COLUMNS * CELL, 3), 40, np.uint8)
    for index, cell in enumerate(cells):
        top, left = (index // COLUMNS) * CELL, (index % COLUMNS) * CELL
        sheet[top:top + cell.shape[0], left:left + cell.shape[1]] = cell
    return sheet


def _draw_cell(sample: Sample, class_names: Sequence[str]) -> ImageArray:
    labels = [class_names[class_id] + (' (ignored)' if ignore else '')
              for class_id, ignore in zip(sample.class_ids, sample.ignore, strict=True)]
    return draw_boxes(sample.image_bgr, sample.boxes_xyxy, sample.class_ids, labels)


def write_sheet(path: Path, dataset: Dataset, unreadable: int = 0) -> None:
    """
    Write a sheet of samples from all over a dataset, those that can be read.

    :param path: a picture file.
    :param unreadable: how many images cannot be read; as many more are tried.
    :raises DataError: if it cannot be written.
    """
    def samples() -> Iterable[Sample]:
        for index in spread_indices(len(dataset), COLUMNS * ROWS + unreadable):
            try:
                yield dataset[index]
            except LiteDetectorError:
                continue
    if not cv2.imwrite(str(path), draw_sheet(samples(), dataset.class_names)):
        raise DataError(f'{path}: cannot be written')


def require_matplotlib() -> ModuleType:
    """
    Import matplotlib, which only pictures of figures need.

    :raises LiteDetectorError: if it is not installed.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise LiteDetectorError(f'histograms need matplotlib ({error}); install it with '
                                '`python3 -m pip install matplotlib`') from None
    return matplotlib


def write_histograms(path: Path, reports: Sequence[SplitReport]) -> None:
    """
    Write how many boxes each class has, and how large they are.

    :param path: a picture file.
    :param reports: the splits, drawn side by side.
    :raises DataError: if it cannot be written.
    :raises LiteDetectorError: if matplotlib is not installed.
    """
    matplotlib = require_matplotlib()
    names = list(dict.fromkeys(name for report in reports for name in report.classes))
    names = sorted(names, key=lambda name: -reports[0].classes.get(name, 0))[:MAX_BARS]
    figure = matplotlib.figure.Figure(figsize=(12, max(4, 1 + 0.2 * len(names))),
                                      layout='constrained')
    bars, sizes = figure.subplots(1, 2)
    thickness = 0.8 / len(reports)
    for number, report in enumerate(reports):
        # a file name may begin with _, which matplotlib would leave out of the legend
        label = f'{Path(report.annotations).name} '.lstrip('_')
        bars.barh(np.arange(len(names)) + number * thickness,
                  [report.classes.get(name, 0) for name in names], thickness, label=label)
        sizes.hist(np.clip(report.side_lengths, 1, MAX_SIDE), np.geomspace(1, MAX_SIDE, 45),
                   histtype='step', label=label)
    bars.set(title='Boxes per class', yticks=np.arange(len(names)), yticklabels=names)
    bars.invert_yaxis()
    bars.margins(y=0.01)
    bars.legend()
    sizes.set(title='Size of the boxes', xscale='log',
              xlabel='square root of the area, pixels of the image')
    for limit in (SMALL, LARGE):
        sizes.axvline(limit, color='grey', linestyle=':')
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise DataError(f'{path}: cannot be written: {error.strerror}') from None
