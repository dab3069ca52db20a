# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Random choice of deterministic augmentation steps."""

from __future__ import annotations

import math

from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import ImageSize
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.augment.color import ColorStep
from lite_detector.train.data.augment.geometry import Extent, GeometryStep, place, Region
from msgspec.structs import replace
import numpy as np

MOSAIC_CENTER = (0.3, 0.7)
"""Range of the common corner of the four images of a mosaic, in sides of the input."""


def factor_between(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Draw a factor log-uniformly."""
    return math.exp(rng.uniform(math.log(limits[0]), math.log(limits[1])))


def draw_color(rng: np.random.Generator, spec: AugmentSpec) -> ColorStep:
    """Draw a colour change."""
    return ColorStep(brightness=255 * rng.uniform(-spec.brightness, spec.brightness),
                     contrast=factor_between(rng, spec.contrast),
                     saturation=factor_between(rng, spec.saturation),
                     hue=rng.uniform(-spec.hue, spec.hue))


def draw_view(rng: np.random.Generator, spec: AugmentSpec, image_size: ImageSize,
              input_size: ImageSize, preprocess: PreprocessSpec, stride: int) -> GeometryStep:
    """
    Draw the position and size of an image in the network input, relative to the letterbox.

    The shift is limited by the room that the change of size leaves, so that an enlarged image
    shows any part equally often. ``translate`` extends the limit.
    """
    base = serving_frame(image_size, input_size, preprocess, stride)
    width, height = _draw_extent(rng, spec, base, 1.0)
    reach_x = abs(width - base.width) / 2 + spec.translate * input_size.width
    reach_y = abs(height - base.height) / 2 + spec.translate * input_size.height
    frame = Extent(base.center_x + rng.uniform(-reach_x, reach_x),
                   base.center_y + rng.uniform(-reach_y, reach_y), width, height)
    return _draw_turn(rng, spec, image_size, frame, Region.of(input_size))


def draw_tile(rng: np.random.Generator, spec: AugmentSpec, image_size: ImageSize, window: Region,
              input_size: ImageSize, preprocess: PreprocessSpec, stride: int) -> GeometryStep:
    """Draw the position of an image in its quarter of a mosaic; it fills it or fits in it."""
    base = serving_frame(image_size, input_size, preprocess, stride)
    width, height = _draw_extent(rng, spec, base, factor_between(rng, spec.mosaic_scale))
    # The room is negative if the image is larger: then its edges stay outside.
    room_x = window.right - window.left - width
    room_y = window.bottom - window.top - height
    frame = Extent((window.left + window.right + rng.uniform(-1, 1) * room_x) / 2,
                   (window.top + window.bottom + rng.uniform(-1, 1) * room_y) / 2, width, height)
    return _draw_turn(rng, spec, image_size, frame, window)


def draw_mosaic_windows(rng: np.random.Generator, input_size: ImageSize) -> tuple[Region, ...]:
    """Draw the four windows of a mosaic, row by row."""
    x = round(rng.uniform(*MOSAIC_CENTER) * input_size.width)
    y = round(rng.uniform(*MOSAIC_CENTER) * input_size.height)
    return (Region(0, 0, x, y), Region(x, 0, input_size.width, y),
            Region(0, y, x, input_size.height), Region(x, y, *input_size[::-1]))


def serving_frame(image_size: ImageSize, input_size: ImageSize, preprocess: PreprocessSpec,
                  stride: int) -> Extent:
    """
    Return the rectangle of an image in the deployment pipeline.

    All images of a batch share one size, so the rect modes are padded to the full input.
    """
    if preprocess.resize == 'letterbox_rect':
        preprocess = replace(preprocess, resize='letterbox_square')
    box = Letterbox.fit(image_size, input_size, preprocess, stride)
    height, width = box.resized_size
    if preprocess.resize == 'stretch_rect':
        return Extent(input_size.width / 2, input_size.height / 2, width, height)
    return Extent(box.left + width / 2, box.top + height / 2, width, height)


def _draw_extent(rng: np.random.Generator, spec: AugmentSpec, base: Extent, more: float
                 ) -> tuple[float, float]:
    scale = factor_between(rng, spec.scale) * more
    stretch = math.sqrt(factor_between(rng, spec.stretch))
    return base.width * scale * stretch, base.height * scale / stretch


def _draw_turn(rng: np.random.Generator, spec: AugmentSpec, image_size: ImageSize, frame: Extent,
               window: Region) -> GeometryStep:
    flip = bool(rng.random() < spec.flip)
    return place(image_size, frame, window, flip, rng.uniform(-spec.rotate, spec.rotate))
