# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Format a sweep as text for terminal and Markdown, and as JSON."""

from __future__ import annotations

from typing import Any

from lite_detector.bench.heat import summary
from lite_detector.bench.sweep import pareto_front, Row, Sweep
import msgspec


def report(sweep: Sweep, chosen: Row | None) -> list[str]:
    """
    Return tables: the Pareto front of each set of labelled images, then all results.

    :param sweep: Results of the sweep.
    :param chosen: Row to highlight; None: no row.
    """
    lines = []
    for title, models in sweep.left_out.items():
        lines += [f'## {title}', '', 'Pareto-optimal settings (AP and time):', '',
                  *table(sweep, chosen, title), '']
        if models:
            lines += ['Not compared, because they have fewer of these classes: '
                      + ', '.join(models) + '.', '']
    if sweep.left_out:
        lines += ['## All results', '',
                  'AP in percent (of small / medium / large objects), **bold** on the front, and '
                  'its difference with a 95 % interval (paired bootstrap over images; an interval '
                  f'that contains 0 shows no difference) to {sweep.reference}; ratio of the CPU '
                  'times to the same setting.', '']
    return [*lines, *table(sweep, chosen), '', *heat_lines(sweep)]


def table(sweep: Sweep, chosen: Row | None = None, front_of: str | None = None) -> list[str]:
    """
    Return an aligned Markdown table, the fastest setting of each model first.

    :param sweep: Results of the sweep.
    :param chosen: Row to highlight; None: no row.
    :param front_of: Title of labelled images: return only their Pareto front; None: all rows.
    """
    rows, titles = ordered(sweep), list(sweep.left_out)
    fronts = {title: pareto_front(rows, title) for title in titles}
    if front_of is not None:
        rows, titles, fronts = fronts[front_of], [front_of], {front_of: []}
    columns = ['p95', 'CPU ms', *(['ratio'] if sweep.reference else [])]
    cells = [['model', 'input', 'resize', 'precision', 'threads', 'wait',
              *([f'AP {title.partition(",")[0]}' for title in titles] or ['AP']),
              'idle ms', *columns]]
    if sweep.busy_processes:
        cells[0] += [f'ms with {sweep.busy_processes} busy', *columns]
    for row in rows:
        setting = row.setting
        cells.append([f'**{setting.model}**' if row is chosen else setting.model,
                      str(setting.input_size), setting.resize, setting.precision,
                      str(setting.threads), setting.wait_policy if setting.threads > 1 else '-',
                      *([_ap_cell(row, title, row in fronts[title]) for title in titles]
                        or [_number(row.ap, 1)])])
        for each in filter(None, (row.idle, row.loaded)):
            cells[-1] += [_number(each.wall_ms, 1), _number(each.p95_ms, 1),
                          _number(each.cpu_ms, 1)]
            cells[-1] += [_number(each.ratio, 2)] if sweep.reference else []
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ['| ' + ' | '.join(cell.ljust(width) for cell, width
                               in zip(each, widths, strict=True)) + ' |' for each in cells]
    lines.insert(1, '|' + '|'.join('-' * (width + 2) for width in widths) + '|')
    return lines


def heat_lines(sweep: Sweep) -> list[str]:
    """Return one sentence for each load on temperature, throttling and slowdown."""
    lines = []
    for name, slowdown in sweep.slowdown.items():
        count = sweep.busy_processes if name == 'loaded' else 0
        heats = [sample.heat for sample in sweep.samples if sample.busy_processes == count]
        beside = f'under CPU load, with {count} busy processes' if count else 'idle'
        lines.append(f'{beside}: {summary(heats)}; the second half of the time, from which the '
                     f'figures are, took {slowdown:.2f} times as long as the first half.')
    return lines


def as_json(sweep: Sweep, chosen: Row | None) -> dict[str, Any]:
    """Return the results with input sizes as text, for a JSON file."""
    return {**msgspec.to_builtins(sweep), 'rows': [_row_as_json(row) for row in sweep.rows],
            'reference': sweep.reference and str(sweep.reference),
            'chosen': chosen and _row_as_json(chosen)}


def _row_as_json(row: Row) -> dict[str, Any]:
    figures = msgspec.to_builtins(row)
    figures['setting']['input_size'] = str(row.setting.input_size)
    return figures


def ordered(sweep: Sweep) -> list[Row]:
    """Return the rows grouped by model, the fastest first."""
    models = list(dict.fromkeys(row.setting.model for row in sweep.rows))
    return sorted(sweep.rows, key=lambda row: (models.index(row.setting.model),
                                               row.decisive.p95_ms))


def _ap_cell(row: Row, title: str, on_front: bool) -> str:
    found = row.ap_on.get(title)
    if found is None:
        return '-'
    text = f'**{found.ap:.1f}**' if on_front else f'{found.ap:.1f}'
    if found.by_size:
        text += f' ({" / ".join(_number(ap, 1) for ap in found.by_size)})'
    if found.difference:
        text += ', {:+.1f} [{:+.1f}, {:+.1f}]'.format(*found.difference)
    return text


def _number(value: float | None, digits: int) -> str:
    return '-' if value is None else f'{value:.{digits}f}'
