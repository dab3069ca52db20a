# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parse numbers in the notations of various tools."""

from __future__ import annotations

from collections.abc import Sequence
import math
import re
from typing import TypeVar

T = TypeVar('T')
SEPARATORS = re.compile(r'[\s;,]+')
DECIMAL_COMMA = re.compile(r'(?<=\d),(?=\d)')
TRUE, FALSE = ('true', 'yes'), ('false', 'no')


def number(value: object) -> float | None:
    """
    Parse a number in any notation: ``7``, ``7.0``, ``"7"``, ``7e0``, ``"7,0"``, true.

    :return: Finite number; None for a missing value (null, empty text, NaN) and for other text.
    """
    if isinstance(value, str):
        text = value.strip().strip('"\'').strip()
        if text.lower() in TRUE + FALSE:
            return float(text.lower() in TRUE)
        if '_' in text:  # Python accepts 1_000, but in annotations it is part of a name
            return None
        try:
            value = float(DECIMAL_COMMA.sub('.', text) if text.count(',') == 1 else text)
        except ValueError:
            return None
    if isinstance(value, (int, float)):
        try:
            return float(value) if math.isfinite(value) else None
        except OverflowError:
            return None
    return None


def identifier(value: object) -> int | str | None:
    """
    Parse an id: whole numbers in all notations are equal, other text stays text.

    :return: Number or text; None for a missing value.
    """
    if type(value) is int:
        return value
    found = number(value)
    if found is not None and found.is_integer():
        return int(found)
    text = '' if value is None else str(value).strip()
    return None if text in ('', 'nan') else text


def numbers(value: object) -> list[float] | None:
    """
    Parse a list of numbers, also from text such as ``"[1, 2.5, 3, 4]"`` or ``"1 2,5 3 4"``.

    :return: Numbers; None if an element is missing or not a number.
    """
    if isinstance(value, str):
        value = split_fields(value.strip().strip('[]()'))
    if not isinstance(value, (list, tuple)):
        return None
    return complete([number(each) for each in value])


def complete(values: Sequence[T | None]) -> list[T] | None:
    """Return the values; None if an element is None."""
    found = [each for each in values if each is not None]
    return found if len(found) == len(values) else None


def split_fields(text: str) -> list[str]:
    """
    Split a line at blanks, tabs, semicolons or commas.

    If the separators are blanks or semicolons, a comma in a field is a decimal comma.
    """
    fields = text.replace(';', ' ').split()
    if any(',' in field for field in fields):
        if len(fields) == 1 or any(field.endswith(',') for field in fields):
            return [field for field in SEPARATORS.split(text) if field]
        return [DECIMAL_COMMA.sub('.', field) for field in fields]
    return fields
