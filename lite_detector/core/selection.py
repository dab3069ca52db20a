# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Select detections by score, class, overlap and number."""

from __future__ import annotations

from collections.abc import Sequence
import math
from typing import Annotated

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import Detections, FloatArray
from msgspec import Meta
import numpy as np


class Selection(Spec):
    """Selection of detections: scores, classes, NMS and maximum number."""

    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.35
    """Minimum score, 0 to 1."""
    nms_iou_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """IoU threshold of the per-class NMS, 0 to 1."""
    max_detections: Annotated[int, Meta(ge=1, le=1000)] = 100
    """Maximum number of detections per image, 1 to 1000; the best scores are kept."""
    classes: tuple[str, ...] = ()
    """Names of the classes to detect; empty: all classes."""
    class_thresholds: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    """Minimum score by class name, 0 to 1; the default is ``score_threshold``."""
    class_agnostic_nms: bool = False
    """True: boxes of different classes suppress each other."""


def score_thresholds(selection: Selection, card: NetworkCard) -> FloatArray:
    """
    Return the minimum score of every class.

    :param selection: Selection with thresholds and classes.
    :param card: Card with the class names of the model.
    :return: Minimum score by class index, float32, shape (classes,); infinity: class not selected.
    :raises ConfigError: if the selection has a class that the model lacks.
    """
    for field, names in (('classes', selection.classes),
                         ('class_thresholds', selection.class_thresholds)):
        unknown = [name for name in names if name not in card.class_names]
        if unknown:
            raise ConfigError(f'{field}: {card.name} has no class {unknown[0]!r}')
    return np.array([
        selection.class_thresholds.get(name, selection.score_threshold)
        if not selection.classes or name in selection.classes else math.inf
        for name in card.class_names], np.float32)


def margins(detections: Detections, thresholds: float | FloatArray,
            class_names: Sequence[str]) -> FloatArray:
    """
    Return the differences of scores to the thresholds of their classes.

    :param detections: Detections of an image.
    :param thresholds: Threshold of all classes, or thresholds by class index, shape (classes,).
    :param class_names: Names of the class ids.
    :return: Difference, negative below the threshold; float32, shape (n,).
    """
    by_class = np.broadcast_to(np.float32(thresholds), len(class_names))
    return detections.scores - by_class[detections.class_ids]


def parse_class_thresholds(texts: Sequence[str]) -> dict[str, float]:
    """
    Parse score thresholds of classes, such as ``person:0.5``.

    :raises ConfigError: if a text is not NAME:SCORE, or a class has two thresholds.
    """
    thresholds: dict[str, float] = {}
    for text in texts:
        name, _, score = text.rpartition(':')
        name = name.strip()
        try:
            threshold = float(score)
        except ValueError:
            threshold = math.nan
        if not name or not 0 <= threshold <= 1:  # also excludes NaN
            raise ConfigError(f'class_thresholds: {text!r}; expected NAME:SCORE with a score from '
                              '0 to 1, such as person:0.5')
        if name in thresholds:
            raise ConfigError(f'class_thresholds: {name!r} has two thresholds; expected one per '
                              'class')
        thresholds[name] = threshold
    return thresholds
