# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The batches of an epoch: the same for any number of workers and processes.

The random state of a sample depends on (seed, epoch, index of the image), and the order on (seed,
epoch). So an interrupted run continues with the same batches.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
from torch.utils.data import DataLoader, Dataset


class Batch(NamedTuple):
    """
    Input of one training step.

    :param images: Normalised pixels, float32, shape (n, 3, height, width).
    :param truths: Labels of each image.
    :param image_paths: Paths of all images in each sample, for the error message of a loss that is
        not finite.
    """

    images: Tensor
    truths: list[GroundTruth]
    image_paths: list[tuple[Path, ...]]


def collate(samples: Iterable[TrainingSample], count: int) -> Batch:
    """
    Stack samples of one size.

    :param samples: Samples. The next one is requested after the blob of the last one is copied, so
        that all blobs may share the same memory.
    :param count: Number of samples, at least one.
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
    Iterator over the batches of one epoch that belong to one process.

    A global batch is split into equal slices, one per process. The remainder at the end of an
    epoch is dropped, unless the dataset is smaller than one batch.

    :param dataset: ``Dataset`` or ``CachedDataset``.
    :param preprocess: Preprocessing of the card.
    :param input_size: Input size in network pixels.
    :param stride: Multiple of the sides of the input, see :meth:`Letterbox.fit`.
    :param augment: Augmentation of this epoch: ``AugmentSpec.at(epoch, epochs)``.
    :param batch_size: Images per step in all processes together.
    :param seed: Seed of the run, at least 0.
    :param epoch: Index of the epoch in the run, from 0.
    :param rank: Index of this process, from 0.
    :param world: Number of processes.
    :param workers: Number of loader processes; 0: one thread that prepares the next batch during a
        step. Workers are forked, so that they share a filled ``CachedDataset``.
    :param start_batch: Number of finished batches of this epoch.
    :raises ConfigError: if a process would get no image, or fewer images than another one.
    """

    dataset: Sequence[Sample]
    preprocess: PreprocessSpec
    input_size: ImageSize
    stride: int
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
            raise ConfigError(f'batch_size: {self.batch_size}; expected a multiple of the number '
                              f'of processes ({self.world})')
        if len(self.dataset) < self.world:
            raise ConfigError(f'{len(self.dataset)} images for {self.world} processes; expected '
                              'at least one image for each')

    def __len__(self) -> int:
        """Return the number of remaining batches, the same in every process."""
        return max(0, self.batches - self.start_batch)

    @property
    def batches(self) -> int:
        """Return the number of batches in the full epoch, the same in every process."""
        return max(1, len(self.dataset) // self.batch_size)

    def indices(self, number: int) -> IntArray:
        """
        Return the indices of the images of this process in a batch.

        :param number: Index of the batch in the epoch.
        """
        order = np.random.default_rng((self.seed, self.epoch)).permutation(len(self.dataset))
        batch = order[number * self.batch_size:(number + 1) * self.batch_size]
        return np.array_split(batch, self.world)[self.rank]

    def make_sample(self, index: int, buffers: BlobBuffers | None = None) -> TrainingSample:
        """
        Make the sample of an image in this epoch; repeated calls give the same sample.

        :param index: Index of the image.
        :param buffers: Memory from :func:`sample_buffers`; it holds the blob until its next use.
        :raises LiteDetectorError: if an image cannot be read.
        """
        rng = np.random.default_rng((self.seed, self.epoch, index))
        return make_training_sample(self.dataset, index, rng, self.augment, self.preprocess,
                                    self.input_size, self.stride, buffers)

    def make_batch(self, number: int) -> Batch:
        """
        Make one batch of this process.

        :param number: Index of the batch in the epoch.
        :raises LiteDetectorError: if an image cannot be read.
        """
        indices = self.indices(number)
        # One memory for all blobs: new memory for each of 16 takes four times as long.
        buffers = sample_buffers(self.preprocess, self.input_size)
        return collate((self.make_sample(int(index), buffers) for index in indices), len(indices))

    def __iter__(self) -> Iterator[Batch]:
        """
        Iterate over the batches from ``start_batch`` on.

        :raises LiteDetectorError: if an image cannot be read, also in a worker process.
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
        results: DataLoader[Any] = DataLoader(
            _BatchOrError(self), batch_size=None, sampler=numbers, collate_fn=_unchanged,
            num_workers=self.workers, multiprocessing_context='fork')
        for result in _until_a_worker_dies(iterate_forked(results)):
            if isinstance(result, Exception):
                raise result
            yield result


class _BatchOrError(Dataset[Batch | Exception]):
    # An error is passed between processes as a value: torch wraps raised errors in a traceback.

    def __init__(self, loader: EpochLoader) -> None:
        self._loader = loader

    def __getitem__(self, number: int) -> Batch | Exception:
        try:
            batch = self._loader.make_batch(number)
            # Collate here: an error in torch's collate would let the trainer wait forever.
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


def _unchanged(result: Any) -> Any:
    return result
