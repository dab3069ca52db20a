# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Samples, and the datasets that give them."""

import cv2
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset, ImageLabels
from lite_detector.data.formats import open_dataset
import numpy as np
import pytest
from tiny_datasets import write_coco, write_images


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return open_dataset(*write_coco(tmp_path))


def test_labels_of_other_lengths_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r'ImageLabels.boxes: shape \(1, 4\); expected \(0, 4\)'):
        ImageLabels(tmp_path, np.zeros((1, 4), np.float32), np.zeros(0, np.int64),
                    np.zeros(0, bool), np.zeros(0, np.float32))


def test_dataset_without_an_image_is_refused(tmp_path):
    with pytest.raises(DataError, match='no labelled image'):
        Dataset(tmp_path, ('ant',), ())


def test_dataset_reads_pixels_only_when_asked(dataset):
    dataset.labels[2].image_path.write_bytes(b'no image')
    assert dataset[0].image_bgr.max() == 40
    with pytest.raises(ImageError, match=r'c\.png'):
        dataset[2]


@pytest.mark.parametrize(('size', 'word'), [((40, 63), 'image size 63x40'),
                                            ((64, 40), 'swapped')])
def test_image_of_another_size_than_its_annotations_is_refused(size, word, dataset):
    path = dataset.labels[0].image_path
    cv2.imwrite(str(path), np.zeros((*size, 3), np.uint8))
    with pytest.raises(DataError, match=word):
        dataset[0]


def test_fractions_become_pixels_of_the_image_as_it_is(tmp_path):
    write_images(tmp_path)
    labels = ImageLabels.from_rows(tmp_path / 'b.png', [(0, (0.25, 0.5, 0.75, 1), False)],
                                   in_fractions=True)
    assert Dataset(tmp_path, ('ant',), (labels,))[0].boxes_xyxy.tolist() == [[10, 32, 30, 64]]
    assert labels.boxes_in(ImageSize(height=100, width=10)).tolist() == [[2.5, 50, 7.5, 100]]


@pytest.mark.parametrize('name', ['boxes_xyxy', 'class_ids', 'ignore'])
def test_labels_of_a_sample_cannot_be_changed_by_mistake(dataset, name):
    with pytest.raises(ValueError, match='read-only'):
        getattr(dataset[0], name)[0] = 0


def test_with_class_names_leaves_the_dataset_itself_alone(dataset):
    other = dataset.with_class_names(('ant', 'lion', 'zebra'))
    assert other[0].class_ids.tolist() == [2, 0]
    assert dataset[0].class_ids.tolist() == [0, 1]


def test_shrunk_sample_takes_its_boxes_along(dataset):
    sample = dataset[0].shrunk(16)
    assert sample.image_bgr.shape == (10, 16, 3)
    assert sample.boxes_xyxy.tolist() == [[4, 2.5, 12, 7.5], [0, 0, 8, 5]]
    assert sample.boxes_xyxy.dtype == np.float32


def test_shrunk_never_enlarges(dataset):
    sample = dataset[0]
    assert sample.shrunk(64) is sample


def test_shrunk_leaves_at_least_a_pixel(tmp_path):
    cv2.imwrite(str(tmp_path / 'thin.png'), np.zeros((2, 400, 3), np.uint8))
    labels = ImageLabels.from_rows(tmp_path / 'thin.png', [(0, (0, 0, 400, 2), False)])
    sample = Dataset(tmp_path, ('ant',), (labels,))[0].shrunk(40)
    assert sample.image_bgr.shape == (1, 40, 3)
    assert sample.boxes_xyxy.tolist() == [[0, 0, 40, 1]]


def test_samples_carry_scores_of_one_where_a_person_labelled(dataset):
    assert [sample.scores.tolist() for sample in dataset] == [[1, 1], [], [1]]
    assert dataset.soft_boxes == 0 and dataset[0].scores.dtype == np.float32
