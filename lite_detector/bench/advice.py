# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Select one of the measured settings, and write it as a parameter file."""

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
Share of the budget that is reserved for the node, which also receives and publishes messages. Its
p95 was 1.3 times the one measured here (docs/guides/model_for_a_board.md).
"""


def choose(sweep: Sweep, cards: Mapping[str, ModelCard], budget_ms: float,
           same_images: bool = False) -> Row:
    """
    Select the setting for a time budget.

    Only settings that a parameter file can express count. Candidates are those whose p95 under the
    highest measured load is in the budget. The best AP wins if it was measured for the setting
    itself and on the same images. Otherwise the largest input wins, then the better model. Ties
    are resolved by the least CPU time, which leaves more to other nodes.

    :param sweep: Measurements.
    :param cards: Name of the model -> card, in order of preference.
    :param budget_ms: Time budget in ms.
    :param same_images: True: all AP of the sweep were measured on the same images.
    :raises LiteDetectorError: if no setting is fast enough; the message has the fastest one.
    """
    rows = [row for row in sweep.rows if can_be_served(row, cards)]
    if not rows:
        raise LiteDetectorError('--budget-ms: no measured setting fits a parameter file; expected '
                                'the resize mode of the card and wait policy passive')
    limit_ms = (1 - NODE_SHARE) * budget_ms
    fitting = [row for row in rows if row.decisive.p95_ms <= limit_ms]
    if not fitting:
        fastest = min(rows, key=lambda row: row.decisive.p95_ms)
        raise LiteDetectorError(
            f'--budget-ms: no setting fits into {budget_ms:g} ms minus {NODE_SHARE:.0%} for the '
            f'node; the fastest is {fastest.setting} with {fastest.decisive.p95_ms:.1f} ms')
    comparable = aps_are_comparable(cards)
    best_first = sorted(cards, key=lambda name: _ap(cards[name]) * comparable, reverse=True)

    def worth(row: Row) -> tuple[float, ...]:
        size = row.setting.input_size
        return ((row.ap or 0.0) * (same_images or comparable), size.height * size.width,
                -best_first.index(row.setting.model), -row.decisive.cpu_ms)
    return max(fitting, key=worth)


def can_be_served(row: Row, cards: Mapping[str, ModelCard]) -> bool:
    """Return whether node parameters can express this setting."""
    own_resize = cards[row.setting.model].preprocess.resize
    return row.setting.resize == own_resize and row.setting.wait_policy == PASSIVE


def aps_are_comparable(cards: Mapping[str, ModelCard]) -> bool:
    """Return whether all cards with an AP measured it on the same images."""
    return len({(str(card.metrics.get('annotations')), str(card.metrics.get('images')))
                for card in cards.values() if _ap(card)}) <= 1


def node_parameters(model: str, card: NetworkCard, input_size: ImageSize, num_threads: int,
                    runtime: str, precision: str, device: str = 'cpu') -> Parameters:
    """
    Return the node parameters of a setting.

    With precision auto, the node selects the fastest precision at its start, int8 included.

    :param model: Name or folder as given by the user.
    :param card: Card of the model.
    :param input_size: Network input size in pixels.
    :param num_threads: Number of threads per inference.
    :param runtime: Runtime: ncnn or onnx.
    :param precision: Precision of the network.
    :param device: Device of the network.
    """
    # An absolute path, because the node may start in another folder; names are found anywhere.
    folder = Path(os.path.expanduser(model))
    return {'model': str(folder.resolve()) if folder.is_dir() else model,
            'num_threads': num_threads,
            # 0 means the size of the card, the only one that can be non-square
            'input_size': 0 if input_size == card.size else input_size.width,
            'runtime': runtime, 'precision': precision, 'device': device}


def _ap(card: ModelCard) -> float:
    ap = card.metrics.get('ap')
    return float(ap) if isinstance(ap, (int, float)) else 0.0
