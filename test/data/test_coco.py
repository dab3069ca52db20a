# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The reader of COCO files."""

import json

from lite_detector.core.errors import DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.coco import find_images, load_coco, read_coco, to_coco
from lite_detector.data.findings import Findings, Reading
import numpy as np
import pytest


def minimal_file() -> dict:
    return {
        'info': {'description': 'passed over'},
        'images': [{'id': 7, 'file_name': 'a.png', 'width': 64, 'height': 48, 'license': 3}],
        'annotations': [{'id': 1, 'image_id': 7, 'category_id': 90, 'bbox': [1, 2.5, 3, 4],
                         'segmentation': [[1, 2, 3, 4, 5, 6]]}],
        'categories': [{'id': 90, 'name': 'toothbrush', 'supercategory': 'indoor'}],
    }


@pytest.fixture
def write(tmp_path):
    def write(content) -> object:
        path = tmp_path / 'instances.json'
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path
    return write


def test_load_coco_reads_what_is_needed_and_passes_over_the_rest(write):
    dataset = load_coco(write(minimal_file()))
    assert dataset.images[0].size == ImageSize(height=48, width=64)
    box, = dataset.annotations
    assert (box.bbox, box.area, box.iscrowd) == ((1, 2.5, 3, 4), None, 0)
    assert dataset.categories[0].name == 'toothbrush'


def test_score_of_a_model_becomes_that_of_the_sample_and_back(write, tmp_path):
    content = minimal_file()
    box = content['annotations'][0]
    content['annotations'] = [box, {**box, 'score': 0.25}, {**box, 'score': 1}]
    dataset = read_coco(write(content), tmp_path)
    assert dataset.labels[0].scores.tolist() == [1, 0.25, 1]
    assert dataset.labels[0].scores.dtype == np.float32 and dataset.soft_boxes == 1
    assert [each.score for each in to_coco(dataset).annotations] == [None, 0.25, None]
    ignored = dataset.ignoring_below(0.3)
    assert ignored.labels[0].ignore.tolist() == [False, True, False]
    assert dataset.labels[0].ignore.tolist() == [False] * 3


def strictly(path):
    """Read a file, and refuse what is broken."""
    return load_coco(path, findings=Findings(Reading(strict=True)))


@pytest.mark.parametrize('score', [-0.1, 1.1, 'high'])
def test_score_that_is_none_is_skipped_and_refused_if_strict(write, score):
    content = minimal_file()
    content['annotations'][0]['score'] = score
    findings = Findings()
    assert load_coco(write(content), findings=findings).annotations == ()
    line, = findings.lines()['malformed_box']
    assert 'annotations[0]: score is ' in line and line.endswith('; expected 0 to 1')
    with pytest.raises(DataError, match=r'annotations\[0\]: score is'):
        strictly(write(content))


def test_load_coco_takes_images_without_a_box(write):
    content = {**minimal_file(), 'annotations': []}
    assert load_coco(write(content)).annotations == ()


def test_load_coco_of_an_absent_file_says_so(tmp_path):
    with pytest.raises(DataError, match='absent.json: No such file'):
        load_coco(tmp_path / 'absent.json')


@pytest.mark.parametrize('text', ['', '{"images": [', 'hello', '\x00\x01{}'])
def test_load_coco_of_a_file_that_is_no_json_says_so(tmp_path, text):
    path = tmp_path / 'instances.json'
    path.write_bytes(text.encode('latin-1'))
    with pytest.raises(DataError, match='instances.json: not valid JSON'):
        load_coco(path)


@pytest.mark.parametrize(('key', 'value', 'message'), [
    ('images', [{'file_name': 'a.png', 'width': 1, 'height': 1}], r'images\[0\]: no id'),
    ('images', [{'id': 7, 'width': 1, 'height': 1}], r'images\[0\]: no file_name'),
    ('annotations', [{'image_id': 7, 'category_id': 90, 'bbox': [1, 2, 3]}], 'bbox is .1, 2, 3'),
    ('annotations', [{'image_id': 7, 'category_id': 90, 'bbox': [1, 2, -3, 4]}], 'above 0'),
    ('annotations', {}, 'not a COCO file: .*annotations'),
    ('categories', None, 'categories: the list is empty or absent'),
])
def test_load_coco_of_another_form_names_the_place_if_strict(write, key, value, message):
    with pytest.raises(DataError, match=message):
        strictly(write({**minimal_file(), key: value}))


def test_load_coco_of_a_list_of_detections_names_what_is_wanted(write):
    with pytest.raises(DataError, match='not a COCO file'):
        load_coco(write([{'image_id': 7, 'category_id': 90, 'bbox': [1, 2, 3, 4], 'score': 1}]))


def test_load_coco_without_images_says_so(write):
    with pytest.raises(DataError, match='images: the list is empty'):
        load_coco(write({'images': [], 'annotations': [], 'categories': []}))


@pytest.mark.parametrize(('key', 'change', 'message'), [
    ('annotations', {'image_id': 8}, r'annotations\[1\]: image_id 8 is not in images'),
    ('annotations', {'category_id': 1}, r'annotations\[1\]: category_id 1 is not in categories'),
    ('images', {'file_name': 'b.png'}, 'duplicate image id 7: a.png and b.png'),
    ('categories', {'name': 'other'}, "duplicate category id 90: 'toothbrush' and 'other'"),
])
def test_load_coco_of_a_file_that_contradicts_itself_says_how_if_strict(write, key, change,
                                                                        message):
    content = minimal_file()
    content[key].append({**content[key][0], **change})
    with pytest.raises(DataError, match=message):
        strictly(write(content))


def test_equal_names_are_one_class_and_equal_images_one_image(write):
    content = minimal_file()
    content['categories'].append({'id': 91, 'name': 'toothbrush'})
    content['images'].append({**content['images'][0], 'id': 8})
    box = content['annotations'][0]
    content['annotations'] += [{**box, 'image_id': 8},
                               {**box, 'category_id': 91, 'bbox': [5, 5, 2, 2]}]
    findings = Findings()
    dataset = load_coco(write(content), findings=findings)
    assert [(box.image_id, box.category_id, box.bbox) for box in dataset.annotations] == [
        (7, 90, (1, 2.5, 3, 4)), (7, 90, (5, 5, 2, 2))]
    assert findings.counts() == {'joined_images': 1, 'repeated_boxes': 1, 'joined_classes': 1}


def test_find_images_counts_what_is_missing(write, tmp_path):
    content = minimal_file()
    content['images'].append({**content['images'][0], 'id': 8, 'file_name': 'b.png'})
    dataset = load_coco(write(content))
    (tmp_path / 'a.png').touch()
    with pytest.raises(DataError, match=r'b\.png: no such image; 1 of 2'):
        find_images(dataset, tmp_path)
    (tmp_path / 'b.png').touch()
    assert find_images(dataset, tmp_path) == {7: tmp_path / 'a.png', 8: tmp_path / 'b.png'}
