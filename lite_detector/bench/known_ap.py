# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP that was measured before: in a model card, or by ``compare --json`` on labelled images."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lite_detector.backends.base import INT8
from lite_detector.bench.setting import Setting
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import ModelCard
import msgspec

EXACT = 'fp32'
Network = tuple[str, str, str, str]
"""Model, input size such as 320x320, resize and precision."""


def ap_of_card(card: ModelCard, setting: Setting) -> float | None:
    """Return the AP of a setting in its card, or None; int8 has one of its own."""
    if setting.precision in INT8:
        quantized = card.quantization.get('metrics', {})
        ap = quantized.get('ap_int8') if _same_images(card.metrics, quantized) else None
    else:
        ap = card.metrics.get('ap')
    own = (setting.input_size, setting.resize) == (card.size, card.preprocess.resize)
    return float(ap) if own and isinstance(ap, (int, float)) else None


def _same_images(metrics: Mapping[str, object], quantized: Mapping[str, object]) -> bool:
    return all(metrics.get(key) == quantized.get(key) for key in ('annotations', 'images'))


class ComparedAps:
    """
    The AP of settings, all measured on the same images.

    :param path: written by ``compare --json``.
    :raises ConfigError: if it is no such file, or has AP on no images or on several sets.
    """

    def __init__(self, path: Path) -> None:
        try:
            rows = _rows_of(msgspec.json.decode(path.read_bytes()))
        except OSError as error:
            raise ConfigError(f'{path}: {error.strerror}') from None
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ConfigError(f'{path}: {error}; wanted what compare --json writes') from None
        titles = sorted({title for _, aps in rows for title in aps})
        if len(titles) != 1:
            raise ConfigError(f'{path}: tells AP of {", ".join(titles) or "no images"}; wanted '
                              'that of one set of images: run compare with one --annotations')
        self.title, = titles
        self._aps = {network: aps[self.title] for network, aps in rows if aps}

    def ap_of(self, setting: Setting) -> float | None:
        """
        Return the AP of a setting in percent; None: it was not measured.

        Where a precision was not measured that of fp32 stands for it, but not for int8.
        """
        network = setting.model, str(setting.input_size), setting.resize
        exact = None if setting.precision in INT8 else self._aps.get((*network, EXACT))
        return self._aps.get((*network, setting.precision), exact)

    def __str__(self) -> str:
        """Say what is in it, for an error."""
        sizes: dict[str, set[str]] = {}
        for model, size, *_ in self._aps:
            sizes.setdefault(model, set()).add(size)
        return ', '.join(f'{model} at {" ".join(sorted(found))}'
                         for model, found in sizes.items())


def _rows_of(report: Any) -> list[tuple[Network, dict[str, float]]]:
    """Return the settings of a file and their AP; it was a list of flat rows once."""
    if isinstance(report, list):
        rows: list[Any] = [
            ((row['model'], f'{row["side"]}x{row["side"]}', row['resize'], row['precision']),
             row['ap']) for row in report]
    else:
        rows = [([row['setting'][key] for key in ('model', 'input_size', 'resize', 'precision')],
                 {title: found['ap'] for title, found in row['ap_on'].items()})
                for row in report['rows']]
    return msgspec.convert(rows, list[tuple[Network, dict[str, float]]])
