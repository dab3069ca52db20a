# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A dataset that repeats some images within an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.types import IntArray
from lite_detector.data.dataset import Sample
import numpy as np


class RepeatedDataset(Sequence[Sample]):
    """
    A view of a dataset that repeats images; each image is read and cached once.

    :param dataset: Source of the samples.
    :param entries: Index into the dataset for each sample of the view, int64, shape (n,).
    """

    def __init__(self, dataset: Sequence[Sample], entries: IntArray) -> None:
        self._dataset = dataset
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]  # no slices
        """
        Read one sample.

        :raises LiteDetectorError: if the dataset cannot read the image.
        """
        return self._dataset[int(self._entries[index])]


def repeat_entries(sizes: Sequence[int], repeat: Sequence[int]) -> IntArray:
    """
    Return the image index of each sample in an epoch.

    The first copy of every image comes first, in the order of the images. The index of such a
    sample is therefore the index of its image.

    :param sizes: Number of images of each source; images are numbered across the sources.
    :param repeat: Number of copies of each source, at least 1.
    :return: Image indices, int64, shape (sum of sizes * repeat,).
    """
    counts = np.repeat(np.asarray(repeat, np.int64), sizes)
    return np.concatenate([np.flatnonzero(counts > copy)
                           for copy in range(max(repeat, default=0))])


def entries_of(entries: IntArray, kept: Sequence[bool]) -> IntArray:
    """
    Return the samples of an epoch after some images were removed.

    :param entries: Image index of each sample, int64, shape (n,).
    :param kept: True for each image that remains.
    :return: Index among the remaining images, int64, shape (m,).
    """
    stays = np.asarray(kept, bool)
    numbers = np.cumsum(stays) - 1
    return numbers[entries[stays[entries]]]
