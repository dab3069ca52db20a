# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Whole runs of the train command, small enough for a test."""

import csv
import json
from pathlib import Path
import signal
import subprocess
import sys
import time

from accelerate.state import AcceleratorState
from lite_detector.cli import main
from lite_detector.core.image_header import FORMATS
from lite_detector.core.model_card import load_card
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.run.learner import Learner
from lite_detector.train.run.origin import short_path
from lite_detector.train.run.run_folder import (
    BEST_FILE,
    CONFIG_FILE,
    LAST_FILE,
    START_FILE,
    STATE_FILE,
)
from lite_detector.train.weights import checkpoint as checkpoints
from lite_detector.train.weights.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_file,
    save_checkpoint,
)
from networks import network_card, trained_model
import pytest
from shapes import CLASS_NAMES, train_arguments, write_shapes
import torch

SILENT = '--no-export'


@pytest.fixture(scope='module')
def labels(tmp_path_factory) -> Path:
    return write_shapes(tmp_path_factory.mktemp('shapes'))


def train(output: Path, labels: Path, *more: str, **values: object) -> int:
    return main(train_arguments(output, labels, SILENT, *more, **values))


def same(first: object, second: object) -> bool:
    """Return whether two states are bit-identical."""
    if isinstance(first, torch.Tensor):
        return torch.equal(first, second)
    if isinstance(first, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key])
                                                     for key in first)
    if isinstance(first, (list, tuple)):
        return len(first) == len(second) and all(map(same, first, second))
    return first == second


def assert_same_end(first: Path, second: Path) -> None:
    contents = [load_file(folder / STATE_FILE) for folder in (first, second)]
    assert same(*(each['tensors'] for each in contents))
    rows = [each['state']['history'] for each in contents]
    for row in (*rows[0], *rows[1]):
        del row['images_per_second']
    assert rows[0] == rows[1]
    for name in (LAST_FILE, BEST_FILE):
        assert same(load_checkpoint(first / name).state_dict,
                    load_checkpoint(second / name).state_dict)


@pytest.fixture(scope='module')
def whole_run(labels, tmp_path_factory) -> Path:
    """Return the folder of a run of three epochs without interruption."""
    folder = tmp_path_factory.mktemp('whole')
    assert train(folder, labels, phases=[{'epochs': 3}]) == 0
    return folder


def test_run_leaves_checkpoints_curves_and_figures(whole_run):
    assert {BEST_FILE, LAST_FILE, 'start.pt', STATE_FILE, CONFIG_FILE, 'metrics.csv', 'curves.png',
            'train_batch.jpg', 'tensorboard'} <= {path.name for path in whole_run.iterdir()}
    assert list((whole_run / 'tensorboard').iterdir())
    rows = list(csv.DictReader((whole_run / 'metrics.csv').open()))
    assert [row['epoch'] for row in rows] == ['1', '2', '3']
    assert rows[-1]['iteration'] == '6'
    assert all(float(row['loss/score']) > 0 and float(row['ap/AP']) >= 0 for row in rows)
    assert not list(whole_run.glob('.*'))


def test_checkpoint_says_how_it_came_about_and_is_a_model(whole_run, labels, capsys):
    checkpoint = load_checkpoint(whole_run / BEST_FILE)
    assert checkpoint.card.class_names == CLASS_NAMES
    assert checkpoint.training['seed'] == 0
    assert checkpoint.training['config']['batch_size'] == 4
    assert {'AP', 'AP50'} == set(checkpoint.training['metrics'])
    assert main(['evaluate', '--model', str(whole_run / BEST_FILE), '--annotations', str(labels),
                 '--images', str(labels.parent / 'images')]) == 0
    assert 'nanodet_m_320 at 96x64 on 8 images' in capsys.readouterr().out


def test_console_tells_the_data_the_network_and_each_epoch(labels, tmp_path, capsys):
    assert train(tmp_path, labels, phases=[{'epochs': 1}]) == 0
    out = capsys.readouterr().out
    assert '8 images to train on, 8 to measure AP on; 2 classes: square, disc' in out
    assert 'warning: labels.json: images that are the same file as one of the other split' in out
    assert 'nanodet_m_320: nanodet 0.5x, 0.2' in out
    assert 'epoch 1/1  score ' in out
    assert 'minutes of training; best AP 0.00 after epoch 1' in out
    assert f'wrote weights to {tmp_path / BEST_FILE}' in out


def test_run_cut_within_an_epoch_resumes_bit_for_bit(whole_run, labels, tmp_path, monkeypatch):
    step = Learner.step

    def cut(self, batch, iteration, epoch):
        if iteration == 3:  # the second batch of the second epoch
            raise KeyboardInterrupt
        return step(self, batch, iteration, epoch)

    monkeypatch.setattr(Learner, 'step', cut)
    run = {'phases': [{'epochs': 3}], 'save_every_minutes': 1e-9}
    assert train(tmp_path, labels, **run) == 130
    assert load_file(tmp_path / STATE_FILE)['state']['batch'] == 1
    monkeypatch.setattr(Learner, 'step', step)
    assert main(['train', '--output', str(tmp_path), '--resume', SILENT]) == 0
    assert_same_end(whole_run, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_killed_process_resumes_bit_for_bit(whole_run, labels, tmp_path):
    arguments = train_arguments(tmp_path, labels, SILENT, phases=[{'epochs': 3}])
    process = subprocess.Popen([sys.executable, '-m', 'lite_detector', *arguments],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 90
    while not (tmp_path / STATE_FILE).exists():
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main([*arguments, '--resume']) == 0
    assert_same_end(whole_run, tmp_path)


def test_resuming_a_complete_run_changes_nothing(whole_run, labels):
    before = (whole_run / BEST_FILE).read_bytes()
    assert train(whole_run, labels, '--resume', phases=[{'epochs': 3}]) == 0
    assert (whole_run / BEST_FILE).read_bytes() == before


def test_resume_with_another_config_names_the_difference(whole_run, labels, capsys):
    assert train(whole_run, labels, '--resume', phases=[{'epochs': 3}],
                 optimizer__learning_rate=0.5) == 2
    assert ('was started with another configuration: $.optimizer.learning_rate: 0.001, 0.5'
            in capsys.readouterr().err)


def test_memory_and_workers_may_change_at_a_resume(whole_run, labels):
    assert train(whole_run, labels, '--resume', phases=[{'epochs': 3}], data__cache_megabytes=0,
                 data__workers=1) == 0


def test_second_run_in_the_same_folder_is_refused(whole_run, labels, capsys):
    assert train(whole_run, labels) == 2
    assert 'contains a run; use --resume to continue it' in capsys.readouterr().err


def test_resume_where_nothing_ran_is_one_line(labels, tmp_path, capsys):
    assert train(tmp_path, labels, '--resume') == 2
    assert 'state.pt: not found; there is no run to resume' in capsys.readouterr().err


def test_full_disk_ends_the_run_and_leaves_the_last_good_checkpoint(labels, tmp_path, capsys,
                                                                    monkeypatch):
    save, files = torch.save, []

    def fill_the_disk(content, file):
        files.append(file.name)
        if len([name for name in files if STATE_FILE in name]) > 1:
            file.write(b'half')
            raise OSError(28, 'No space left on device')
        save(content, file)

    monkeypatch.setattr(checkpoints.torch, 'save', fill_the_disk)
    assert train(tmp_path, labels) == 2
    assert f'{STATE_FILE}: cannot write: No space left on device' in capsys.readouterr().err
    assert load_file(tmp_path / STATE_FILE)['state']['epoch'] == 1
    assert load_checkpoint(tmp_path / LAST_FILE).model()
    monkeypatch.undo()
    assert train(tmp_path, labels, '--resume') == 0


def test_loss_that_is_no_number_names_the_images(labels, tmp_path, capsys):
    assert train(tmp_path, labels, optimizer__learning_rate=10, optimizer__kind='sgd',
                 augment__mosaic=0.0, optimizer__clip_norm=None, optimizer__momentum=1,
                 phases=[{'epochs': 30, 'learning_rate_factor': 100}]) == 2
    error = capsys.readouterr().err
    assert 'error: the loss is ' in error
    assert error.count('.png') == 4


def test_run_stops_when_nothing_gets_better(labels, tmp_path):
    assert train(tmp_path, labels, phases=[{'epochs': 9, 'learning_rate_factor': 0.0}],
                 validation__patience=2) == 0
    assert load_file(tmp_path / STATE_FILE)['state']['epoch'] <= 4


def test_phases_have_their_own_size_batch_and_length(labels, tmp_path, monkeypatch):
    seen = []
    step = Learner.step

    def look(self, batch, iteration, epoch):
        seen.append((epoch.number, tuple(batch.images.shape)))
        return step(self, batch, iteration, epoch)

    monkeypatch.setattr(Learner, 'step', look)
    assert train(tmp_path, labels, phases=[
        {'epochs': 1}, {'epochs': 1, 'input_size': {'height': 128, 'width': 64},
                        'batch_size': 8}, {'epochs': 1}]) == 0
    assert seen == [(0, (4, 3, 64, 96))] * 2 + [(1, (8, 3, 128, 64))] + [(2, (4, 3, 64, 96))] * 2


@pytest.fixture
def other_precision():
    """Let accelerate, which has one precision per process, start anew before and after a test."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


def test_half_precision_learns_too(labels, tmp_path, other_precision):
    assert train(tmp_path, labels, precision='bf16', phases=[{'epochs': 1}]) == 0
    row, = csv.DictReader((tmp_path / 'metrics.csv').open())
    assert 0 < float(row['loss/score']) < 100


def test_without_val_the_last_weights_are_kept(labels, tmp_path, capsys):
    assert train(tmp_path, labels, data__val=None) == 0
    out = capsys.readouterr().out
    assert 'warning: without data.val' in out
    assert f'wrote weights to {tmp_path / LAST_FILE}' in out
    assert not (tmp_path / BEST_FILE).exists()


def test_fine_tuning_starts_from_a_checkpoint_and_tries_mixtures(whole_run, labels, tmp_path,
                                                                 capsys):
    assert train(tmp_path, labels, start__checkpoint=str(whole_run / BEST_FILE),
                 start__freeze=['backbone'], validation__wise_factors=[0.5]) == 0
    out = capsys.readouterr().out
    assert 'with 2 of 2 classes' in out
    assert 'start + 0.5 * (best - start): AP ' in out
    start = load_checkpoint(whole_run / BEST_FILE).state_dict
    end = load_checkpoint(tmp_path / LAST_FILE).state_dict
    changed = {name for name, value in end.items() if not torch.equal(value, start[name])}
    assert changed and not [name for name in changed if name.startswith('backbone.')]


def test_start_on_other_pixels_is_a_warning(whole_run, labels, tmp_path, capsys):
    assert train(tmp_path, labels, start__checkpoint=str(whole_run / BEST_FILE),
                 network__preprocess__color='rgb', phases=[{'epochs': 1}]) == 0
    warnings = [line for line in capsys.readouterr().out.splitlines() if 'trained with' in line]
    assert len(warnings) == 1
    assert warnings[0].endswith('network.preprocess.color bgr, here it is rgb')


def test_run_with_a_frozen_part_resumes(labels, tmp_path):
    run = {'start__freeze': ['backbone'], 'phases': [{'epochs': 1}]}
    assert train(tmp_path, labels, **run) == 0
    assert train(tmp_path, labels, '--resume', **run) == 0


def test_start_from_a_wider_network_is_no_end_of_a_mixture(labels, tmp_path, capsys):
    spec = ModelSpec('nanodet', '1.0x', 2)
    wide = trained_model(spec)
    save_checkpoint(tmp_path / 'wide.pt', Checkpoint(spec, network_card(spec), wide.state_dict()))
    output = tmp_path / 'run'
    changes = {'start__checkpoint': str(tmp_path / 'wide.pt'), 'phases': [{'epochs': 1}],
               'validation__wise_factors': [0.5]}
    assert train(output, labels, **changes) == 0
    out = capsys.readouterr().out
    assert 'nanodet 0.5x, 0.2' in out
    assert 'a subset of the channels of nanodet 1.0x: batch norm statistics are measured' in out
    assert train(output, labels, '--resume', **changes) == 0
    assert 'start + ' not in out + capsys.readouterr().out
    assert not load_checkpoint(output / START_FILE).training['is_fine_tuned']


@pytest.mark.parametrize(('values', 'words'), [
    ({'data__train': None}, 'data.train: not set'),
    ({'data__train': '/absent/x.json'}, 'data.train_images: not set'),
    ({'data__train_images': '/absent'}, '/absent: no such folder'),
    ({'start__checkpoint': '/absent.pt'}, '/absent.pt: No such file'),
    ({'start__freeze': ['neck']}, "start.freeze: no module 'neck'"),
    ({'loss': {'yolov5_lite': {}}}, 'loss.yolov5_lite: the network is of family nanodet'),
    ({'batch_size': 0}, r'$.batch_size'),
    ({'batch_size': 1, 'phases': [{'epochs': 1, 'input_size': {'height': 32, 'width': 32}}]},
     'one image per process, with one cell at the coarsest stride'),
    ({'precision': 'fp16'}, 'precision: fp16 without a GPU'),
])
def test_mistake_is_one_line(labels, tmp_path, capsys, values, words):
    if values == {'precision': 'fp16'} and torch.cuda.is_available():
        pytest.skip('there is a GPU')
    assert train(tmp_path, labels, **values) == 2
    error = capsys.readouterr().err
    assert words in error
    assert error.count('\n') == 1


def test_checkpoint_of_another_family_is_refused(whole_run, labels, tmp_path, capsys):
    assert main(train_arguments(tmp_path, labels, SILENT, config='yolov5_lite_e_320',
                                start__checkpoint=str(whole_run / BEST_FILE),
                                network__variant='e')) == 2
    assert ('cannot start a yolov5_lite e from the weights of a nanodet 0.5x'
            in capsys.readouterr().err)


def test_boxes_of_a_start_keep_the_anchors_that_they_are_relative_to(labels, tmp_path, capsys):
    spec = ModelSpec('yolov5_lite', 'e', 2, num_anchors=2)
    card, weights = network_card(spec), trained_model(spec).state_dict()
    save_checkpoint(tmp_path / 'start.pt', Checkpoint(spec, card, weights))
    own = [[[1, 2], [3, 4]]] * 3
    assert main(train_arguments(
        tmp_path / 'run', labels, SILENT, config='yolov5_lite_e_320', network__variant='e',
        network__decode__anchors=own, start__checkpoint=str(tmp_path / 'start.pt'),
        start__auto_anchor=False, phases=[{'epochs': 1}])) == 0
    assert f'anchors of {card.name}' in capsys.readouterr().out
    assert (load_checkpoint(tmp_path / 'run' / START_FILE).card.decode.anchors
            == card.decode.anchors)


def test_profile_measures_and_leaves_nothing(labels, tmp_path, capsys):
    arguments = train_arguments(tmp_path / 'run', labels, '--profile', '0.1', '--json',
                                str(tmp_path / 'x.json'))
    assert main(arguments) == 0
    figures = json.loads((tmp_path / 'x.json').read_text())
    assert figures['batch_size'] == 4
    assert 0 < figures['loss_share'] < 1
    assert figures['loader_ratio'] == pytest.approx(
        figures['loader_images_per_second'] / figures['step_images_per_second'], rel=0.05)
    assert 'data loader' in capsys.readouterr().out
    assert not (tmp_path / 'run').exists()


@pytest.mark.slow
@pytest.mark.timeout(240)
def test_two_processes_learn_as_one_with_the_same_batch(labels, tmp_path, run_python):
    """The loss of the second step shows that the gradients of the first one are equal too."""
    def losses(name: str, *start: str) -> list[dict[str, float]]:
        # statistics of batch norm differ between processes, so they are left out
        arguments = train_arguments(tmp_path / name, labels, SILENT, batch_size=8,
                                    start__freeze_batch_norm=True)
        result = run_python('-m', *start, 'lite_detector', *arguments, OMP_NUM_THREADS='1')
        assert result.returncode == 0, result.stderr
        return [{key: float(value) for key, value in row.items() if key.startswith('loss/')}
                for row in csv.DictReader((tmp_path / name / 'metrics.csv').open())]

    one = losses('one')
    two = losses('two', 'torch.distributed.run', '--nproc-per-node=2', '--standalone', '-m')
    assert len(one) == len(two) == 2
    for first, second in zip(one, two, strict=True):
        assert second == pytest.approx(first, rel=1e-4)


@pytest.mark.parametrize(('count', 'strict', 'tail'), [
    (8, False, '; 1 of 8 images are broken; expected at most 10 % (--max-broken, '
               'data.max_broken)'),
    (12, True, '')], ids=['too many', 'strict'])
def test_unreadable_image_ends_it_before_the_first_step(count, strict, tail, tmp_path, capsys):
    labels = write_shapes(tmp_path / 'data', count)
    broken = tmp_path / 'data' / 'images' / '3.png'
    broken.write_bytes(b'nothing')
    assert train(tmp_path / 'run', labels, data__strict=strict) == 2
    message, = capsys.readouterr().err.splitlines()
    assert message.startswith(f'error: {broken}: 7 bytes that do not decode as an image')
    assert message.endswith(f'expected {FORMATS}{tail}')
    assert not (tmp_path / 'run' / LAST_FILE).exists()


@pytest.mark.slow
def test_run_ends_with_a_model_folder_that_finds_what_torch_finds(labels, tmp_path, capsys):
    arguments = train_arguments(tmp_path, labels, network__name='shapes_detector')
    assert main(arguments) == 0
    folder = tmp_path / 'shapes_detector'
    card = load_card(folder)
    assert (card.name, card.class_names) == ('shapes_detector', CLASS_NAMES)
    assert card.training['data']['train']['images'] == 8
    assert card.training['settings']['data']['train'] == short_path(str(labels))
    assert card.parity['images'] == 8
    assert {'annotations', 'images', 'runtime', 'ap', 'ap50'} <= set(card.metrics)
    assert f'wrote model to {folder}' in capsys.readouterr().out
    for runtime in ('ncnn', 'onnx'):
        assert main(['evaluate', '--model', str(folder), '--annotations', str(labels),
                     '--images', str(labels.parent / 'images'), '--runtime', runtime]) == 0
