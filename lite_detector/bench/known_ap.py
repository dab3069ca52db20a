# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Known AP values, from a model card or from the output of ``compare --json``."""

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
"""Model, input size such as 320x320, resize mode and precision."""


def ap_of_card(card: ModelCard, setting: Setting) -> float | None:
    """Return the AP of a setting in its card; None: unknown. int8 has its own AP."""
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
    AP of settings, all measured on the same images.

    :param path: File written by ``compare --json``.
    :raises ConfigError: if the file is malformed, or has AP for no or several sets of images.
    """

    def __init__(self, path: Path) -> None:
        try:
            rows = _rows_of(msgspec.json.decode(path.read_bytes()))
        except OSError as error:
            raise ConfigError(f'{path}: {error.strerror}') from None
        except (msgspec.DecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            raise ConfigError(f'{path}: {error}; expected a file of compare --json') from None
        titles = sorted({title for _, aps in rows for title in aps})
        if len(titles) != 1:
            raise ConfigError(f'{path}: AP of {", ".join(titles) or "no images"}; expected AP of '
                              'one set of images: run compare with one --annotations')
        self.title, = titles
        self._aps = {network: aps[self.title] for network, aps in rows if aps}

    def ap_of(self, setting: Setting) -> float | None:
        """
        Return the AP of a setting in percent; None: not measured.

        The AP of fp32 is used for a precision that was not measured, except for int8.
        """
        network = setting.model, str(setting.input_size), setting.resize
        exact = None if setting.precision in INT8 else self._aps.get((*network, EXACT))
        return self._aps.get((*network, setting.precision), exact)

    def __str__(self) -> str:
        """Return models and sizes of the file, for messages."""
        sizes: dict[str, set[str]] = {}
        for model, size, *_ in self._aps:
            sizes.setdefault(model, set()).add(size)
        return ', '.join(f'{model} at {" ".join(sorted(found))}'
                         for model, found in sizes.items())


def _rows_of(report: Any) -> list[tuple[Network, dict[str, float]]]:
    """Return settings and AP of a file; older files are a list of flat rows."""
    if isinstance(report, list):
        rows: list[Any] = [
            ((row['model'], f'{row["side"]}x{row["side"]}', row['resize'], row['precision']),
             row['ap']) for row in report]
    else:
        rows = [([row['setting'][key] for key in ('model', 'input_size', 'resize', 'precision')],
                 {title: found['ap'] for title, found in row['ap_on'].items()})
                for row in report['rows']]
    return msgspec.convert(rows, list[tuple[Network, dict[str, float]]])
