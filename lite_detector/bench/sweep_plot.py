# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Plot a sweep: AP over time if AP was measured, else the times of each setting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lite_detector.bench.sweep import pareto_front, Row, Sweep
from lite_detector.bench.sweep_report import ordered
from lite_detector.core.draw import plain_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ROW_HEIGHT, HEAD_HEIGHT, PANEL_HEIGHT, HEAT_HEIGHT, WIDTH = 0.24, 1.2, 6.0, 2.2, 11.0
"""Sizes in the figure in inches."""
MARKERS = {'letterbox_rect': 'o', 'stretch_rect': 'v', 'letterbox_square': 's', 'stretch': '^'}


def draw_sweep(figure: Figure, sweep: Sweep, budget_ms: float | None,
               chosen: Row | None = None) -> None:
    """
    Plot a sweep, and the state of the board if it is known.

    :param figure: Empty matplotlib figure, which is resized.
    :param sweep: Results of the sweep.
    :param budget_ms: Time budget in ms, drawn as a line; None: no line.
    :param chosen: Row to highlight; None: no row.
    """
    known = any(sample.heat.temperature_c is not None or sample.heat.frequency_mhz is not None
                for sample in sweep.samples)
    heights = [PANEL_HEIGHT] * len(sweep.left_out) or [HEAD_HEIGHT + ROW_HEIGHT * len(sweep.rows)]
    heights += [HEAT_HEIGHT] * known
    figure.set_size_inches(WIDTH, sum(heights))
    figure.set_layout_engine('constrained')
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, title in zip(panels, sweep.left_out, strict=False):
        _draw_ap(axes, sweep.rows, title)
    if not sweep.left_out:
        _draw_times(panels[0], sweep, chosen)
    for axes in panels[:len(panels) - known]:
        axes.grid(alpha=0.3)
        if budget_ms is not None:
            axes.axvline(budget_ms, color='black', linestyle=':', label=f'{budget_ms:g} ms')
    handles = {label: handle for axes in panels
               for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles, loc='outside upper center', ncols=3, fontsize=9)
    if known:
        _draw_heat(panels[-1], sweep)


def _draw_ap(axes: Axes, rows: Sequence[Row], title: str) -> None:
    """Plot a line for each model and way to run it; labels on the front are input sizes."""
    models = list(dict.fromkeys(row.setting.model for row in rows))
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if title not in row.ap_on:
            continue
        one = row.setting
        lines.setdefault((one.model, one.resize, one.precision, str(one.threads),
                          one.wait_policy), []).append(row)
    for (model, resize, precision, *_), line in lines.items():
        points = sorted((row.decisive.wall_ms, row.ap_on[title].ap) for row in line)
        axes.plot([ms for ms, _ in points], [ap for _, ap in points], marker=MARKERS[resize],
                  color=f'C{models.index(model) % 10}', linewidth=0.7, alpha=0.7,
                  linestyle='-' if precision == 'fp32' else ':',
                  label=plain_text(f'{model}, {resize}, {precision}'))
    front = pareto_front(rows, title)
    for row in front:
        axes.annotate(str(row.setting.input_size.width),
                      (row.decisive.wall_ms, row.ap_on[title].ap), xytext=(0, 6), fontsize=7,
                      textcoords='offset points', ha='center')
    axes.plot([row.decisive.wall_ms for row in front], [row.ap_on[title].ap for row in front],
              color='black', linewidth=5, alpha=0.15, zorder=1, label='Pareto front')
    axes.set(title=title, xlabel='time from image to detections in ms', ylabel='AP in percent')


def _draw_times(axes: Axes, sweep: Sweep, chosen: Row | None) -> None:
    """Plot the median of each setting, and a line to its p95."""
    rows = ordered(sweep)[::-1]
    times = {'idle': [row.idle for row in rows]}
    if sweep.busy_processes:
        times[f'under CPU load, with {sweep.busy_processes} busy processes'] = [
            row.loaded for row in rows if row.loaded]
    for index, (label, latencies) in enumerate(times.items()):
        places = [place + 0.15 - 0.3 * index for place in range(len(rows))]
        axes.hlines(places, [each.wall_ms for each in latencies],
                    [each.p95_ms for each in latencies], color=f'C{index}', linewidth=1.2)
        axes.plot([each.wall_ms for each in latencies], places, 'o', markersize=4,
                  color=f'C{index}', label=label)
    axes.set_yticks(range(len(rows)), [plain_text(str(row.setting)) for row in rows], fontsize=7)
    for row, tick in zip(rows, axes.get_yticklabels(), strict=True):
        tick.set_fontweight('bold' if row is chosen else 'normal')
    axes.set(xlabel='time from image to detections in ms: median, and a line to the p95',
             xscale='log', ylim=(-0.7, len(rows) - 0.3))
    axes.xaxis.set_major_formatter('{x:g}')
    axes.xaxis.set_minor_formatter('{x:g}')
    axes.tick_params(axis='x', which='both', labelsize=7)


def _draw_heat(axes: Axes, sweep: Sweep) -> None:
    """Plot temperature and frequency over time; grey: under CPU load."""
    seconds = [sample.seconds for sample in sweep.samples]
    busy = [sample.seconds for sample in sweep.samples if sample.busy_processes]
    if busy:
        axes.axvspan(busy[0], busy[-1], color='0.92')
    axes.set(xlabel='time in seconds; grey: under CPU load')
    heats = [sample.heat for sample in sweep.samples]
    for place, color, unit, values in (
            (axes, 'C3', '°C', [heat.temperature_c for heat in heats]),
            (axes.twinx(), 'C2', 'MHz', [heat.frequency_mhz for heat in heats])):
        if any(value is not None for value in values):
            place.plot(seconds, [float('nan') if value is None else value for value in values],
                       color=color)
            place.set_ylabel(unit, color=color)
