# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``benchmark`` of several settings: what is measured, chosen and reported."""

import argparse
from pathlib import Path
import subprocess
import time

from lite_detector.bench import sweep
from lite_detector.bench.advice import aps_are_comparable, choose
from lite_detector.bench.heat import Heat
from lite_detector.bench.known_ap import ap_of_card
from lite_detector.bench.setting import fitting_sizes, Setting, settings_of
from lite_detector.bench.sweep import (
    ApOnImages,
    HeatSample,
    Latency,
    pareto_front,
    Row,
    Sweep,
)
from lite_detector.bench.sweep_plot import draw_sweep
from lite_detector.bench.sweep_process import Job, measure_apart, Times
from lite_detector.bench.sweep_report import heat_lines, report, table
from lite_detector.commands.benchmark import settings_to_try
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.model_card import Int8Files, load_card, Runtimes
from lite_detector.core.types import ImageSize
from msgspec.structs import replace
import numpy as np
import pytest
from tiny_models import change_card, write_tiny_nanodet

SQUARE = ImageSize(96, 96)
OWN = ImageSize(64, 96)
"""Of the tiny models' cards."""


@pytest.fixture
def cards(tmp_path) -> dict:
    """Return three cards that differ by their names alone."""
    folder = write_tiny_nanodet(tmp_path / 'some')
    found = {}
    for name in 'abc':
        change_card(folder, 'name', name)
        found[name] = load_card(folder)
    return found


def with_ap(folder: Path, name: str, ap: object, images: int = 88):
    """Return a card with an AP."""
    change_card(folder, 'name', name)
    change_card(folder, 'metrics', {'annotations': 'val.json', 'images': images, 'ap': ap})
    return load_card(folder)


def setting(model: str = 'a', size: ImageSize = SQUARE, **changes: object) -> Setting:
    return Setting(**{'model': model, 'input_size': size, 'resize': 'letterbox_rect',
                      'precision': 'fp32', 'threads': 1, 'wait_policy': 'passive', **changes})


def row(of: Setting, ms: float, ap: float | None = None, cpu_ms: float = 1.0,
        idle_ms: float = 1.0) -> Row:
    return Row(of, ap, Latency(idle_ms, idle_ms, cpu_ms), Latency(ms / 2, ms, cpu_ms))


def sweep_of(*rows: Row, samples: tuple[HeatSample, ...] = ()) -> Sweep:
    return Sweep(2, list(rows), {'idle': 1.0, 'loaded': 1.25}, list(samples))


# what is measured

def test_settings_have_each_combination_once(cards):
    found = settings_of(cards['a'], [OWN, SQUARE, OWN], ['stretch'], ['fp32', 'bf16'], [1, 2],
                        ['passive', 'active'])
    # two sizes and two precisions, with one thread, two that sleep and two that spin
    assert len(found) == len(set(found)) == 2 * 2 * 3
    assert {(each.threads, each.wait_policy) for each in found} == {
        (1, 'passive'), (2, 'passive'), (2, 'active')}
    # one thread waits for nobody, whatever is asked for
    assert settings_of(cards['a'], [OWN], ['stretch'], ['fp32'], [1], ['active']) == [
        setting(size=OWN, resize='stretch')]


def test_sizes_between_the_steps_of_a_coarse_network_are_left_out(tiny_nanodet, capsys):
    change_card(tiny_nanodet, 'input_size.width', 128)
    change_card(tiny_nanodet, 'decode.strides', [16, 32, 64])
    card = load_card(tiny_nanodet)

    def fitting(*sides: int) -> list[int]:
        return [size.width for size in fitting_sizes(card, sides)]
    assert fitting(256, 320, 352, 416) == [256, 320]
    assert capsys.readouterr().out == (
        'tiny_nanodet: skips the sizes 352, 416; expected multiples of 64\n')
    # refused when the network is opened: none fits, or one that fits no network at all
    assert fitting(352, 416) == [352, 416]
    assert fitting(256, 300) == [256, 300]


def test_card_tells_ap_of_its_own_size_and_resize_only(tiny_nanodet):
    card = with_ap(tiny_nanodet, 'a', 31)
    assert ap_of_card(card, setting(size=OWN)) == 31
    assert ap_of_card(card, setting(size=OWN, precision='bf16', threads=2)) == 31
    assert ap_of_card(card, setting(size=SQUARE)) is None
    assert ap_of_card(card, setting(size=OWN, resize='stretch')) is None
    for nothing in (None, 'high', [1]):
        assert ap_of_card(with_ap(tiny_nanodet, 'a', nothing), setting(size=OWN)) is None


@pytest.mark.parametrize(('int8', 'tried'), [
    (None, ['auto', 'bf16']), (Int8Files('int8.param', 'int8.bin'), ['auto', 'bf16', 'int8'])])
def test_sweep_tries_int8_where_the_folder_has_it(tiny_nanodet, int8, tried):
    card = load_card(tiny_nanodet)
    ncnn = replace(card.runtimes.ncnn, int8=int8)
    args = argparse.Namespace(size=[96], sweep=True, budget_ms=None, runtime='ncnn', resize=None,
                              precision=None, threads=[1], wait_policy=None)
    settings = settings_to_try(replace(card, runtimes=Runtimes(ncnn)), args)
    assert [each.precision for each in settings] == tried


def test_int8_has_an_ap_of_its_own_if_it_was_measured_on_the_same_images(tiny_nanodet):
    in_int8 = setting(size=OWN, precision='int8')
    assert ap_of_card(with_ap(tiny_nanodet, 'a', 31), in_int8) is None
    change_card(tiny_nanodet, 'quantization', {'metrics': {
        'annotations': 'val.json', 'images': 88, 'ap_int8': 30.2}})
    assert ap_of_card(load_card(tiny_nanodet), in_int8) == 30.2
    assert ap_of_card(with_ap(tiny_nanodet, 'a', 31, images=300), in_int8) is None


def test_a_process_of_its_own_measures_each_setting(tiny_nanodet, tmp_path, monkeypatch):
    np.save(tmp_path / 'image.npy', np.zeros((64, 96, 3), np.uint8))
    seen, start = [], subprocess.Popen
    monkeypatch.setattr(subprocess, 'Popen', lambda *args, **options: (
        seen.append(options['env']['OMP_WAIT_POLICY']), start(*args, **options))[1])
    job = Job('ncnn', 'cpu', {'tiny': str(tiny_nanodet)},
              [setting('tiny', threads=2, wait_policy='active'),
               setting('tiny', OWN, threads=2, wait_policy='active')], 0.01,
              str(tmp_path / 'image.npy'))
    told = []
    times = measure_apart(job, told.append)
    assert seen == ['ACTIVE']
    assert np.shape(times.wall_ms) == np.shape(times.cpu_ms) == (2, len(told))
    assert np.min(times.wall_ms) > 0


@pytest.mark.parametrize(('settings', 'message'), [
    ([setting('tiny', ImageSize(100, 100))], 'input size 100x100'),
    ([setting('tiny', threads=0)], 'num_threads: 0; expected 1 to 64'),
])
def test_a_setting_that_does_not_work_is_named(tiny_nanodet, tmp_path, settings, message):
    np.save(tmp_path / 'image.npy', np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(LiteDetectorError, match=message):
        measure_apart(Job('ncnn', 'cpu', {'tiny': str(tiny_nanodet)}, settings, 0.01,
                          str(tmp_path / 'image.npy')), lambda seconds: None)


def test_figures_are_of_the_later_turns_and_late_images_of_the_worst_one(monkeypatch):
    """A process that shares its core is slow for all of a turn."""
    turns = iter([[9.0] * 3, [9.0] * 3, [1.0] * 3, [3.0] * 3])

    def measure(job, progress):
        times_ms = next(turns)
        return Times([times_ms], [times_ms])

    monkeypatch.setattr(sweep, 'measure_apart', measure)
    run = sweep.run_sweep(Job('ncnn', 'cpu', {}, [setting()], 0.4), np.zeros((2, 2, 3)), 0,
                          lambda seconds: None)
    assert run.rows[0].idle == Latency(wall_ms=2.0, p95_ms=3.0, cpu_ms=2.0)
    assert run.slowdown == {'idle': 0.222}
    assert next(turns, None) is None


def test_ratio_is_the_median_of_the_rounds_to_a_reference_of_the_same_threads(monkeypatch):
    settings = [setting(), setting('b'), setting(threads=2)]
    cpu_ms = {1: [[1.0, 2.0, 2.0], [3.0, 4.0, 10.0]], 2: [[9.0, 9.0, 9.0]]}
    monkeypatch.setattr(sweep, 'measure_apart', lambda job, progress: Times(
        [[1.0]] * len(job.settings), cpu_ms[job.settings[0].threads]))
    found = sweep.run_sweep(Job('ncnn', 'cpu', {}, settings, 0.1), np.zeros((2, 2, 3)), 0,
                            lambda seconds: None, settings[0])
    assert [row.idle.ratio for row in found.rows] == [1, 3, None]


def test_a_process_that_dies_is_an_error_and_no_success(tmp_path, monkeypatch):
    monkeypatch.setattr('sys.executable', '/bin/false')
    with pytest.raises(LiteDetectorError, match='ended with status 1; check the free'):
        measure_apart(Job('ncnn', 'cpu', {}, [setting()], 0.01), lambda seconds: None)


def test_a_process_that_measures_ends_with_a_parent_that_was_killed(tiny_nanodet, tmp_path,
                                                                    run_python):
    np.save(tmp_path / 'image.npy', np.zeros((64, 96, 3), np.uint8))
    done = run_python('-c', f"""
import os, signal
from lite_detector.bench.setting import Setting
from lite_detector.bench.sweep_process import Job, measure_apart
from lite_detector.core.types import ImageSize
def kill(seconds):
    print(open(f'/proc/self/task/{{os.getpid()}}/children').read(), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
measure_apart(Job('ncnn', 'cpu', {{'a': {str(tiny_nanodet)!r}}},
                  [Setting('a', ImageSize(96, 96), 'stretch', 'fp32')], 600,
                  {str(tmp_path / 'image.npy')!r}), kill)
""")
    child = Path('/proc') / done.stdout.split()[0]
    deadline = time.monotonic() + 20
    while child.exists() and 'State:\tZ' not in (child / 'status').read_text():
        assert time.monotonic() < deadline, 'still running'
        time.sleep(0.05)


# what is chosen

def test_the_load_decides_and_not_the_idle_board(cards):
    quiet, robust = setting(threads=2), setting(size=ImageSize(64, 64))
    sweep = sweep_of(row(quiet, 30, idle_ms=5), row(robust, 19, idle_ms=15))
    # a quarter of the budget is for the node
    assert choose(sweep, cards, 25.4).setting == robust
    with pytest.raises(LiteDetectorError, match='no setting fits into 25 ms'):
        choose(sweep, cards, 25)
    idle = Sweep(0, [Row(each.setting, None, each.idle, None) for each in sweep.rows], {}, [])
    assert choose(idle, cards, 25).setting == quiet


def test_the_largest_input_wins_where_no_card_tells_an_ap(cards):
    rows = [row(setting(size=ImageSize(side, side)), side) for side in (160, 192, 224)]
    assert choose(sweep_of(*rows), cards, 260).setting.input_size == ImageSize(192, 192)
    # height times width, not one side
    rows.append(row(setting(size=ImageSize(160, 256)), 190))
    assert choose(sweep_of(*rows), cards, 260).setting.input_size == ImageSize(160, 256)


def test_of_equals_the_first_model_and_the_least_cpu_time_win(cards):
    rows = [row(setting('b'), 5, cpu_ms=1), row(setting('a', threads=2), 6, cpu_ms=9),
            row(setting('a'), 8, cpu_ms=7)]
    assert choose(sweep_of(*rows), cards, 12) is rows[2]


def test_the_best_ap_wins_over_a_larger_input_of_unknown_ap(tiny_nanodet):
    cards = {name: with_ap(tiny_nanodet, name, ap) for name, ap in
             (('small', 20), ('good', 30), ('silent', None))}
    rows = [row(setting('small', OWN), 5, 20), row(setting('good', OWN), 9, 30),
            row(setting('silent', ImageSize(320, 320)), 9)]
    assert choose(sweep_of(*rows), cards, 12) is rows[1]
    assert choose(sweep_of(*rows), cards, 9) is rows[0]
    # at a size that no card speaks of, the model that is better at its own
    rows = [row(setting(name, SQUARE), 5) for name in ('small', 'good')]
    assert choose(sweep_of(*rows), cards, 10) is rows[1]


def test_aps_of_different_images_are_not_compared(tiny_nanodet):
    cards = {'few': with_ap(tiny_nanodet, 'few', 20, images=88),
             'many': with_ap(tiny_nanodet, 'many', 30, images=300)}
    assert not aps_are_comparable(cards)
    rows = [row(setting('few', SQUARE), 5, 20), row(setting('many', OWN), 5, 30)]
    assert choose(sweep_of(*rows), cards, 10) is rows[0]
    assert aps_are_comparable({'many': cards['many']})
    assert aps_are_comparable({})


def test_what_a_parameter_file_cannot_say_is_not_chosen(cards):
    rows = [row(setting(resize='stretch'), 1), row(setting(threads=2, wait_policy='active'), 1)]
    with pytest.raises(LiteDetectorError, match='no measured setting fits a parameter'):
        choose(sweep_of(*rows), cards, 10)
    rows.append(row(setting(size=OWN), 9))
    assert choose(sweep_of(*rows), cards, 12) is rows[2]
    with pytest.raises(LiteDetectorError, match='no setting fits into 8 ms minus 25% for the '
                       r'node; the fastest is a at 96x64, letterbox_rect, fp32, threads 1 with 9'):
        choose(sweep_of(*rows), cards, 8)


def made(**points: float | None) -> list[Row]:
    """Return rows a_10=30: model a takes 10 ms and has 30 AP on x."""
    return [Row(setting(name), ap, Latency(ms, ms, ms / 10, 0.5), None,
                {} if ap is None else {'x': ApOnImages(ap)})
            for point, ap in points.items() for name, ms in [(point[0], int(point[2:]))]]


@pytest.mark.parametrize(('points', 'front'), [
    ({}, ''),
    ({'b_3': None}, ''),
    ({'a_10': 20}, 'a'),
    # b is slower and worse than a, d as fast as c and worse, e as good as c and slower
    ({'e_21': 30, 'd_20': 29, 'c_20': 30, 'b_11': 19, 'a_10': 20}, 'ac'),
    ({'a_10': 20, 'b_10': 20}, 'a'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_pareto_front_holds_what_no_other_beats(points, front):
    assert ''.join(row.setting.model for row in pareto_front(made(**points), 'x')) == front


# what is told

def test_report_has_a_front_for_each_set_of_images():
    rows = made(a_10=20, b_11=30, c_12=None)
    lines = report(Sweep(0, rows, {}, [], setting('a'), {'x': ('d',), 'nobody': ()}), rows[1])
    tables = '\n'.join(lines).split('## ')[1:]
    assert [text.splitlines()[0] for text in tables] == ['x', 'nobody', 'All results']
    cells = [[[cell.strip() for cell in line.strip('|').split('|')] for line in text.splitlines()
              if line.startswith('|')] for text in tables]
    assert [each[0][6:] for each in cells] == [
        ['AP x', 'idle ms', 'p95', 'CPU ms', 'ratio'],
        ['AP nobody', 'idle ms', 'p95', 'CPU ms', 'ratio'],
        ['AP x', 'AP nobody', 'idle ms', 'p95', 'CPU ms', 'ratio']]
    assert [each[0] for each in cells[0][2:]] == ['a', '**b**'] and not cells[1][2:]
    assert [each[6:9] for each in cells[2][2:]] == [
        ['**20.0**', '-', '10.0'], ['**30.0**', '-', '11.0'], ['-', '-', '12.0']]
    assert 'Not compared, because they have fewer of these classes: d.' in tables[0]


def test_table_marks_the_chosen_row_and_puts_the_fastest_first():
    rows = [row(setting('b'), 5, 31.25), row(setting('a'), 9), row(setting('a', threads=2), 7)]
    lines = table(sweep_of(*rows), rows[0])
    assert len(set(map(len, lines))) == 1
    cells = [[cell.strip() for cell in line.strip('|').split('|')] for line in lines]
    assert cells[0][-3:] == ['ms with 2 busy', 'p95', 'CPU ms']
    assert cells[2] == ['**b**', '96x96', 'letterbox_rect', 'fp32', '1', '-', '31.2',
                        '1.0', '1.0', '1.0', '2.5', '5.0', '1.0']
    assert [line[4:6] for line in cells[3:]] == [['2', 'passive'], ['1', '-']]


def test_heat_lines_tell_idle_and_loaded_apart():
    samples = tuple(HeatSample(second, busy, Heat(degrees, None, None))
                    for second, busy, degrees in ((0, 0, 40), (1, 0, 50), (2, 2, 60), (3, 2, 80)))
    assert heat_lines(sweep_of(samples=samples)) == [
        'idle: 40 to 50 °C (40 .. 50); the second half of the time, from which the figures '
        'are, took 1.00 times as long as the first half.',
        'under CPU load, with 2 busy processes: 60 to 80 °C (60 .. 80); the second half of the '
        'time, from which the figures are, took 1.25 times as long as the first half.']


@pytest.mark.parametrize('heat', [Heat(None, None, None), Heat(50.0, None, ()),
                                  Heat(None, 1500.0, None), Heat(50.0, 1500.0, ('throttled',))])
def test_figure_has_a_panel_for_what_is_known(heat):
    figure = pytest.importorskip('matplotlib.figure').Figure()
    rows = [row(setting('a$b'), 5), row(setting('c'), 9)]
    samples = (HeatSample(0, 0, heat), HeatSample(1, 2, Heat(None, None, None)),
               HeatSample(2, 2, heat))
    draw_sweep(figure, sweep_of(*rows, samples=samples), 8.0, rows[1])
    figure.canvas.draw()
    labels = figure.axes[0].get_yticklabels()
    assert [label.get_fontweight() for label in labels] == ['bold', 'normal']
    panels = {axes.get_ylabel() for axes in figure.axes[1:]}
    assert panels - {''} == ({'°C'} if heat.temperature_c else set()) | (
        {'MHz'} if heat.frequency_mhz else set())
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'idle', 'under CPU load, with 2 busy processes', '8 ms']


def test_figure_has_a_panel_of_ap_for_each_set_of_images():
    figure = pytest.importorskip('matplotlib.figure').Figure()
    rows = made(a_10=20, b_11=30)
    draw_sweep(figure, Sweep(0, rows, {}, [], None, {'x': (), 'nobody': ()}), 25.0)
    figure.canvas.draw()
    assert [axes.get_title() for axes in figure.axes] == ['x', 'nobody']
    assert [[text.get_text() for text in axes.texts] for axes in figure.axes] == [
        ['96', '96'], []]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        'a, letterbox_rect, fp32', 'b, letterbox_rect, fp32', 'Pareto front', '25 ms']
