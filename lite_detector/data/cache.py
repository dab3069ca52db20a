# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A dataset that keeps reduced images in memory, so that each image is decoded once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock

from lite_detector.data.dataset import Dataset, Sample

BYTES_PER_MB = 1 << 20


class CachedDataset(Sequence[Sample]):
    """
    A dataset that reduces its images and keeps them until its memory limit is reached.

    Images stay in the order in which they were read. An epoch requests every image once in random
    order, so replacing an image by another one has no benefit. Worker processes share the images
    that :meth:`fill` read before they were forked; later images are kept per process.

    :param dataset: Source of the samples.
    :param max_side: Maximum length of the longer side in pixels: the training size plus a margin
        for random crops.
    :param max_megabytes: Memory limit for pixels in MiB; 0 keeps no image.
    :raises ValueError: if a limit is out of range.
    """

    def __init__(self, dataset: Dataset, max_side: int, max_megabytes: float) -> None:
        if max_side < 1 or not max_megabytes >= 0:
            raise ValueError(f'CachedDataset: max_side is {max_side} and max_megabytes is '
                             f'{max_megabytes}; expected at least 1 and 0')
        self.dataset = dataset
        self.class_names = dataset.class_names
        self.labels = dataset.labels
        self._max_side = max_side
        self._room_bytes = int(max_megabytes * BYTES_PER_MB)
        self._samples: dict[int, Sample] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]  # no slices
        """
        Return a sample, its longer side at most ``max_side``.

        :return: Sample with read-only arrays; copy an array before changing it.
        :raises LiteDetectorError: if the dataset cannot read the image.
        """
        index = range(len(self))[index]  # makes negative indices positive
        sample = self._samples.get(index)
        if sample is None:
            sample = self.dataset[index].shrunk(self._max_side)
            for array in (sample.image_bgr, sample.boxes_xyxy):
                array.setflags(write=False)
            self._keep(index, sample)
        return sample

    def __iter__(self) -> Iterator[Sample]:
        return (self[index] for index in range(len(self)))

    def __getstate__(self) -> dict[str, object]:
        """Drop the lock and the pixels when a worker process is spawned."""
        return {**self.__dict__, '_lock': None, '_samples': {},
                '_room_bytes': self._room_bytes + self.used_bytes}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def used_bytes(self) -> int:
        """Memory of the kept pixels in bytes."""
        return sum(sample.image_bgr.nbytes for sample in list(self._samples.values()))

    def fill(self, progress: Callable[[range], Iterable[int]] = iter) -> int:
        """
        Read images until the memory limit is reached.

        :param progress: Wrapper of the indices that may show a progress bar.
        :return: Number of kept images.
        """
        for index in progress(range(len(self))):
            self[index]
            if index not in self._samples:
                break
        return len(self._samples)

    def _keep(self, index: int, sample: Sample) -> None:
        with self._lock:
            if index not in self._samples and sample.image_bgr.nbytes <= self._room_bytes:
                self._room_bytes -= sample.image_bgr.nbytes
                self._samples[index] = sample
