# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A sweep for people: a table for the terminal and for Markdown, and a figure."""

from __future__ import annotations

from typing import Any, TYPE_CHECKING

from lite_detector.bench.heat import summary
from lite_detector.bench.sweep import Measured, Row, Sweep
from lite_detector.core.draw import plain_text
import msgspec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT, HEAD_HEIGHT, HEAT_HEIGHT, WIDTH = 0.24, 1.2, 2.2, 11.0
"""Inches of the figure."""
IDLE_COLOR, LOADED_COLOR = 'C0', 'C1'


def table(sweep: Sweep, chosen: Row | None = None) -> list[str]:
    """
    Return a Markdown table that can be read as it is, the fastest of each model first.

    :param chosen: the row to mark.
    """
    head = ['model', 'input', 'resize', 'precision', 'threads', 'wait', 'AP',
            'idle ms', 'p95', 'CPU ms']
    if sweep.busy_processes:
        head += [f'beside {sweep.busy_processes} ms', 'p95', 'CPU ms']
    rows = [_cells(row, row is chosen) for row in ordered(sweep)]
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width
                               in zip(cells, widths, strict=True)) + ' |'
             for cells in (head, *rows)]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return lines


def heat_lines(sweep: Sweep) -> list[str]:
    """Return sentences on what heat and load did."""
    lines = []
    for name, slowdown in sweep.slowdown.items():
        count = sweep.busy_processes if name == 'loaded' else 0
        heats = [sample.heat for sample in sweep.samples if sample.busy_processes == count]
        beside = f'beside {count} busy processes' if count else 'idle'
        lines.append(f'{beside}: {summary(heats)}; the second half of the time, which the '
                     f'figures are of, took {slowdown:.2f} times the first.')
    return lines


def as_json(row: Row) -> dict[str, Any]:
    """Return a row with its size as people say it, for a file."""
    figures = msgspec.to_builtins(row)
    figures['setting']['input_size'] = str(row.setting.input_size)
    return figures


def ordered(sweep: Sweep) -> list[Row]:
    """Return the rows model by model as they were named, the fastest first."""
    models = list(dict.fromkeys(row.setting.model for row in sweep.rows))
    return sorted(sweep.rows, key=lambda row: (models.index(row.setting.model),
                                               row.decisive.p95_ms))


def draw_sweep(figure: Figure, sweep: Sweep, budget_ms: float | None,
               chosen: Row | None = None) -> None:
    """
    Draw times of every setting, and the state of the board where it is known.

    :param figure: an empty one of matplotlib, which is made as large as it has to be.
    :param budget_ms: where to draw a line.
    :param chosen: the row to mark.
    """
    rows = ordered(sweep)[::-1]
    known = any(sample.heat.temperature_c is not None or sample.heat.frequency_mhz is not None
                for sample in sweep.samples)
    height = HEAD_HEIGHT + ROW_HEIGHT * len(rows)
    figure.set_size_inches(WIDTH, height + HEAT_HEIGHT * known)
    figure.set_layout_engine('constrained')
    axes = figure.subplots(1 + known, 1, squeeze=False,
                           height_ratios=[height, HEAT_HEIGHT][:1 + known])[:, 0]
    if budget_ms is not None:
        axes[0].axvline(budget_ms, color='black', linestyle=':', label=f'{budget_ms:g} ms')
    _draw_times(axes[0], rows, sweep.busy_processes, chosen)
    figure.legend(loc='outside upper center', ncols=3, fontsize=9)
    if known:
        _draw_heat(axes[1], sweep)


def _cells(row: Row, is_chosen: bool) -> list[str]:
    setting = row.setting
    cells = [f'**{setting.model}**' if is_chosen else setting.model, str(setting.input_size),
             setting.resize, setting.precision, str(setting.threads),
             setting.wait_policy if setting.threads > 1 else '-',
             '-' if row.ap is None else f'{row.ap:.1f}']
    for measured in filter(None, (row.idle, row.loaded)):
        cells += [f'{measured.wall_ms:.1f}', f'{measured.p95_ms:.1f}', f'{measured.cpu_ms:.1f}']
    return cells


def _draw_times(axes: Axes, rows: list[Row], load: int, chosen: Row | None) -> None:
    _draw_line(axes, [row.idle for row in rows], 0.15 if load else 0, IDLE_COLOR, 'idle')
    if load:
        _draw_line(axes, [row.loaded for row in rows], -0.15, LOADED_COLOR,
                   f'beside {load} busy processes')
    labels = [plain_text(str(row.setting)) for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=7)
    for row, label in zip(rows, axes.get_yticklabels(), strict=True):
        label.set_fontweight('bold' if row is chosen else 'normal')
    axes.set(xlabel='milliseconds, image to detections: median, and a line to the p95',
             xscale='log', ylim=(-0.7, len(rows) - 0.3))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter('{x:g}')
    axes.tick_params(axis='x', which='both', labelsize=7)
    axes.grid(axis='x', which='both', alpha=0.3)


def _draw_line(axes: Axes, measured: list[Measured], shift: float, color: str,
               label: str) -> None:
    places = [index + shift for index in range(len(measured))]
    axes.hlines(places, [each.wall_ms for each in measured], [each.p95_ms for each in measured],
                color=color, linewidth=1.2)
    axes.plot([each.wall_ms for each in measured], places, 'o', markersize=4, color=color,
              label=label)


def _draw_heat(axes: Axes, sweep: Sweep) -> None:
    """Draw temperature and frequency over time; grey where the board was loaded."""
    seconds = [sample.seconds for sample in sweep.samples]
    busy = [sample.seconds for sample in sweep.samples if sample.busy_processes]
    if busy:
        axes.axvspan(busy[0], busy[-1], color='0.92')
    axes.set(xlabel='seconds; grey: beside busy processes')
    celsius = [sample.heat.temperature_c for sample in sweep.samples]
    if any(value is not None for value in celsius):
        axes.plot(seconds, _gaps(celsius), color='C3')
        axes.set_ylabel('°C', color='C3')
    frequency = [sample.heat.frequency_mhz for sample in sweep.samples]
    if any(value is not None for value in frequency):
        other = axes.twinx()
        other.plot(seconds, _gaps(frequency), color='C2')
        other.set_ylabel('MHz', color='C2')
        other.set_ylim(bottom=0)


def _gaps(values: list[float | None]) -> list[float]:
    return [float('nan') if value is None else value for value in values]
