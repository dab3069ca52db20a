# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Report of a search: a self-contained HTML file without scripts."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from lite_detector.core.structure import StructureSpec
from lite_detector.core.types import DoubleArray
from lite_detector.search.candidates import Candidates
from lite_detector.search.choice import FoundNetwork
from lite_detector.search.costs import Costs
import numpy as np

WIDTH, HEIGHT = 860, 460
LEFT, RIGHT, TOP, BOTTOM = 64, 20, 16, 48
"""Margins of the diagram in pixels."""
BLOCK, GAP = 15, 3
"""Width of a block in the drawing of a network, and space between blocks, in pixels."""
TALLEST = 90
COLORS = {2: '#9ecae1', 4: '#6baed6', 8: '#74c476', 16: '#fd8d3c', 32: '#9e6ac8'}
"""Colour of a block by the stride of its feature map."""
UNITS = {'latency_ms': 'predicted milliseconds', 'macs_m': 'million multiply-accumulates'}
STYLE = """\
body{font:15px/1.5 sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222}
table{border-collapse:collapse}td,th{padding:.2rem .7rem;text-align:right}
td:first-child,th:first-child{text-align:left}tr+tr{border-top:1px solid #ddd}
svg{max-width:100%;height:auto}text{font:12px sans-serif;fill:#444}.over{color:#b00}"""


class Page(NamedTuple):
    """
    Content of the report.

    :param title: Name of the search.
    :param facts: Lines of text at the top: budgets, machine, speed.
    :param axis: Index in ``Costs`` of the cost axis.
    :param limit: Budget on that axis; None: no limit.
    :param front: Pareto-optimal networks.
    :param seen: Cost and score of some other networks, shape (n, 2).
    :param found: Selected networks, best first.
    """

    title: str
    facts: Sequence[str]
    axis: int
    limit: float | None
    front: Candidates
    seen: DoubleArray
    found: Sequence[FoundNetwork]


def html(page: Page) -> str:
    """Return the report as HTML."""
    facts = ''.join(f'<p>{escape(fact)}</p>\n' for fact in page.facts)
    pictures = ''.join(f'<h3>{escape(found.name)}</h3>\n{_picture(found.structure)}\n'
                       for found in page.found)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<title>{escape(page.title)}</title>\n<style>{STYLE}</style></head><body>\n'
            f'<h1>{escape(page.title)}</h1>\n{facts}'
            f'<h2>Entropy and cost</h2>\n{_diagram(page)}\n'
            '<p>Grey: some of the scored networks; those above the line exceed another budget. '
            'Line: Pareto front. Dots: predicted costs of the networks below; rings: measured '
            'latencies of the full networks.</p>\n'
            f'<h2>The networks</h2>\n{_table(page)}\n'
            f'<h2>Their backbones</h2>\n{_legend()}\n{pictures}</body></html>\n')


class _Scale:
    """Transform from values to pixels along one side of the diagram."""

    def __init__(self, values: DoubleArray, first: int, last: int) -> None:
        low, high = float(values.min()), float(values.max())
        margin = 0.04 * (high - low) or 1.0
        self._low, self._span = low - margin, high - low + 2 * margin
        self._first, self._length = first, last - first

    def __call__(self, value: float) -> str:
        return f'{self._first + self._length * (value - self._low) / self._span:.1f}'

    def ticks(self) -> list[float]:
        """Return several round values."""
        step = 10.0 ** np.floor(np.log10(self._span / 3))
        step *= next(factor for factor in (5, 2, 1) if self._span / (factor * step) >= 3)
        first = int(np.ceil(self._low / step))
        last = int(np.floor((self._low + self._span) / step))
        return [step * number for number in range(first, last + 1)]


def _diagram(page: Page) -> str:
    costs = page.front.costs[:, page.axis]
    measured = [found.measured_ms for found in page.found if found.measured_ms is not None]
    seen = page.seen[np.isfinite(page.seen).all(axis=1)]
    if page.limit is not None:  # values far beyond the budget would compress the diagram
        seen = seen[seen[:, 0] <= 1.2 * max(page.limit, *costs)]
    limits = [] if page.limit is None or page.limit > 2 * costs.max() else [page.limit]
    across = _Scale(np.concatenate((costs, seen[:, 0], measured, limits)), LEFT, WIDTH - RIGHT)
    up = _Scale(np.concatenate((page.front.scores, seen[:, 1])), HEIGHT - BOTTOM, TOP)
    parts = [_axes(across, up, UNITS[Costs._fields[page.axis]])]
    parts += [f'<circle cx="{across(cost)}" cy="{up(score)}" r="1.5" fill="#ccc"/>'
              for cost, score in seen]
    parts += [f'<line x1="{across(limit)}" x2="{across(limit)}" y1="{TOP}" '
              f'y2="{HEIGHT - BOTTOM}" stroke="#b00" stroke-dasharray="5 4"/>'
              f'<text x="{across(limit)}" dx="-5" y="{TOP + 10}" text-anchor="end">budget</text>'
              for limit in limits]
    line = ' '.join(f'{across(cost)},{up(score)}'
                    for cost, score in zip(costs, page.front.scores, strict=True))
    parts.append(f'<polyline points="{line}" fill="none" stroke="#333" stroke-width="1.5"/>')
    parts += [_marks(found, across, up, page.axis) for found in page.found]
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}">{"".join(parts)}</svg>'


def _axes(across: _Scale, up: _Scale, unit: str) -> str:
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    parts = [f'<path d="M{LEFT} {TOP}V{bottom}H{right}" fill="none" stroke="#888"/>']
    parts += [f'<text x="{across(tick)}" y="{bottom + 18}" text-anchor="middle">{tick:g}</text>'
              for tick in across.ticks()]
    parts += [f'<text x="{LEFT - 8}" y="{up(tick)}" dy="4" text-anchor="end">{tick:g}</text>'
              for tick in up.ticks()]
    parts.append(f'<text x="{(LEFT + right) // 2}" y="{HEIGHT - 8}" text-anchor="middle">'
                 f'{unit}</text><text transform="translate(16 {bottom // 2}) rotate(-90)" '
                 'text-anchor="middle">entropy</text>')
    return ''.join(parts)


def _marks(found: FoundNetwork, across: _Scale, up: _Scale, axis: int) -> str:
    x, y = across(found.costs[axis]), up(found.score)
    name = f'<title>{escape(found.name)}</title>'
    mark = f'<circle cx="{x}" cy="{y}" r="5" fill="#1f5fbf">{name}</circle>'
    if found.measured_ms is None or Costs._fields[axis] != 'latency_ms':
        return mark
    measured = across(found.measured_ms)
    return (f'{mark}<line x1="{x}" x2="{measured}" y1="{y}" y2="{y}" stroke="#1f5fbf"/>'
            f'<circle cx="{measured}" cy="{y}" r="5" fill="white" stroke="#1f5fbf" '
            f'stroke-width="2">{name}</circle>')


def _table(page: Page) -> str:
    rows = ['<tr><th>network</th><th>entropy</th><th>predicted ms</th><th>measured ms</th>'
            '<th>M MACs</th><th>M parameters</th><th>layers</th><th>MB</th></tr>']
    is_time = Costs._fields[page.axis] == 'latency_ms'
    for found in page.found:
        costs, measured = found.costs, found.measured_ms
        over = (is_time and measured is not None and page.limit is not None
                and measured > page.limit)
        cells = (f'{found.score:.1f}', f'{costs.latency_ms:.2f}' if costs.latency_ms else '-',
                 '-' if measured is None else f'{measured:.2f}', f'{costs.macs_m:.0f}',
                 f'{costs.parameters_m:.2f}', f'{costs.layers:.0f}', f'{costs.file_mb:.2f}')
        rows.append(f'<tr{" class=over" * over}><td>{escape(found.name)}</td>'
                    + ''.join(f'<td>{cell}</td>' for cell in cells) + '</tr>')
    return f'<table>{"".join(rows)}</table>'


def _legend() -> str:
    colors = ' '.join(f'<span style="color:{color}">&#9632;</span>&nbsp;{stride}'
                      for stride, color in COLORS.items())
    return (f'<p>One bar per block; its height is the number of channels; stride: {colors}. '
            'Below: channels, inner channels, kernel.</p>')


def _picture(structure: StructureSpec) -> str:
    """Return bars for the stem and each block, with values below each stage."""
    scale = TALLEST / max(structure.stem, *(stage.channels for stage in structure.stages))
    parts, x = [_bar(0, structure.stem, scale, 2), _words(0, [structure.stem])], 4 * BLOCK
    for stage, stride in zip(structure.stages, structure.strides, strict=True):
        for index in range(stage.blocks):
            parts.append(_bar(x + index * (BLOCK + GAP), stage.channels, scale, stride))
        parts.append(_words(x, [stage.channels, stage.inner or '', f'{stage.kernel}x'
                                                                   f'{stage.kernel}']))
        x += max(3, stage.blocks) * (BLOCK + GAP) + BLOCK
    return (f'<p>{escape(str(structure))}</p><svg viewBox="0 0 {x} {TALLEST + 52}" width="{x}">'
            f'{"".join(parts)}</svg>')


def _bar(x: int, channels: int, scale: float, stride: int) -> str:
    height = channels * scale
    return (f'<rect x="{x}" y="{TALLEST - height:.1f}" width="{BLOCK}" height="{height:.1f}" '
            f'fill="{COLORS[stride]}"/>')


def _words(x: int, lines: Sequence[object]) -> str:
    return ''.join(f'<text x="{x}" y="{TALLEST + 15 * number}">{line}</text>'
                   for number, line in enumerate(lines, start=1))
