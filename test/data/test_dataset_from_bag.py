# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``dataset_from_bag``: from a recording to what `check_data` and `train` take."""

import json
from pathlib import Path

import cv2
from lite_detector.cli import main
from lite_detector.data.formats import open_dataset
import numpy as np
import pytest
from recordings import (
    compressed_image,
    detections,
    IMAGES,
    LABELS,
    raw_image,
    storage_file,
    write_bag,
)
from tiny_models import square_image

WHITE, GREEN = (255, 255, 255), (0, 255, 0)
KEEP_ALL = ('--min-difference', 0, '--blur', 0)


@pytest.fixture(autouse=True)
def needs_rosbags():
    pytest.importorskip('rosbags')


@pytest.fixture
def extract(tmp_path):
    """Return a function that runs the command and returns exit status and output folder."""
    def run(*arguments: object) -> tuple[int, Path]:
        output = tmp_path / 'dataset'
        try:
            return main(['dataset_from_bag', *map(str, (*arguments, '--output', output))]), output
        except SystemExit as error:
            return error.code, output
    return run


def view(seed: int, height: int = 48, width: int = 80) -> np.ndarray:
    """Return a picture unlike those of other seeds, uint8 BGR."""
    clouds = np.random.default_rng(seed).integers(0, 256, (12, 16, 3), np.uint8)
    return cv2.resize(clouds, (width, height), interpolation=cv2.INTER_CUBIC)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def written(output: Path, split: str) -> list[str]:
    return names(output / 'images' / split)


@pytest.fixture
def labelled_bag(tmp_path) -> Path:
    """Return ten seconds of ten images; recorded boxes come later, and not for every image."""
    messages = []
    for index in range(10):
        messages.append(raw_image(view(index), index))
        if index != 3:
            found = [('cup', 0.5, (10, 5, 30, 25))] if index % 2 else []
            messages.append(detections(index, *found)._replace(time_s=index + 0.3))
    return write_bag(tmp_path / 'bag', messages)


def test_recorded_labels_without_stamps_are_refused(extract, tmp_path, capsys):
    boxes = detections(0, ('cup', 0.5, (10, 5, 30, 25)))
    boxes = boxes._replace(fields=boxes.fields | {'stamp_s': -1})
    bag = write_bag(tmp_path / 'bag', [raw_image(view(0), 0.0, stamp_s=-1), boxes])
    status, _ = extract(bag, '--labels-topic', LABELS)
    assert status == 2
    assert f'{LABELS}: header.stamp is 0' in capsys.readouterr().err


def test_dataset_from_recorded_labels_is_what_training_takes(extract, labelled_bag, capsys):
    status, output = extract(labelled_bag, '--labels-topic', LABELS)
    assert status == 0
    assert names(output) == ['images', 'instances_train.json', 'instances_val.json']
    # 0 .. 9 s without 3, which has no labels: validation from 7.2 s on, the gap is 0.45 s
    assert written(output, 'train') == [f'170000000{index}_000000000.jpg'
                                        for index in (0, 1, 2, 4, 5, 6)]
    assert written(output, 'val') == ['1700000008_000000000.jpg', '1700000009_000000000.jpg']
    train = open_dataset(output / 'instances_train.json', output / 'images')
    assert train.class_names == ('cup',)
    boxes = [sample.boxes_xyxy.tolist() for sample in train]
    assert boxes == [[], [[10, 5, 30, 25]], [], [], [[10, 5, 30, 25]], []]
    assert train[1].scores.tolist() == [0.5]
    assert np.abs(train[0].image_bgr.astype(int) - view(0)).mean() < 8
    out = capsys.readouterr().out
    assert 'train      6 images, 2 boxes' in out and 'val        2 images, 1 boxes' in out
    assert '1 left out: without recorded detections of their stamp' in out
    assert '1 left out: between training and validation' in out
    assert main(list(map(str, (
        'check_data', '--annotations', output / 'instances_train.json', '--images',
        output / 'images', '--compare', output / 'instances_val.json')))) == 0
    assert 'look like' not in capsys.readouterr().out


def test_recorded_boxes_are_cut_and_without_a_score_they_are_certain(extract, tmp_path):
    found = [('cup', 0.0, (-10, 10, 20, 200)), ('cup', 1.0, (70, 0, 90, 48)),
             ('cup', 0.9, (85, 0, 95, 40)), ('cup', 0.9, (5, 5, float('nan'), 9)),
             ('dog', 0.25, (0, 0, 8, 8))]
    bag = write_bag(tmp_path / 'bag', [raw_image(view(0), 0), detections(0, *found)], 'sqlite3')
    _, output = extract(bag, '--labels-topic', 'detections')
    dataset = open_dataset(output / 'instances_train.json', output / 'images')
    assert dataset.class_names == ('cup', 'dog')
    assert dataset[0].boxes_xyxy.tolist() == [[0, 10, 20, 48], [70, 0, 80, 48], [0, 0, 8, 8]]
    assert dataset[0].scores.tolist() == [1, 1, 0.25]
    assert names(output) == ['images', 'instances_train.json']


@pytest.mark.parametrize('with_labels', [False, True])
def test_dataset_labelled_by_a_model(extract, tiny_nanodet, tmp_path, with_labels):
    scenes = [square_image(64, 96, 32, 64, WHITE), square_image(64, 96, 0, 0, GREEN)]
    messages = [compressed_image(scene, index, IMAGES, '.png')
                for index, scene in enumerate(scenes)]
    options = ['--model', tiny_nanodet, '--precision', 'fp32', '--val-fraction', 0]
    if with_labels:
        messages += [detections(0, ('object0', 1.0, (1, 2, 3, 4))), detections(1)]
        options += ['--labels-topic', LABELS]
    status, output = extract(write_bag(tmp_path / 'bag', messages), *KEEP_ALL, *options)
    assert status == 0
    dataset = open_dataset(output / 'instances_train.json', output / 'images')
    found = [(sample.class_ids.tolist(), sample.boxes_xyxy.tolist()) for sample in dataset]
    assert dataset.class_names == ('object0', 'object1')
    of_white = [1, 2, 3, 4] if with_labels else [64, 32, 96, 64]
    assert found == [([0], [of_white]), ([1], [[0, 0, 32, 32]])]
    info = json.loads((output / 'instances_train.json').read_text())['info']
    assert info['teacher'] == 'tiny_nanodet'
    assert info['labelled_classes'] == (['object0'] if with_labels else [])


def test_dataset_without_labels_is_images_and_a_hint(extract, tmp_path, capsys):
    messages = [compressed_image(view(index), index / 2, IMAGES) for index in range(4)]
    bag = write_bag(tmp_path / 'bag', messages, 'sqlite3')
    status, output = extract(bag, '--val-fraction', 0)
    assert status == 0
    assert names(output) == ['images']
    assert 'lite_detector label --images' in capsys.readouterr().out
    recorded = [message.fields['data'].tobytes() for message in messages]
    assert [(output / 'images' / 'train' / name).read_bytes()
            for name in written(output, 'train')] == recorded, 'no JPEG is packed twice'


def test_dataset_leaves_out_doubles_and_what_cannot_be_read(extract, tmp_path, capsys):
    broken = raw_image(view(7), 1.0)
    broken.fields['encoding'] = 'pigeon'
    bag = write_bag(tmp_path / 'bag', [
        raw_image(view(0), 0), broken, raw_image(view(0) // 2, 2), raw_image(view(1), 3),
        raw_image(view(9, 4, 4), 4), raw_image(cv2.blur(view(2), (25, 25)), 5)])
    status, output = extract(bag, '--val-fraction', 0)
    assert status == 0
    out, err = capsys.readouterr()
    assert written(output, 'train') == ['1700000000_000000000.jpg', '1700000003_000000000.jpg']
    assert '2 left out: that cannot be read' in out
    assert '1 left out: similar to another frame' in out
    assert '1 left out: blurred' in out
    assert "warning: first unreadable image: encoding 'pigeon' is not one of" in err


def test_dataset_of_a_camera_without_stamps_is_named_by_the_recording(extract, tmp_path):
    messages = [raw_image(view(index), time_s, stamp_s=-1)
                for index, time_s in enumerate((0.0, 0.5, 0.5))]
    _, output = extract(write_bag(tmp_path / 'bag', messages), '--val-fraction', 0)
    assert written(output, 'train') == ['1700000000_000000000.jpg', '1700000000_500000000.jpg',
                                        '1700000000_500000000_2.jpg']


def test_dataset_of_part_of_the_time(extract, tmp_path):
    messages = [raw_image(view(index), index) for index in range(10)]
    _, output = extract(write_bag(tmp_path / 'bag', messages), '--start', 2, '--end', 8,
                        '--every', 3, '--val-fraction', 0)
    assert written(output, 'train') == ['1700000002_000000000.jpg', '1700000005_000000000.jpg']


def test_dataset_of_a_cut_recording_says_what_could_be_read(extract, tmp_path, capsys):
    messages = [raw_image(np.random.default_rng(index).integers(0, 256, (96, 128, 3), np.uint8),
                          index) for index in range(40)]
    bag = write_bag(tmp_path / 'bag', messages, 'sqlite3')
    file = storage_file(bag)
    file.write_bytes(file.read_bytes()[:file.stat().st_size // 2])
    status, output = extract(bag, *KEEP_ALL, '--val-fraction', 0)
    assert status == 0
    count = len(written(output, 'train'))
    assert 15 <= count <= 20
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith(f'warning: {bag}: damaged: ') and str(file) in line
    assert line.endswith(f'{count} images read')


@pytest.mark.parametrize(('options', 'words'), [
    (['--topic', '/rear'], ['--topic /rear', IMAGES]),
    (['--labels-topic', IMAGES], ['--labels-topic', 'vision_msgs/msg/Detection2DArray', LABELS]),
    (['--every', 0], ['--every: 0; expected 1 or more']),
    (['--start', -1], ['--start: -1; expected 0 or more']),
    (['--start', 5, '--end', 5], ['--end: 5; expected more than --start']),
    (['--val-fraction', 1], ['options: $.val_fraction', '<= 0.9']),
    (['--blur', 2], ['options: $.blur', '<= 1']),
    (['--min-difference', 300], ['options: $.min_difference', '<= 256']),
    (['--start', 100], ['0 images of /camera/image_raw left']),
    (['--model', 'absent'], ["model 'absent' not found"]),
], ids=lambda value: ' '.join(map(str, value)))
def test_dataset_with_an_impossible_option_ends_with_one_line(extract, labelled_bag, capsys,
                                                              tmp_path, options, words):
    status, output = extract(labelled_bag, *options)
    assert status == 2 and not output.exists()
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ') and all(word in line for word in words)
    assert names(tmp_path) == ['bag'], 'nothing half made lies about'


def test_dataset_never_overwrites_a_folder(extract, labelled_bag, capsys, tmp_path):
    (tmp_path / 'dataset').mkdir()
    assert extract(labelled_bag)[0] == 0, 'an empty folder is new'
    before = names(tmp_path / 'dataset')
    assert extract(labelled_bag)[0] == 2
    assert 'exists; expected a new or empty folder' in capsys.readouterr().err
    assert names(tmp_path / 'dataset') == before


def test_dataset_from_labels_without_a_box_is_an_error(extract, tmp_path, capsys):
    bag = write_bag(tmp_path / 'bag', [raw_image(view(0), 0), detections(0)])
    assert extract(bag, '--labels-topic', LABELS)[0] == 2
    assert '/detections: no box' in capsys.readouterr().err
