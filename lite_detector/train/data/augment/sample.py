# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
One training sample: randomly augmented images and their labels, as network input.

The last steps are those of the deployment pipeline: ``Letterbox`` and ``make_blob`` of ``core``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
from lite_detector.core.geometry import Letterbox
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.preprocess import BlobBuffers, make_blob
from lite_detector.core.types import FloatArray, ImageArray, ImageSize, IntArray, size_of
from lite_detector.data.dataset import Sample
from lite_detector.train.config.augment import AugmentSpec
from lite_detector.train.data.augment.geometry import GeometryStep
from lite_detector.train.data.augment.labels import join, Labels, labels_in_view
from lite_detector.train.data.augment.policy import (
    draw_color,
    draw_mosaic_windows,
    draw_tile,
    draw_view,
)
import numpy as np

MIXUP_SHARE = (0.4, 0.6)
"""Range of the weight of the first image; near half, because the boxes of both count fully."""


class TrainingSample(NamedTuple):
    """
    Network input and labels.

    :param blob: Normalised pixels, float32, shape (3, height, width).
    :param boxes_xyxy: Boxes of the objects in network pixels, float32, shape (n, 4).
    :param class_ids: Class ids, int64, shape (n,).
    :param scores: Soft label weights, in [0, 1], float32, shape (n,).
    :param ignored_xyxy: Ignore regions in network pixels, float32, shape (k, 4).
    :param image_paths: Paths of all images in the sample.
    """

    blob: FloatArray
    boxes_xyxy: FloatArray
    class_ids: IntArray
    scores: FloatArray
    ignored_xyxy: FloatArray
    image_paths: tuple[Path, ...]


class Scene(NamedTuple):
    """
    A network input before normalisation.

    :param image_bgr: BGR image, uint8, shape (height, width, 3) of the network input.
    :param labels: Labels of the image.
    :param image_paths: Paths of all images in the scene.
    """

    image_bgr: ImageArray
    labels: Labels
    image_paths: tuple[Path, ...]


def make_training_sample(samples: Sequence[Sample], index: int, rng: np.random.Generator,
                         augment: AugmentSpec, preprocess: PreprocessSpec, input_size: ImageSize,
                         stride: int, buffers: BlobBuffers | None = None) -> TrainingSample:
    """
    Make one training sample; all random numbers come from the generator.

    :param samples: Dataset; mosaic and mixup take further images from it.
    :param index: Index of the first image.
    :param rng: Random generator; the same state gives a bit-identical sample.
    :param augment: Augmentation of this epoch.
    :param preprocess: Preprocessing of the card.
    :param input_size: Input size in network pixels.
    :param stride: Multiple of the sides of the input, see :meth:`Letterbox.fit`.
    :param buffers: Memory from :func:`sample_buffers`; it holds the blob until its next use.
    :raises LiteDetectorError: if an image cannot be read.
    """
    painter = _Painter(samples, rng, augment, preprocess, input_size, stride)
    scene = painter.paint(index)
    if rng.random() < augment.mixup:
        scene = mix(scene, painter.paint(painter.other()), rng.uniform(*MIXUP_SHARE))
    box = Letterbox.fit(input_size, input_size, preprocess, 1)
    labels = scene.labels
    return TrainingSample(make_blob(scene.image_bgr, box, preprocess, buffers), labels.boxes_xyxy,
                          labels.class_ids, labels.scores, labels.ignored_xyxy,
                          scene.image_paths)


def sample_buffers(preprocess: PreprocessSpec, input_size: ImageSize) -> BlobBuffers:
    """Return memory for one blob at a time; only one thread may use it."""
    return BlobBuffers(Letterbox.fit(input_size, input_size, preprocess, 1), preprocess)


def mix(first: Scene, second: Scene, share: float) -> Scene:
    """
    Blend two scenes; the labels of both are kept.

    :param first: First scene.
    :param second: Second scene.
    :param share: Weight of the first scene, in [0, 1].
    """
    image_bgr = cv2.addWeighted(first.image_bgr, share, second.image_bgr, 1 - share, 0)
    return Scene(image_bgr, join((first.labels, second.labels)),
                 first.image_paths + second.image_paths)


class _Painter(NamedTuple):
    samples: Sequence[Sample]
    rng: np.random.Generator
    augment: AugmentSpec
    preprocess: PreprocessSpec
    input_size: ImageSize
    stride: int

    def other(self) -> int:
        return int(self.rng.integers(len(self.samples)))

    def paint(self, index: int) -> Scene:
        if self.rng.random() < self.augment.mosaic:
            return self._paint_mosaic(index)
        return self._paint_view(index)

    def _paint_view(self, index: int) -> Scene:
        sample = self.samples[index]
        canvas = self._blank()
        step = draw_view(self.rng, self.augment, size_of(sample.image_bgr), self.input_size,
                         self.preprocess, self.stride)
        return Scene(canvas, self._apply(sample, step, canvas), (sample.image_path,))

    def _paint_mosaic(self, index: int) -> Scene:
        canvas = self._blank()
        labels: list[Labels] = []
        image_paths = []
        for window in draw_mosaic_windows(self.rng, self.input_size):
            sample = self.samples[self.other() if labels else index]
            step = draw_tile(self.rng, self.augment, size_of(sample.image_bgr), window,
                             self.input_size, self.preprocess, self.stride)
            labels.append(self._apply(sample, step, canvas))
            image_paths.append(sample.image_path)
        return Scene(canvas, join(labels), tuple(image_paths))

    def _apply(self, sample: Sample, step: GeometryStep, canvas: ImageArray) -> Labels:
        step.apply_image(sample.image_bgr, canvas, draw_color(self.rng, self.augment))
        return labels_in_view(sample, step, self.augment.min_visible, self.augment.min_side)

    def _blank(self) -> ImageArray:
        return np.full((*self.input_size, 3), self.preprocess.pad_value, np.uint8)
