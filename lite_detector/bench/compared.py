# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""AP at every size and precision, as ``compare --json`` measured it on labelled images."""

from __future__ import annotations

from pathlib import Path

from lite_detector.backends.base import INT8
from lite_detector.bench.sweep_process import Setting
from lite_detector.core.errors import ConfigError
import msgspec

EXACT = 'fp32'


class _Row(msgspec.Struct, frozen=True):
    """What is needed of a row of the file."""

    model: str
    side: int
    resize: str
    precision: str
    ap: dict[str, float]


class ComparedAps:
    """
    The AP of settings, all measured on the same images.

    :param path: written by ``compare --json``.
    :raises ConfigError: if it is no such file, or tells AP of no images or of several sets.
    """

    def __init__(self, path: Path) -> None:
        try:
            rows = msgspec.json.decode(path.read_bytes(), type=list[_Row])
        except OSError as error:
            raise ConfigError(f'{path}: {error.strerror}') from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise ConfigError(f'{path}: {error}; wanted what compare --json writes') from None
        titles = sorted({title for row in rows for title in row.ap})
        if len(titles) != 1:
            raise ConfigError(f'{path}: tells AP of {", ".join(titles) or "no images"}; wanted '
                              'that of one set of images: run compare with one --annotations')
        self.path, (self.title,) = path, titles
        self._aps = {(row.model, row.side, row.resize, row.precision): row.ap[self.title]
                     for row in rows if row.ap}

    def ap_of(self, setting: Setting) -> float | None:
        """
        Return the AP of a setting in percent; None: it was not measured.

        Where a precision was not measured that of fp32 stands for it, but not for int8.
        """
        height, width = setting.input_size
        if height != width:
            return None
        key = setting.model, width, setting.resize
        exact = None if setting.precision in INT8 else self._aps.get((*key, EXACT))
        return self._aps.get((*key, setting.precision), exact)

    def __str__(self) -> str:
        """Say what is in it, for an error."""
        models: dict[str, set[int]] = {}
        for model, side, *_ in self._aps:
            models.setdefault(model, set()).add(side)
        return ', '.join(f'{model} at {" ".join(map(str, sorted(sides)))}'
                         for model, sides in models.items())
