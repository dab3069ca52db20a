# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Contact sheets of labelled images, and histograms of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import cv2
from lite_detector.core.draw import draw_boxes, plain_text
from lite_detector.core.errors import DataError, LiteDetectorError
from lite_detector.core.lettering import drawable_names, put_text
from lite_detector.core.media import write_jpeg
from lite_detector.core.types import ImageArray
from lite_detector.data.check import LARGE, SMALL, SplitReport
from lite_detector.data.dataset import Dataset, Sample
import numpy as np

if TYPE_CHECKING:
    import matplotlib.figure

COLUMNS, ROWS = 4, 4
CELL = 480
"""Side of a cell of the contact sheet in pixels."""
CAPTION = 36
"""Height of the caption above an image in pixels."""
GREY = 40
MAX_BARS = 80
"""Maximum number of classes in the histogram."""
MAX_SIDE = 2048
"""Upper limit of the histogram of sizes in pixels."""


def spread_indices(count: int, wanted: int) -> list[int]:
    """Return at most ``wanted`` evenly spaced indices below ``count``."""
    wanted = min(count, wanted)
    return [index * count // wanted for index in range(wanted)]


def draw_sheet(samples: Iterable[Sample], class_names: Sequence[str]) -> ImageArray:
    """
    Draw samples with their boxes on a contact sheet; ignored regions are marked.

    :param samples: Samples to draw; at most COLUMNS * ROWS are used.
    :param class_names: Names of the class ids.
    :return: Contact sheet, uint8 BGR, with at least one row of cells.
    """
    cells = [_draw_cell(sample.shrunk(CELL), class_names)
             for sample, _ in zip(samples, range(COLUMNS * ROWS), strict=False)]
    return arrange_cells(cells)


def arrange_cells(cells: Sequence[ImageArray]) -> ImageArray:
    """
    Arrange images in a grid with COLUMNS columns.

    :param cells: Images, uint8 BGR, with sides of at most CELL pixels.
    :return: Contact sheet, uint8 BGR, with at least one row of cells.
    """
    rows = max(1, -(-len(cells) // COLUMNS))
    sheet = np.full((rows * CELL, COLUMNS * CELL, 3), GREY, np.uint8)
    for index, cell in enumerate(cells):
        top, left = (index // COLUMNS) * CELL, (index % COLUMNS) * CELL
        sheet[top:top + cell.shape[0], left:left + cell.shape[1]] = cell
    return sheet


def _draw_cell(sample: Sample, class_names: Sequence[str]) -> ImageArray:
    names = drawable_names(class_names)
    labels = [names[class_id] + (' (ignored)' if ignore else '')
              for class_id, ignore in zip(sample.class_ids, sample.ignore, strict=True)]
    return draw_boxes(sample.image_bgr, sample.boxes_xyxy, sample.class_ids, labels)


def fit_cell(image_bgr: ImageArray) -> ImageArray:
    """Return an image resized to fit below the caption of a cell; the aspect ratio is kept."""
    height, width = image_bgr.shape[:2]
    scale = min(CELL / width, (CELL - CAPTION) / height)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return cv2.resize(image_bgr, size, interpolation=cv2.INTER_AREA if scale < 1
                      else cv2.INTER_LINEAR)


def caption_cell(caption: str, picture_bgr: ImageArray | None = None) -> ImageArray:
    """
    Return a cell with a caption above an image.

    :param caption: Text of the caption.
    :param picture_bgr: Image from :func:`fit_cell`; None: only the caption.
    :return: Cell, uint8 BGR, shape (CELL, CELL, 3).
    """
    cell = np.full((CELL, CELL, 3), GREY, np.uint8)
    put_text(cell, caption, (6, CAPTION - 12), 0.6, (255, 255, 255))
    if picture_bgr is not None:
        height, width = picture_bgr.shape[:2]
        cell[CAPTION:CAPTION + height, :width] = picture_bgr
    return cell


def write_sheet(path: Path, dataset: Dataset, unreadable: int = 0) -> None:
    """
    Write a contact sheet of readable samples from the full dataset.

    :param path: Path of the image file.
    :param unreadable: Number of unreadable images; so many more samples are tried.
    :raises DataError: if the file cannot be written.
    """
    def samples() -> Iterable[Sample]:
        for index in spread_indices(len(dataset), COLUMNS * ROWS + unreadable):
            try:
                yield dataset[index]
            except LiteDetectorError:
                continue
    write_jpeg(path, draw_sheet(samples(), dataset.class_names))


def require_matplotlib() -> ModuleType:
    """
    Import matplotlib, an optional dependency for plots.

    :raises LiteDetectorError: if matplotlib is not installed.
    """
    try:
        import matplotlib.figure
    except ImportError as error:
        raise LiteDetectorError(f'plots need matplotlib ({error}); install it with '
                                '`python3 -m pip install matplotlib`') from None
    return matplotlib


def write_histograms(path: Path, reports: Sequence[SplitReport]) -> None:
    """
    Plot the number of boxes per class and the histogram of box sizes.

    :param path: Path of the image file.
    :param reports: Reports of the splits, drawn side by side.
    :raises DataError: if the file cannot be written.
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
        label = plain_text(Path(report.annotations).name)
        bars.barh(np.arange(len(names)) + number * thickness,
                  [report.classes.get(name, 0) for name in names], thickness, label=label)
        sizes.hist(np.clip(report.side_lengths, 1, MAX_SIDE), np.geomspace(1, MAX_SIDE, 45),
                   histtype='step', label=label)
    bars.set(title='Boxes per class', yticks=np.arange(len(names)),
             yticklabels=list(map(plain_text, names)))
    bars.invert_yaxis()
    bars.margins(y=0.01)
    bars.legend()
    sizes.set(title='Box sizes', xscale='log',
              xlabel='square root of the box area in image pixels')
    for limit in (SMALL, LARGE):
        sizes.axvline(limit, color='grey', linestyle=':')
    save_figure(path, figure)


def save_figure(path: Path, figure: matplotlib.figure.Figure) -> None:
    """
    Write a matplotlib figure to a file.

    :raises DataError: if the file cannot be written.
    """
    try:
        figure.savefig(path, dpi=100)
    except OSError as error:
        raise DataError(f'{path}: cannot be written: {error.strerror}') from None
