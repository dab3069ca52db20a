# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``profile_latency``; no test looks at how long anything took."""

import json
import re
import sys

from lite_detector.bench import operator_speed
from lite_detector.bench.operator_grid import operator_grid
from lite_detector.bench.operator_speed import measure_networks, measure_operators, OperatorRun
from lite_detector.cli import main
from lite_detector.commands import profile_latency
from lite_detector.core.types import ImageSize
from lite_detector.search.latency import load_table
from lite_detector.search.operators import Graph, Operator
from msgspec.structs import replace
import pytest

TINY = [Operator('conv', 8, 16, 5, 5), Operator('concat', 16, 16, 5, 5),
        Operator('add', 8, 8, 5, 5), Operator('split', 16, 8, 5, 5), Operator('se', 8, 8, 5, 5),
        Operator('activation', 8, 8, 5, 5, activation='swish'),
        Operator('depthwise', 8, 8, 9, 9, 3, 2), Operator('pool', 8, 8, 9, 9, 3, 2)]


@pytest.fixture
def tiny_grid(monkeypatch):
    monkeypatch.setattr(profile_latency, 'operator_grid', lambda quick: TINY[:4 if quick else 8])


@pytest.fixture
def options(tiny_grid, tmp_path) -> list[str]:
    return ['profile_latency', '--output', str(tmp_path / 'table.json')]


@pytest.mark.parametrize('quick', [False, True])
def test_grid_has_every_operator_once_and_no_giants(quick):
    operators = operator_grid(quick)
    assert len(set(operators)) == len(operators) > 500
    assert max(each.macs for each in operators) <= 100_000_000
    assert set(operators) <= set(operator_grid())


@pytest.mark.parametrize('threads', [1, 2])
def test_every_operator_takes_time(threads):
    for operators in (TINY[:6], TINY[6:]):
        times_ms = measure_operators(operators, OperatorRun(threads, 'fp32', 1), 1.0)
        assert len(times_ms) == len(operators)
        assert min(times_ms) > 0


def test_times_are_given_for_the_clock_rate_of_the_table(monkeypatch):
    # a clock that ticks evenly: every step takes as long as it reads the clock
    monkeypatch.setattr(operator_speed.time, 'thread_time', iter(range(10 ** 6)).__next__)
    # asking takes one tick and is subtracted: nothing is left but the shortest time
    assert measure_operators(TINY[:1], OperatorRun(), 1.0) == [1e-4]
    table = replace(operator_speed.new_table(OperatorRun()), reference_ms=250.0)
    # a network takes one tick, 1000 ms, as does the reference, which is to take 250
    assert measure_networks([Graph(ImageSize(8, 8))], table, 2) == [250.0]


def test_a_table_is_written_and_completed(options, tmp_path, capsys):
    assert main([*options, '--quick']) == 0
    quick = load_table(tmp_path / 'table.json')
    assert {operator for operator, _ in quick.measured} == set(TINY[:4])
    assert main(options) == 0
    whole = load_table(tmp_path / 'table.json')
    assert whole.measured[:4] == quick.measured
    assert {operator for operator, _ in whole.measured} == set(TINY)
    assert (whole.threads, whole.precision) == (1, 'auto')
    assert whole.reference_ms == quick.reference_ms > whole.call_ms > 0
    assert 'table.json: 8 operators, threads 1, precision auto' in capsys.readouterr().out
    before = (tmp_path / 'table.json').stat().st_mtime_ns
    assert main(options) == 0  # nothing is left to do
    assert (tmp_path / 'table.json').stat().st_mtime_ns == before


def test_networks_are_predicted_and_measured(options, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(profile_latency.LatencyTable, 'network_ms', lambda self, operators: 1.0)
    figures = tmp_path / 'figures.json'
    assert main([*options, '--networks', '1', '--json', str(figures)]) == 0
    rows = json.loads(figures.read_text())
    assert [row['kind'] for row in rows] == ['csp', 'mobile', 'residual', 'shuffle']
    assert all(row['predicted_ms'] == 1 and row['measured_ms'] > 0 for row in rows)
    assert re.search(r'  all +4 ', capsys.readouterr().out)


@pytest.mark.parametrize(('more', 'message'), [
    (['--threads', '0'], '--threads: 0; expected 1 to 64'),
    (['--networks', '-1'], '--networks: -1; expected 0 or more'),
    (['--json', 'figures.json'], '--json: no --networks; expected'),
    (['--output', 'absent/table.json'], 'absent/table.json: cannot write'),
    (['--precision', 'int8'], 'invalid choice')])
def test_a_wrong_option_exits_2_with_one_line(options, more, message, one_line_error):
    assert message in one_line_error([*options, *more])


def test_without_ncnn_one_line_says_what_to_install(options, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, 'lite_detector.backends.ncnn_backend', None)
    assert main(options) == 2
    error, = capsys.readouterr().err.splitlines()
    assert 'python3 -m pip install ncnn' in error


@pytest.mark.parametrize(('change', 'message'), [
    ({'threads': 2}, '--threads 1; expected 2, with which this table was measured; name'),
    ({'precision': 'bf16'}, '--precision auto; expected bf16, with which'),
    ({'machine': 'another board; today'}, '; expected another board, with which')])
def test_a_table_of_something_else_is_left_alone(options, tmp_path, change, message, capsys):
    assert main([*options, '--quick']) == 0
    path = tmp_path / 'table.json'
    profile_latency.save_table(path, replace(load_table(path), **change))
    before = path.read_bytes()
    assert main(options) == 2
    assert message in capsys.readouterr().err
    assert path.read_bytes() == before
