# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Selection and report sets, comparison with the start, and repeated sources, in full runs."""

from collections import Counter
import json
from pathlib import Path
import shutil

from lite_detector.cli import main
from lite_detector.core.errors import ConfigError
from lite_detector.data.coco import load_coco
from lite_detector.train.config.training import DataSpec
from lite_detector.train.data.sources import open_datasets, repeats, selection_set
from lite_detector.train.run.origin import describe_training
from lite_detector.train.run.outcome import against_start, best_mixture, Candidate, gain_line
from lite_detector.train.run.run_folder import BEST_FILE, CONFIG_FILE, START_FILE, STATE_FILE
from lite_detector.train.run.validation import Validation
from lite_detector.train.weights.checkpoint import load_checkpoint, load_file, save_file
import pytest
from shapes import train_arguments, write_shapes
import torch
from torch import nn
import yaml

NEW_KEYS = ('repeat', 'select', 'select_images', 'select_min_score')


@pytest.fixture(scope='module')
def labels(tmp_path_factory) -> Path:
    return write_shapes(tmp_path_factory.mktemp('shapes'))


@pytest.fixture(scope='module')
def others(tmp_path_factory) -> list[Path]:
    """Return annotations for selection and report, on other images than the training."""
    return [write_shapes(tmp_path_factory.mktemp(name) / name, seed=seed)
            for seed, name in enumerate(('select', 'report'), start=1)]


@pytest.fixture(scope='module')
def trained(labels, tmp_path_factory) -> Path:
    """Return a checkpoint that detects most shapes of the training images."""
    folder = tmp_path_factory.mktemp('trained')
    assert train(folder, labels, optimizer__learning_rate=0.003, augment__mosaic=0.0,
                 phases=[{'epochs': 25}], validation__every_epochs=25) == 0
    assert load_checkpoint(folder / BEST_FILE).training['metrics']['AP'] > 1
    return folder / BEST_FILE


def train(output: Path, labels: Path, *more: str, **values: object) -> int:
    return main(train_arguments(output, labels, '--no-export', *more, **values))


def count_measured(monkeypatch) -> Counter[str]:
    """Count how often AP is measured, by the folder of the first image."""
    counts: Counter[str] = Counter()
    evaluate = Validation.evaluate

    def counted(self, model):
        counts[(self._folder / self._coco.images[0].file_name).parts[-3]] += 1
        return evaluate(self, model)

    monkeypatch.setattr(Validation, 'evaluate', counted)
    return counts


def test_gain_line_adds_up_as_it_is_printed():
    assert gain_line(29.94, 31.06) == 'start 29.9 -> best 31.1 (+1.2)'
    assert gain_line(30, 28.5) == 'start 30.0 -> best 28.5 (-1.5)'


@pytest.mark.parametrize(('trained_ap', 'kept', 'words'), [
    (31.0, False, []), (30.0, True, ['gained nothing']), (29.5, True, ['made it worse'])])
def test_the_start_competes_and_wins_a_tie(trained_ap, kept, words):
    lines = []
    start = Candidate({'w': torch.tensor(0.0)}, {'ap/AP': 30.0, 'ap/AP50': 50.0})
    best = Candidate({'w': torch.tensor(1.0)}, {'ap/AP': trained_ap}, {'wise_factor': 0.7})
    chosen = against_start(start, best, lines.append)
    assert chosen.weights is (start if kept else best).weights
    assert chosen.origin['gain'] == trained_ap - 30
    assert (chosen.origin['start_ap'], chosen.origin['trained_ap']) == (30, trained_ap)
    assert ('wise_factor' in chosen.origin, 'kept_start' in chosen.origin) == (not kept, kept)
    assert len(lines) == 1 + len(words) and all(word in lines[-1] for word in words)


def test_best_mixture_is_measured_until_it_falls():
    """AP of w is 30 at the start (w = 0), 28 at the end (w = 1) and highest, 31, at 0.5."""
    model, lines, best = nn.Linear(1, 1, bias=False), [], {'weight': torch.ones(1, 1)}

    def measure(network):
        return {'ap/AP': {0.85: 29.0, 0.7: 30.0, 0.5: 31.0, 0.3: 30.5}[
            round(network.weight.item(), 2)]}

    chosen = best_mixture({'weight': torch.zeros(1, 1)}, Candidate(best, {'ap/AP': 28.0}),
                          (0.3, 0.5, 0.7, 0.85), model, measure, lines.append)
    assert (chosen.ap, chosen.origin) == (31.0, {'wise_factor': 0.5})
    assert float(chosen.weights['weight']) == 0.5
    assert [line.split()[2] for line in lines] == ['0.85', '0.7', '0.5', '0.3']


def test_report_set_is_measured_once_with_the_finished_weights(labels, others, tmp_path,
                                                               monkeypatch, capsys):
    counts = count_measured(monkeypatch)
    select, report = others
    run = {'data__select': str(select), 'data__val': str(report), 'phases': [{'epochs': 2}]}
    assert train(tmp_path, labels, **run) == 0
    assert counts == {'select': 2, 'report': 1}
    out = capsys.readouterr().out
    assert '8 images to train on, 8 to measure AP on, 8 to report AP on at the end' in out
    assert out.index('report set labels.json, measured once: AP') > out.index('epoch 2/2')
    training = load_checkpoint(tmp_path / BEST_FILE).training
    assert training['report_measured'] == 1
    assert training['report'].keys() == {'annotations', 'ap', 'ap50', 'ap75', 'ap_small',
                                         'ap_medium', 'ap_large', 'images'}
    assert train(tmp_path, labels, '--resume', **run) == 0
    assert counts == {'select': 2, 'report': 1}
    told = describe_training(training)
    boxes = [len(load_coco(path).annotations) for path in (labels, select, report)]
    assert [(told['data'][role]['images'], told['data'][role]['boxes'])
            for role in ('train', 'select', 'report')] == [(8, count) for count in boxes]
    assert told['chosen'] == 'highest AP on the selection set, measured every 1 epochs'
    assert (told['report_measured'], told['report']['images']) == (1, 8)


def test_without_select_the_card_says_that_val_chose(labels, tmp_path):
    assert train(tmp_path, labels, phases=[{'epochs': 1}]) == 0
    told = describe_training(load_checkpoint(tmp_path / BEST_FILE).training)
    assert told['chosen'].startswith('highest AP on data.val, the selection set here')
    assert (told['report_measured'], list(told['data'])) == (0, ['train', 'select'])


def test_start_is_measured_first_and_a_worse_run_keeps_it(labels, trained, tmp_path, capsys,
                                                          monkeypatch):
    run = {'start__checkpoint': str(trained), 'optimizer__learning_rate': 0.5,
           'optimizer__kind': 'sgd', 'phases': [{'epochs': 1}], 'validation__wise_factors': []}
    assert train(tmp_path, labels, **run) == 0
    out = capsys.readouterr().out
    start = load_checkpoint(trained)
    ap = start.training['metrics']['AP']
    assert out.index(f'start: AP {ap:.2f}') < out.index('epoch 1/1')
    assert f'start {ap:.1f} -> best ' in out
    assert 'warning: training made it worse' in out
    best = load_checkpoint(tmp_path / BEST_FILE)
    assert all(torch.equal(value, start.state_dict[name])
               for name, value in best.state_dict.items())
    assert best.training['metrics']['AP'] == best.training['start_ap'] == ap
    assert best.training['gain'] < 0
    told = describe_training(best.training)
    assert told['chosen'].startswith('the start, since no epoch')
    counts = count_measured(monkeypatch)
    assert train(tmp_path, labels, '--resume', **run) == 0
    assert not counts


def test_resume_does_not_measure_the_start_again(labels, trained, tmp_path, monkeypatch, capsys):
    run = {'start__checkpoint': str(trained), 'phases': [{'epochs': 2}],
           'validation__wise_factors': []}
    counts = count_measured(monkeypatch)
    finish = Validation.measure

    def cut(self, model):
        if sum(counts.values()) == 2:  # the start and the first epoch are measured
            raise KeyboardInterrupt
        return finish(self, model)

    monkeypatch.setattr(Validation, 'measure', cut)
    assert train(tmp_path, labels, **run) == 130
    monkeypatch.setattr(Validation, 'measure', finish)
    ap = load_file(tmp_path / STATE_FILE)['state']['start']['ap/AP']
    counts.clear()
    capsys.readouterr()
    assert train(tmp_path, labels, '--resume', **run) == 0
    assert sum(counts.values()) == 1
    assert f'start {ap:.1f} -> best ' in capsys.readouterr().out


def test_start_with_a_new_class_is_not_measured(labels, trained, tmp_path, capsys):
    renamed = labels.with_name('renamed.json')
    renamed.write_text(labels.read_text().replace('"disc"', '"ball"'))
    assert train(tmp_path, renamed, start__checkpoint=str(trained), phases=[{'epochs': 1}],
                 validation__wise_factors=[]) == 0
    assert 'start: AP' not in capsys.readouterr().out


def test_run_of_an_older_version_resumes(labels, tmp_path):
    """The configuration and the state have none of the new keys."""
    run = tmp_path / 'run'
    assert train(run, labels, phases=[{'epochs': 1}]) == 0
    config = yaml.safe_load((run / CONFIG_FILE).read_text())
    state = load_file(run / STATE_FILE)
    del state['state']['start']
    for each in (config, state['config']):
        for key in NEW_KEYS:
            del each['data'][key]
    (run / CONFIG_FILE).write_text(yaml.safe_dump(config))
    save_file(run / STATE_FILE, state)
    assert main(['train', '--output', str(run), '--resume', '--no-export']) == 0


def test_boxes_below_the_minimum_are_ignored_in_selection(labels, tmp_path):
    data = json.loads(labels.read_text())
    for number, box in enumerate(data['annotations']):
        box['score'] = (0.1, 0.5, 1.0)[number % 3]
    path = labels.with_name('scored.json')
    path.write_text(json.dumps(data))
    spec = DataSpec(str(labels), select=str(path), select_min_score=0.5)
    wanted = [number % 3 == 0 for number in range(len(data['annotations']))]
    select = open_datasets(spec).select
    assert [bool(each) for part in select.labels for each in part.ignore] == wanted
    coco = selection_set(spec).open_as_coco(('square', 'disc'))
    assert [box.iscrowd == 1 for box in coco.annotations] == wanted


def test_repeated_source_fills_its_share_of_the_epoch(labels, others, tmp_path, capsys):
    sources = [str(labels), str(others[0])]
    assert train(tmp_path, labels, data__train=sources, data__repeat=[1, 3],
                 phases=[{'epochs': 1}]) == 0
    assert '16 images to train on (32 samples per epoch)' in capsys.readouterr().out
    assert load_file(tmp_path / STATE_FILE)['state']['iteration'] == 8
    told = describe_training(load_checkpoint(tmp_path / BEST_FILE).training)
    assert [each['repeat'] for each in told['data']['train']] == [1, 3]


@pytest.mark.parametrize(('spec', 'words'), [
    (DataSpec(('a', 'b'), repeat=(2,)), 'data.repeat: 1 numbers for 2 entries of data.train'),
    (DataSpec('a', repeat=(2, 2)), 'data.repeat: 2 numbers for 1 entries')])
def test_repeat_of_another_length_is_refused(spec, words):
    with pytest.raises(ConfigError, match=words):
        repeats(spec)


@pytest.mark.parametrize(('spec', 'words'), [
    (DataSpec('a', val='x/../b', select='b', select_images='c'), 'is also data.select'),
    (DataSpec('a', val='b', val_images='c', select_min_score=0.3),
     'data.select_min_score: 0.3, but data.select is not set'),
    (DataSpec('a', select_images='c'), 'data.select_images: c, but data.select is not set'),
    (DataSpec('a', select='/absent/b.json'), 'data.select_images: not set')])
def test_selection_that_contradicts_itself_is_refused(spec, words):
    with pytest.raises(ConfigError, match=words):
        selection_set(spec)


def test_start_file_stays_the_start(labels, trained, tmp_path):
    shutil.copy(trained, tmp_path / 'x.pt')
    assert train(tmp_path / 'run', labels, start__checkpoint=str(tmp_path / 'x.pt'),
                 phases=[{'epochs': 1}], validation__wise_factors=[0.5]) == 0
    start, given = (load_checkpoint(path).state_dict
                    for path in (tmp_path / 'run' / START_FILE, trained))
    assert all(torch.equal(value, given[name]) for name, value in start.items())
