# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Possible network input sizes, which some runtimes require in advance."""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.geometry import ceil_to
from lite_detector.core.model_card import NetworkCard, RECT_RESIZES
from lite_detector.core.types import ImageSize


class InputShapes(NamedTuple):
    """Sizes that a network input can have."""

    smallest: ImageSize
    usual: ImageSize
    largest: ImageSize

    @classmethod
    def of(cls, card: NetworkCard, input_size: ImageSize | None, resize: str) -> InputShapes:
        """
        Return the input sizes for images of any aspect ratio.

        :param card: Card of the network.
        :param input_size: Largest input; None: that of the card.
        :param resize: Resize mode of the preprocessing.
        """
        size, step = input_size or card.size, card.padded_to
        if resize not in RECT_RESIZES:
            return cls(size, size, size)
        largest = ImageSize(ceil_to(size.height, step), ceil_to(size.width, step))
        height = ceil_to(size.width * 3 // 4, step)  # for 4:3 cameras
        return cls(ImageSize(step, step),
                   ImageSize(min(largest.height, height), largest.width), largest)
