# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Progress of a run for people: TensorBoard, a table and plots of the curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
import csv
import logging
from pathlib import Path

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.media import write_jpeg
from lite_detector.core.types import ImageArray
from lite_detector.data.pictures import require_matplotlib
from lite_detector.train.run.figures import AP, LOSS
from torch.utils.tensorboard import SummaryWriter

logging.getLogger('tensorboard').setLevel(logging.ERROR)

EVENTS_FOLDER = 'tensorboard'
TABLE_FILE = 'metrics.csv'
CURVES_FILE = 'curves.png'


class Monitor:
    """
    Writer of the figures and pictures of a run.

    :param folder: Folder of the run.
    :param iteration: Number of finished steps; later entries in TensorBoard are hidden.
    :raises LiteDetectorError: if matplotlib is not installed.
    """

    def __init__(self, folder: Path, iteration: int) -> None:
        require_matplotlib()
        self._folder = folder
        self._events = SummaryWriter(str(folder / EVENTS_FOLDER), purge_step=iteration)

    def step(self, iteration: int, figures: Mapping[str, float]) -> None:
        """Record the figures of one step."""
        for name, value in figures.items():
            self._events.add_scalar(name, value, iteration)

    def picture(self, name: str, image_bgr: ImageArray, iteration: int) -> None:
        """
        Save a picture as a file and in TensorBoard.

        :param name: Name of the file, without suffix.
        :param image_bgr: BGR image, uint8, shape (height, width, 3).
        :param iteration: Number of the step, for TensorBoard.
        :raises DataError: if it cannot be written.
        """
        path = self._folder / f'{name}.jpg'
        write_jpeg(path, image_bgr)
        self._events.add_image(name, image_bgr[..., ::-1], iteration, dataformats='HWC')

    def epoch(self, history: Sequence[Mapping[str, float]]) -> None:
        """
        Write the table and the curves.

        :param history: Figures, one row per epoch.
        :raises OSError: if they cannot be written.
        """
        last = history[-1]
        self.step(int(last['iteration']), {name: value for name, value in last.items()
                                           if name.startswith((AP, 'images'))})
        self._events.flush()
        _write_table(self._folder / TABLE_FILE, history)
        write_curves(self._folder / CURVES_FILE, {'': history})

    def close(self) -> None:
        """Write buffered entries."""
        self._events.close()


def _write_table(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    names = list(dict.fromkeys(name for row in history for name in row))
    with (atomic_file(path) as scratch,
          scratch.open('w', newline='', encoding='utf-8') as file):
        table = csv.DictWriter(file, names)
        table.writeheader()
        table.writerows({name: f'{value:.6g}' for name, value in row.items()} for row in history)


def write_curves(path: Path, runs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """
    Plot loss and AP of one or several runs over their epochs.

    :param path: Output image file.
    :param runs: Name -> figures, one row per epoch.
    """
    matplotlib = require_matplotlib()
    figure = matplotlib.figure.Figure(figsize=(11, 4), layout='constrained')
    losses, precision = figure.subplots(1, 2)
    for run, history in runs.items():
        names = dict.fromkeys(name for row in history for name in row)
        for name in names:
            rows = [row for row in history if name in row]
            axis = losses if name.startswith(LOSS) else precision
            if name.startswith((LOSS, AP)):
                axis.plot([row['epoch'] for row in rows], [row[name] for row in rows],
                          label=f'{run} {name.partition("/")[2]}'.strip(), linewidth=1.2,
                          marker='.' if axis is precision else '')
    losses.set(title='Loss in training', xlabel='epoch', yscale='log')
    losses.yaxis.set_major_formatter('{x:g}')
    losses.yaxis.set_minor_locator(matplotlib.ticker.LogLocator(subs=(2, 5)))
    losses.yaxis.set_minor_formatter('{x:g}')
    precision.set(title='On the validation images', xlabel='epoch', ylabel='percent',
                  ylim=(0, 100))
    for axis in (losses, precision):
        axis.grid(alpha=0.3)
        if axis.has_data():
            axis.legend(fontsize='small')
    figure.savefig(path, dpi=100)
