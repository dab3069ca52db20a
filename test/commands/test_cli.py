# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

import argparse
from importlib import import_module
import json
import os
from pathlib import Path
import sys

import cv2
from lite_detector import load_model
from lite_detector.cli import COMMANDS, main, MODEL_OPTIONS, NODES, TRAINING_LIBRARIES
from lite_detector.commands.options import picture_file
from lite_detector.core.config import load_changed
from lite_detector.core.media import VideoReader, VideoWriter
from lite_detector.zoo import DEFAULT_MODEL
import pytest
from tiny_models import square_image, write_tiny_yolov5

SQUARE = {'class_id': 0, 'class_name': 'object0', 'score': 1.0,
          'box_xyxy': [64.0, 32.0, 96.0, 64.0]}


def run(*arguments: object) -> int:
    """Run a command in this process; return its exit status."""
    try:
        return main([str(argument) for argument in arguments])
    except SystemExit as error:
        return error.code


@pytest.fixture
def picture(tmp_path) -> Path:
    folder = tmp_path / 'pictures'
    folder.mkdir()
    path = folder / 'a.png'
    cv2.imwrite(str(path), square_image(64, 96, 32, 64))
    return path


@pytest.fixture
def detect(tiny_nanodet):
    """Return a function that runs ``detect`` with the tiny model."""
    def run_detect(*arguments: object) -> int:
        return run('detect', *arguments, '--model', tiny_nanodet, '--precision', 'fp32')
    return run_detect


def assert_error(capsys, *words: str) -> None:
    """Check that stderr is one line ``error: ...`` with these words."""
    line, = capsys.readouterr().err.splitlines()
    assert line.startswith('error: ')
    for word in words:
        assert word in line


@pytest.mark.parametrize(('arguments', 'words'), [
    ([], ['command']),
    (['explode'], ['explode', *COMMANDS, *NODES]),
    (['detect'], ['SOURCE', 'lite_detector detect --help']),
    (['detect', '--model', 'tiny'], ['SOURCE']),
    (['detect', 'a.png', '--model', 'tiny', '--frobnicate'], ['--frobnicate']),
    (['detect', 'a.png', '--model', 'tiny', '--threads', 'two'], ['--threads', 'two']),
    (['detect', 'a.png', '--model', 'tiny', '--runtime', 'tensorrt'], ['tensorrt', 'ncnn']),
    (['detect', 'a.png', '--model', 'tiny', '--precision', 'fp64'], ['fp64', 'bf16']),
    (['fetch_model', 'absent'], ["model 'absent' not found", 'nanodet_m_320']),
    (['fetch_model', 'nanodet_m_320', '--from', '/absent'], ['/absent: no such folder']),
], ids=lambda value: ' '.join(map(str, value)))
def test_cli_with_wrong_usage_ends_with_one_line(capsys, arguments, words):
    assert run(*arguments) == 2
    assert_error(capsys, *words)


@pytest.mark.parametrize(('library', 'words'), [
    ('msgspec', 'make setup`, elsewhere `python3 -m pip install opencv-python-headless msgspec'),
    ('torch', 'make setup-train`, elsewhere `python3 -m pip install torch')])
def test_cli_without_a_library_says_how_to_get_it(run_python, library, words):
    done = run_python('-c', f"""
import sys
sys.modules[{library!r}] = None
from lite_detector.cli import main
sys.exit(main(['train', '--config', 'nanodet_m_320', '--output', 'run']))
""")
    assert done.returncode == 2
    line, = done.stderr.splitlines()
    # where nothing of training is installed another of its libraries is missed first
    named = TRAINING_LIBRARIES if library == 'torch' else [library]
    assert any(line.startswith(f'error: {each}: not installed; in a checkout run `')
               for each in named)
    assert words in line


@pytest.mark.parametrize(('options', 'words'), [
    (['--score-threshold', '2'], ['options: $.score_threshold', '<= 1']),
    (['--score-threshold', 'nan'], ['options: $.score_threshold']),
    (['--nms-iou-threshold', '-0.1'], ['options: $.nms_iou_threshold', '>= 0']),
    (['--max-detections', '0'], ['options: $.max_detections', '>= 1']),
    (['--tiles', '2'], ["tiles: '2'", 'COLUMNSxROWS from 1x1 to 8x8']),
    (['--tile-overlap', '0.6'], ['tiles: $.overlap', '<= 0.5']),
    (['--threads', '0'], ['num_threads: 0']),
    (['--size', '100'], ['input size 100x100', 'multiple of 32']),
    (['--size', '0'], ['input size 0x0', '>= 32']),
    (['--size', '-32'], ['input size -32x-32', '>= 32']),
    (['--output', __file__], [f'--output {__file__}: File exists']),
    (['--output', '/proc/absent'], ['--output /proc/absent: ']),
    (['--json', '/absent/a.json'], ['/absent/a.json: cannot write; ']),
], ids=lambda value: ' '.join(map(str, value)))
def test_detect_with_an_impossible_option_ends_with_one_line(capsys, detect, picture, options,
                                                             words):
    assert detect(picture, *options) == 2
    assert_error(capsys, *words)


def test_detect_with_an_unknown_model_lists_the_choices(capsys, picture):
    assert run('detect', picture, '--model', 'absent') == 2
    assert_error(capsys, "model 'absent' not found; expected one of ", 'nanodet_m_320')


def test_detect_in_a_source_that_is_absent_ends_with_one_line(capsys, detect, tmp_path):
    assert detect(tmp_path / 'absent.jpg') == 2
    assert_error(capsys, 'absent.jpg: no such file or folder')


def test_detect_in_only_unreadable_pictures_ends_with_an_error(capsys, detect, tmp_path):
    (tmp_path / 'a.jpg').write_bytes(b'no picture')
    assert detect(tmp_path / 'a.jpg') == 2
    warning, error = capsys.readouterr().err.splitlines()
    assert warning == (f'warning: skipped: {tmp_path}/a.jpg: 10 bytes that do not decode as '
                       'an image; expected JPEG, PNG, BMP, TIFF or WebP')
    assert error == ('error: SOURCE: 0 of 1 files processed; the warnings give the '
                     'reasons')


@pytest.mark.parametrize('runtime', ['ncnn', 'onnx'])
def test_detect_writes_json_in_pixels_of_the_picture(detect, picture, tmp_path, capsys, runtime):
    blank = picture.with_name('blank.png')
    cv2.imwrite(str(blank), square_image(48, 80, 0, 0, color=(0, 0, 0)))
    assert detect(picture, blank, '--json', tmp_path / 'a.json', '--runtime', runtime) == 0
    assert json.loads((tmp_path / 'a.json').read_text()) == [
        {'file': str(picture), 'width': 96, 'height': 64, 'detections': [SQUARE]},
        {'file': str(blank), 'width': 80, 'height': 48, 'detections': []},
    ]
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [f'{picture}: object0 1.00', f'{blank}: nothing']
    assert captured.err == ''


def test_detect_writes_json_into_what_a_link_names(detect, picture, tmp_path):
    (tmp_path / 'link.json').symlink_to('a.json')
    for _ in range(2):  # the file is there the second time
        assert detect(picture, '--json', tmp_path / 'link.json') == 0
        assert (tmp_path / 'link.json').is_symlink()
        assert json.loads((tmp_path / 'a.json').read_text())[0]['detections'] == [SQUARE]


def test_detect_with_options_uses_them(detect, tmp_path):
    # a cell of 32 input pixels is 24 x 16 pixels of this white picture: all of its cells light up
    white = tmp_path / 'white.png'
    cv2.imwrite(str(white), square_image(64, 96, 0, 0, side=96))
    options = ['--size', '128', '--resize', 'stretch', '--max-detections', '3']
    assert detect(white, *options, '--json', tmp_path / 'a.json') == 0
    record, = json.loads((tmp_path / 'a.json').read_text())
    assert [item['box_xyxy'] for item in record['detections']] == [
        [0.0, 0.0, 24.0, 16.0], [24.0, 0.0, 48.0, 16.0], [48.0, 0.0, 72.0, 16.0]]


def test_detect_with_tiles_finds_what_is_too_small_for_the_whole(detect, tmp_path):
    path = tmp_path / 'small.png'
    cv2.imwrite(str(path), square_image(128, 192, 96, 160))
    counts = []
    for tiles in ('1x1', '2x2'):
        assert detect(path, '--score-threshold', 0.9, '--tiles', tiles, '--tile-overlap', 0.05,
                      '--json', tmp_path / 'a.json') == 0
        counts.append(len(json.loads((tmp_path / 'a.json').read_text())[0]['detections']))
    assert counts == [0, 1]


def test_detect_in_a_folder_passes_over_what_is_damaged(capsys, detect, picture, tmp_path):
    (picture.parent / 'b.jpg').write_bytes(b'\xff\xd8 damaged')
    cv2.imwrite(str(picture.parent / 'c.png'), square_image(4, 4, 0, 0))
    cv2.imwrite(str(picture.parent / 'd.png'), square_image(64, 96, 0, 0))
    assert detect(picture.parent, '--json', tmp_path / 'a.json') == 0
    files = [record['file'] for record in json.loads((tmp_path / 'a.json').read_text())]
    assert files == [str(picture), str(picture.parent / 'd.png')]
    captured = capsys.readouterr()
    assert [line.split(': ')[:3] for line in captured.err.splitlines()] == [
        ['warning', 'skipped', str(picture.parent / 'b.jpg')],
        ['warning', 'skipped', str(picture.parent / 'c.png')]]
    assert 'c.png: image is 4x4 pixels; expected sides of 8 to 16384' in captured.err
    assert len(captured.out.splitlines()) == 2


def test_detect_draws_into_a_new_folder_and_overwrites_nothing(capsys, detect, picture, tmp_path):
    other = tmp_path / 'other' / 'a.bmp'
    other.parent.mkdir()
    cv2.imwrite(str(other), square_image(64, 96, 0, 0))
    output = tmp_path / 'new' / 'output'
    assert detect(picture, other, '--output', output) == 0
    assert sorted(path.name for path in output.iterdir()) == ['a.jpg', 'a_2.jpg']
    drawn = cv2.imread(str(output / 'a.jpg'))
    assert drawn.shape == (64, 96, 3)
    assert drawn[:10].max() < 40, 'black stays black'
    assert (drawn != cv2.imread(str(picture))).any()
    assert capsys.readouterr().out.splitlines()[-1] == f'wrote annotated files to {output}'


def test_detect_never_draws_over_what_it_reads(detect, picture):
    folder = picture.parent
    cv2.imwrite(str(folder / 'b.jpg'), square_image(64, 96, 0, 0))
    with VideoWriter(folder / 'v.mp4', 10) as video:
        video.write(square_image(64, 96, 32, 64))
    before = {path: path.read_bytes() for path in folder.iterdir()}
    assert detect(folder, '--output', folder) == 0
    assert {path: path.read_bytes() for path in before} == before
    new = {path.name for path in folder.iterdir()} - {path.name for path in before}
    assert {'b_2.jpg', 'v_2.mp4'} <= new


def test_detect_in_a_file_whose_name_is_no_text_works_or_says_so(capsys, detect, picture):
    odd = picture.parent / os.fsdecode(b'odd\xff.mp4')
    with VideoWriter(picture.parent / 'v.mp4', 10) as video:
        video.write(square_image(64, 96, 32, 64))
    (picture.parent / 'v.mp4').rename(odd)
    picture.rename(odd.with_suffix('.png'))
    assert detect(picture.parent, '--output', picture.parent / 'drawn') == 0
    assert [path.stem for path in (picture.parent / 'drawn').iterdir()] == [odd.stem]
    assert 'not UTF-8; rename the video' in capsys.readouterr().err


def test_detect_in_a_video_gives_a_record_per_frame_and_a_drawn_video(detect, tmp_path):
    source = tmp_path / 'a.mp4'
    with VideoWriter(source, 10) as video:
        for color in ((255, 255, 255), (0, 0, 0), (255, 255, 255)):
            video.write(square_image(64, 96, 32, 64, color))
    output = tmp_path / 'output'
    assert detect(source, '--output', output, '--json', tmp_path / 'a.json') == 0
    records = json.loads((tmp_path / 'a.json').read_text())
    assert [record['file'] for record in records] == [f'{source}#{index}' for index in range(3)]
    assert [len(record['detections']) for record in records] == [1, 0, 1]
    with VideoReader(output / 'a.mp4') as video:
        assert video.rate_hz == 10
        assert [frame.shape for frame in video] == [(64, 96, 3)] * 3


def test_detect_with_another_family_works(picture, tmp_path):
    model = write_tiny_yolov5(tmp_path / 'yolo')
    assert run('detect', picture, '--model', model, '--precision', 'fp32',
               '--json', tmp_path / 'a.json') == 0
    record, = json.loads((tmp_path / 'a.json').read_text())
    assert record['detections'] == [SQUARE]


def test_fetch_model_without_names_lists_what_there_is(capsys):
    assert run('fetch_model') == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith('yolov5_lite_e_320') and 'no weights' in line
               and 'licence: GPL-3.0' in line for line in lines)


def test_fetch_model_from_a_folder_gives_a_model_that_detects(shared_data, capsys, tmp_path):
    source = shared_data / 'weights'
    assert run('fetch_model', 'nanodet_m_320', '--from', source) == 0
    assert capsys.readouterr().out.startswith('nanodet_m_320: ')
    picture = shared_data / 'coco_mini' / 'val' / '000000214753.jpg'
    assert run('detect', picture, '--model', 'nanodet_m_320', '--json', tmp_path / 'a.json') == 0
    record, = json.loads((tmp_path / 'a.json').read_text())
    assert {'person', 'horse'} <= {item['class_name'] for item in record['detections']}


@pytest.mark.parametrize('command', [(), *([name] for name in COMMANDS)], ids=str)
def test_help_of_every_command_is_printed(capsys, command):
    assert run(*command, '--help') == 0
    assert 'usage: lite_detector' in capsys.readouterr().out


def test_module_is_the_same_command_line(run_python, tiny_nanodet, picture, tmp_path):
    done = run_python('-m', 'lite_detector', 'detect', picture, '--model', tiny_nanodet,
                      '--precision', 'fp32', '--json', tmp_path / 'a.json')
    assert (done.returncode, done.stdout) == (0, f'{picture}: object0 1.00\n'), done.stderr
    assert len(json.loads((tmp_path / 'a.json').read_text())) == 1


def test_module_with_a_wrong_call_exits_with_2_and_no_traceback(run_python, picture):
    done = run_python('-m', 'lite_detector', 'detect', picture, '--model', 'absent')
    assert done.returncode == 2
    assert done.stdout == ''
    assert done.stderr.startswith("error: model 'absent' not found")
    assert done.stderr.count('\n') == 1


@pytest.mark.parametrize('name', NODES)
def test_node_without_ros_says_what_to_source(capsys, monkeypatch, name):
    monkeypatch.setitem(sys.modules, 'rclpy', None)
    assert run(name) == 2
    assert_error(capsys, f'{name}: ROS 2 not found', 'setup.bash')


def parsed(monkeypatch, command: str, *arguments: str) -> argparse.Namespace:
    """Return what a command would be run with."""
    got = []
    monkeypatch.setattr(import_module(f'lite_detector.commands.{command}'), 'run', got.append)
    assert run(command, *arguments) == 0
    return got[0]


def words_of(action: argparse.Action, value: str) -> list[str]:
    return [*action.option_strings[:1], value]


@pytest.mark.parametrize('command', COMMANDS)
def test_every_path_of_a_command_may_begin_with_the_home_directory(command, monkeypatch):
    monkeypatch.setenv('HOME', '/home/robot')
    parser = argparse.ArgumentParser()
    import_module(f'lite_detector.commands.{command}').add_arguments(parser)
    groups = [group for group in parser._mutually_exclusive_groups if group.required]
    needed = [action for action in parser._actions if action.required and action.nargs != 0]
    needed += [group._group_actions[0] for group in groups]
    paths = [action for action in parser._actions if action.type in (Path, picture_file)
             or action.dest in MODEL_OPTIONS]
    assert paths or command in ('fetch_model',)
    for action in paths:
        others = [] if any(action in group._group_actions for group in groups) else needed
        others = [each for each in others if each is not action]
        arguments = [word for each in others if each.option_strings
                     for word in words_of(each, 'given')]
        positional = [word for each in others if not each.option_strings
                      for word in words_of(each, 'given')]
        others_of_group = [word for each in needed if each not in (action, *others)
                           and each.required for word in words_of(each, 'given')]
        args = parsed(monkeypatch, command, *positional, *arguments, *others_of_group,
                      *words_of(action, '~/there.png'))
        value = getattr(args, action.dest)
        value = value[0] if isinstance(value, list) else value
        assert str(value) == '/home/robot/there.png', action.dest
        assert isinstance(value, Path if action.type in (Path, picture_file) else str)


def test_configuration_has_the_home_directory_in_values_and_changes(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', '/home/robot')
    path = tmp_path / 'a.yaml'
    path.write_text('data: {train: [~/a.json, b.json], val: ~}\nname: ~x\n')
    data = load_changed(path, ['data.val=~/val.json', 'data.train.1=~/b.json'])
    assert data == {'data': {'train': ['/home/robot/a.json', '/home/robot/b.json'],
                             'val': '/home/robot/val.json'}, 'name': '~x'}


@pytest.mark.parametrize(('command', 'arguments', 'model'), [
    ('detect', ['a.png'], DEFAULT_MODEL), ('replay', ['bag'], DEFAULT_MODEL),
    ('benchmark', [], [DEFAULT_MODEL])])
def test_command_without_a_model_takes_that_of_the_node(monkeypatch, command, arguments, model):
    assert parsed(monkeypatch, command, *arguments).model == model


def test_detect_without_a_model_finds_with_the_default_one(picture, tmp_path, monkeypatch):
    model = write_tiny_yolov5(tmp_path / 'models' / DEFAULT_MODEL)
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.setenv('LITE_DETECTOR_MODELS', '~/models')
    assert run('detect', '~/pictures', '--json', '~/found.json') == 0
    record, = json.loads((tmp_path / 'found.json').read_text())
    assert record['file'] == str(picture)
    assert [item['class_id'] for item in record['detections']] == [0]
    assert load_model().card.name == load_model(str(model)).card.name
