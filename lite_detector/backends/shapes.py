# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The sizes that images become, which some runtimes want to know before they come."""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize


class InputShapes(NamedTuple):
    """The sizes that a network input may have."""

    smallest: ImageSize
    usual: ImageSize
    largest: ImageSize

    @classmethod
    def of(cls, card: NetworkCard, input_size: ImageSize | None, resize: str) -> InputShapes:
        """
        Return the sizes that images of any ratio become.

        :param input_size: the largest; None: that of the card.
        :param resize: way to fit images.
        """
        size, step = input_size or card.size, card.padded_to
        if resize != 'letterbox_rect':
            return cls(size, size, size)
        height = max(step, size.width * 3 // 4 // step * step)  # of a camera's 4:3
        return cls(ImageSize(step, step), ImageSize(min(size.height, height), size.width), size)
