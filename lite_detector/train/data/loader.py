# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The batches of an epoch: the same for any number of workers and processes.

All chance of a sample comes from (seed, epoch, index of the image), and the order from (seed,
epoch), so a run that was stopped goes on exactly where it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ConfigError, LiteDetectorError
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.preprocess import BlobBuffers
from lite_detector.core.types import ImageSize, IntArray
from lite_detector.data.dataset import Sample
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.augment.sample import (
    make_training_sample,
    sample_buffers,
    TrainingSample,
)
from lite_detector.train.data.shared_memory import loader_death
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.torch_workarounds import iterate_forked
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader


class Batch(NamedTuple):
    """
    What one training step takes.

    :param images: normalised pixels, float32, shape (n, 3, height, width).
    :param truths: what there is in each of them.
    :param image_paths: per image all files that went in, to name them when a loss is not finite.
    """

    images: Tensor
    truths: list[GroundTruth]
    image_paths: list[tuple[Path, ...]]


def collate(samples: Iterable[TrainingSample], count: int) -> Batch:
    """
    Put samples of one size together.

    :param samples: the next one is asked for when the blob of the last one is copied, so that all
        blobs may lie in the same memory.
    :param count: how many there are, at least one.
    """
    truths, image_paths = [], []
    for row, sample in enumerate(samples):
        if row == 0:
            images = torch.empty((count, *sample.blob.shape))
        images[row] = torch.from_numpy(sample.blob)
        truths.append(GroundTruth(*map(torch.from_numpy, (
            sample.boxes_xyxy, sample.class_ids, sample.scores, sample.ignored_xyxy))))
        image_paths.append(sample.image_paths)
    return Batch(images, truths, image_paths)


@dataclass(frozen=True)
class EpochLoader:
    """
    Iterates over the batches of one epoch that belong to one process.

    A global batch is cut into equal slices, one per process. What is left over at the end of an
    epoch is dropped, unless the dataset is smaller than one batch.

    :param dataset: ``Dataset`` or ``CachedDataset``.
    :param preprocess: of the card.
    :param input_size: network pixels.
    :param augment: what may happen in this epoch: ``AugmentSpec.at(epoch, epochs)``.
    :param batch_size: images of one step in all processes together.
    :param seed: of the run, at least 0.
    :param epoch: number of the epoch in the run, from 0.
    :param rank: number of this process, from 0.
    :param world: number of processes.
    :param workers: loader processes; 0: one thread that prepares the next batch while the
        current one is used. Workers are forked, so that they share a filled ``CachedDataset``.
    :param start_batch: batches of this epoch that are already done.
    :raises ConfigError: if a process would get no image, or another number than its peers.
    """

    dataset: Sequence[Sample]
    preprocess: PreprocessSpec
    input_size: ImageSize
    augment: AugmentSpec
    batch_size: int
    seed: int
    epoch: int
    rank: int = 0
    world: int = 1
    workers: int = 0
    start_batch: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.batch_size % self.world:
            raise ConfigError(f'batch_size: got {self.batch_size}, wanted a multiple of the '
                              f'number of processes ({self.world})')
        if len(self.dataset) < self.world:
            raise ConfigError(f'got {len(self.dataset)} images for {self.world} processes, wanted '
                              'at least one image for each')

    def __len__(self) -> int:
        """Return the number of batches still to come, the same in every process."""
        return max(0, self.batches - self.start_batch)

    @property
    def batches(self) -> int:
        """Return the number of batches in the whole epoch, the same in every process."""
        return max(1, len(self.dataset) // self.batch_size)

    def indices(self, number: int) -> IntArray:
        """
        Return which images this process takes in a batch.

        :param number: of the batch in the epoch.
        """
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.dataset))
        batch = order[number * self.batch_size:(number + 1) * self.batch_size]
        return np.array_split(batch, self.world)[self.rank]

    def make_sample(self, index: int, buffers: BlobBuffers | None = None) -> TrainingSample:
        """
        Make the sample of an image in this epoch, again and again the same.

        :param buffers: from :func:`sample_buffers`; the blob lies in it until its next use.
        :raises LiteDetectorError: if an image cannot be read.
        """
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return make_training_sample(self.dataset, index, rng, self.augment, self.preprocess,
                                    self.input_size, buffers)

    def make_batch(self, number: int) -> Batch:
        """
        Make one batch of this process.

        :param number: of the batch in the epoch.
        :raises LiteDetectorError: if an image cannot be read.
        """
        indices = self.indices(number)
        # One memory for all blobs: new memory for each of 16 takes four times as long.
        buffers = sample_buffers(self.preprocess, self.input_size)
        return collate((self.make_sample(int(index), buffers) for index in indices), len(indices))

    def __iter__(self) -> Iterator[Batch]:
        """
        Iterate over the batches from ``start_batch`` on.

        :raises LiteDetectorError: if an image cannot be read, also by a worker process.
        """
        numbers = range(self.start_batch, self.batches)
        if not numbers:
            return iter(())
        return self._from_processes(numbers) if self.workers else self._from_thread(numbers)

    def _from_thread(self, numbers: range) -> Iterator[Batch]:
        with ThreadPoolExecutor(1, 'loader') as thread:
            coming = thread.submit(self.make_batch, numbers[0])
            for number in numbers[1:]:
                batch = coming.result()
                coming = thread.submit(self.make_batch, number)
                yield batch
            yield coming.result()

    def _from_processes(self, numbers: range) -> Iterator[Batch]:
        results = DataLoader(_BatchOrError(self), batch_size=None, sampler=numbers,
                             collate_fn=_unchanged, num_workers=self.workers,
                             multiprocessing_context='fork')
        for result in _until_a_worker_dies(iterate_forked(results)):
            if isinstance(result, Exception):
                raise result
            yield result


class _BatchOrError:
    # Across processes an error goes as a value: raised there, torch would wrap it in a traceback.

    def __init__(self, loader: EpochLoader) -> None:
        self._loader = loader

    def __getitem__(self, number: int) -> Batch | Exception:
        try:
            batch = self._loader.make_batch(number)
            # Here, since torch would do it where an error leaves the trainer waiting for ever.
            for tensor in (batch.images, *(part for truth in batch.truths for part in truth)):
                tensor.share_memory_()
            return batch
        except LiteDetectorError as error:
            return error
        except RuntimeError as error:
            return loader_death(error) or error


def _until_a_worker_dies(results: Iterator[Batch | Exception]) -> Iterator[Batch | Exception]:
    try:
        yield from results
    except RuntimeError as error:
        death = loader_death(error)
        if death is None:
            raise
        raise death from None


def _unchanged(result: Batch | Exception) -> Batch | Exception:
    return result
