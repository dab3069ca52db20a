# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The reader of YOLO label files."""


from lite_detector.data.formats import open_dataset
import pytest
from tiny_datasets import (
    assert_refused,
    CLASS_NAMES,
    with_file,
    write_yolo,
)


@pytest.mark.parametrize('names', ['[zebra, ant]', '{0: zebra, 1: ant}', '{1: ant, 0: zebra}'])
def test_yolo_takes_the_names_of_a_data_yaml_two_folders_up(names, tmp_path):
    labels, images = write_yolo(tmp_path, class_file=None)
    (tmp_path / 'data.yaml').write_text(f'train: ../elsewhere\nnc: 2\nnames: {names}\n')
    for annotations in (labels, tmp_path / 'data.yaml', tmp_path):
        dataset = open_dataset(annotations, images)
        assert dataset.class_names == CLASS_NAMES
        assert [len(each.class_ids) for each in dataset.labels] == [2, 0, 1]


def test_yolo_takes_label_files_that_lie_beside_the_images(tmp_path):
    labels, images = write_yolo(tmp_path)
    for path in labels.iterdir():
        path.rename(images / path.name)
    assert len(open_dataset(images, images)[0].class_ids) == 2


def test_yolo_takes_names_from_the_caller_where_no_file_has_them(tmp_path):
    labels, images = write_yolo(tmp_path, class_file=None)
    assert_refused(labels, images, 'no class names', 'classes.txt')
    assert open_dataset(labels, images, CLASS_NAMES).class_names == CLASS_NAMES


def test_yolo_empty_label_file_is_a_negative(tmp_path):
    assert len(open_dataset(*with_file(write_yolo(tmp_path), 'c.txt', '\n'))[2].class_ids) == 0


def test_yolo_label_file_without_an_image_is_a_missing_image(tmp_path):
    assert_refused(*with_file(write_yolo(tmp_path), 'd.txt', ''), 'd.jpg: no such image; 1 of 4')


@pytest.mark.parametrize(('line', 'words'), [
    ('0 0.5 0.5 0.5', ['4 values; expected 5']),
    ('0 0.5 0.5 0.5 0.5 7', ['the last value is 7; expected a confidence']),
    ('zebra 0.5 0.5 0.5 0.5', ["'zebra'"]),
    ('0.5 0.5 0.5 0.5 0.5', ["'0.5'"]),
    ('0 0.5 half 0.5 0.5', ["'half'"]),
    ('2 0.5 0.5 0.5 0.5', ['class 2 is unknown; expected one of 2 ids']),
    ('-1 0.5 0.5 0.5 0.5', ['class -1 is unknown']),
    ('0 32 0.5 0.5 0.5', ['32; expected a fraction', 'pixel values']),
    ('0 1.5 0.5 0.5 0.5', ['fully outside the image']),
    ('0 0.5 nan 0.5 0.5', ["'nan'; expected a number"]),
    ('0 0.5 0.5 -0.5 0.5', ['width or height <= 0']),
])
def test_yolo_line_that_is_wrong_is_refused_with_its_number(line, words, tmp_path):
    paths = with_file(write_yolo(tmp_path), 'a.txt', f'0 0.5 0.5 0.5 0.5\n\n{line}\n')
    assert_refused(*paths, 'a.txt:3: ', *words)


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('classes.txt', b'', ['classes.txt: no class']),
    ('classes.txt', b'zebra\n\nant\n', ["classes.txt: class 1 is named ''"]),
    ('classes.txt', b'ant\nant\n', ["classes.txt: duplicate class name 'ant'"]),
    ('classes.txt', b'\x89PNG\0', ['classes.txt: not a text file']),
    ('data.yaml', b'names: [zebra, ant', ['data.yaml: not valid YAML']),
    ('data.yaml', b'nc: 2', ['data.yaml: $: ', 'names']),
    ('data.yaml', b'names: [yes, ant]', ['names: class 0 is yes', 'put it in quotes']),
    ('data.yaml', b'names: {a: zebra, b: ant}', ['ids a, b; expected distinct numbers']),
])
def test_yolo_file_of_names_that_is_wrong_is_refused(name, content, words, tmp_path):
    assert_refused(*with_file(write_yolo(tmp_path, class_file=None), name, content), *words)


def test_yolo_without_a_label_file_says_where_it_looked(tmp_path):
    labels, images = write_yolo(tmp_path)
    for path in (labels / 'a.txt', labels / 'c.txt'):
        path.unlink()
    assert_refused(labels, images, 'no label file', str(images))


# Real data
