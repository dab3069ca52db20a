# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Draw text in any script on images.

OpenCV 4 draws ASCII only, OpenCV 5 more letters. For other text, Pillow draws with a font of the
system. If no font has the letters, the class index replaces the class name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache, lru_cache
from importlib.util import find_spec
import os
from pathlib import Path
import sys
from typing import Any

import cv2
from lite_detector.core.types import ImageArray
import numpy as np

FONT = cv2.FONT_HERSHEY_SIMPLEX
PIXELS = 30
"""Size of a Pillow font in pixels that matches ``FONT`` at scale 1."""
FONT_FOLDERS = ('/usr/share/fonts', '/usr/local/share/fonts', '~/.local/share/fonts', '~/.fonts',
                '/System/Library/Fonts', 'C:/Windows/Fonts')
FONT_SUFFIXES = ('.ttf', '.ttc', '.otf')
PREFERRED = ('dejavusans.', 'notosanscjk', 'notosans-regular', 'wqy', 'droidsansfallback')
"""Parts of file names of common fonts with many scripts."""
PLACEHOLDERS = 'lastresort'
"""Part of the name of a font with placeholder glyphs only."""
MAX_FONTS = 500
UNASSIGNED = '\U0010fffe'
"""A character that no font contains."""
Color = tuple[int, int, int]
"""Blue, green, red, 0 to 255."""


def drawable_names(class_names: Sequence[str]) -> tuple[str, ...]:
    """Return the class names; a name that cannot be drawn is replaced by its index."""
    return tuple(name if can_draw(name) else str(class_id)
                 for class_id, name in enumerate(class_names))


def can_draw(text: str) -> bool:
    """Return whether a text can be drawn on this system."""
    return text.isascii() or opencv_draws_unicode() or font_file(text) is not None


def text_size(text: str, scale: float, thickness: int) -> tuple[tuple[int, int], int]:
    """
    Return the size of a text.

    :param text: Text to draw.
    :param scale: Font scale.
    :param thickness: Line width of the letters in pixels.
    :return: Width and height above the baseline, and height below it, in pixels.
    """
    font = _font(text, scale)
    if font is None:
        return cv2.getTextSize(text, FONT, scale, thickness)
    ascent, descent = font.getmetrics()
    return (int(np.ceil(font.getlength(text))), ascent), descent


def put_text(canvas: ImageArray, text: str, origin: tuple[int, int], scale: float, color: Color,
             thickness: int = 1) -> None:
    """
    Draw a text.

    :param canvas: BGR image to draw into, uint8, shape (height, width, 3).
    :param text: Text to draw.
    :param origin: Left end of the baseline: x, y in pixels.
    :param scale: Font scale.
    :param color: Colour of the letters.
    :param thickness: Line width of the letters in pixels.
    """
    font = _font(text, scale)
    if font is None:
        cv2.putText(canvas, text, origin, FONT, scale, color, thickness, cv2.LINE_AA)
        return
    from PIL import Image, ImageDraw
    (width, ascent), descent = text_size(text, scale, thickness)
    letters = Image.new('L', (width, ascent + descent))
    ImageDraw.Draw(letters).text((0, 0), text, fill=255, font=font)
    left, top = origin[0], origin[1] - ascent
    x, y = max(0, left), max(0, top)
    alpha = np.asarray(letters, np.float32)[y - top:, x - left:, None] / 255
    place = canvas[y:y + alpha.shape[0], x:x + alpha.shape[1]]
    alpha = alpha[:place.shape[0], :place.shape[1]]
    place[:] = (place * (1 - alpha) + np.array(color, np.float32) * alpha).round()


@cache
def opencv_draws_unicode() -> bool:
    """Return whether OpenCV draws more than ASCII; OpenCV 4 draws question marks."""
    def drawn(text: str) -> bytes:
        canvas = np.zeros((40, 80), np.uint8)
        cv2.putText(canvas, text, (2, 30), FONT, 1, 255)
        return canvas.tobytes()
    return drawn('\u0436') not in (drawn('?'), drawn('??'), drawn(''))


@lru_cache(maxsize=1000)
def font_file(text: str) -> Path | None:
    """Return a system font with all characters of a text; None: there is none."""
    if find_spec('PIL') is None:
        return None
    for path in _all_fonts()[:MAX_FONTS]:
        font = _open_font(path, PIXELS)
        if font is not None and all(_has_glyph(font, char) for char in set(text) - {' '}):
            return path
    return None


def _font(text: str, scale: float) -> Any:
    """Return the Pillow font for a text; None: OpenCV draws it."""
    if text.isascii() or opencv_draws_unicode():
        return None
    path = font_file(text)
    return path and _open_font(path, max(8, round(PIXELS * scale)))


@lru_cache(maxsize=100)
def _open_font(path: Path, pixels: int) -> Any:
    from PIL import ImageFont
    try:
        return ImageFont.truetype(str(path), pixels)
    except (OSError, ValueError):
        return None


def _has_glyph(font: Any, char: str) -> bool:
    return bytes(font.getmask(char)) != bytes(font.getmask(UNASSIGNED))


@cache
def _all_fonts() -> tuple[Path, ...]:
    folders = [Path(folder).expanduser() for folder in FONT_FOLDERS]
    # matplotlib includes DejaVu Sans
    folders += [Path(place, 'matplotlib', 'mpl-data', 'fonts') for place in sys.path]
    found = [Path(folder, name) for place in folders if place.is_dir()
             for folder, _, names in os.walk(place) for name in sorted(names)
             if name.lower().endswith(FONT_SUFFIXES) and PLACEHOLDERS not in name.lower()]
    ranks = len(PREFERRED)
    return tuple(sorted(found, key=lambda path: next(
        (rank for rank, part in enumerate(PREFERRED) if part in path.name.lower()), ranks)))
