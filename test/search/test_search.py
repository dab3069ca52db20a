# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The command ``search``: its files, its page, and what mistakes are answered with."""

from html.parser import HTMLParser
import json
import re

from lite_detector.bench.machine import describe_machine
from lite_detector.cli import main
from lite_detector.commands import search as command
from lite_detector.core.config import load_yaml
from lite_detector.core.types import ImageSize
from lite_detector.search.candidates import Candidates
from lite_detector.search.choice import FoundNetwork
from lite_detector.search.costs import Costs, costs_of
from lite_detector.search.latency import load_table
from lite_detector.search.network import network_graph
from lite_detector.search.report import html, Page
from lite_detector.search.spec import SearchSpec
from lite_detector.train.config.training import load_config
import numpy as np
import pytest
from tiny_search import ROOT, tiny_structure, write_search, write_table

CONFIGS = sorted((ROOT / 'config' / 'search').glob('*.yaml'))


def run(*arguments: object) -> int:
    """Run ``search`` in one process; return the exit status."""
    return main(['search', *map(str, arguments), '--processes', '1'])


class Tags(HTMLParser):
    """Checks that tags close in their order; collects their attributes and the text."""

    EMPTY = ('meta', 'circle', 'rect', 'line', 'path', 'polyline')

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open, self.seen, self.text = [], [], ''
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, dict(attrs)))
        if tag != 'meta':
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in self.EMPTY
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_every_shipped_search_loads_and_names_a_training(path):
    spec = load_yaml(path, SearchSpec)
    assert path.stem == f'nanodet_plus_{spec.space.block}_320'
    frame = command.frame_of(load_config(ROOT / 'config' / 'train' / f'{spec.train}.yaml'), spec)
    assert frame == ('nanodet_plus', 96, 80 + 32, ImageSize(320, 320))
    # NanoDet-Plus-m has as many multiplications, up to rounding, and 110 layers
    assert (spec.budget.macs_m, spec.budget.layers) == (450, 84)


def test_there_is_a_search_for_every_kind_of_blocks():
    assert len(CONFIGS) == 4


def test_search_writes_trainings_of_what_it_found(tmp_path, capsys):
    config = write_search(tmp_path)
    table_path = write_table(tmp_path / 'table.json', 'another board; 2026')
    output = tmp_path / 'found'
    assert run('--config', config, '--table', table_path, 'budget.latency_ms=1.5', '--output',
               output) == 0
    files = sorted(path.name for path in output.iterdir())
    assert files[:2] == ['report.html', 'search.json']
    assert files[2] == 'tiny_1.yaml'
    base, best = load_config(tmp_path / 'train.yaml'), load_config(output / 'tiny_1.yaml')
    assert (best.network.name, best.recipe) == ('tiny_1', 'tiny_1')
    assert best.phases == base.phases
    assert best.network.preprocess == base.network.preprocess
    # the figures in the first line are those of the network that is written
    frame = command.frame_of(best, load_yaml(config, SearchSpec))
    costs = costs_of(network_graph(best.network.backbone, frame).operators,
                     load_table(table_path).network_ms)
    head = (output / 'tiny_1.yaml').read_text().splitlines()[0]
    assert f'predicted {costs.latency_ms:.2f} ms, {costs.macs_m:.0f} M' in head
    assert f'{costs.layers:.0f} layers' in head
    assert costs.latency_ms <= 1.5
    assert costs.layers <= 70
    printed = capsys.readouterr().out
    assert head.removeprefix('# ') in printed
    assert 'no latency measured: the latency table is of another machine' in printed
    assert re.search(r'160 candidates, seed 0, \d+ per second', printed)
    state = json.loads((output / 'search.json').read_text())['state']
    assert len(state['front'][0]) == 21


def test_search_measures_where_the_table_was_measured(tmp_path, capsys):
    pytest.importorskip('ncnn')
    config = write_search(tmp_path, budget={'latency_ms': 1000, 'layers': 70})
    table = write_table(tmp_path / 'table.json', describe_machine())
    assert run('--config', config, '--table', table, '--output', tmp_path / 'found') == 0
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith('tiny_')]
    assert lines
    assert all(re.search(r'predicted \d+\.\d\d ms, measured \d+\.\d\d ms', line)
               for line in lines)
    assert 'warning' not in printed


def test_search_whose_networks_are_all_too_slow_says_so(tmp_path, capsys, monkeypatch):
    config = write_search(tmp_path)
    table = write_table(tmp_path / 'table.json', describe_machine())
    monkeypatch.setattr(command, '_measure', lambda *_: lambda places: [9.0] * len(places))
    assert run('--config', config, '--table', table, '--output', tmp_path / 'found',
               'budget.latency_ms=1.5') == 0
    printed = capsys.readouterr().out
    assert re.search(r'discarded: predicted 1\.\d\d ms, measured 9.00 ms, budget 1.5 ms',
                     printed)
    assert 'warning: no measured network keeps the budget' in printed
    assert 'class=over' in (tmp_path / 'found' / 'report.html').read_text()


def test_search_that_is_resumed_goes_on_to_the_same_end(tmp_path, capsys):
    config = write_search(tmp_path)
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert run('--config', config, '--output', whole, 'evolution.candidates=320') == 0
    assert run('--config', config, '--output', cut) == 0
    assert run('--config', config, '--output', cut, '--resume', 'evolution.candidates=320') == 0
    for name in ('search.json', 'tiny_1.yaml'):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()
    # one that is done only writes its results again
    (whole / 'report.html').unlink()
    assert run('--config', config, '--output', whole, '--resume', 'evolution.candidates=320',
               'keep=1') == 0
    assert (whole / 'report.html').exists()
    assert 'per second' not in capsys.readouterr().out.splitlines()[-4]


@pytest.mark.parametrize(('options', 'words'), [
    (['budget.latency_ms=5'], 'budget.latency_ms: no --table; expected'),
    (['budget.layers=10'], 'budget.layers: 10; expected at least'),
    (['budget=null'], '$.budget'),
    (['budget.milliseconds=5'], '$.budget'),
    (['space.block=dense'], '$.space.block'),
    (['space.stages.0.kernels=[3, 5]', 'space.block=residual'], 'residual: kernel 5'),
    (['train=absent'], "configuration 'absent' not found"),
    (['train=yolov5_lite_e_320'], 'train: yolov5_lite_e_320 is a yolov5_lite e; expected nanodet'),
    (['train=nanodet_plus_m_coarse_320'], 'is a nanodet_plus m-coarse; expected'),
    (['--table', '{here}/absent.json'], 'absent.json: No such file'),
    (['--table', '{here}/tiny.yaml'], 'tiny.yaml: not a latency table'),
    (['--resume'], 'expected a search to resume'),
    (['--output', '/proc/absent'], '--output /proc/absent: '),
    (['--config', 'absent'], "configuration 'absent' not found; expected a YAML file, or one of "
                             'nanodet_plus_csp_320'),
], ids=lambda value: ' '.join(value) if isinstance(value, list) else '')
def test_search_with_a_mistake_ends_with_one_line(options, words, tmp_path, capsys):
    config = write_search(tmp_path)
    options = [option.replace('{here}', str(tmp_path)) for option in options]
    assert run('--config', config, '--output', tmp_path / 'found', *options) == 2
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    assert words in line


def test_search_whose_name_no_network_can_have_is_refused(tmp_path, one_line_error):
    config = write_search(tmp_path).rename(tmp_path / 'my search.yaml')
    assert 'my search.yaml: file name, used as name of the networks' in one_line_error(
        ['search', '--config', str(config), '--output', str(tmp_path / 'found')])


def test_resumed_search_that_keeps_fewer_leaves_no_others(tmp_path):
    arguments = ['--config', write_search(tmp_path), '--output', tmp_path / 'found']
    assert run(*arguments) == 0
    assert (tmp_path / 'found' / 'tiny_2.yaml').exists()
    assert run(*arguments, '--resume', 'keep=1') == 0
    assert [path.name for path in (tmp_path / 'found').glob('*.yaml')] == ['tiny_1.yaml']


def test_search_into_the_folder_of_another_is_refused(tmp_path, capsys):
    config, output = write_search(tmp_path), tmp_path / 'found'
    arguments = ['--config', config, '--output', output]
    assert run(*arguments) == 0
    for options, words in (([], 'contains a search; expected a folder without'),
                           (['--resume', 'budget.layers=69'], 'search.json: search with another'),
                           (['--resume', 'evolution.seed=1'], 'search.json: search with another')):
        capsys.readouterr()
        assert run(*arguments, *options) == 2
        assert words in capsys.readouterr().err
    (output / 'search.json').write_text('[')
    assert run(*arguments, '--resume') == 2
    assert 'search.json: damaged' in capsys.readouterr().err


def page(**changes: object) -> Page:
    costs = Costs(4.0, 100.0, 0.5, 60, 1.2)
    found = FoundNetwork('tiny<1>', tiny_structure('shuffle'), 20.0, costs, 4.5)
    front = Candidates(np.zeros((2, 1), np.int16), np.array([10.0, 20.0]),
                       np.array([[2.0, 50, 0.2, 50, 1], costs]))
    return Page(**{'title': 'a & b', 'facts': ['budget: 5'], 'axis': 0, 'limit': 5.0,
                   'front': front, 'seen': np.array([[3.0, 9.0], [np.inf, 9.0], [99.0, 9.0]]),
                   'found': [found], **changes})


def test_page_is_whole_in_itself_and_shows_what_was_found():
    text = html(page())
    tags = Tags(text)
    assert not re.search(r'https?:|src=|@import|url\(|<script|<link', text)
    assert 'tiny<1>' in tags.text
    assert 'a & b' in tags.text
    assert '4.50' in tags.text
    circles = [attributes for tag, attributes in tags.seen if tag == 'circle']
    # one network that was seen, for one is far beyond the budget and one was never measured;
    # the one found, predicted and measured
    assert [circle['r'] for circle in circles] == ['1.5', '5', '5']
    assert float(circles[1]['cx']) < float(circles[2]['cx'])
    bars = [attributes for tag, attributes in tags.seen if tag == 'rect']
    assert len(bars) == 1 + 3 * 2
    assert 'budget</text>' in text


@pytest.mark.parametrize('changes', [
    {'limit': None}, {'axis': 1, 'limit': 500.0}, {'seen': np.zeros((0, 2))},
    {'front': page().front.take([1])}], ids=['no limit', 'macs', 'nothing seen', 'one'])
def test_page_of_less(changes):
    text = html(page(**changes))
    Tags(text)
    assert 'nan' not in text
    assert ('million multiply-accumulates' in text) == ('axis' in changes)
    assert 'budget</text>' not in text or changes.get('limit', 5.0) == 5.0
