# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Datasets as labelling tools, other systems and accidents leave them.

One test for each kind of issue 18, each in both moods: tolerant, and strict where it is a skip.
"""

from collections.abc import Callable
import json
from pathlib import Path
from typing import Any

import cv2
from lite_detector.cli import main
from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Findings, Reading
from lite_detector.data.formats import open_as_coco, open_dataset, read_annotations
from lite_detector.data.outlines import box_of_segmentation
import numpy as np
import pytest
from tiny_datasets import voc_object

HEIGHT, WIDTH = 40, 64
STRICT = Reading(strict=True)
TURNED = bytes.fromhex('ffe1002245786966000049492a000800000001001201030001000000060000000000'
                       '0000')
"""EXIF segment of a JPEG: turn right by 90 degrees."""


def picture(value: int = 90, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write_images(folder: Path, *names: str) -> Path:
    """Write an image of 64x40 for each name."""
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = '.png' if path.suffix.lower() == '.png' else '.jpg'
        path.write_bytes(cv2.imencode(suffix, picture(30 + place))[1].tobytes())
    return folder


def write_texts(folder: Path, **texts: str | bytes) -> Path:
    """Write label files; ``__`` in a name is a folder."""
    for name, text in texts.items():
        path = folder / f'{name.replace("__", "/")}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def coco(images: list[dict[str, Any]], annotations: Any, names: Any = ('ant', 'bee')) -> str:
    categories = [{'id': place, 'name': name} for place, name in enumerate(names, start=1)] if (
        isinstance(names, tuple)) else names
    return json.dumps({'images': images, 'annotations': annotations, 'categories': categories})


def image(image_id: Any, file_name: str, **more: Any) -> dict[str, Any]:
    return {'id': image_id, 'file_name': file_name, 'width': WIDTH, 'height': HEIGHT, **more}


def box(image_id: Any, category_id: Any, bbox: Any, **more: Any) -> dict[str, Any]:
    return {'image_id': image_id, 'category_id': category_id, 'bbox': bbox, **more}


def pixels(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Return the name of an image -> its boxes in pixels, rounded to thousandths."""
    return {each.image_path.name: [
        (dataset.class_names[class_id], tuple(round(value, 3) for value in corners))
        for class_id, corners in zip(each.class_ids, each.boxes_in(
            ImageSize(HEIGHT, WIDTH)).tolist(), strict=True)] for each in dataset.labels}


@pytest.fixture
def yolo(tmp_path) -> Callable[..., Dataset]:
    """Return a function: writes a text for each image a.jpg, b.jpg .. and reads them."""
    def read(*texts: str | bytes, names: str = 'ant\nbee\n', reading=Reading()) -> Dataset:
        stems = [chr(ord('a') + place) for place in range(len(texts))]
        images = write_images(tmp_path / 'images', *(f'{stem}.jpg' for stem in stems))
        labels = write_texts(tmp_path / 'labels', **dict(zip(stems, texts, strict=True)))
        (labels / 'classes.txt').write_text(names)
        return open_dataset(labels, images, findings=Findings(reading))
    return read


@pytest.fixture
def read_coco(tmp_path) -> Callable[..., Dataset]:
    """Return a function: writes a COCO file beside the folder of images, and reads it."""
    def read(content: str | bytes, reading=Reading()) -> Dataset:
        path = tmp_path / 'instances.json'
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return open_dataset(path, tmp_path / 'images', findings=Findings(reading))
    return read


@pytest.fixture
def check_data(tmp_path, capsys) -> Callable[..., tuple[int, str, str, Any]]:
    """Return a function: runs the command, gives exit status, stdout, stderr and the figures."""
    def run(*arguments: object) -> tuple[int, str, str, Any]:
        path = tmp_path / 'found.json'
        status = main(['check_data', *map(str, arguments), '--json', str(path)])
        return status, *capsys.readouterr(), json.loads(path.read_text())
    return run


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


# 2: the root category of Roboflow

@pytest.mark.parametrize('strict', [False, True])
@pytest.mark.parametrize(('root', 'name', 'parent'), [
    ('insects', 'ant', 'insects'), ('ant', 'ant', 'ant'), ('ant', 'ant', 'none')])
def test_coco_root_without_boxes_is_no_class(read_coco, tmp_path, root, name, parent, strict):
    write_images(tmp_path / 'images', 'a.jpg')
    dataset = read_coco(coco([image(0, 'a.jpg')], [box(0, 1, [16, 10, 32, 20])], [
        {'id': 0, 'name': root, 'supercategory': 'none'},
        {'id': 1, 'name': name, 'supercategory': parent}]), Reading(strict))
    assert dataset.class_names == ('ant',)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))]}
    assert dataset.findings.counts() == {'root_class': 1}


@pytest.mark.parametrize('categories', [
    [{'id': 0, 'name': 'insects', 'supercategory': 'none'},
     {'id': 1, 'name': 'ant', 'supercategory': 'insects'}],
    [{'id': 0, 'name': 'insects', 'supercategory': 'none'},
     {'id': 1, 'name': 'ant', 'supercategory': 'none'}],
    [{'id': 0, 'name': 'insects', 'supercategory': 'insects'},
     {'id': 1, 'name': 'ant', 'supercategory': 'ant'}]])
def test_coco_class_that_has_boxes_or_no_children_stays(read_coco, tmp_path, categories):
    write_images(tmp_path / 'images', 'a.jpg')
    used = [0, 1] if categories[1]['supercategory'] == 'insects' else [1]
    dataset = read_coco(coco([image(0, 'a.jpg')], [box(0, each, [1, 1, 9, 9]) for each in used],
                             categories))
    assert dataset.class_names == ('insects', 'ant')


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
    with pytest.raises(DataError, match=r'a.txt:1: .*these are pixel values; divide by the width'):
        yolo('0 32 20 32 20\n')


# 5: file names of other systems

@pytest.mark.parametrize('name', [
    r'images\cam\a b.jpg', r'..\..\media\a b.jpg', 'a b.jpg', 'A B.JPG', 'a b', 'a b.png',
    './cam/a b.jpg', 'images/cam/a b.jpg', 'cam/a%20b.jpg', '~/data/a b.jpg', ' a b.jpg ',
    r'C:\Users\me\data\images\cam\a b.jpg', '/home/me/data/images/cam/a b.jpg',
    'file:///home/me/a%20b.jpg', 'http://localhost:8080/data/upload/1/a%20b.jpg',
    '/data/local-files/?d=cam/a%20b.jpg', 'gone/a b.jpeg'])
@pytest.mark.parametrize('strict', [False, True])
def test_coco_file_name_of_any_system_is_found(read_coco, tmp_path, name, strict):
    write_images(tmp_path / 'images', 'cam/a b.jpg', 'cam/other.jpg')
    dataset = read_coco(coco([image(1, name)], [box(1, 1, [16, 10, 32, 20])]), Reading(strict))
    assert [each.image_path for each in dataset.labels] == [tmp_path / 'images' / 'cam/a b.jpg']
    assert dataset[0].boxes_xyxy.tolist() == [[16, 10, 48, 30]]


def test_coco_file_names_in_other_kinds_of_unicode_are_equal(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'u\u0308ber.jpg')  # as macOS decomposes it
    dataset = read_coco(coco([image(1, '\u00fcber.jpg')], [box(1, 1, [1, 1, 9, 9])]))
    assert len(dataset) == 1


def test_coco_name_of_two_images_is_an_error_with_both(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'cam1/a.jpg', 'cam2/a.jpg')
    content = coco([image(1, 'a.jpg')], [])
    with pytest.raises(DataError, match=r"'a.jpg' may be cam1/a.jpg or cam2/a.jpg; .*--images"):
        read_coco(content)
    both = read_coco(coco([image(1, r'x\cam2\a.jpg'), image(2, 'cam1/a.jpg')],
                          [box(1, 1, [1, 1, 9, 9])]))
    assert [each.image_path.parent.name for each in both.labels] == ['cam2', 'cam1']
    assert [len(each.class_ids) for each in both.labels] == [1, 0]


def test_coco_image_of_a_folder_that_is_gone_is_not_taken_for_its_namesake(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'cam2/a.jpg')
    dataset = read_coco(coco([image(1, 'cam1/a.jpg'), image(2, 'cam2/a.jpg')],
                             [box(1, 1, [1, 1, 9, 9]), box(2, 2, [2, 2, 9, 9])]),
                        Reading(max_broken=0.5))
    assert pixels(dataset) == {'a.jpg': [('bee', (2, 2, 11, 11))]}
    assert dataset.findings.counts() == {'missing': 1}


def test_coco_names_that_mean_one_image_are_joined(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'a.jpg')
    dataset = read_coco(coco([image(1, 'a.jpg'), image(2, r'images\a.jpg')],
                             [box(1, 1, [1, 1, 9, 9]), box(2, 2, [2, 2, 9, 9])]))
    assert pixels(dataset) == {'a.jpg': [('ant', (1, 1, 10, 10)), ('bee', (2, 2, 11, 11))]}
    assert dataset.findings.counts() == {'joined_images': 1}


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
    ('[1.0, 007]', ('1.0', '007')), ("['yes', 'no']", ('yes', 'no')), ('[2024-01-01, 1e3]',
                                                                      ('2024-01-01', '1e3')),
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


# 9: images that are gone, and the limit

@pytest.mark.parametrize('as_coco', [False, True])
def test_images_that_are_gone_are_skipped_and_counted(tmp_path, as_coco):
    images = write_images(tmp_path / 'images', *(f'{each}.jpg' for each in range(38)))
    path = tmp_path / 'instances.json'
    path.write_text(coco([image(each, f'{each}.jpg') for each in range(40)],
                         [box(each, 1, [1, 1, 9, 9]) for each in range(40)]))
    findings = Findings()
    if as_coco:
        dataset = open_as_coco(path, images, findings=findings)
        assert (len(dataset.images), len(dataset.annotations)) == (38, 38)
    else:
        assert len(open_dataset(path, images, findings=findings)) == 38
    assert findings.warnings() == [
        f'2 images skipped: no such image, first in {images}/38.jpg']
    with pytest.raises(DataError, match='38.jpg: no such image'):
        open_dataset(path, images, findings=Findings(STRICT))
    with pytest.raises(DataError, match=r'38.jpg: .*; 2 of 40 images are broken, expected at most '
                       r'4 % \(--max-broken, data.max_broken\); also .*39.jpg'):
        open_dataset(path, images, findings=Findings(Reading(max_broken=0.04)))


def test_exactly_the_limit_is_not_too_much():
    findings = Findings(Reading(max_broken=0.1))
    findings.seen['boxes'] = 10
    findings.skip('empty', 'a.txt:1')
    findings.check()
    findings.skip('empty', 'a.txt:2')
    with pytest.raises(DataError, match='a.txt:1: width or height <= 0; 2 of 10 boxes'):
        findings.check()


# 10: crowds that are objects

def test_class_of_crowds_is_a_warning_with_the_option_that_reads_objects(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'a.jpg')
    mask = {'counts': [0, 40, 2520], 'size': [HEIGHT, WIDTH]}
    content = coco([image(1, 'a.jpg')], [
        box(1, 1, [1, 1, 9, 9], iscrowd=1, segmentation=mask),
        box(1, 2, [2, 2, 9, 9], iscrowd=True), box(1, 2, [2, 2, 9, 9], iscrowd=False),
        box(1, 2, [2, 2, 9, 9], iscrowd='0')])
    dataset = read_coco(content)
    assert dataset.labels[0].ignore.tolist() == [True, True, False, False]
    line, = dataset.findings.warnings()
    assert line.endswith("instances.json: 'ant': 1 of 1 boxes") and '--crowds' in line
    objects = read_coco(content, Reading(crowds='objects'))
    assert not objects.labels[0].ignore.any() and not objects.findings.counts()


@pytest.mark.parametrize(('segmentation', 'wanted'), [
    ([[16, 10, 48, 10, 48, 30]], (16, 10, 48, 30)),
    ([[1, 1, 3, 1, 3, 3], [5, 5, 9, 5, 9, 9]], (1, 1, 9, 9)),
    ({'counts': [1, 2, 2, 2, 1], 'size': [4, 2]}, (0, 1, 2, 3)),
    ({'counts': [2, 4, 2], 'size': [4, 2]}, (0, 0, 2, 4)),
    ({'counts': '1220O', 'size': [4, 2]}, (0, 1, 2, 3)),  # 1 2 2 2 1, packed as COCO does
    ({'counts': [8], 'size': [4, 2]}, None), ({'counts': [9], 'size': [4, 2]}, None),
    ({'counts': '~~', 'size': [4, 2]}, None), ([], None), (None, None), ([[1, 2]], None)])
def test_bounding_box_of_a_segmentation(segmentation, wanted):
    assert box_of_segmentation(segmentation) == wanted


def test_coco_without_bbox_takes_the_outline(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'a.jpg')
    outline = [[16, 10, 48, 10, 48, 30]]
    dataset = read_coco(coco([image(1, 'a.jpg')], [
        {'image_id': 1, 'category_id': 1, 'segmentation': outline},
        box(1, 2, None, segmentation=outline), box(1, 2, [], segmentation=outline)]))
    assert pixels(dataset)['a.jpg'] == [(name, (16, 10, 48, 30)) for name in
                                        ('ant', 'bee', 'bee')]
    assert dataset.findings.counts() == {'outlines': 3}


# 11, 15: images that cannot be read, and those that can

def jpeg(height: int = HEIGHT, width: int = WIDTH, exif: bytes = b'') -> bytes:
    ramp = np.linspace(0, 255, height * width).reshape(height, width).astype(np.uint8)
    data = cv2.imencode('.jpg', cv2.merge([ramp, ramp, ramp]))[1].tobytes()
    return data[:2] + exif + data[2:]


@pytest.mark.parametrize(('content', 'words'), [
    (b'', '0 bytes that do not decode'), (b'no image', '8 bytes that do not decode'),
    (jpeg()[:30], 'do not decode'), (b'<!DOCTYPE html><p>404', 'the content is an HTML page'),
    (b'\0\0\0\x18ftypheic' + bytes(40), 'the content is HEIC'),
    (b'version https://git-lfs.github.com/spec/v1\n', 'git lfs pull')])
def test_image_that_cannot_be_read_is_skipped_with_the_reason(yolo, tmp_path, content, words):
    yolo(*['0 0.5 0.5 0.5 0.5'] * 12)
    (tmp_path / 'images' / 'c.jpg').write_bytes(content)
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images')
    assert len(dataset) == 11 and dataset.findings.counts() == {'unreadable': 1}
    line, = dataset.findings.warnings()
    assert line.startswith('1 images skipped: image that cannot be read, first in ')
    assert words in line
    with pytest.raises(DataError, match='c.jpg: '):
        open_dataset(tmp_path / 'labels', tmp_path / 'images', findings=Findings(STRICT))


def encoded_by_pillow(kind: str) -> bytes:
    pillow = pytest.importorskip('PIL.Image')
    import io
    file = io.BytesIO()
    whole = pillow.fromarray(picture(200))
    if kind == 'cmyk':
        whole.convert('CMYK').save(file, 'JPEG')
    elif kind == 'gif':
        whole.save(file, 'GIF')
    else:
        whole.convert('RGBA').quantize(16).save(file, 'PNG', transparency=0)
    return file.getvalue()


@pytest.mark.parametrize('name', ['a.jfif', 'a.JPG', 'a.jpe', 'cmyk.jpg', 'palette.png', '16.png',
                                  'grey.png', 'alpha.webp'])
def test_images_of_rare_kinds_are_read(tmp_path, name):
    images, stem = tmp_path / 'images', Path(name).stem
    images.mkdir()
    data = {'cmyk': lambda: encoded_by_pillow('cmyk'),
            'palette': lambda: encoded_by_pillow('palette'),
            '16': lambda: cv2.imencode('.png', picture(200).astype(np.uint16) * 257)[1].tobytes(),
            'grey': lambda: cv2.imencode('.png', picture(200)[..., 0])[1].tobytes(),
            'alpha': lambda: cv2.imencode('.webp', np.full((HEIGHT, WIDTH, 4), 200, np.uint8),
                                          (cv2.IMWRITE_WEBP_QUALITY, 101))[1].tobytes(),
            }.get(stem, lambda: cv2.imencode('.jpg', picture(200))[1].tobytes())()
    (images / name).write_bytes(data)
    write_texts(tmp_path / 'labels', **{stem: '0 0.5 0.5 0.5 0.5'})
    (tmp_path / 'labels' / 'classes.txt').write_text('ant\n')
    dataset = open_dataset(tmp_path / 'labels', images, findings=Findings(STRICT))
    sample, = dataset
    assert sample.image_bgr.shape == (HEIGHT, WIDTH, 3)
    assert abs(float(sample.image_bgr.mean()) - 200) < 3


def test_gif_under_the_name_of_a_jpeg_is_read_or_skipped_with_the_reason(yolo, tmp_path):
    yolo(*[''] * 12)
    (tmp_path / 'images' / 'c.jpg').write_bytes(encoded_by_pillow('gif'))
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images')
    if len(dataset) == 12:
        assert abs(float(dataset[2].image_bgr.mean()) - 200) < 3
    else:
        assert 'the content is a GIF' in dataset.findings.warnings()[0]


@pytest.mark.parametrize(('size', 'height', 'width'), [
    ({'width': WIDTH, 'height': HEIGHT}, HEIGHT, WIDTH),   # labelled as it is stored
    ({'width': HEIGHT, 'height': WIDTH}, WIDTH, HEIGHT),   # labelled upright
    ({'width': None, 'height': None}, WIDTH, HEIGHT)])
def test_photo_that_is_turned_by_exif_is_read_as_it_was_labelled(read_coco, tmp_path, size,
                                                                height, width):
    (tmp_path / 'images').mkdir()
    (tmp_path / 'images' / 'a.jpg').write_bytes(jpeg(exif=TURNED))
    content = coco([image(1, 'a.jpg', **size)], [box(1, 1, [1, 2, 3, 4])])
    sample, = read_coco(content, STRICT)
    assert sample.image_bgr.shape == (height, width, 3)
    # stored, it grows lighter from top to bottom; upright, from right to left
    first, last = ((slice(0, 4), slice(None)), (slice(-4, None), slice(None))) if (
        height == HEIGHT) else ((slice(None), slice(-4, None)), (slice(None), slice(0, 4)))
    assert sample.image_bgr[first].mean() < 30 < 220 < sample.image_bgr[last].mean()
    coco_size = open_as_coco(tmp_path / 'instances.json', tmp_path / 'images').images[0].size
    assert coco_size == ImageSize(height, width)


def test_photo_of_another_size_than_its_labels_is_skipped(read_coco, tmp_path):
    write_images(tmp_path / 'images', *(f'{each}.jpg' for each in range(12)))
    content = coco([image(each, f'{each}.jpg', **({'width': 100} if not each else {}))
                    for each in range(12)], [])
    dataset = read_coco(content)
    assert len(dataset) == 11 and dataset.findings.counts() == {'other_size': 1}
    with pytest.raises(DataError, match='0.jpg: the image is 64x40 pixels'):
        read_coco(content, STRICT)


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


@pytest.mark.parametrize('change', [
    {'bbox': ['16', '10.0', '3.2e1', '20']}, {'bbox': '[16, 10, 32, 20]'},
    {'bbox': '16 10 32 20'}, {'bbox': '16,10,32,20'}, {'image_id': '7'}, {'image_id': 7.0},
    {'category_id': '1'}, {'category_id': True}, {'category_id': '1.0'}, {'iscrowd': None},
    {'iscrowd': 'false'}, {'iscrowd': 0.0}, {'area': None}, {'area': 'big'}, {'score': None},
    {'score': '1'}, {'area': float('nan')}, {'attributes': {'occluded': False}}])
def test_coco_numbers_in_any_notation(read_coco, tmp_path, change):
    write_images(tmp_path / 'images', 'a.jpg')
    dataset = read_coco(coco([image(7, 'a.jpg')], [
        {**box(7, 1, [16, 10, 32, 20]), **change}]), STRICT)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))]}
    assert not dataset.labels[0].ignore.any()


@pytest.mark.parametrize('ids', [('7', '8'), (7.0, 8.0), ('img-a', 'img-b'), ('007', '8'),
                                 (True, 0)])
@pytest.mark.parametrize('size', [{'width': 64.0, 'height': '40'}, {'width': None}, {'height': 0},
                                  {'width': 'unknown'}])
def test_coco_images_in_any_notation(read_coco, tmp_path, ids, size):
    write_images(tmp_path / 'images', 'a.jpg', 'b.jpg')
    dataset = read_coco(coco([image(ids[0], 'a.jpg', **size), image(ids[1], 'b.jpg', **size)],
                             [box(ids[0], 1, [16, 10, 32, 20]), box(ids[1], 2, [1, 1, 9, 9])]),
                        STRICT)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))],
                               'b.jpg': [('bee', (1, 1, 10, 10))]}
    found = open_as_coco(tmp_path / 'instances.json', tmp_path / 'images')
    assert [each.size for each in found.images] == [ImageSize(HEIGHT, WIDTH)] * 2


@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-16-be', 'utf-32',
                                      'latin-1'])
def test_coco_file_in_any_encoding(read_coco, tmp_path, encoding):
    write_images(tmp_path / 'images', 'ä.jpg')
    content = {'images': [image(1, 'ä.jpg')], 'annotations': [box(1, 1, [1, 1, 9, 9])],
               'categories': [{'id': 1, 'name': 'Käfer'}]}
    dataset = read_coco(json.dumps(content, ensure_ascii=False).encode(encoding), STRICT)
    assert pixels(dataset) == {'ä.jpg': [('Käfer', (1, 1, 10, 10))]}
    assert dataset.findings.counts() == ({'encoding': 1} if encoding == 'latin-1' else {})


def test_coco_without_annotations_is_an_empty_list_of_boxes(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'a.jpg')
    for annotations in ([], None):
        assert len(read_coco(coco([image(1, 'a.jpg')], annotations))[0].class_ids) == 0


def test_coco_broken_boxes_are_skipped_by_kind(read_coco, tmp_path):
    write_images(tmp_path / 'images', 'a.jpg')
    good = [box(1, 1, [1, 1, 9, 9])] * 60
    bad = [box(1, 1, [1, 1, 0, 9]), box(1, 1, [1, 1, 9, -9]), box(9, 1, [1, 1, 9, 9]),
           box(1, 9, [1, 1, 9, 9]), box(1, 1, [99, 1, 9, 9]), box(1, 1, None), None]
    dataset = read_coco(coco([image(1, 'a.jpg')], [*good, *bad]), Reading(max_broken=0.2))
    assert len(dataset.labels[0].class_ids) == 60
    assert dataset.findings.counts() == {
        'empty': 2, 'outside_image': 1, 'malformed_box': 2, 'unknown_id': 1, 'unlisted_image': 1}
    for each in bad:
        with pytest.raises(DataError, match=r'instances.json: annotations\[60\]: '):
            read_coco(coco([image(1, 'a.jpg')], [*good, each]), STRICT)


# Pascal VOC

def xml(objects: str, name: str = 'a.jpg', size: str = '64 40', head: str = '') -> str:
    width, height = size.split()
    return (f'{head}<annotation><folder>wrong</folder><filename>{name}</filename><path>C:\\x</path>'
            f'<size><width>{width}</width><height>{height}</height></size>{objects}</annotation>')


@pytest.fixture
def voc(tmp_path) -> Callable[..., Dataset]:
    """Return a function: writes one xml file and reads it."""
    def read(text: str | bytes, name: str = 'a.xml', reading=STRICT) -> Dataset:
        path = tmp_path / 'Annotations' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return open_dataset(tmp_path / 'Annotations', tmp_path / 'JPEGImages',
                            findings=Findings(reading))
    return read


@pytest.mark.parametrize('objects', [
    voc_object('ant', (16, 10, 48, 30)), voc_object(' ant ', ('16.0', '1e1', ' 48 ', '30,0')),
    voc_object('ant', (16, 10, 48, 30), '<part><name>leg</name><bndbox><xmin>1</xmin></bndbox>'
               '</part><polygon><x1>1</x1></polygon>'),
    '<object><name>ant</name><polygon><x1>16</x1><y1>10</y1><x2>48</x2><y2>10</y2><x3>48</x3>'
    '<y3>30</y3></polygon></object>',
    '<object><name>ant</name><polygon><pt><x>16</x><y>10</y></pt><pt><x>48</x><y>10</y></pt><pt>'
    '<x>48</x><y>30</y></pt></polygon></object>',
    '<object><name>ant</name><robndbox><cx>32</cx><cy>20</cy><w>32</w><h>20</h><angle>0</angle>'
    '</robndbox></object>'])
@pytest.mark.parametrize('size', ['64 40', '64.0 40.0', '0 0'])
def test_voc_boxes_in_any_notation(voc, tmp_path, objects, size):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    assert pixels(voc(xml(objects, size=size))) == {'a.jpg': [('ant', (16, 10, 48, 30))]}


@pytest.mark.parametrize(('file', 'name'), [
    ('a.xml', 'a'), ('a.XML', 'A.JPG'), ('a.xml', r'D:\x\a.png'), ('0001.xml', 'cam/a.jpg'),
    ('cam/a.xml', 'a.jpg'), ('0001.xml', 'a'), ('a.xml', ''), ('a.xml', 'other.jpg')])
def test_voc_image_of_any_name_is_found(voc, tmp_path, file, name):
    write_images(tmp_path / 'JPEGImages', 'cam/a.jpg')
    dataset = voc(xml(voc_object('ant', (16, 10, 48, 30)), name), file)
    assert pixels(dataset) == {'a.jpg': [('ant', (16, 10, 48, 30))]}


@pytest.mark.parametrize(('encoding', 'head'), [
    ('utf-8', ''), ('utf-8-sig', ''), ('utf-16', ''), ('latin-1', ''),
    ('latin-1', '<?xml version="1.0" encoding="utf-8"?>'),
    ('utf-8', '\n <?xml version="1.0" encoding="utf-8"?>'),
    ('utf-16', '<?xml version="1.0" encoding="utf-16"?>'),
    ('cp1252', '<?xml version="1.0" encoding="windows-1252"?>')])
def test_voc_in_any_encoding(voc, tmp_path, encoding, head):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    dataset = voc(xml(voc_object('Käfer', (16, 10, 48, 30)), head=head).encode(encoding))
    assert pixels(dataset) == {'a.jpg': [('Käfer', (16, 10, 48, 30))]}


def test_voc_in_a_chinese_encoding_that_it_declares(voc, tmp_path):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    head = '<?xml version="1.0" encoding="gb2312"?>'
    dataset = voc(xml(voc_object('猫', (16, 10, 48, 30)), head=head).encode('gb2312'))
    assert dataset.class_names == ('猫',)


@pytest.mark.parametrize(('broken', 'kind', 'words'), [
    (voc_object('ant', (48, 10, 16, 30)), 'empty', 'negative size'),
    (voc_object('ant', (16, 10, 16, 30)), 'empty', '16 10 16 30'),
    (voc_object('ant', (99, 10, 120, 30)), 'outside_image', 'image of 64x40'),
    (voc_object('', (16, 10, 48, 30)), 'unknown_id', 'no <name>'),
    ('<object><name>ant</name></object>', 'malformed_box', 'no <bndbox>')])
def test_voc_broken_object_is_skipped_with_its_line(voc, tmp_path, broken, kind, words):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    text = xml('\n'.join([voc_object('ant', (16, 10, 48, 30))] * 12 + [broken]))
    dataset = voc(text, reading=Reading())
    assert len(dataset.labels[0].class_ids) == 12
    line, = dataset.findings.lines()[kind]
    assert 'a.xml: object 13' in line and 'line 13: ' in line and words in line
    with pytest.raises(DataError, match='a.xml: object 13.*line 13'):
        voc(text)


# Debris

def test_debris_is_no_data(tmp_path):
    images = write_images(tmp_path / 'images', 'a.jpg', '._a.jpg', '.hidden/b.jpg',
                          '__MACOSX/a.jpg', 'train.jpg')
    labels = write_texts(tmp_path / 'labels', a='0 0.5 0.5 0.5 0.5', train='0 0.5 0.5 0.5 0.5',
                         val='images/a.jpg', __MACOSX__a='', README='words',
                         **{'._a': b'\0\5\x16\7', 'README.dataset': 'words'})
    (labels / 'classes.txt').write_text('ant\n')
    for name in ('Thumbs.db', 'desktop.ini', 'train.cache', '.DS_Store'):
        (labels / name).write_bytes(b'\0')
        (images / name).write_bytes(b'\0')
    dataset = open_dataset(labels, images, findings=Findings(STRICT))
    assert pixels(dataset) == {name: [('ant', (16, 10, 48, 30))] for name in
                               ('a.jpg', 'train.jpg')}  # train.txt is that of train.jpg
    assert not dataset.findings.counts()


def test_debris_beside_xml_files_is_no_second_format(voc, tmp_path):
    write_images(tmp_path / 'JPEGImages', 'a.jpg')
    folder = tmp_path / 'Annotations'
    write_texts(folder, README='words', train='a', **{'README.roboflow': 'words'})
    (folder / '._a.xml').write_bytes(b'\0\5\x16\7')
    assert len(voc(xml(voc_object('ant', (16, 10, 48, 30))))) == 1


# The commands

def test_check_data_runs_to_its_end_and_lists_all(check_data, tmp_path):
    write_images(tmp_path / 'images', 'cam1/a.jpg', 'cam2/a.jpg', 'b.jpg', 'c.jpg')
    (tmp_path / 'images' / 'c.jpg').write_bytes(b'')
    path = tmp_path / 'instances.json'
    path.write_text(coco([image(1, 'a.jpg'), image(2, 'b.jpg'), image(3, 'c.jpg'),
                          image(4, 'gone.jpg')], [
        box(2, 1, [1, 1, 9, 9]), box(2, 1, [1, 1, 0, 9]), box(5, 1, [1, 1, 9, 9])]))
    status, printed, _, found = check_data('--annotations', path, '--images',
                                           tmp_path / 'images')
    assert status == 0
    findings = found[0]['findings']
    assert {kind: len(findings[kind]) for kind in (
        'ambiguous_path', 'empty', 'unlisted_image', 'unreadable')} == {
        'ambiguous_path': 1, 'empty': 1, 'unlisted_image': 1, 'unreadable': 2}
    assert findings['empty'] == [f'{path}: annotations[1]: bbox is [1, 1, 0, 9]; expected a width '
                                 'and height above 0']
    assert '3 of 4 images are broken' in found[0]['refused']
    assert 'warning: instances.json: train refuses it: ' in printed


@pytest.mark.parametrize(('options', 'status'), [
    ((), 0), (('--strict',), 2), (('--max-broken', 0.01), 2), (('--max-broken', 0.5), 0)])
def test_check_data_says_by_its_status_what_training_would(check_data, yolo, tmp_path, options,
                                                           status):
    yolo('0 0.5 0.5 0.5 0.5\n' * 19 + '0 0.5 0.5 0 0.5\n')
    got, printed, error, found = check_data(
        '--annotations', tmp_path / 'labels', '--images', tmp_path / 'images', *options)
    assert got == status
    assert found[0]['findings']['empty'] == [f'{tmp_path}/labels/a.txt:20: width or height <= 0']
    assert f'  {tmp_path}/labels/a.txt:20: width or height <= 0\n' in printed
    assert ('a.txt:20' in error) == (status == 2)


def test_max_broken_that_is_no_share_says_so(capsys, tmp_path):
    assert main(['check_data', '--annotations', str(tmp_path), '--images', str(tmp_path),
                 '--max-broken', '20']) == 2
    assert 'max_broken: 20; expected a share from 0 to 1' in capsys.readouterr().err


def test_labels_of_a_class_that_is_not_wanted_are_skipped_and_counted(yolo, tmp_path):
    yolo('0 0.5 0.5 0.5 0.5\n' * 19 + '1 0.5 0.5 0.5 0.5\n')
    findings = Findings()
    dataset = open_dataset(tmp_path / 'labels', tmp_path / 'images', ('ant',), findings)
    assert dataset.labels[0].class_ids.tolist() == [0] * 19
    assert findings.counts() == {'unlisted_class': 1}
    with pytest.raises(DataError, match="class 'bee' of a.jpg is unknown; wanted one of ant"):
        open_dataset(tmp_path / 'labels', tmp_path / 'images', ('ant',), Findings(STRICT))


def test_images_of_a_link_that_leads_in_a_circle_are_read_once(yolo, tmp_path):
    yolo('0 0.5 0.5 0.5 0.5')
    (tmp_path / 'images' / 'again').symlink_to(tmp_path / 'images')
    assert len(read_annotations(tmp_path / 'labels', tmp_path / 'images')) == 1
