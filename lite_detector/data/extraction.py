# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Select the frames of a recording to label, and divide them into training and validation.

Consecutive frames of a camera are nearly identical, so only frames that differ are selected.
Adjacent frames in training and validation would bias the validation, so the recording is divided
into time intervals.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Annotated, NamedTuple

import cv2
from lite_detector.core.config import Spec
from lite_detector.core.types import ImageArray, ImageSize
from lite_detector.data.duplicates import look_of, MAX_DISTANCE, nearest_look
from msgspec import Meta
import numpy as np
import numpy.typing as npt

SHARPNESS_SIDE = 640
"""Longer side in pixels before sharpness is measured; the reduction suppresses sensor noise."""
NEIGHBOURS = 15
"""Number of frames before and after a frame whose median sharpness it is compared with."""
PERIOD_S = 60.0
"""Length in seconds of an interval that yields training and validation images."""
GAP_S = 2.0
"""Gap in seconds before and after validation images, without training images ..."""
GAP_SHARE = 0.05
"""... limited to this share of an interval."""
VAL, TRAIN = 'val', 'train'


class FrameChoice(Spec):
    """Criteria for the selection of frames."""

    min_difference: Annotated[int, Meta(ge=0, le=256)] = MAX_DISTANCE + 1
    """Minimum Hamming distance to every selected frame, in bits of 256; 0 disables the check."""
    blur: Annotated[float, Meta(ge=0, le=1)] = 0.3
    """Minimum sharpness relative to the median of nearby frames, 0 to 1; 0 disables the check."""
    val_fraction: Annotated[float, Meta(ge=0, le=0.9)] = 0.2
    """Share of each time interval for validation, 0 to 0.9."""


class FrameFacts(NamedTuple):
    """
    Facts of a frame that the selection needs.

    :param time_s: Recording time in seconds.
    :param size: Height and width in pixels.
    :param sharpness: Sharpness from :func:`sharpness_of`.
    :param look: Difference hash from ``duplicates.look_of``.
    """

    time_s: float
    size: ImageSize
    sharpness: float
    look: ImageArray

    @classmethod
    def of(cls, time_s: float, image_bgr: ImageArray) -> FrameFacts:
        """Measure a frame."""
        size = ImageSize(*image_bgr.shape[:2])
        return cls(time_s, size, sharpness_of(image_bgr), look_of(image_bgr))


def sharpness_of(image_bgr: ImageArray) -> float:
    """
    Return the sharpness of an image: the variance of its Laplacian, in squared grey levels.

    Values are only comparable within one scene. (Pech-Pacheco et al., Diatom autofocusing in
    brightfield microscopy, ICPR 2000.)

    :param image_bgr: BGR image, uint8, shape (height, width, 3).
    """
    grey = cv2.cvtColor(image_bgr, cv2.COLOR_BGR2GRAY)
    scale = SHARPNESS_SIDE / max(grey.shape)
    if scale < 1:
        size = tuple(max(1, round(side * scale)) for side in grey.shape[::-1])
        grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return float(cv2.Laplacian(grey, cv2.CV_32F).var())


def choose_frames(frames: Sequence[FrameFacts],
                  choice: FrameChoice) -> tuple[dict[int, str], Counter[str]]:
    """
    Select frames and assign each to training or validation.

    :param frames: Facts of the frames, in the order of their recording.
    :param choice: Criteria for the selection.
    :return: Index -> ``train`` or ``val``, in rising order; and reason -> number of other frames.
    """
    left_out: Counter[str] = Counter()
    sharp = np.flatnonzero(~is_blurred([frame.sharpness for frame in frames], choice.blur))
    left_out['blurred'] = len(frames) - len(sharp)
    new = _different(frames, sharp.tolist(), choice.min_difference)
    left_out['similar to another frame'] = len(sharp) - len(new)
    splits = split_by_time([frames[index].time_s for index in new], choice.val_fraction)
    left_out['between training and validation'] = splits.count(None)
    chosen = {index: split for index, split in zip(new, splits, strict=True) if split}
    return chosen, left_out


def is_blurred(sharpness: Sequence[float], blur: float) -> npt.NDArray[np.bool_]:
    """
    Return which frames are much less sharp than the frames around them.

    :param sharpness: Sharpness of consecutive frames.
    :param blur: Minimum sharpness relative to the median of nearby frames, 0 to 1.
    :return: Mask of the blurred frames, bool, shape (n,).
    """
    values = np.array(sharpness, np.float64)
    medians = [np.median(values[max(0, index - NEIGHBOURS):index + NEIGHBOURS + 1])
               for index in range(len(values))]
    return values < blur * np.array(medians)


def split_by_time(times_s: Sequence[float], val_fraction: float) -> list[str | None]:
    """
    Assign times to training and validation, with gaps between them.

    The recording is divided into equal intervals of about ``PERIOD_S``. The last part of each is
    for validation, so that validation covers several places and lighting conditions.

    :param times_s: Recording times in seconds, rising.
    :param val_fraction: Share of each interval for validation, 0 to 0.9.
    :return: ``train``, ``val``, or None for a gap, for each time.
    """
    if not times_s or not val_fraction:
        return [TRAIN] * len(times_s)
    first, length = times_s[0], times_s[-1] - times_s[0]
    stretches = max(1, round(length / PERIOD_S))
    stretch_s = length / stretches
    gap_s = min(GAP_S, GAP_SHARE * stretch_s)
    splits: list[str | None] = []
    for time_s in times_s:
        number = min(stretches - 1, int((time_s - first) / stretch_s)) if length else 0
        phase_s = time_s - first - number * stretch_s
        before_val_s = (1 - val_fraction) * stretch_s - phase_s
        if length and before_val_s <= 0:
            splits.append(VAL)
        elif before_val_s < gap_s or (number and phase_s < gap_s):
            splits.append(None)
        else:
            splits.append(TRAIN)
    return splits


def _different(frames: Sequence[FrameFacts], wanted: Sequence[int],
               min_difference: int) -> list[int]:
    """Return the frames that differ enough from all frames kept before them."""
    kept: list[int] = []
    looks = np.zeros((len(wanted), len(frames[0].look) if frames else 0), np.uint8)
    for index in wanted:
        if nearest_look(frames[index].look, looks[:len(kept)]) >= min_difference:
            looks[len(kept)] = frames[index].look
            kept.append(index)
    return kept
