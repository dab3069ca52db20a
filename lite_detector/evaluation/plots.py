# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Plots of an evaluation, readable for any number of classes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast, TYPE_CHECKING

from lite_detector.core.draw import plain_text
from lite_detector.core.types import IntArray
from lite_detector.data.pictures import require_matplotlib
from lite_detector.evaluation.curves import Curve, RECALL_LEVELS
from lite_detector.evaluation.size_bins import SizeBin
import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 12
"""Maximum number of classes with a colour and a legend entry; the others are grey."""
MAX_CELLS = 30
"""Maximum number of classes in a confusion matrix."""
MAX_NAME = 18
"""Maximum number of characters of a class name."""
BACKGROUND = '(nothing)'


def draw_precision_recall(curves: Mapping[str, Curve], title: str) -> Figure:
    """
    Plot interpolated precision against recall at IoU 0.5.

    :param curves: Curves of the classes, most objects first.
    :param title: Title of the figure.
    """
    figure = _figure(10, 6)
    axes = figure.subplots()
    _share_axes(axes, 'recall', 'precision')
    for (name, curve), style in zip(curves.items(), _styles(len(curves)), strict=True):
        style = {'label': f'{_short(name)}: AP50 {100 * (curve.ap or 0):.1f}', **style}
        axes.plot(RECALL_LEVELS, curve.interpolated, **style)
    if len(curves) > 1:
        mean = np.mean([curve.interpolated for curve in curves.values()], axis=0)
        axes.plot(RECALL_LEVELS, mean, color='black', linewidth=2.5,
                  label=f'mean of {len(curves)} classes: AP50 {100 * mean.mean():.1f}')
    _finish(figure, axes, title, bool(curves), 'outside right upper')
    return figure


def draw_f1(curves: Mapping[str, Curve], overall: Curve, title: str) -> Figure:
    """
    Plot F1 against the score threshold, and the suggested threshold of each class.

    :param curves: Curves of the classes, most objects first.
    :param overall: Curve of all classes together.
    :param title: Title of the figure.
    """
    figure = _figure(15, max(6.0, 1.5 + 0.17 * len(curves)))
    axes, dots = figure.subplots(1, 2, width_ratios=(3, 2))
    _share_axes(axes, 'score threshold', 'F1')
    for (name, curve), style in zip(curves.items(), _styles(len(curves)), strict=True):
        style = {'label': _short(name), **style}
        axes.step(curve.thresholds, curve.f1, where='post', **style)
    best = overall.suggest()
    if len(curves) > 1:
        axes.step(overall.thresholds, overall.f1, where='post', color='black', linewidth=2.5,
                  label='all classes together')
    if best:
        label = f'suggested: {best.threshold:.3f} (F1 {best.f1:.2f})'
        axes.axvline(best.threshold, color='black', linestyle=':', label=label)
        dots.axvline(best.threshold, color='black', linestyle=':')
    _finish(figure, axes, title, bool(curves))
    _draw_thresholds(dots, curves)
    return figure


def _draw_thresholds(axes: Axes, curves: Mapping[str, Curve]) -> None:
    found = {name: best for name, curve in curves.items() if (best := curve.suggest())}
    names = sorted(found, key=lambda name: -found[name].threshold)
    axes.scatter([found[name].threshold for name in names], range(len(names)),
                 s=[15 + 60 * found[name].f1 for name in names])
    axes.set(title='suggested threshold per class\n(larger dot: better F1)',
             xlabel='score threshold', xlim=(0, 1), ylim=(max(1, len(names)) - 0.5, -0.5),
             yticks=range(len(names)), yticklabels=[_short(name) for name in names])
    axes.tick_params(axis='y', labelsize=8)
    axes.grid(alpha=0.3)
    if not names:
        _say(axes, 'no detections')


def draw_confusion(counts: IntArray, class_names: Sequence[str], title: str) -> Figure:
    """
    Plot a confusion matrix, most frequent classes first.

    :param counts: Counts by labelled (row) and detected (column) class, background last, shape
        (n + 1, n + 1).
    :param class_names: Names of the n classes.
    :param title: Title of the figure.
    """
    counts, names = _largest(counts, class_names)
    side = max(5.0, 2.5 + 0.34 * len(names))
    figure = _figure(side + 1.5, side)
    axes = figure.subplots()
    share = counts / np.maximum(1, counts.sum(axis=1, keepdims=True))
    share[-1] = 0  # false positives have no labelled class to be a share of
    image = axes.imshow(share, cmap='Blues', vmin=0, vmax=1)
    for row, column in zip(*np.nonzero(counts), strict=True):
        axes.text(column, row, counts[row, column], ha='center', va='center', fontsize=7,
                  color='white' if share[row, column] > 0.6 else 'black')
    ticks = range(len(names))
    axes.set(title=title, xlabel='detected as', ylabel='labelled as', xticks=ticks, yticks=ticks,
             yticklabels=names)
    axes.set_xticks(ticks, names, rotation=90)
    axes.tick_params(labelsize=8)
    axes.axhline(len(names) - 1.5, color='grey', linewidth=0.8)
    axes.axvline(len(names) - 1.5, color='grey', linewidth=0.8)
    figure.colorbar(image, ax=axes, shrink=0.6, label='share of the row')
    return figure


def draw_sizes(bins: Sequence[SizeBin], threshold: float, title: str) -> Figure:
    """
    Plot AP50 and recall against the size of the objects.

    :param bins: Size bins, rising.
    :param threshold: Score threshold of the recall, 0 to 1.
    :param title: Title of the figure.
    """
    figure = _figure(10, 6)
    axes = figure.subplots()
    places = np.arange(len(bins))
    axes.bar(places, [100 * (each.ap50 or 0) for each in bins], 0.7, color='#9ecae1',
             label='AP50, mean of the classes')
    known = {index: each.recall for index, each in enumerate(bins) if each.recall is not None}
    axes.plot(list(known), [100 * recall for recall in known.values()], 'o-', color='black',
              label=f'recall at score >= {threshold:.3f}')
    labels = [f'{each.low:g} '
              + (f'to {each.high:g}' if np.isfinite(each.high) else 'or more')
              + f'\n{each.objects} object{"" if each.objects == 1 else "s"}' for each in bins]
    axes.set(xticks=places, xticklabels=labels, ylim=(0, 105), ylabel='percent',
             xlabel='square root of the box area in pixels of the network input')
    axes.grid(axis='y', alpha=0.3)
    _finish(figure, axes, title, bool(known))
    return figure


def _figure(width: float, height: float) -> Figure:
    # a Figure without pyplot renders with Agg and needs no display
    return require_matplotlib().figure.Figure(figsize=(width, height), layout='constrained')


def _styles(count: int) -> list[dict[str, Any]]:
    """Return the line style of each class; grey lines share one legend entry."""
    named = min(count, MAX_NAMED)
    styles: list[dict[str, Any]] = [
        {'color': f'C{index % 10}', 'linestyle': '-' if index < 10 else '--', 'zorder': 2}
        for index in range(named)]
    for index in range(named, count):
        label = f'{count - named} classes with fewer objects' if index == named else None
        styles.append({'color': '0.8', 'linewidth': 0.7, 'zorder': 1, 'label': label})
    return styles


def _share_axes(axes: Axes, xlabel: str, ylabel: str) -> None:
    axes.set(xlabel=xlabel, ylabel=ylabel, xlim=(0, 1), ylim=(0, 1.02))
    axes.grid(alpha=0.3)


def _finish(figure: Figure, axes: Axes, title: str, has_data: bool,
            place: str = 'outside lower center') -> None:
    axes.set_title(title)
    if has_data:
        # the type stubs of matplotlib lack the location `outside`
        figure.legend(loc=cast(Any, place), ncols=1 if 'right' in place else 5, fontsize=9)
    else:
        _say(axes, 'no labelled objects')


def _say(axes: Axes, words: str) -> None:
    axes.text(0.5, 0.5, words, transform=axes.transAxes, ha='center', va='center', fontsize=14,
              color='grey')


def _short(name: str) -> str:
    name = plain_text(name)
    return name if len(name) <= MAX_NAME else name[:MAX_NAME - 2] + '..'


def _largest(counts: IntArray, class_names: Sequence[str]) -> tuple[IntArray, list[str]]:
    """Reduce a matrix to the most frequent classes; the others become one row and column."""
    labelled, detected = counts[:-1].sum(axis=1), counts[:, :-1].sum(axis=0)
    order = np.lexsort((-detected, -labelled))[:np.count_nonzero(labelled + detected)]
    shown, rest = order[:MAX_CELLS], order[MAX_CELLS:]
    groups = [[index] for index in shown] + ([rest] if len(rest) else []) + [[len(class_names)]]
    names = [_short(class_names[index]) for index in shown]
    names += [f'({len(rest)} others)'] if len(rest) else []
    small = [[counts[np.ix_(rows, columns)].sum() for columns in groups] for rows in groups]
    return np.array(small), [*names, BACKGROUND]
