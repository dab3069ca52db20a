# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Choice of the final weights of a run: the start, its best epoch or a weight average."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from lite_detector.evaluation.coco_metrics import CocoMetrics
from lite_detector.train.run.console import describe_metrics
from lite_detector.train.run.ema import interpolate
from lite_detector.train.run.figures import AP, MAIN
from lite_detector.train.run.validation import MeasureAp, search_between
from lite_detector.train.weights.checkpoint import Checkpoint
import msgspec
from torch import nn, Tensor


class Candidate(NamedTuple):
    """
    Candidate for the final weights of a run.

    :param weights: State dict.
    :param figures: AP on the selection set in percent, MAIN among them.
    :param origin: Data on the origin of the weights, for the checkpoint.
    """

    weights: Mapping[str, Tensor]
    figures: Mapping[str, float]
    origin: Mapping[str, Any] = {}

    @property
    def ap(self) -> float:
        """AP on the selection set in percent."""
        return self.figures[MAIN]


def best_mixture(start: Mapping[str, Tensor], best: Candidate, factors: Sequence[float],
                 model: nn.Module, measure: MeasureAp, say: Callable[[str], None]) -> Candidate:
    """
    Return the best of an epoch and its averages with the start (:func:`search_between`).

    :param start: Weights before fine-tuning.
    :param best: Weights of the best epoch.
    :param factors: Factors to test.
    :param model: Network that takes the weights to be measured.
    :param measure: Function that measures a network.
    :param say: Function that prints a line for each tested factor.
    """
    found = search_between(start, best.weights, best.ap, factors, model, measure)
    for factor, figures in found.items():
        say(f'start + {factor:g} * (best - start): {describe_metrics(figures)}')
    factor = max(found, key=lambda each: found[each][MAIN], default=1.0)
    if not found or found[factor][MAIN] <= best.ap:
        return best
    return Candidate(interpolate(start, best.weights, factor), found[factor],
                     {'wise_factor': factor})


def against_start(start: Candidate, trained: Candidate, say: Callable[[str], None]) -> Candidate:
    """
    Return the start or the trained weights, whichever has the higher AP; the start if equal.

    :param start: Weights before the first step.
    :param trained: Best weights of the run.
    :param say: Function that prints the lines on the gain.
    :return: Chosen weights; ``origin`` holds ``start_ap``, ``trained_ap`` and ``gain``, in
        percent.
    """
    gain = trained.ap - start.ap
    figures = {'start_ap': start.ap, 'trained_ap': trained.ap, 'gain': round(gain, 2)}
    say(gain_line(start.ap, trained.ap))
    if gain > 0:
        return trained._replace(origin={**trained.origin, **figures})
    effect = 'training made it worse' if gain < 0 else 'training gained nothing'
    say(f'warning: {effect}: no epoch and no weight average has a higher AP on the selection '
        'set than the start, so the best checkpoint holds the weights of the start; try a '
        'lower optimizer.learning_rate or more data')
    return start._replace(origin={**figures, 'kept_start': True})


def gain_line(start_ap: float, best_ap: float) -> str:
    """Return both AP and the gain in percent, as ``start 29.9 -> best 31.1 (+1.2)``."""
    start_ap, best_ap = round(start_ap, 1), round(best_ap, 1)
    return f'start {start_ap:.1f} -> best {best_ap:.1f} ({best_ap - start_ap:+.1f})'


def reported(chosen: Candidate, metrics: CocoMetrics, name: str,
             say: Callable[[str], None]) -> Candidate:
    """
    Return the chosen weights with their measurement on the report set.

    :param chosen: Final weights of the run.
    :param metrics: Measurements of these weights.
    :param name: Name of the annotations.
    :param say: Function that prints the line with AP.
    """
    figures = msgspec.to_builtins(metrics)
    figures.pop('per_class')
    say(f'report set {name}, measured once: AP {metrics.ap or 0:.2f}  '
        f'AP50 {metrics.ap50 or 0:.2f}')
    return chosen._replace(origin={**chosen.origin, 'report': {'annotations': name, **figures},
                                   'report_measured': 1})


def figures_of(checkpoint: Checkpoint) -> dict[str, float]:
    """Return the measurements of a checkpoint on the selection set."""
    return {AP + name: value for name, value in checkpoint.training['metrics'].items()}


def is_final(training: Mapping[str, Any]) -> bool:
    """Return whether a checkpoint is the end of its run, with the choice made and reported."""
    return not training.keys().isdisjoint({'wise_factor', 'gain', 'report'})
