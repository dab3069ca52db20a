# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
COCO files as tools, other systems and accidents leave them.

Each kind in both moods: tolerant, and strict where it is a skip.
"""

import json

from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.findings import Reading
from lite_detector.data.formats import open_as_coco
from lite_detector.data.outlines import box_of_segmentation
import pytest
from untidy import (
    box,
    coco,
    HEIGHT,
    image,
    pixels,
    STRICT,
    WIDTH,
    write_images,
)

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
    with pytest.raises(DataError, match=r"'a.jpg' matches cam1/a.jpg and cam2/a.jpg; .*--images"):
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
