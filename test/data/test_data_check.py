# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What ``check_data`` finds, prints and draws."""

import json
import shutil
import sys

import cv2
from lite_detector.cli import main
from lite_detector.data.check import check_dataset, check_leaks, FINDINGS, is_cut_off
from lite_detector.data.dataset import Sample
from lite_detector.data.formats import read_annotations
from lite_detector.data.pictures import CELL, draw_sheet, spread_indices
import numpy as np
import pytest
from tiny_datasets import CLASS_NAMES, coco_content, SIZES, write_coco, write_voc, WRITERS

RARE = {'rare_class'}
"""No class of the tiny datasets has ten boxes."""


def photograph(seed: int, height: int = 120, width: int = 160) -> np.ndarray:
    """Return an image with something to see in it."""
    noise = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def coco(tmp_path):
    """Return a function: writes the dataset with these boxes in a.png, and checks it."""
    def check(*boxes: tuple[float, ...], class_names=CLASS_NAMES, **change: object):
        annotations, images = write_coco(tmp_path)
        content = coco_content()
        content['annotations'] = [{'image_id': 100, 'category_id': 3, 'bbox': box, **change}
                                  for box in boxes]
        annotations.write_text(json.dumps(content))
        return check_dataset(read_annotations(annotations, images), class_names)
    return check


@pytest.fixture
def check_data(tmp_path, capsys):
    """Return a function: runs the command, gives exit status, stdout and stderr."""
    def run(*arguments: object) -> tuple[int, str, str]:
        try:
            status = main(['check_data', *map(str, arguments)])
        except SystemExit as error:
            status = error.code
        return status, *capsys.readouterr()
    return run


@pytest.mark.parametrize('write', WRITERS.values(), ids=WRITERS)
def test_check_counts_the_same_in_every_format(write, tmp_path):
    report = check_dataset(read_annotations(*write(tmp_path)), CLASS_NAMES)
    assert (report.images, report.boxes, report.ignored) == (3, 3, 0)
    assert report.images_without_boxes == 1
    assert report.classes == {'zebra': 2, 'ant': 1}
    # areas 32 x 20; the factor from 64 to 320 is 5
    assert report.sizes == {'small': 3, 'medium': 0, 'large': 0}
    assert report.sizes_at_320 == {'small': 0, 'medium': 0, 'large': 3}
    assert set(report.findings) == RARE


def test_check_of_no_boxes_finds_only_that_classes_are_rare(coco):
    report = coco()
    assert (report.boxes, report.images_without_boxes) == (0, 3)
    assert report.findings['rare_class'][0].endswith("'zebra' has 0")
    assert report.sizes == {'small': 0, 'medium': 0, 'large': 0}


def test_check_counts_crowds_apart(coco):
    report = coco((0, 0, 30, 30), (10, 10, 30, 30), iscrowd=1)
    assert (report.boxes, report.ignored, report.images_without_boxes) == (0, 2, 2)
    assert report.classes == {'zebra': 0, 'ant': 0}
    assert report.side_lengths == []


@pytest.mark.parametrize(('box', 'kinds'), [
    ((0, 0, 64, 40), set()),
    ((-1, -1, 66, 42), set()),  # 1 pixel is rounding
    ((-1.5, 0, 10, 10), {'outside'}),
    ((60, 0, 5.5, 10), {'outside'}),
    ((0, 30, 10, 12), {'outside'}),
    ((10, 10, 2, 2), set()),
    ((10, 10, 20, 1.9), {'tiny'}),
    ((-5, 10, 6, 1), {'tiny', 'outside'}),
])
def test_check_names_boxes_that_are_wrong(coco, box, kinds):
    findings = coco(box).findings
    assert set(findings) == RARE | kinds
    for kind in kinds:
        line, = findings[kind]
        assert 'a.png: zebra at ' in line
        assert line.endswith(' in 64x40')


@pytest.mark.parametrize(('box', 'kind'), [
    ((10, 10, 0, 5), 'empty'), ((10, 10, 0, 0), 'empty'), ((10, 10, -2, 4), 'empty'),
    ((70, 10, 5, 5), 'outside_image'), ((-5, 10, 5, 5), 'outside_image')])
def test_check_names_boxes_that_are_skipped(coco, box, kind):
    report = coco(box, (1, 1, 20, 20))
    line, = report.findings[kind]
    assert 'instances.json: annotations[0]: ' in line
    assert (report.boxes, '1 of 2 boxes are broken' in report.refused) == (1, True)


def test_check_finds_classes_that_nobody_asked_for(coco):
    report = coco((10, 10, 20, 20), class_names=['zebra', 'lion'])
    assert [line.split(': ')[1] for line in report.findings['unknown_class']] == [
        "'ant' with 0 boxes"]
    assert report.classes == {'zebra': 1, 'lion': 0, 'ant': 0}


def test_check_goes_on_after_images_that_cannot_be_read(tmp_path):
    annotations, images = write_coco(tmp_path)
    (images / 'a.png').unlink()
    (images / 'b.png').write_bytes(b'no image')
    report = check_dataset(read_annotations(annotations, images), CLASS_NAMES)
    absent, broken = report.findings['unreadable']
    assert 'a.png: No such file' in absent
    assert 'b.png: 8 bytes that do not decode' in broken
    assert len(report.prints) == 1
    assert report.boxes == 3


def test_check_finds_jpeg_files_that_end_too_early(tmp_path):
    annotations, images = write_coco(tmp_path)
    annotations.write_text(annotations.read_text().replace('.png', '.jpg'))
    for stem, end in (('a', -2), ('b', None), ('c', -300)):
        height, width = SIZES[stem]
        data = cv2.imencode('.jpg', photograph(4, height, width))[1].tobytes()
        (images / f'{stem}.jpg').write_bytes(data[:end])
    report = check_dataset(read_annotations(annotations, images), CLASS_NAMES)
    # OpenCV 5 refuses such a file, OpenCV 4 fills it up
    found = report.findings.get('unreadable', []) + report.findings.get('cut_off', [])
    assert sorted(line.split(': ')[0] for line in found) == [f'{images}/a.jpg', f'{images}/c.jpg']


def test_jpeg_that_lacks_its_endis_cut_off():
    data = cv2.imencode('.jpg', photograph(4))[1].tobytes()
    assert not is_cut_off(data)
    assert not is_cut_off(data + b'what some cameras add')
    assert is_cut_off(data[:-2])
    assert not is_cut_off(cv2.imencode('.png', photograph(4))[1].tobytes()[:-2])


def test_check_finds_images_of_another_size(tmp_path):
    annotations, images = write_coco(tmp_path)
    cv2.imwrite(str(images / 'a.png'), np.zeros((64, 40, 3), np.uint8))
    report = check_dataset(read_annotations(annotations, images), CLASS_NAMES)
    line, = report.findings['other_size']
    assert 'a.png: image size 40x64; the annotations expect 64x40: width' in line
    assert 'outside' not in report.findings


def test_check_finds_copies_within_a_split(tmp_path):
    annotations, images = write_coco(tmp_path)
    shutil.copy(images / 'a.png', images / 'c.png')
    report = check_dataset(read_annotations(annotations, images), CLASS_NAMES)
    assert report.findings['duplicate'] == [f'{images}/c.png: same as {images}/a.png']


def test_check_finds_images_that_look_alike(tmp_path):
    annotations, images = write_voc(tmp_path)
    for path in annotations.iterdir():  # the images below have another size
        path.write_text(f'<annotation><filename>{path.stem}.png</filename></annotation>')
    cv2.imwrite(str(images / 'a.png'), photograph(1))
    cv2.imwrite(str(images / 'b.png'), photograph(2))
    cv2.imwrite(str(images / 'c.png'), cv2.resize(photograph(1), (80, 60)))
    report = check_dataset(read_annotations(annotations, images, CLASS_NAMES), CLASS_NAMES)
    assert report.findings['near_duplicate'] == [f'{images}/c.png: same as {images}/a.png']
    assert 'duplicate' not in report.findings


def test_check_finds_images_of_one_split_in_the_other(tmp_path):
    reports = []
    for name in ('train', 'val'):
        annotations, images = write_coco(tmp_path / name)
        cv2.imwrite(str(images / 'c.png'), photograph(3, 40, 64) // (2 if name == 'val' else 1))
        reports.append(check_dataset(read_annotations(annotations, images), CLASS_NAMES))
    check_leaks(*reports)
    train, val = tmp_path / 'train' / 'images', tmp_path / 'val' / 'images'
    assert set(reports[0].findings) == RARE
    assert reports[1].findings['leak'] == [f'{val}/a.png: same as {train}/a.png',
                                           f'{val}/b.png: same as {train}/b.png']
    assert reports[1].findings['near_leak'] == [f'{val}/c.png: same as {train}/c.png']


def test_check_takes_an_empty_split_for_no_leak(tmp_path):
    annotations, images = write_coco(tmp_path)
    dataset = read_annotations(annotations, images)
    full = check_dataset(dataset, CLASS_NAMES)
    for path in images.iterdir():
        path.unlink()
    empty = check_dataset(dataset, CLASS_NAMES)
    check_leaks(empty, full)
    check_leaks(full, empty)
    assert set(full.findings) == RARE
    assert set(empty.findings) == RARE | {'unreadable'}


# The command

def test_check_data_prints_a_table_and_warnings(check_data, tmp_path):
    annotations, images = write_coco(tmp_path)
    status, printed, _ = check_data('--annotations', annotations, '--images', images)
    assert status == 0
    assert 'images                       3\n' in printed
    assert 'size at 320             small 0, medium 0, large 3\n' in printed
    assert 'zebra                        2\n' in printed
    assert f'warning: instances.json: {FINDINGS["rare_class"]}: 2\n' in printed
    assert f"{annotations}: 'ant' has 1" in printed


def test_check_data_that_finds_nothing_says_so(check_data, tmp_path):
    annotations, images = write_coco(tmp_path)
    content = coco_content()
    content['annotations'] *= 10
    annotations.write_text(json.dumps(content))
    _, printed, _ = check_data('--annotations', annotations, '--images', images)
    assert printed.endswith('\nno faults found\n')


def test_check_data_prints_three_of_a_kind_and_writes_all(check_data, tmp_path):
    annotations, images = write_coco(tmp_path)
    content = coco_content()
    content['annotations'] = [{**content['annotations'][0], 'bbox': [1, 1, 0, 0]}] * 5
    annotations.write_text(json.dumps(content))
    path = tmp_path / 'report.json'
    _, printed, _ = check_data('--annotations', annotations, '--images', images, '--json', path)
    assert 'boxes skipped: width or height <= 0: 5\n' in printed
    assert 'train refuses this dataset: ' in printed
    assert 'and 2 more\n' in printed
    report, = json.loads(path.read_text())
    assert len(report['findings']['empty']) == 5
    assert report['classes'] == {'zebra': 0, 'ant': 0}
    assert '5 of 5 boxes are broken' in report['refused']


def test_check_data_compares_two_splits(check_data, tmp_path):
    annotations, images = write_coco(tmp_path / 'coco')
    others, copies = write_voc(tmp_path / 'voc')
    status, printed, _ = check_data('--annotations', annotations, '--images', images,
                                    '--compare', others, '--compare-images', copies)
    assert status == 0
    assert 'zebra                        2       2\n' in printed
    assert f'warning: annotations: {FINDINGS["leak"]}: 3\n' in printed


def test_check_data_takes_class_names(check_data, tmp_path):
    annotations, images = write_voc(tmp_path)
    status, printed, _ = check_data('--annotations', annotations, '--images', images,
                                    '--class-names', 'zebra', 'lion')
    assert status == 0
    assert "'ant' with 1 boxes" in printed
    assert "'lion' has 0" in printed


def test_check_data_draws_samples_and_histograms(check_data, tmp_path):
    pytest.importorskip('matplotlib')
    annotations, images = write_coco(tmp_path)
    (images / 'b.png').unlink()
    output = tmp_path / 'new' / 'folder'
    status, printed, _ = check_data('--annotations', annotations, '--images', images,
                                    '--output', output)
    assert status == 0
    assert f'wrote pictures to {output}' in printed
    sheet = cv2.imread(str(output / 'samples.jpg'))
    assert sheet.shape == (CELL, 4 * CELL, 3)
    assert cv2.imread(str(output / 'histograms.png')) is not None


def test_check_data_without_matplotlib_says_how_to_get_it(check_data, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.split('.')[0] == 'matplotlib']:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, 'matplotlib', None)
    annotations, images = write_coco(tmp_path)
    command = ['--annotations', annotations, '--images', images]
    status, _, error = check_data(*command, '--output', tmp_path / 'out')
    assert status == 2
    assert error.startswith('error: plots need matplotlib')
    assert 'python3 -m pip install matplotlib' in error
    assert check_data(*command)[0] == 0


@pytest.mark.parametrize(('options', 'words'), [
    ([], ['--annotations', '--images']),
    (['--annotations', '{root}/absent.json', '--images', '{root}/images'], ['absent.json: no']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/absent'], ['absent: no such']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/empty'],
     ['0 of 3 images readable']),
    (['--annotations', '{root}/images/a.png', '--images', '{root}'], ['a.png: not valid JSON']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/images',
      '--class-names', 'ant', 'ant'], ["duplicate class name 'ant'"]),
    (['--annotations', '{root}/instances.json', '--images', '{root}/images',
      '--compare', '{root}/absent'], ['absent: no such']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/images',
      '--compare-images', '{root}'], ['--compare-images']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/images',
      '--json', '{root}/absent/report.json'], ['report.json: cannot write']),
    (['--annotations', '{root}/instances.json', '--images', '{root}/images',
      '--output', '{root}/instances.json'], ['--output', 'instances.json']),
])
def test_check_data_of_what_cannot_be_used_exits_2(check_data, tmp_path, options, words):
    write_coco(tmp_path)
    (tmp_path / 'empty').mkdir()
    status, _, error = check_data(*(option.format(root=tmp_path) for option in options))
    assert status == 2
    line = error.splitlines()[-1]
    assert line.startswith('error: ')
    for word in words:
        assert word in line


# Pictures

@pytest.mark.parametrize(('count', 'wanted', 'indices'), [
    (0, 4, []), (2, 4, [0, 1]), (4, 4, [0, 1, 2, 3]), (10, 4, [0, 2, 5, 7])])
def test_spread_indices_are_evenly_apart(count, wanted, indices):
    assert spread_indices(count, wanted) == indices


def test_draw_sheet_of_nothing_is_one_grey_row():
    assert draw_sheet([], CLASS_NAMES).shape == (CELL, 4 * CELL, 3)


def test_boxes_of_a_model_are_counted(check_data, tmp_path):
    annotations, images = write_coco(tmp_path)
    arguments = ('--annotations', annotations, '--images', images)
    assert 'labelled by a model' not in check_data(*arguments)[1]
    content = json.loads(annotations.read_text())
    content['annotations'][0]['score'] = 0.5
    annotations.write_text(json.dumps(content))
    assert 'labelled by a model          1' in check_data(*arguments)[1]


def test_draw_sheet_shrinks_images_into_cells_row_by_row(tmp_path):
    wide = Sample(tmp_path, np.zeros((CELL, 2 * CELL, 3), np.uint8),
                  np.array([[0, 0, 2 * CELL, CELL]], np.float32), np.array([1]), np.array([True]),
                  np.ones(1, np.float32))
    sheet = draw_sheet([wide] * 5, CLASS_NAMES)
    assert sheet.shape == (2 * CELL, 4 * CELL, 3)
    assert sheet[CELL:, :CELL].any()
    assert (sheet[CELL:, CELL:] == sheet[-1, -1]).all()


# Real data

def test_check_data_of_real_photographs_agrees_with_their_readme(shared_data):
    folder = shared_data / 'playing_cards'
    reports = [check_dataset(read_annotations(folder / f'instances_{split}.json',
                                              folder / 'images'), ['king'])
               for split in ('train', 'val')]
    check_leaks(*reports)
    assert [(report.images, report.boxes) for report in reports] == [(296, 527), (67, 143)]
    assert len(reports[0].findings['unknown_class']) == 5
    # photographs taken one right after the other; none of them is in both splits
    assert [len(report.findings.get('near_duplicate', ())) for report in reports] == [6, 0]
    assert not {'unreadable', 'cut_off', 'other_size', 'outside', 'duplicate', 'leak',
                'near_leak'} & {kind for report in reports for kind in report.findings}


def test_check_data_finds_the_crowds_of_coco(shared_data):
    folder = shared_data / 'coco_mini'
    dataset = read_annotations(folder / 'instances_val.json', folder / 'val')
    report = check_dataset(dataset, dataset.class_names)
    assert (report.images, report.boxes, report.ignored) == (88, 718 - 6, 6)
