# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""A dataset of which some images count several times in an epoch."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.types import IntArray
from lite_detector.data.dataset import Sample
import numpy as np


class RepeatedDataset(Sequence[Sample]):
    """
    A view of a dataset in which images occur several times; each is read and kept once.

    :param dataset: where the samples come from.
    :param entries: index into it of each sample of the view, int64, shape (n,).
    """

    def __init__(self, dataset: Sequence[Sample], entries: IntArray) -> None:
        self._dataset = dataset
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def __getitem__(self, index: int) -> Sample:  # type: ignore[override]  # no slices
        """
        Read one sample.

        :raises LiteDetectorError: as the dataset does.
        """
        return self._dataset[int(self._entries[index])]


def repeat_entries(sizes: Sequence[int], repeat: Sequence[int]) -> IntArray:
    """
    Return the image of each sample in an epoch.

    The first copies come first, in the order of the images, so that a sample of a first copy has
    the index of its image whatever is repeated.

    :param sizes: images of each source, which are numbered one source after the other.
    :param repeat: how often each source occurs, at least 1.
    :return: int64, shape (sum of sizes * repeat,).
    """
    counts = np.repeat(np.asarray(repeat, np.int64), sizes)
    return np.concatenate([np.flatnonzero(counts > copy)
                           for copy in range(max(repeat, default=0))])


def entries_of(entries: IntArray, kept: Sequence[bool]) -> IntArray:
    """
    Return the samples of an epoch after some images are left out.

    :param entries: index of an image, int64, shape (n,).
    :param kept: whether each image stays.
    :return: index among the images that stay, int64, shape (m,).
    """
    stays = np.asarray(kept, bool)
    numbers = np.cumsum(stays) - 1
    return numbers[entries[stays[entries]]]
