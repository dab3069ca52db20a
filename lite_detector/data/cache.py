# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Images kept in memory, small, so that an epoch does not decode them again."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from threading import Lock

from lite_detector.data.dataset import Dataset, Sample

BYTES_PER_MB = 1 << 20


class CachedDataset:
    """
    A dataset whose images are shrunk to a limit and kept until the memory given is full.

    What came first stays: an epoch asks for every image once in random order, so throwing out an
    old one for a new one would only cost. Worker processes share what :meth:`fill` read before
    they were forked; what one of them reads later is its own, with its own limit.

    :param dataset: where the samples come from.
    :param max_side: limit of the longer side in pixels; what training needs, with some room for
        its crops.
    :param max_megabytes: memory for pixels; 0 keeps nothing.
    :raises ValueError: if a limit is out of range.
    """

    def __init__(self, dataset: Dataset, max_side: int, max_megabytes: float) -> None:
        if max_side < 1 or not max_megabytes >= 0:
            raise ValueError(f'CachedDataset: got max_side {max_side} and max_megabytes '
                             f'{max_megabytes}, wanted at least 1 and 0')
        self.dataset = dataset
        self.class_names = dataset.class_names
        self.labels = dataset.labels
        self._max_side = max_side
        self._room_bytes = int(max_megabytes * BYTES_PER_MB)
        self._samples: dict[int, Sample] = {}
        self._lock = Lock()

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, index: int) -> Sample:
        """
        Return a sample, its longer side at most ``max_side``.

        :return: all its arrays are read-only, kept or not: who changes one makes a copy.
        :raises LiteDetectorError: as the dataset does.
        """
        index = range(len(self))[index]  # -1 and len - 1 are the same image
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
        """Leave the lock and the pixels behind where a worker process is not forked."""
        return {**self.__dict__, '_lock': None, '_samples': {},
                '_room_bytes': self._room_bytes + self.used_bytes}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state, _lock=Lock())

    @property
    def used_bytes(self) -> int:
        """Memory of the pixels kept."""
        return sum(sample.image_bgr.nbytes for sample in list(self._samples.values()))

    def fill(self, progress: Callable[[range], Iterable[int]] = iter) -> int:
        """
        Read images until the memory is full.

        :param progress: wraps the indices, to show how far it is.
        :return: how many are kept.
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
