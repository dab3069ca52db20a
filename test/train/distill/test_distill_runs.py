# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Whole runs with a teacher: resumed, measured, refused, and in two processes."""

import csv
from pathlib import Path

from lite_detector.cli import main
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.build import build_model
from lite_detector.train.run.learner import Learner
from lite_detector.train.run.run_folder import BEST_FILE, LAST_FILE, START_FILE, STATE_FILE
from lite_detector.train.weights.checkpoint import load_checkpoint, load_file, save_checkpoint
from networks import trained_checkpoint
import pytest
from shapes import train_arguments, write_shapes
import torch


@pytest.fixture(scope='module')
def labels(tmp_path_factory) -> Path:
    return write_shapes(tmp_path_factory.mktemp('shapes'))


@pytest.fixture(scope='module')
def teacher(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('teacher') / 'teacher.pt'
    spec = ModelSpec('nanodet', '1.0x', 2)
    save_checkpoint(path, trained_checkpoint(spec, ('disc', 'square')))
    return path


def train(output: Path, labels: Path, teacher: Path, *more: str, **values: object) -> int:
    return main(train_arguments(output, labels, '--no-export', *more, **{
        'validation__every_epochs': 2, 'distill__teacher': str(teacher), **values}))


def equal(first: dict, second: dict) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key])
                                                 for key in first)


def test_distilled_run_resumes_bit_for_bit_into_a_plain_checkpoint(labels, teacher, tmp_path,
                                                                   capsys, monkeypatch):
    options = {'distill__features': {'kind': 'mgd'}, 'distill__heads': {},
               'save_every_minutes': 1e-9}
    whole, cut = tmp_path / 'whole', tmp_path / 'cut'
    assert train(whole, labels, teacher, **options) == 0
    assert ('teacher tiny_nanodet, nanodet 1.0x, strides 8, 16, 32: mgd of feature maps; scores '
            'of 2 classes and distances' in capsys.readouterr().out)
    step = Learner.step

    def stop_at_third(self, batch, iteration, epoch):
        if iteration == 3:
            raise KeyboardInterrupt
        return step(self, batch, iteration, epoch)

    monkeypatch.setattr(Learner, 'step', stop_at_third)
    assert train(cut, labels, teacher, **options) == 130
    monkeypatch.setattr(Learner, 'step', step)
    assert main(['train', '--output', str(cut), '--resume', '--no-export']) == 0
    first, second = (load_file(each / STATE_FILE)['tensors']['objective'] for each in (whole, cut))
    assert equal(first, second)
    assert any(name.startswith('distillation.features.0.generate') for name in first)
    plain = build_model(ModelSpec('nanodet', '0.5x', 2)).state_dict().keys()
    for name in (START_FILE, LAST_FILE, BEST_FILE):
        checkpoint = load_checkpoint(whole / name)
        assert checkpoint.state_dict.keys() == plain
        assert checkpoint.training['config']['distill']['teacher'] == str(teacher)
        assert equal(checkpoint.state_dict, load_checkpoint(cut / name).state_dict)
    rows = list(csv.DictReader((whole / 'metrics.csv').open()))
    for name in ('features', 'score', 'distribution'):
        assert all(float(row[f'loss/distill_{name}']) > 0 for row in rows)


@pytest.mark.parametrize('zoom', [1, 2])
def test_speed_of_a_distilled_run_is_measured(labels, teacher, tmp_path, capsys, zoom):
    assert train(tmp_path / 'x', labels, teacher, '--profile', '0.1', distill__zoom=zoom) == 0
    assert 'images/s' in capsys.readouterr().out


@pytest.mark.parametrize(('content', 'words'), [
    (None, 'No such file'), (b'nothing', 'malformed, or not a file of weights')])
def test_teacher_that_is_none_is_one_line(labels, tmp_path, capsys, content, words):
    path = tmp_path / 'teacher.pt'
    if content is not None:
        path.write_bytes(content)
    assert train(tmp_path / 'x', labels, path) == 2
    error = capsys.readouterr().err
    assert f'error: distill.teacher: {path}: {words}' in error
    assert error.count('\n') == 1


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_processes_learn_from_a_teacher_as_one(labels, teacher, tmp_path, run_python):
    """Each process normalises its feature maps alone, so only the heads are equal."""
    def losses(name: str, *start: str) -> list[dict[str, float]]:
        arguments = train_arguments(
            tmp_path / name, labels, '--no-export', batch_size=8, start__freeze_batch_norm=True,
            validation__every_epochs=2, distill__teacher=str(teacher), distill__heads={})
        result = run_python('-m', *start, 'lite_detector', *arguments, OMP_NUM_THREADS='1')
        assert result.returncode == 0, result.stderr
        return [{key: float(value) for key, value in row.items() if key.startswith('loss/distill')}
                for row in csv.DictReader((tmp_path / name / 'metrics.csv').open())]

    one = losses('one')
    two = losses('two', 'torch.distributed.run', '--nproc-per-node=2', '--standalone', '-m')
    for first, second in zip(one, two, strict=True):
        assert second.pop('loss/distill_features') == pytest.approx(
            first.pop('loss/distill_features'), rel=0.1)
        assert second == pytest.approx(first, rel=5e-3)
