# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Which frames of a recording are worth a label, and which of them a model is tested on.

A camera sends the same view thirty times a second: one of them teaches as much as all. And two
neighbours, one trained on and one tested on, would flatter the model, so the recording is cut into
stretches of time instead.
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
"""Pixels that the longer side is shrunk to first: noise of the sensor is not sharpness."""
NEIGHBOURS = 15
"""Frames before and after whose sharpness a frame is held against."""
PERIOD_S = 60.0
"""Length of a stretch of time that gives both training and validation images."""
GAP_S = 2.0
"""Before and after validation images nothing is trained on for so long ..."""
GAP_SHARE = 0.05
"""... or for this share of a short stretch."""
VAL, TRAIN = 'val', 'train'


class FrameChoice(Spec):
    """What is asked of a frame."""

    min_difference: Annotated[int, Meta(ge=0, le=256)] = MAX_DISTANCE + 1
    """Bits of 256 in which its look must differ from every frame kept before; 0: none."""
    blur: Annotated[float, Meta(ge=0, le=1)] = 0.3
    """It goes if it is less than so many times as sharp as its neighbours; 0: it never does."""
    val_fraction: Annotated[float, Meta(ge=0, le=0.9)] = 0.2
    """Part of each stretch of time that is for validation."""


class FrameFacts(NamedTuple):
    """
    What is remembered of a frame while the others are looked at.

    :param time_s: of its recording.
    :param size: in pixels.
    :param sharpness: of :func:`sharpness_of`.
    :param look: of ``duplicates.look_of``.
    """

    time_s: float
    size: ImageSize
    sharpness: float
    look: ImageArray

    @classmethod
    def of(cls, time_s: float, image_bgr: ImageArray) -> FrameFacts:
        """Look at a frame."""
        size = ImageSize(*image_bgr.shape[:2])
        return cls(time_s, size, sharpness_of(image_bgr), look_of(image_bgr))


def sharpness_of(image_bgr: ImageArray) -> float:
    """
    Return the variance of the Laplacian, in squared grey levels.

    It compares images of one scene only: a wall is never sharp. (Pech-Pacheco et al., Diatom
    autofocusing in brightfield microscopy, ICPR 2000.)

    :param image_bgr: uint8, shape (height, width, 3).
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
    Choose frames and divide them.

    :param frames: in the order of their recording.
    :return: index -> ``train`` or ``val``, rising; and why how many others were left out.
    """
    left_out: Counter[str] = Counter()
    sharp = np.flatnonzero(~is_blurred([frame.sharpness for frame in frames], choice.blur))
    left_out['blurred'] = len(frames) - len(sharp)
    new = _different(frames, sharp.tolist(), choice.min_difference)
    left_out['like another'] = len(sharp) - len(new)
    splits = split_by_time([frames[index].time_s for index in new], choice.val_fraction)
    left_out['between training and validation'] = splits.count(None)
    chosen = {index: split for index, split in zip(new, splits, strict=True) if split}
    return chosen, left_out


def is_blurred(sharpness: Sequence[float], blur: float) -> npt.NDArray[np.bool_]:
    """
    Tell which frames are far less sharp than those around them.

    :param sharpness: of consecutive frames.
    :param blur: share of the median of the neighbourhood that is still sharp.
    :return: bool, shape (n,).
    """
    values = np.array(sharpness, np.float64)
    medians = [np.median(values[max(0, index - NEIGHBOURS):index + NEIGHBOURS + 1])
               for index in range(len(values))]
    return values < blur * np.array(medians)


def split_by_time(times_s: Sequence[float], val_fraction: float) -> list[str | None]:
    """
    Divide moments into stretches of training and of validation, with gaps between them.

    The recording is cut into equal stretches of about ``PERIOD_S``; the last part of each is for
    validation, so that several places and lights of a drive are tested on.

    :param times_s: rising.
    :param val_fraction: in [0, 0.9].
    :return: ``train``, ``val`` or None for the gap.
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
    """Return those that differ enough from all that are kept before them."""
    kept: list[int] = []
    looks = np.zeros((len(wanted), len(frames[0].look) if frames else 0), np.uint8)
    for index in wanted:
        if nearest_look(frames[index].look, looks[:len(kept)]) >= min_difference:
            looks[len(kept)] = frames[index].look
            kept.append(index)
    return kept
