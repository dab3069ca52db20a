# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A run on data that are partly unusable: warnings before the first epoch, kept in a file."""

import json
from pathlib import Path
import struct
import zlib

from lite_detector.cli import main
from lite_detector.train.run.origin import describe_training
from lite_detector.train.run.run_folder import BEST_FILE, DATA_FILE, LAST_FILE
from lite_detector.train.weights.checkpoint import load_checkpoint
import pytest
from shapes import train_arguments, write_shapes
import torch


def png_without_pixels() -> bytes:
    """Return a PNG with start and end of a complete one of 128x96."""
    head = b'IHDR' + struct.pack('>IIBBBBB', 128, 96, 8, 2, 0, 0, 0)
    chunks = [head, b'IDAT' + b'no pixels', b'IEND']
    return b'\x89PNG\r\n\x1a\n' + b''.join(
        struct.pack('>I', len(chunk) - 4) + chunk + struct.pack('>I', zlib.crc32(chunk))
        for chunk in chunks)


@pytest.fixture(scope='module')
def labels(tmp_path_factory) -> Path:
    """Return labels with a zero-byte image, one without pixels, a missing one, and a box."""
    path = write_shapes(tmp_path_factory.mktemp('shapes'), count=32)
    images = path.parent / 'images'
    (images / '3.png').write_bytes(b'')
    (images / '5.png').write_bytes(png_without_pixels())
    (images / '7.png').unlink()
    content = json.loads(path.read_text())
    content['annotations'].append({'image_id': 1, 'category_id': 1, 'bbox': [5, 5, 0, 9]})
    path.write_text(json.dumps(content))
    return path


def run(output: Path, labels: Path, *more: str, **values: object) -> int:
    return main(train_arguments(output, labels, '--no-export', *more,
                                **{'phases': [{'epochs': 2}], **values}))


@pytest.fixture(scope='module')
def whole_run(labels, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp('whole')
    assert run(folder, labels) == 0
    return folder


def test_what_is_skipped_is_printed_before_the_first_epoch_and_kept(labels, tmp_path, capsys):
    assert run(tmp_path, labels, phases=[{'epochs': 1}]) == 0
    lines = capsys.readouterr().out.splitlines()
    images = labels.parent / 'images'
    wanted = [
        'warning: labels.json: 1 boxes skipped: width or height <= 0, first in '
        f'{labels}: annotations[',
        f'warning: labels.json: 1 images skipped: no such image, first in {images}/7.png',
        f'warning: labels.json: 2 images skipped: image that cannot be read, first in '
        f'{images}/3.png (0 bytes that do not decode']
    first_epoch = next(place for place, line in enumerate(lines) if line.startswith('epoch 1/1'))
    for start in wanted:
        assert any(line.startswith(start) for line in lines[:first_epoch]), start
    assert any(line.startswith('29 images to train on, 29 to measure AP on') for line in lines)
    kept = json.loads((tmp_path / DATA_FILE).read_text())
    assert [f'warning: {line}' for line in kept['warnings']] == [
        line for line in lines if line.startswith('warning: ')]
    assert kept['left_out'] == sorted(f'{images}/{number}.png' for number in (3, 5, 7))
    assert not list(tmp_path.glob('.*'))


def test_card_has_the_counts(whole_run, labels):
    told = describe_training(load_checkpoint(whole_run / BEST_FILE).training)
    boxes = len(json.loads(labels.read_text())['annotations']) - 1
    lost = sum(each['image_id'] in (4, 6, 8) for each in
               json.loads(labels.read_text())['annotations'])
    assert told['data']['train'] == told['data']['select'] == {
        'annotations': f'{labels.parent.name}/labels.json', 'images': 29, 'boxes': boxes - lost,
        'findings': {'empty': 1, 'missing': 1, 'unreadable': 2}}
    assert 'counts' not in told


def test_resumed_run_leaves_out_the_same_images(whole_run, labels, tmp_path, monkeypatch):
    from lite_detector.train.run.engine import Engine

    def stop(self, *arguments, finish=Engine._finish_epoch):
        finish(self, *arguments)
        raise KeyboardInterrupt
    monkeypatch.setattr(Engine, '_finish_epoch', stop)
    assert run(tmp_path, labels) != 0
    monkeypatch.undo()
    broken = labels.parent / 'images' / '5.png'
    content = broken.read_bytes()
    try:  # an image that is readable later does not change the training images
        broken.write_bytes((labels.parent / 'images' / '6.png').read_bytes())
        assert run(tmp_path, labels, '--resume') == 0
    finally:
        broken.write_bytes(content)
    first, second = (load_checkpoint(folder / LAST_FILE) for folder in (whole_run, tmp_path))
    assert all(torch.equal(value, second.state_dict[key])
               for key, value in first.state_dict.items())


@pytest.mark.parametrize(('values', 'words'), [
    ({'data__strict': True}, 'annotations['),
    ({'data__max_broken': 0.05}, '2 of 32 images are broken; expected at most 5 %'),
    ({'data__max_broken': 0.08}, '3 of 32 images are broken; expected at most 8 %'),
    ({'data__max_broken': 5}, 'data.max_broken')])
def test_run_is_refused_where_too_much_is_broken(labels, tmp_path, capsys, values, words):
    assert run(tmp_path / 'run', labels, **values) == 2
    assert words in capsys.readouterr().err
