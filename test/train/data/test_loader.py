# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Batches: equal for any number of workers and processes, and from any start."""

import os
from pathlib import Path

import cv2
from lite_detector.core.errors import ConfigError, DataError, ImageError
from lite_detector.core.types import ImageSize
from lite_detector.data.cache import CachedDataset
from lite_detector.data.dataset import Dataset, ImageLabels
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.batch_pictures import draw_batch, hatch, image_of_blob
from lite_detector.train.data.loader import Batch, EpochLoader
from lite_detector.train.data.truth import GroundTruth
import numpy as np
import pytest
from scenes import INPUT, noise, PLAIN
import torch

COUNT = 11
AUGMENT = AugmentSpec(mosaic=0.5, mixup=0.2)


@pytest.fixture
def dataset(tmp_path) -> Dataset:
    """Return images of different sizes on disk; the first has no box."""
    labels = []
    for index in range(COUNT):
        sample = noise(ImageSize(60 + 5 * index, 130 - 7 * index), index, index)
        path = tmp_path / f'{index}.png'
        assert cv2.imwrite(str(path), sample.image_bgr)
        labels.append(ImageLabels(path, sample.boxes_xyxy, sample.class_ids, sample.ignore,
                                  sample.scores))
    return Dataset(Path('noise'), tuple('abcdefghij'), tuple(labels))


def loader(dataset, **more) -> EpochLoader:
    arguments = {'dataset': dataset, 'preprocess': PLAIN, 'input_size': INPUT, 'stride': 32,
                 'augment': AUGMENT, 'batch_size': 4, 'seed': 3, 'epoch': 5}
    return EpochLoader(**{**arguments, **more})


def assert_same(got: list[Batch], wanted: list[Batch]) -> None:
    assert len(got) == len(wanted)
    for one, two in zip(got, wanted, strict=True):
        assert torch.equal(one.images, two.images)
        assert one.image_paths == two.image_paths
        assert len(one.truths) == len(two.truths)
        for left, right in zip(one.truths, two.truths, strict=True):
            assert isinstance(left, GroundTruth)
            assert all(map(torch.equal, left, right))


def test_batches_are_what_the_step_wants(dataset):
    batches = list(loader(dataset))
    assert len(batches) == len(loader(dataset)) == 2  # 3 images are left over
    for batch in batches:
        assert batch.images.shape == (4, 3, *INPUT) and batch.images.dtype == torch.float32
        for truth in batch.truths:
            assert truth.boxes_xyxy.dtype == truth.ignored_xyxy.dtype == torch.float32
            assert truth.labels.dtype == torch.int64
            assert truth.boxes_xyxy.shape == (len(truth.labels), 4)


def test_every_image_comes_once_in_an_order_that_changes(dataset):
    orders = [np.concatenate([loader(dataset, batch_size=1, epoch=epoch).indices(number)
                              for number in range(COUNT)]) for epoch in (0, 0, 1)]
    assert sorted(orders[0]) == list(range(COUNT))
    assert (orders[0] == orders[1]).all() and (orders[0] != orders[2]).any()


def test_equal_for_any_number_of_workers_with_and_without_cache(dataset):
    # more than one thread of OpenCV before the fork: a worker must not wait for them
    cv2.transform(np.zeros((2000, 2000, 3), np.uint8), np.eye(3))
    threads = cv2.getNumThreads()
    wanted = list(loader(dataset))
    cached = CachedDataset(dataset, 1000, 10)
    cached.fill()
    assert_same(list(loader(dataset, workers=2)), wanted)
    assert_same(list(loader(cached, workers=1)), wanted)
    assert_same(list(loader(cached)), wanted)
    assert cv2.getNumThreads() == threads


@pytest.mark.parametrize('workers', [0, 1])
def test_a_start_in_the_middle_skips_what_is_done(dataset, workers):
    wanted = list(loader(dataset, batch_size=2))
    assert_same(list(loader(dataset, batch_size=2, start_batch=3, workers=workers)), wanted[3:])
    done = loader(dataset, batch_size=2, start_batch=5, workers=workers)
    assert len(done) == 0 and list(done) == []


def test_two_processes_together_make_the_batches_of_one(dataset):
    one = list(loader(dataset))
    halves = [list(loader(dataset, rank=rank, world=2)) for rank in range(2)]
    assert_same([Batch(torch.cat((left.images, right.images)), left.truths + right.truths,
                       left.image_paths + right.image_paths)
                 for left, right in zip(*halves, strict=True)], one)


def test_a_dataset_smaller_than_a_batch_is_one_batch(dataset):
    assert [len(batch.images) for batch in loader(dataset, batch_size=64)] == [COUNT]
    sizes = [[len(batch.images) for batch in loader(dataset, batch_size=64, rank=rank, world=4)]
             for rank in range(4)]
    assert sizes == [[3], [3], [3], [2]]


@pytest.mark.parametrize('more, reason', [
    ({'batch_size': 5, 'world': 2}, 'batch_size: 5;'), ({'batch_size': 0}, 'batch_size: 0;'),
    ({'batch_size': 12, 'world': 12}, '11 images for 12 processes')])
def test_unequal_shares_are_refused(dataset, more, reason):
    with pytest.raises(ConfigError, match=reason):
        loader(dataset, **more)


@pytest.mark.parametrize('workers', [0, 2])
def test_unreadable_image_is_one_line_from_any_process(dataset, workers):
    path = dataset.labels[4].image_path
    path.write_bytes(b'no image')
    with pytest.raises(ImageError) as error:
        list(loader(dataset, batch_size=11, workers=workers))
    assert str(path) in str(error.value) and '\n' not in str(error.value)


class Deadly:
    """A dataset that ends the process that reads it."""

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> None:
        os._exit(1)


def test_a_worker_that_is_killed_is_one_line():
    with pytest.raises(DataError, match='fewer workers'):
        list(loader(Deadly(), workers=1))


def test_a_loop_may_stop_early(dataset):
    for workers in (0, 1):
        for batch in loader(dataset, batch_size=1, workers=workers):
            assert len(batch.images) == 1
            break


def test_mosaic_off_at_the_end(dataset):
    spec = AugmentSpec(mosaic=1.0, mosaic_off_epochs=1)
    paths = [[len(paths) for batch in loader(dataset, augment=spec.at(epoch, 3), epoch=epoch)
              for paths in batch.image_paths] for epoch in range(3)]
    assert paths == [[4] * 8, [4] * 8, [1] * 8]


def test_picture_shows_the_pixels_the_network_sees():
    blob = np.zeros((3, 4, 6), np.float32)
    blob[0] = 2.0
    spec = type(PLAIN)(resize='stretch', color='rgb', mean=(10.0, 20.0, 30.0),
                       std=(5.0, 5.0, 5.0))
    assert (image_of_blob(blob, spec) == (30, 20, 20)).all()
    black = np.zeros((16, 16, 3), np.uint8)
    hatched = hatch(black, np.array([[8, 0, 16, 8]], np.float32))
    assert not hatched[:, :8].any() and not hatched[8:].any()
    assert 24 <= (hatched[:8, 8:, 0] == 128).sum() <= 40
    assert not black.any()


def test_sheet_of_a_batch_has_all_images(dataset):
    batch = next(iter(loader(dataset)))
    sheet = draw_batch(batch, PLAIN, dataset.class_names)
    assert sheet.shape == (480, 4 * 480, 3) and sheet.dtype == np.uint8
    for column in range(4):  # no cell is left blank
        assert sheet[:360, column * 480:(column + 1) * 480].std() > 5
