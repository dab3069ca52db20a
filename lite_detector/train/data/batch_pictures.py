# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Pictures of training batches with their labels."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
from lite_detector.core.model_card import PreprocessSpec
from lite_detector.core.types import FloatArray, ImageArray
from lite_detector.data.dataset import Sample
from lite_detector.data.pictures import CELL, draw_sheet
from lite_detector.train.data.loader import Batch
import numpy as np

HATCH_PIXELS = 8
"""Distance of the stripes over an ignore region."""


def draw_batch(batch: Batch, preprocess: PreprocessSpec, class_names: Sequence[str]) -> ImageArray:
    """
    Draw the images of a batch with their boxes side by side; ignore regions are hatched.

    :param batch: Batch; at most 16 of its images are drawn.
    :param preprocess: Preprocessing of the card, to undo the normalisation.
    :param class_names: Class names in the order of the ids.
    :return: BGR image, uint8, shape (height, width, 3).
    """
    zoom = CELL / max(batch.images.shape[2:])
    samples = []
    for blob, truth, paths in zip(batch.images, batch.truths, batch.image_paths, strict=True):
        image_bgr = hatch(image_of_blob(blob.cpu().numpy(), preprocess),
                          truth.ignored_xyxy.cpu().numpy())
        samples.append(Sample(paths[0], cv2.resize(image_bgr, None, fx=zoom, fy=zoom),
                              truth.boxes_xyxy.cpu().numpy() * np.float32(zoom),
                              truth.labels.cpu().numpy(), np.zeros(len(truth.labels), bool),
                              truth.scores.cpu().numpy()))
    return draw_sheet(samples, class_names)


def image_of_blob(blob: FloatArray, preprocess: PreprocessSpec) -> ImageArray:
    """
    Undo the normalisation of ``make_blob``.

    :param blob: Normalised pixels, float32, shape (3, height, width).
    :return: BGR image, uint8, shape (height, width, 3).
    """
    mean = np.array(preprocess.mean, np.float32)[:, None, None]
    std = np.array(preprocess.std, np.float32)[:, None, None]
    planes = np.clip(np.rint(blob * std + mean), 0, 255).astype(np.uint8)
    return cv2.merge(list(planes if preprocess.color == 'bgr' else planes[::-1]))


def hatch(image_bgr: ImageArray, boxes_xyxy: FloatArray) -> ImageArray:
    """
    Return an image with grey stripes over some regions.

    :param image_bgr: BGR image, uint8, shape (height, width, 3); it stays unchanged.
    :param boxes_xyxy: Regions in pixels of this image, float32, shape (k, 4).
    """
    rows, columns = np.indices(image_bgr.shape[:2])
    stripes = (rows + columns) % HATCH_PIXELS < HATCH_PIXELS // 2
    hatched = image_bgr.copy()
    for left, top, right, bottom in boxes_xyxy:
        inside = ((columns + 0.5 > left) & (columns + 0.5 < right)
                  & (rows + 0.5 > top) & (rows + 0.5 < bottom))
        hatched[inside & stripes] = 128
    return hatched
