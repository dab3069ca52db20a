# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP of a network in training, measured through the robot's own path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lite_detector.core.model_card import NetworkCard
from lite_detector.data.coco import CocoDataset
from lite_detector.detector import Detector
from lite_detector.evaluation.coco_metrics import (
    AP_SELECTION,
    CocoMetrics,
    evaluate,
    require_faster_coco_eval,
)
from lite_detector.train.run.ema import interpolate
from lite_detector.train.run.figures import AP, MAIN
from lite_detector.train.torch_backend import TorchBackend
from torch import nn, Tensor

MeasureAp = Callable[[nn.Module], dict[str, float]]


class Validation:
    """
    Measures networks on the same images again and again.

    :param coco: labelled images.
    :param folder: of the images.
    :param card: of the networks.
    :param progress: wraps the images, to show how far it is.
    :raises LiteDetectorError: if the library that measures is not installed.
    """

    def __init__(self, coco: CocoDataset, folder: Path, card: NetworkCard,
                 progress: Callable[[Sequence[Any]], Iterable[Any]] = iter) -> None:
        require_faster_coco_eval()  # its absence shows now, not after the first epochs
        self._coco = coco
        self._folder = folder
        self._card = card
        self._progress = progress

    def measure(self, model: nn.Module) -> dict[str, float]:
        """
        Return AP and AP50 in percent; 0 where nothing is labelled.

        :param model: returns raw heads; it is left in evaluation mode.
        """
        metrics = self.evaluate(model)
        return {MAIN: metrics.ap or 0.0, f'{AP}AP50': metrics.ap50 or 0.0}

    def evaluate(self, model: nn.Module) -> CocoMetrics:
        """
        Return all that ``evaluate`` reports of a network.

        :param model: returns raw heads; it is left in evaluation mode.
        """
        detector = Detector(self._card, TorchBackend(model), AP_SELECTION)
        return evaluate(detector, self._coco, self._folder, self._progress)


def search_between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], end_ap: float,
                   factors: Sequence[float], model: nn.Module,
                   measure: MeasureAp) -> dict[float, dict[str, float]]:
    """
    Go from the end of a fine-tune towards its start as long as that gets better.

    What the network knew and the new data does not show is often worth keeping (WiSE-FT,
    Wortsman et al., 2022, arXiv:2109.01903).

    :param start: weights before fine-tuning.
    :param end: the best weights after it.
    :param end_ap: what these were measured at, in percent.
    :param factors: to try; 0 is the start, 1 the end, which is known.
    :param model: takes the weights to be measured.
    :param measure: returns figures with MAIN among them.
    :return: the figures of each factor that was tried; only the last one may be no better than
        the one before.
    """
    found: dict[float, dict[str, float]] = {}
    best = end_ap
    for factor in sorted(set(factors) - {1.0}, reverse=True):
        model.load_state_dict(interpolate(start, end, factor))
        found[factor] = measure(model)
        if found[factor][MAIN] <= best:
            break
        best = found[factor][MAIN]
    return found
