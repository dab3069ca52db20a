# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP against time: a figure and Markdown tables of a comparison."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TYPE_CHECKING

from lite_detector.core.draw import plain_text
from lite_detector.data.pictures import require_matplotlib
from lite_detector.evaluation.comparison import (
    FULL_PRECISION,
    LabelledImages,
    pareto_front,
    Results,
    Setting,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS = {'letterbox_rect': 'o', 'letterbox_square': 's', 'stretch': '^'}
PANEL = (8.5, 6.0)
"""Inches."""
LEGEND_WIDTH = 2.6
LINE = {'linestyle': '', 'color': '0.4'}


def markdown(results: Results, images: Sequence[LabelledImages], reference: Setting) -> list[str]:
    """
    Return tables: the front of each set of images, then all that was measured.

    :param reference: what ``ratio`` and ``difference`` refer to.
    """
    fronts = {each.title: pareto_front(results, each.title) for each in images}
    lines = []
    for each in images:
        lines += [f'\n## {each.title}\n',
                  'No other setting is as fast and as good:\n', *_head(each.title)]
        lines += [_row(setting, results, [each.title], {}) for setting in fronts[each.title]]
        if each.left_out:
            lines.append('\nNot compared here, as they know fewer of these classes: '
                         + ', '.join(each.left_out) + '.')
    titles = [each.title for each in images]
    lines += ['\n## All that was measured\n',
              'AP in percent (of small / medium / large objects), **bold** on the front, and '
              'its difference with a 95 % interval (paired bootstrap over images: no gain is '
              f'shown where 0 lies in it) to {reference}; ratio of the CPU times to the same.\n',
              *_head(*titles)]
    order = sorted(results, key=lambda setting: (setting.model, setting.precision
                                                 != FULL_PRECISION, setting[1:]))
    return lines + [_row(setting, results, titles, fronts) for setting in order]


def draw_comparison(results: Results, images: Sequence[LabelledImages],
                    resizes: Mapping[str, str]) -> Figure:
    """
    Draw AP against milliseconds, one panel below the other for each set of images.

    Points of one model, resize and precision are joined; the larger the point, the larger the
    input.

    :param resizes: name of the model -> how its card fits images: these points tell their size.
    """
    figure = require_matplotlib().figure.Figure(
        figsize=(PANEL[0] + LEGEND_WIDTH, PANEL[1] * len(images)), layout='constrained')
    colors = {model: f'C{index % 10}' for index, model in enumerate(resizes)}
    panels = figure.subplots(len(images), 1, squeeze=False)[:, 0]
    for axes, each in zip(panels, images, strict=True):
        known = {setting: found for setting, found in results.items()
                 if found.ms is not None and each.title in found.ap}
        for line in _lines(known):
            _draw_line(axes, [(setting, known[setting].ms, known[setting].ap[each.title])
                              for setting in line], colors, resizes)
        front = pareto_front(known, each.title)
        axes.plot([known[setting].ms for setting in front],
                  [known[setting].ap[each.title] for setting in front], color='black',
                  linewidth=5, alpha=0.15, zorder=1, solid_capstyle='round')
        axes.set(title=each.title, xlabel='milliseconds, image to detections',
                 ylabel='AP, percent')
        axes.grid(alpha=0.3)
        if not known:
            axes.text(0.5, 0.5, 'nothing was measured', transform=axes.transAxes, ha='center')
    figure.legend(handles=list(_legend(results, colors)), loc='outside right upper', fontsize=9)
    return figure


def _head(*titles: str) -> list[str]:
    columns = ['model', 'input', 'resize', 'precision', 'ms', 'ratio',
               *(f'AP {title.partition(",")[0]}' for title in titles)]
    return [f'| {" | ".join(columns)} |', '|---' * len(columns) + '|']


def _row(setting: Setting, results: Results, titles: Sequence[str],
         fronts: Mapping[str, Sequence[Setting]]) -> str:
    found = results[setting]

    def ap(title: str) -> str:
        if title not in found.ap:
            return '-'
        text = f'{found.ap[title]:.1f}'
        if setting in fronts.get(title, ()):
            text = f'**{text}**'
        if fronts and title in found.ap_by_size:
            sizes = ('-' if ap is None else f'{ap:.1f}' for ap in found.ap_by_size[title])
            text += f' ({" / ".join(sizes)})'
        if fronts and title in found.difference:
            text += f', {found.difference[title]}'
        return text

    cells = [*map(str, setting), '-' if found.ms is None else f'{found.ms:.1f}',
             '-' if found.ratio is None else f'{found.ratio:.2f}', *map(ap, titles)]
    return f'| {" | ".join(cells)} |'


def _lines(settings: Iterator[Setting] | Results) -> list[list[Setting]]:
    """Return the settings that differ by nothing but the size of the input, rising."""
    lines = defaultdict(list)
    for setting in sorted(settings):
        lines[setting.model, setting.resize, setting.precision].append(setting)
    return list(lines.values())


def _draw_line(axes: Axes, points: Sequence[tuple[Setting, float, float]],
               colors: Mapping[str, str], resizes: Mapping[str, str]) -> None:
    first = points[0][0]
    color, full = colors[first.model], first.precision == FULL_PRECISION
    axes.plot([ms for _, ms, _ in points], [ap for _, _, ap in points], color=color,
              linewidth=0.7, alpha=0.5, linestyle='-' if full else ':', zorder=2)
    for setting, ms, ap in points:
        axes.scatter(ms, ap, s=(setting.side / 55) ** 2, marker=MARKERS[setting.resize],
                     facecolors=color if full else 'white', edgecolors=color, linewidths=1.2,
                     zorder=3)
        if full and setting.resize == resizes[setting.model]:
            axes.annotate(str(setting.side), (ms, ap), xytext=(0, 6), fontsize=7, color=color,
                          textcoords='offset points', ha='center', zorder=4)


def _legend(results: Results, colors: Mapping[str, str]) -> Iterator[Any]:
    lines = require_matplotlib().lines
    for model, color in colors.items():
        yield lines.Line2D([], [], color=color, linewidth=5,
                           label=plain_text(model))
    for resize in dict.fromkeys(setting.resize for setting in results):
        yield lines.Line2D([], [], marker=MARKERS[resize], label=resize, **LINE)
    for precision in dict.fromkeys(setting.precision for setting in results):
        hollow = {} if precision == FULL_PRECISION else {'markerfacecolor': 'white'}
        yield lines.Line2D([], [], marker='o', label=precision, **LINE, **hollow)
    yield lines.Line2D([], [], color='black', alpha=0.15, linewidth=5, label='Pareto front')
