# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP of a network in training, measured with the deployment pipeline."""

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
    Repeated AP measurement on the same images.

    :param coco: Labelled images.
    :param folder: Folder of the images.
    :param card: Model card of the networks.
    :param progress: Function that returns the images and may show the progress.
    :raises LiteDetectorError: if the library for the measurement is not installed.
    """

    def __init__(self, coco: CocoDataset, folder: Path, card: NetworkCard,
                 progress: Callable[[Sequence[Any]], Iterable[Any]] = iter) -> None:
        require_faster_coco_eval()  # raises an error now, not after the first epochs
        self._coco = coco
        self._folder = folder
        self._card = card
        self._progress = progress

    def measure(self, model: nn.Module) -> dict[str, float]:
        """
        Return AP and AP50 in percent; 0 without labelled objects.

        :param model: Network that returns raw heads; it stays in evaluation mode.
        """
        metrics = self.evaluate(model)
        return {MAIN: metrics.ap or 0.0, f'{AP}AP50': metrics.ap50 or 0.0}

    def evaluate(self, model: nn.Module) -> CocoMetrics:
        """
        Return all metrics that ``evaluate`` reports.

        :param model: Network that returns raw heads; it stays in evaluation mode.
        """
        detector = Detector(self._card, TorchBackend(model), AP_SELECTION)
        return evaluate(detector, self._coco, self._folder, self._progress)


def search_between(start: Mapping[str, Tensor], end: Mapping[str, Tensor], end_ap: float,
                   factors: Sequence[float], model: nn.Module,
                   measure: MeasureAp) -> dict[float, dict[str, float]]:
    """
    Measure weight averages from the end of fine-tuning towards its start while AP rises.

    Knowledge of the start that the new data do not contain is often worth keeping (WiSE-FT,
    Wortsman et al., 2022, arXiv:2109.01903).

    :param start: Weights before fine-tuning.
    :param end: Best weights after it.
    :param end_ap: AP of these in percent.
    :param factors: Factors to test; 0 is the start, 1 the end, whose AP is known.
    :param model: Network that takes the weights to be measured.
    :param measure: Function that returns figures with MAIN among them.
    :return: Figures of each tested factor; only the last one may have no higher AP than the one
        before.
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
