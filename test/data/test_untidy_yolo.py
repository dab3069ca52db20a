# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Folders of YOLO as tools, other systems and accidents leave them.

Each kind in both moods: tolerant, and strict where it is a skip.
"""

from lite_detector.core.errors import DataError
from lite_detector.data.findings import Reading
from lite_detector.data.formats import open_dataset
import pytest
from untidy import (
    pixels,
    STRICT,
    write_images,
    write_texts,
)

# 1: outlines


@pytest.mark.parametrize('strict', [False, True])
def test_yolo_outlines_become_their_bounding_boxes(yolo, strict):
    dataset = yolo('0 0.25 0.25 0.75 0.25 0.5 0.75\n1 0.5 0.5 0.5 0.5\n'
                   '0 0 0.1 0.5 0 0.5 0.9 0 1\n', reading=Reading(strict))
    assert pixels(dataset)['a.jpg'] == [('ant', (16, 10, 48, 30)), ('bee', (16, 10, 48, 30)),
                                        ('ant', (0, 0, 32, 40))]
    assert dataset.findings.counts() == {'outlines': 2}
    assert dataset.findings.warnings()[0].startswith(
        '2 outlines read as their bounding boxes, first in ')
    assert dataset.findings.lines()['outlines'][0].endswith('a.txt:1')


def test_yolo_outline_with_a_confidence_keeps_it(yolo):
    dataset = yolo('0 0.25 0.25 0.75 0.25 0.5 0.75 0.5\n')
    assert pixels(dataset)['a.jpg'] == [('ant', (16, 10, 48, 30))]
    assert dataset.labels[0].scores.tolist() == [0.5]


def test_dota_labels_are_read_in_pixels_with_their_own_names(tmp_path):
    images = write_images(tmp_path / 'images', 'a.png', 'b.png')
    labels = write_texts(tmp_path / 'labelTxt', a='imagesource:GoogleEarth\ngsd:0.1\n'
                         '16 10 48 10 48 30 16 30 plane 0\n10 5 20 15 10 25 0 15 ship 1\n', b='')
    dataset = open_dataset(labels, images)
    assert dataset.class_names == ('plane', 'ship')
    assert pixels(dataset) == {'a.png': [('plane', (16, 10, 48, 30)), ('ship', (0, 5, 20, 25))],
                               'b.png': []}
    assert dataset.labels[0].ignore.tolist() == [False, True]


def test_key_points_of_a_data_yaml_are_no_outline(tmp_path):
    images = write_images(tmp_path / 'images', 'a.jpg')
    write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5 0.1 0.1 2 0.9 0.9 2\n')
    (tmp_path / 'data.yaml').write_text('names: [ant]\nkpt_shape: [2, 3]\n')
    assert pixels(open_dataset(tmp_path / 'data.yaml', images)) == {
        'a.jpg': [('ant', (16, 10, 48, 30))]}


# 3, 4: confidences and values that are not fractions

def test_yolo_sixth_column_is_the_score(yolo):
    dataset = yolo('0 0.5 0.5 0.5 0.5 0.25\n1 0.5 0.5 0.5 0.5\n')
    assert dataset.labels[0].scores.tolist() == [0.25, 1]
    assert dataset.soft_boxes == 1 and dataset.findings.counts() == {}


@pytest.mark.parametrize('strict', [False, True])
def test_yolo_values_that_are_rounded_over_the_border_are_clipped(yolo, strict):
    dataset = yolo('0 0.5 0.5 0.5 1.0004\n0 -0.001 0.5 0.5 0.5\n', reading=Reading(strict))
    assert pixels(dataset)['a.jpg'] == [('ant', (16, 0, 48, 40)), ('ant', (0, 10, 15.936, 30))]
    assert dataset.findings.counts() == {'clipped': 2}


def test_yolo_pixel_values_are_an_error_that_says_so(yolo):
    with pytest.raises(DataError, match=r'a.txt:1: .*divide pixel values by the width'):
        yolo('0 32 20 32 20\n')


# 6, 7, 8: layouts and names of YOLO

def test_yolo_folders_below_are_read_and_those_on_top_too(tmp_path):
    images = write_images(tmp_path / 'images', 'cam1/a.jpg', 'cam2/a.jpg', 'top.jpg', 'none.jpg')
    labels = write_texts(tmp_path / 'labels', cam1__a='0 0.5 0.5 0.5 0.5', cam2__a='',
                         top='1 0.5 0.5 0.5 0.5')
    (labels / 'classes.txt').write_text('ant\nbee\n')
    dataset = open_dataset(labels, images)
    assert [(str(each.image_path.relative_to(images)), each.class_ids.tolist())
            for each in dataset.labels] == [('cam1/a.jpg', [0]), ('cam2/a.jpg', []),
                                            ('none.jpg', []), ('top.jpg', [1])]


def test_yolo_labels_of_one_split_take_only_its_images(tmp_path):
    images = write_images(tmp_path / 'images', 'train/a.jpg', 'train/n.jpg', 'val/b.jpg')
    labels = write_texts(tmp_path / 'labels', train__a='0 0.5 0.5 0.5 0.5',
                         val__b='0 0.5 0.5 0.5 0.5')
    (labels / 'classes.txt').write_text('ant\n')
    dataset = open_dataset(labels / 'train', images)
    assert list(pixels(dataset)) == ['a.jpg', 'n.jpg']
    assert dataset.findings.counts() == {'other_folders': 1}
    assert list(pixels(open_dataset(labels, images))) == ['a.jpg', 'n.jpg', 'b.jpg']


def test_yolo_name_in_two_folders_is_an_error_with_both(tmp_path):
    images = write_images(tmp_path / 'images', 'cam1/a.jpg', 'cam2/a.jpg')
    labels = write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5')
    (labels / 'classes.txt').write_text('ant\n')
    with pytest.raises(DataError, match=r'may be .*cam1/a.jpg or .*cam2/a.jpg; .*--images'):
        open_dataset(labels, images)


@pytest.mark.parametrize('annotations', ['obj_train_data', 'obj.data', 'obj.names', 'train.txt',
                                         '.'])
def test_yolo_of_cvat_is_read_with_its_names(tmp_path, annotations):
    images = write_images(tmp_path / 'obj_train_data', 'a.jpg', 'b.jpg')
    write_texts(images, a='1 0.5 0.5 0.5 0.5\n', b='')
    (tmp_path / 'obj.names').write_text('ant\nbee\n')
    (tmp_path / 'obj.data').write_text('classes = 2\ntrain = data/train.txt\n'
                                       'names = data/obj.names\nbackup = backup/\n')
    (tmp_path / 'train.txt').write_text('data/obj_train_data/a.jpg\ndata/obj_train_data/b.jpg\n')
    dataset = open_dataset(tmp_path / annotations, images)
    assert dataset.class_names == ('ant', 'bee')
    assert pixels(dataset) == {'a.jpg': [('bee', (16, 10, 48, 30))], 'b.jpg': []}


def test_yolo_of_darknet_with_names_beside_the_images(tmp_path):
    images = write_images(tmp_path / 'train', 'a.jpg')
    write_texts(images, a='0 0.5 0.5 0.5 0.5')
    (images / '_darknet.labels').write_text('ant\n\n')
    assert open_dataset(images, images).class_names == ('ant',)


def test_yolo_of_roboflow_with_paths_of_another_root(tmp_path):
    images = write_images(tmp_path / 'train' / 'images', 'a.jpg')
    write_texts(tmp_path / 'train' / 'labels', a='0 0.5 0.5 0.5 0.5')
    write_texts(tmp_path, **{'README.roboflow': 'words', 'README.dataset': 'words'})
    (tmp_path / 'data.yaml').write_text(
        'path: /content/data\ntrain: ../train/images\nval: ../valid/images\nnc: 1\n'
        'names: [ant]\nroboflow: {license: CC BY 4.0}\n')
    for annotations in (tmp_path / 'data.yaml', tmp_path / 'train' / 'labels', tmp_path):
        assert pixels(open_dataset(annotations, images)) == {
            'a.jpg': [('ant', (16, 10, 48, 30))]}


@pytest.mark.parametrize(('names', 'wanted'), [
    ('[0, 1]', ('0', '1')), ("{'0': a, '1': b}", ('a', 'b')), ('{1: b, 0: a}', ('a', 'b')),
    ('[1.0, 007]', ('1.0', '007')), ("['yes', 'no']", ('yes', 'no')),
    ('[2024-01-01, 1e3]', ('2024-01-01', '1e3')),
    ('\n  - a\n  - b # the second\n', ('a', 'b')), ('{"0": a, "2": c}', ('a', 'c'))])
def test_names_of_a_data_yaml_are_text(tmp_path, names, wanted):
    images = write_images(tmp_path / 'images', 'a.jpg')
    write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5')
    (tmp_path / 'data.yaml').write_bytes(b'\xef\xbb\xbf' + f'names: {names}\r\n'.encode())
    assert open_dataset(tmp_path / 'data.yaml', images).class_names == wanted


@pytest.mark.parametrize('names', ['[yes, no]', '[on, a]', '[a, null]', '[a, ~]', '{0: true}'])
def test_names_that_yaml_does_not_read_as_text_ask_for_quotes(tmp_path, names):
    images = write_images(tmp_path / 'images', 'a.jpg')
    write_texts(tmp_path / 'labels', a='')
    (tmp_path / 'data.yaml').write_text(f'names: {names}\n')
    with pytest.raises(DataError, match=r'data.yaml: names: class . is .*put it in quotes'):
        open_dataset(tmp_path / 'data.yaml', images)


def test_another_count_of_classes_than_names_is_a_warning(tmp_path):
    images = write_images(tmp_path / 'images', 'a.jpg')
    write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5')
    (tmp_path / 'data.yaml').write_text('nc: 3\nnames: [ant, bee]\n')
    findings = open_dataset(tmp_path / 'data.yaml', images).findings
    assert 'nc is 3, but there are 2 names' in findings.warnings()[0]


def test_two_files_of_names_that_disagree_are_an_error_with_both(yolo, tmp_path):
    yolo('0 0.5 0.5 0.5 0.5')
    (tmp_path / 'labels' / 'data.yaml').write_text('names: [bee, ant]\n')
    with pytest.raises(DataError, match=r'classes.txt names the classes ant, bee, data.yaml bee'):
        open_dataset(tmp_path / 'labels', tmp_path / 'images')
    assert open_dataset(tmp_path / 'labels' / 'data.yaml',
                        tmp_path / 'images').class_names == ('bee', 'ant')


# Notations, in each format

@pytest.mark.parametrize('line', [
    '0 0.5 0.5 0.5 0.5', '0.0 5e-1 .5 0.500 0.5', '0.000e+00\t0.5\t0.5\t0.5\t0.5',
    '0,0.5,0.5,0.5,0.5', '0, 0.5, 0.5, 0.5, 0.5', '0 0,5 0,5 0,5 0,5', '0;0,5;0,5;0,5;0,5',
    ' 0  0.5 0.5  0.5 0.5 \r', '"0" "0.5" "0.5" "0.5" "0.5"', '+0 +0.5 0.5 0.5 0.5',
    '\ufeff0 0.5 0.5 0.5 0.5', '\n\n0 0.5 0.5 0.5 0.5\n\n'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-16', 'utf-16-le'])
def test_yolo_numbers_in_any_notation(yolo, line, encoding):
    dataset = yolo(line.encode(encoding), reading=STRICT)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))]}
