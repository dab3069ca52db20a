# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The data of a run, checked before it starts."""

import json
from pathlib import Path

from lite_detector.core.errors import ConfigError, DataError
from lite_detector.core.types import ImageSize
from lite_detector.data.cache import CachedDataset
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.config.training import DataSpec
from lite_detector.train.data.datasets import box_sizes, check_datasets
from lite_detector.train.data.sources import open_datasets, train_sources, val_images
import msgspec
from networks import network_card
import numpy as np
import pytest
from shapes import CLASS_NAMES, write_shapes
from tiny_datasets import write_voc, write_yolo


def no_progress(items, name):
    return items


def test_val_gets_the_class_ids_of_train_whatever_its_order(tmp_path):
    train, val = write_shapes(tmp_path / 'a'), write_shapes(tmp_path / 'b', seed=1)
    data = json.loads(val.read_text())
    for category in data['categories']:
        category['id'] = 3 - category['id']
    for annotation in data['annotations']:
        annotation['category_id'] = 3 - annotation['category_id']
    turned = val.with_name('turned.json')
    turned.write_text(json.dumps(data))
    plain = open_datasets(DataSpec(str(train), val=str(val)))
    other = open_datasets(DataSpec(str(train), val=str(turned)))
    assert plain.select.class_names == other.select.class_names == CLASS_NAMES
    for first, second in zip(plain.select.labels, other.select.labels, strict=True):
        np.testing.assert_array_equal(first.class_ids, second.class_ids)


@pytest.mark.parametrize('write', [write_voc, write_yolo])
def test_other_formats_can_be_trained_on(write, tmp_path):
    annotations, images = write(tmp_path)
    datasets = open_datasets(DataSpec(str(annotations), str(images)))
    assert len(datasets.train) == 3
    assert datasets.select is None


def test_images_are_looked_for_where_they_usually_are(tmp_path):
    (tmp_path / 'images').mkdir()
    beside, apart = str(tmp_path / 'x.json'), str(tmp_path / 'labels' / 'x.json')
    assert train_sources(DataSpec(beside)) == [(Path(beside), tmp_path / 'images')]
    assert train_sources(DataSpec(beside, 'pictures')) == [(Path(beside), Path('pictures'))]
    assert val_images(DataSpec(beside, 'pictures', apart)).name == 'pictures'
    assert val_images(DataSpec(beside, 'pictures', beside, 'others')).name == 'others'
    with pytest.raises(ConfigError, match='data.val_images: not set, and there is no folder'):
        val_images(DataSpec(beside, val=apart))
    with pytest.raises(ConfigError, match='data.val_images: not set, and there is no folder'):
        val_images(DataSpec((beside, apart), ('a', 'b'), apart))


@pytest.mark.parametrize(('labels', 'images'), [
    ('labels/train', 'images/train'), ('labels', 'images'), ('Annotations', 'JPEGImages')])
def test_images_of_labels_in_the_usual_folders_are_found(tmp_path, labels, images):
    for name in (labels, images, 'images'):
        (tmp_path / name).mkdir(parents=True, exist_ok=True)
    spec = DataSpec(str(tmp_path / labels), val=str(tmp_path / labels))
    assert train_sources(spec) == [(tmp_path / labels, tmp_path / images)]
    # also if those of data.train are in another folder
    assert val_images(msgspec.structs.replace(spec, train_images='a')) == tmp_path / images


def test_a_list_of_labels_takes_a_list_of_folders_or_one_for_all():
    assert train_sources(DataSpec(('a', 'b'), 'x')) == [(Path('a'), Path('x')),
                                                        (Path('b'), Path('x'))]
    assert train_sources(DataSpec(('a', 'b'), ('x', 'y'))) == [(Path('a'), Path('x')),
                                                               (Path('b'), Path('y'))]


@pytest.mark.parametrize(('spec', 'words'), [
    (DataSpec(), 'data.train: not set'),
    (DataSpec(('a', 'b', 'a'), 'x'), 'data.train: a is a duplicate'),
    (DataSpec(('a', 'b'), ('x', 'y', 'z')), '3 folders for 2 labels'),
    (DataSpec(('a', 'b'), ('x',)), '1 folders for 2 labels'),
    (DataSpec('a', ('x', 'y')), '2 folders for 1 labels'),
    (DataSpec(('a', '/absent/b.json')), 'data.train_images: not set, and .* next to a'),
])
def test_a_mistake_in_a_list_is_one_line(spec, words):
    with pytest.raises(ConfigError, match=words):
        train_sources(spec)


def soft_shapes(folder: Path, class_names: tuple[str, ...] = ('disc', 'star')) -> Path:
    """Write labels of a model: one box per image, scores 0, 0.25, 0.5 ..."""
    path = write_shapes(folder, 4, seed=1)
    data = json.loads(path.read_text())
    data['categories'] = [{'id': 1, 'name': class_names[0]}, {'id': 2, 'name': class_names[1]}]
    data['annotations'] = [{**data['annotations'][0], 'image_id': index + 1, 'score': index / 4}
                           for index in range(4)]
    path.write_text(json.dumps(data))
    return path


def test_labels_of_people_and_of_a_model_are_joined_by_class_name(tmp_path):
    people, model = write_shapes(tmp_path / 'a'), soft_shapes(tmp_path / 'b')
    spec = DataSpec((str(people), str(model)), min_score=0.3)
    train = open_datasets(spec).train
    assert train.class_names == ('square', 'disc', 'star')
    assert len(train) == 12 and str(train.source) == 'labels.json + labels.json'
    first_class = train.labels[8].class_ids[0]
    assert train.class_names[first_class] in ('disc', 'star')
    assert [each.scores.tolist() for each in train.labels[8:]] == [[0], [0.25], [0.5], [0.75]]
    assert [each.ignore.tolist() for each in train.labels[8:]] == [[True], [True], [False],
                                                                   [False]]
    assert not any(each.ignore.any() for each in train.labels[:8])
    fixed = open_datasets(msgspec.structs.replace(spec, class_names=('star', 'disc', 'square')))
    assert fixed.train.class_names == ('star', 'disc', 'square')
    with pytest.raises(DataError, match="class 'disc' of 1.png is unknown"):
        open_datasets(msgspec.structs.replace(spec, class_names=('square', 'circle')))


def test_an_image_in_two_lists_of_labels_is_refused(tmp_path):
    people = write_shapes(tmp_path)
    other = people.with_name('other.json')
    other.write_text(people.read_text())
    with pytest.raises(DataError, match='labels.json and in .*other.json; expected one'):
        open_datasets(DataSpec((str(people), str(other))))


def test_val_of_a_model_is_a_warning(tmp_path):
    people, model = write_shapes(tmp_path / 'a'), soft_shapes(tmp_path / 'b', CLASS_NAMES)
    warnings = check_datasets(open_datasets(DataSpec(str(people), val=str(model))), no_progress)
    assert warnings[0].startswith('labels.json: 4 boxes have a score')


def test_labels_without_a_single_box_are_refused(tmp_path):
    path = write_shapes(tmp_path)
    path.write_text(json.dumps({**json.loads(path.read_text()), 'annotations': []}))
    with pytest.raises(DataError, match='no labelled box; expected at least one'):
        open_datasets(DataSpec(str(path)))


def test_labels_that_are_all_ignored_are_refused(tmp_path):
    path = soft_shapes(tmp_path, CLASS_NAMES)
    open_datasets(DataSpec(str(path), min_score=0.1))
    with pytest.raises(DataError, match='one .crowds and boxes below data.min_score'):
        open_datasets(DataSpec(str(path), min_score=1.0))


def test_class_that_train_does_not_know_is_refused(tmp_path):
    train, val = write_shapes(tmp_path / 'a'), write_shapes(tmp_path / 'b', seed=1)
    val.write_text(val.read_text().replace('"disc"', '"disk"'))
    with pytest.raises(DataError, match="'disk' of .*png is unknown; expected one of square"):
        open_datasets(DataSpec(str(train), val=str(val)))


def test_oddities_are_warnings_and_a_lost_image_is_the_end(tmp_path):
    path = write_shapes(tmp_path)
    data = json.loads(path.read_text())
    data['annotations'][0]['bbox'] = [5, 5, 0, 9]
    path.write_text(json.dumps(data))
    datasets = open_datasets(DataSpec(str(path), max_broken=0.2))
    warnings = check_datasets(datasets, no_progress)
    assert not [line for line in warnings if 'width or height' in line]  # said by the reader
    assert datasets.train.findings.counts() == {'empty': 1}
    datasets.train.labels[2].image_path.write_bytes(b'')
    check_datasets(datasets, no_progress)
    assert datasets.train.findings.counts() == {'empty': 1, 'unreadable': 1}
    datasets.train.labels[1].image_path.write_bytes(b'')
    with pytest.raises(DataError, match=r'2.png: .*; 3 of 8 images are broken'):
        check_datasets(datasets, no_progress)


def test_box_sizes_are_those_in_the_network(tmp_path):
    path = write_shapes(tmp_path, height=96, width=128)
    dataset = open_datasets(DataSpec(str(path))).train
    card = network_card(ModelSpec('nanodet', '0.5x', 2))
    card = msgspec.structs.replace(card, input_size=type(card.input_size)(64, 64))
    assert card.size == ImageSize(64, 64)
    sizes = box_sizes(CachedDataset(dataset, 1000, 0), card)
    wanted = np.concatenate([labels.boxes[:, 2:] - labels.boxes[:, :2]
                             for labels in dataset.labels])
    np.testing.assert_allclose(sizes, wanted / 2, rtol=1e-4)  # 128 pixels become 64
