# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which of the boxes that a network finds are kept."""

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
    """Which of the boxes that a network finds are wanted."""

    score_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.35
    """Lowest score that is kept."""
    nms_iou_threshold: Annotated[float, Meta(ge=0, le=1)] = 0.6
    """A box goes if it overlaps a better one of its class by more than this."""
    max_detections: Annotated[int, Meta(ge=1, le=1000)] = 100
    """At most this many per image, best first."""
    classes: tuple[str, ...] = ()
    """Class names that are wanted; empty: all."""
    class_thresholds: dict[str, Annotated[float, Meta(ge=0, le=1)]] = {}
    """Lowest score by class name; the other classes have ``score_threshold``."""
    class_agnostic_nms: bool = False
    """Whether boxes of different classes suppress each other."""


def score_thresholds(selection: Selection, card: NetworkCard) -> FloatArray:
    """
    Return the lowest score that is kept of every class.

    :param selection: thresholds and classes.
    :param card: class names of the model.
    :return: by class index, float32, shape (classes,); infinity for a class that is not wanted.
    :raises ConfigError: if the selection names a class that the model does not have.
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
    Return how far scores are above the thresholds of their classes.

    :param thresholds: one for all classes, or by class index, shape (classes,).
    :param class_names: what the class ids mean.
    :return: below 0 where a threshold is not reached; float32, shape (n,).
    """
    by_class = np.broadcast_to(np.float32(thresholds), len(class_names))
    return detections.scores - by_class[detections.class_ids]


def parse_class_thresholds(texts: Sequence[str]) -> dict[str, float]:
    """
    Read score thresholds of classes, each such as ``person:0.5``.

    :raises ConfigError: if one is not NAME:SCORE, or a class has two.
    """
    thresholds: dict[str, float] = {}
    for text in texts:
        name, _, score = text.rpartition(':')
        name = name.strip()
        try:
            threshold = float(score)
        except ValueError:
            threshold = math.nan
        if not name or not 0 <= threshold <= 1:  # false for NaN
            raise ConfigError(f'class_thresholds: {text!r}; expected NAME:SCORE with a score of '
                              '0 to 1, such as person:0.5')
        if name in thresholds:
            raise ConfigError(f'class_thresholds: {name!r} has two thresholds; expected one per '
                              'class')
        thresholds[name] = threshold
    return thresholds
