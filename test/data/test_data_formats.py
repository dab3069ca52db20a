# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The readers of all formats behind their one door."""

import json
from pathlib import Path

from lite_detector.core.errors import DataError
from lite_detector.data.coco import find_images, to_coco
from lite_detector.data.formats import open_as_coco, open_dataset, read_annotations
import msgspec
import numpy as np
import pytest
from tiny_datasets import (
    assert_refused,
    BOXES,
    CLASS_NAMES,
    coco_content,
    SIZES,
    with_file,
    write_coco,
    write_voc,
    WRITERS,
)

EVERY_FORMAT = pytest.mark.parametrize('write', WRITERS.values(), ids=WRITERS)


def assert_tells_boxes(dataset) -> None:
    """Check classes and boxes against what every writer of ``tiny_datasets`` writes."""
    assert dataset.class_names == CLASS_NAMES
    for sample, stem in zip(dataset, BOXES, strict=True):
        assert sample.image_path.stem == stem
        wanted = [box for _, box in BOXES[stem]]
        np.testing.assert_array_equal(sample.boxes_xyxy, np.reshape(wanted, (-1, 4)))
        assert sample.class_ids.tolist() == [CLASS_NAMES.index(name) for name, _ in BOXES[stem]]


def coco_with(folder: Path, index: int, **fields: object) -> tuple[Path, Path]:
    """Write the COCO dataset with other values in one of its annotations."""
    content = coco_content()
    content['annotations'][index].update(fields)
    return with_file(write_coco(folder), 'instances.json', json.dumps(content))


@EVERY_FORMAT
def test_open_dataset_gives_equal_samples_in_every_format(write, tmp_path):
    dataset = open_dataset(*write(tmp_path), CLASS_NAMES)
    assert_tells_boxes(dataset)
    assert [sample.image_path.name for sample in dataset] == ['a.png', 'b.png', 'c.png']
    for sample, size in zip(dataset, SIZES.values(), strict=True):
        assert sample.image_bgr.shape == (*size, 3)
        assert not sample.ignore.any()


@EVERY_FORMAT
def test_image_without_boxes_is_a_sample_with_empty_arrays(write, tmp_path):
    sample = open_dataset(*write(tmp_path))[1]
    assert (sample.boxes_xyxy.shape, sample.boxes_xyxy.dtype) == ((0, 4), np.float32)
    assert (sample.class_ids.shape, sample.class_ids.dtype) == ((0,), np.int64)
    assert (sample.ignore.shape, sample.ignore.dtype) == ((0,), bool)


def test_class_names_of_coco_are_in_the_order_of_their_ids(tmp_path):
    dataset = open_dataset(*write_coco(tmp_path))
    assert dataset.class_names == ('zebra', 'ant')  # 3 and 17; the file lists 17 first
    assert dataset[0].class_ids.tolist() == [0, 1]


def test_class_names_of_voc_are_in_alphabetical_order(tmp_path):
    dataset = open_dataset(*write_voc(tmp_path))
    assert dataset.class_names == ('ant', 'zebra')
    assert dataset[0].class_ids.tolist() == [1, 0]


@EVERY_FORMAT
def test_open_dataset_refuses_a_class_that_is_not_in_the_list(write, tmp_path):
    assert_refused(*write(tmp_path), "class 'ant'", 'a.png', 'unknown', 'zebra, lion',
                   class_names=('zebra', 'lion'))


@EVERY_FORMAT
def test_open_dataset_takes_a_list_with_more_classes(write, tmp_path):
    names = ('lion', 'ant', 'zebra')
    dataset = open_dataset(*write(tmp_path), names)
    assert dataset.class_names == names
    assert dataset[0].class_ids.tolist() == [2, 1]


@EVERY_FORMAT
@pytest.mark.parametrize(('names', 'word'), [
    (['zebra', 'ant', 'ant'], "duplicate class name 'ant'"), ([], 'no class'),
    (['zebra', ' '], "class 1 is named ' '"),
    (['zebra', 'a\nt'], r"class 1 is named 'a\nt'")])
def test_open_dataset_refuses_a_wrong_list_of_classes(write, names, word, tmp_path):
    assert_refused(*write(tmp_path), word, class_names=names)


@EVERY_FORMAT
def test_open_dataset_names_a_missing_image(write, tmp_path):
    annotations, images = write(tmp_path)
    (images / 'a.png').unlink()
    assert_refused(annotations, images, f'{images}/a.', 'no such image; 1 of 3')


@EVERY_FORMAT
def test_read_annotations_leaves_a_missing_image_to_the_caller(write, tmp_path):
    annotations, images = write(tmp_path)
    (images / 'a.png').unlink()
    assert len(read_annotations(annotations, images)) == 3


@EVERY_FORMAT
def test_open_dataset_without_the_folder_of_images_says_so(write, tmp_path):
    annotations, images = write(tmp_path)
    assert_refused(annotations, images / 'absent', 'absent: no such folder')


@pytest.mark.parametrize('name', ['absent', 'absent.json', 'absent.yaml', 'absent.xml'])
def test_open_dataset_without_annotations_says_so(name, tmp_path):
    assert_refused(tmp_path / name, tmp_path, f'{name}: no such file')


@pytest.mark.parametrize('name', ['a.xml', 'a.txt'])
def test_open_dataset_of_one_file_of_a_folder_says_what_it_wants(name, tmp_path):
    (tmp_path / name).touch()
    assert_refused(tmp_path / name, tmp_path, f'{name}: expected', 'folder of Pascal VOC xml')


def test_open_dataset_of_an_empty_folder_says_what_it_wants(tmp_path):
    assert_refused(tmp_path, tmp_path, 'no xml and no txt files', 'COCO json')


def test_open_dataset_of_two_formats_in_one_folder_asks_to_part_them(tmp_path):
    assert_refused(*with_file(write_voc(tmp_path), 'a.txt', ''), 'both xml and txt files')


# COCO

def test_coco_crowds_are_regions_to_ignore_and_stay_so(tmp_path):
    dataset = open_dataset(*coco_with(tmp_path, 1, iscrowd=1))
    assert dataset[0].ignore.tolist() == [False, True]
    assert [box.iscrowd for box in to_coco(dataset).annotations] == [0, 1, 0]


def test_coco_without_categories_has_no_class(tmp_path):
    text = json.dumps({**coco_content(), 'annotations': [], 'categories': []})
    assert_refused(*with_file(write_coco(tmp_path), 'instances.json', text),
                   'instances.json: no class')


@pytest.mark.parametrize(('text', 'words'), [
    ('', ['not valid JSON']),
    ('{', ['not valid JSON']),
    ('[]', ['not a COCO file']),
    (json.dumps({**coco_content(), 'images': []}), ['images: the list is empty']),
    (json.dumps({**coco_content(), 'categories': [{'id': 3, 'name': 'zebra'}]}),
     ['annotations[1]', 'category_id 17 is not in categories']),
    (json.dumps(coco_content()).replace('20]', '-20]'),
     ['annotations[0]: bbox is [16, 10, 32, -20]; expected a width and height above 0',
      '3 of 3 boxes are broken; expected at most 10 % (--max-broken, data.max_broken)',
      'annotations[1]', 'annotations[2]']),
    (json.dumps(coco_content()).replace('20]', '1e30]'), ['annotations[0]: bbox is ']),
])
def test_coco_that_is_wrong_is_refused(text, words, tmp_path):
    assert_refused(*with_file(write_coco(tmp_path), 'instances.json', text), 'instances.json',
                   *words)


@EVERY_FORMAT
def test_to_coco_keeps_everything_that_is_measured(write, tmp_path):
    coco = to_coco(open_dataset(*write(tmp_path), CLASS_NAMES))
    path = tmp_path / 'again.json'
    path.write_bytes(msgspec.json.encode(coco))
    assert_tells_boxes(open_dataset(path, tmp_path))


@EVERY_FORMAT
def test_open_as_coco_labels_the_same_in_every_format(write, tmp_path):
    annotations, images = write(tmp_path)
    coco = open_as_coco(annotations, images)
    names = {category.category_id: category.name for category in coco.categories}
    stems = {image.image_id: Path(image.file_name).stem for image in coco.images}
    assert set(find_images(coco, images)) == set(stems)
    assert list(stems.values()) == list(SIZES)
    assert sorted((stems[box.image_id], names[box.category_id], box.bbox)
                  for box in coco.annotations) == [
        ('a', 'ant', (0, 0, 32, 20)), ('a', 'zebra', (16, 10, 32, 20)),
        ('c', 'zebra', (32, 20, 32, 20))]
    (images / 'c.png').unlink()
    with pytest.raises(DataError, match=r'c\.\w+: no such image; 1 of 3'):
        open_as_coco(annotations, images)


def test_open_as_coco_leaves_ids_and_areas_of_a_coco_file_alone(tmp_path):
    coco = open_as_coco(*coco_with(tmp_path, 0, area=77.5))
    assert coco.annotations[0].area == 77.5
    assert [image.image_id for image in coco.images] == [100, 99, 98]
    assert [category.category_id for category in coco.categories] == [17, 3]


# Pascal VOC

@pytest.mark.parametrize(('name', 'images', 'counts'), [
    ('bccd/instances_train.json', 'images', {'Platelets': 209, 'RBC': 2381, 'WBC': 214}),
    ('bccd/instances_val.json', 'images', {'Platelets': 83, 'RBC': 967, 'WBC': 87}),
    ('bccd/instances_test.json', 'images', {'Platelets': 69, 'RBC': 805, 'WBC': 71}),
    ('playing_cards/instances_train.json', 'images',
     {'nine': 89, 'ten': 82, 'jack': 89, 'queen': 80, 'king': 95, 'ace': 92}),
    ('playing_cards/instances_val.json', 'images',
     {'nine': 26, 'ten': 18, 'jack': 24, 'queen': 26, 'king': 23, 'ace': 26}),
    ('coco_person/instances_train.json', 'images', {'person': 8993}),
    ('coco_person/instances_val.json', 'images', {'person': 1183}),
])
def test_real_dataset_has_the_boxes_that_its_readme_says(name, images, counts, shared_data):
    path = shared_data / name
    dataset = open_dataset(path, path.parent / images)
    class_ids = np.concatenate([labels.class_ids for labels in dataset.labels])
    found = np.bincount(class_ids, minlength=len(dataset.class_names)).tolist()
    assert dict(zip(dataset.class_names, found, strict=True)) == counts


@pytest.mark.parametrize(('split', 'images', 'boxes', 'crowds', 'persons'),
                         [('val', 88, 718, 6, 130), ('train', 160, 1444, 14, 315)])
def test_coco_mini_closes_the_gaps_of_its_ids(split, images, boxes, crowds, persons, shared_data):
    folder = shared_data / 'coco_mini'
    dataset = open_dataset(folder / f'instances_{split}.json', folder / split)
    assert (len(dataset), len(dataset.class_names)) == (images, 80)
    assert (dataset.class_names[0], dataset.class_names[79]) == ('person', 'toothbrush')
    assert sum(len(labels.class_ids) for labels in dataset.labels) == boxes
    assert sum(labels.ignore.sum() for labels in dataset.labels) == crowds
    assert sum((labels.class_ids == 0).sum() for labels in dataset.labels) == persons
