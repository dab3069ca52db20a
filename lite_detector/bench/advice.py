# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Which of the measured settings a robot should run, and the parameter file that says so."""

from __future__ import annotations

from collections.abc import Mapping
import os
from pathlib import Path

from lite_detector.bench.setting import PASSIVE
from lite_detector.bench.sweep import Row, Sweep
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.model_card import ModelCard, NetworkCard
from lite_detector.core.types import ImageSize

Parameters = dict[str, str | int]
NODE_SHARE = 0.25
"""
Part of the budget that is left to the node, which reads messages and writes others beside a camera
and threads of its own: its p95 was 1.3 times the one measured here
(docs/guides/model_for_a_board.md).
"""


def choose(sweep: Sweep, cards: Mapping[str, ModelCard], budget_ms: float,
           same_images: bool = False) -> Row:
    """
    Choose the setting for a time budget.

    Only settings count that a parameter file can say. Of those that keep the budget for 19 of 20
    images beside the most load measured: the best AP, where it is known of the very setting
    and was measured on the same images; else the largest input, then the better model. Of equals
    the one that takes the least CPU time, which is left to other nodes.

    :param sweep: what was measured.
    :param cards: name of the model -> its card, in the order of preference.
    :param same_images: all AP of the sweep are of the same images, whatever the cards say.
    :raises LiteDetectorError: naming the fastest, if none is fast enough.
    """
    rows = [row for row in sweep.rows if can_be_served(row, cards)]
    if not rows:
        raise LiteDetectorError('--budget-ms: no setting measured can stand in a parameter file: '
                                'the node fits images as the card says and waits passively')
    limit_ms = (1 - NODE_SHARE) * budget_ms
    fitting = [row for row in rows if row.decisive.p95_ms <= limit_ms]
    if not fitting:
        fastest = min(rows, key=lambda row: row.decisive.p95_ms)
        raise LiteDetectorError(
            f'nothing fits into {budget_ms:g} ms, less {NODE_SHARE:.0%} for the node, here; the '
            f'fastest is {fastest.setting} with {fastest.decisive.p95_ms:.1f} ms')
    comparable = aps_are_comparable(cards)
    best_first = sorted(cards, key=lambda name: _ap(cards[name]) * comparable, reverse=True)

    def worth(row: Row) -> tuple[float, ...]:
        size = row.setting.input_size
        return ((row.ap or 0.0) * (same_images or comparable), size.height * size.width,
                -best_first.index(row.setting.model), -row.decisive.cpu_ms)
    return max(fitting, key=worth)


def can_be_served(row: Row, cards: Mapping[str, ModelCard]) -> bool:
    """Return whether parameters of the node can say this setting."""
    own_resize = cards[row.setting.model].preprocess.resize
    return row.setting.resize == own_resize and row.setting.wait_policy == PASSIVE


def aps_are_comparable(cards: Mapping[str, ModelCard]) -> bool:
    """Return whether all cards with an AP measured it on the same images."""
    return len({(str(card.metrics.get('annotations')), str(card.metrics.get('images')))
                for card in cards.values() if _ap(card)}) <= 1


def node_parameters(model: str, card: NetworkCard, input_size: ImageSize, num_threads: int,
                    runtime: str, precision: str, device: str = 'cpu') -> Parameters:
    """
    Return the parameters of the node that say a setting.

    With precision auto it starts with what it finds fastest, int8 included.

    :param model: name or folder, as the user gave it.
    """
    # The node may start in another folder; a name is looked up anew there.
    folder = Path(os.path.expanduser(model))
    return {'model': str(folder.resolve()) if folder.is_dir() else model,
            'num_threads': num_threads,
            # 0 is the card's own size, the only one that need not be square
            'input_size': 0 if input_size == card.size else input_size.width,
            'runtime': runtime, 'precision': precision, 'device': device}


def _ap(card: ModelCard) -> float:
    ap = card.metrics.get('ap')
    return float(ap) if isinstance(ap, (int, float)) else 0.0
