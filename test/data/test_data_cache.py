# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The memory that keeps samples."""

import pickle

import cv2
from lite_detector.data.cache import CachedDataset
from lite_detector.data.dataset import Dataset
from lite_detector.data.formats import open_dataset
import numpy as np
import pytest
from tiny_datasets import write_coco

MB_OF_AN_IMAGE = 40 * 64 * 3 / (1 << 20)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    return open_dataset(*write_coco(tmp_path))


def test_cache_reads_a_file_once(dataset):
    cached = CachedDataset(dataset, 32, 1)
    first = cached[0]
    assert first.image_bgr.shape == (20, 32, 3)
    dataset.labels[0].image_path.unlink()
    assert cached[0] is first
    assert cached[-3] is first
    assert len(cached) == 3
    assert cached.class_names == dataset.class_names


def test_cache_of_no_memory_keeps_nothing(dataset):
    cached = CachedDataset(dataset, 64, 0)
    assert cached.fill() == 0
    assert cached[0] is not cached[0]
    assert cached.used_bytes == 0


def test_cache_keeps_what_came_first_until_it_is_full(dataset):
    cached = CachedDataset(dataset, 64, 2 * MB_OF_AN_IMAGE)
    kept = [cached[2], cached[1]]
    assert cached[0] is not cached[0]
    assert [cached[2], cached[1]] == kept
    assert cached.used_bytes == 2 * 40 * 64 * 3


def test_cache_is_filled_ahead_with_progress(dataset):
    seen = []
    cached = CachedDataset(dataset, 64, 1)
    assert cached.fill(lambda indices: (seen.append(index) or index for index in indices)) == 3
    assert seen == [0, 1, 2]
    assert [sample.image_path.name for sample in cached] == ['a.png', 'b.png', 'c.png']


@pytest.mark.parametrize('max_side', [64, 32])
@pytest.mark.parametrize('name', ['image_bgr', 'boxes_xyxy', 'class_ids', 'ignore'])
def test_cached_sample_cannot_be_changed_by_mistake(dataset, name, max_side):
    array = getattr(CachedDataset(dataset, max_side, 1)[0], name)
    with pytest.raises(ValueError, match='read-only'):
        array[0] = 0


def test_pixels_of_a_cached_sample_go_through_opencv(dataset):
    image_bgr = CachedDataset(dataset, 64, 1)[0].image_bgr
    assert cv2.resize(image_bgr, (8, 8)).shape == (8, 8, 3)
    assert cv2.warpAffine(image_bgr, np.eye(2, 3), (8, 8)).shape == (8, 8, 3)


def test_cache_goes_to_another_process_without_its_pixels(dataset):
    cached = CachedDataset(dataset, 64, 2 * MB_OF_AN_IMAGE)
    cached.fill()
    copy = pickle.loads(pickle.dumps(cached))
    assert copy.used_bytes == 0
    assert copy.fill() == 2


@pytest.mark.parametrize(('max_side', 'megabytes'), [(0, 1), (64, -1), (64, float('nan'))])
def test_cache_with_a_wrong_limit_is_refused(max_side, megabytes, dataset):
    with pytest.raises(ValueError, match='CachedDataset'):
        CachedDataset(dataset, max_side, megabytes)
