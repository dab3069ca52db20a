# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Numbers in the notations in which tools write them."""

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
    Return a number written in any notation: ``7``, ``7.0``, ``"7"``, ``7e0``, ``"7,0"``, true.

    :return: finite; None for what is absent (null, empty text, NaN) and for what is no number.
    """
    if isinstance(value, str):
        text = value.strip().strip('"\'').strip()
        if text.lower() in TRUE + FALSE:
            return float(text.lower() in TRUE)
        if '_' in text:  # Python's own notation, and a part of many names
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
    Return an id: whole numbers in any notation are one and the same, other text stays text.

    :return: None for what is absent.
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
    Return a list of numbers; also from text such as ``"[1, 2.5, 3, 4]"`` or ``"1 2,5 3 4"``.

    :return: None if one of them is absent or no number.
    """
    if isinstance(value, str):
        value = split_fields(value.strip().strip('[]()'))
    if not isinstance(value, (list, tuple)):
        return None
    return complete([number(each) for each in value])


def complete(values: Sequence[T | None]) -> list[T] | None:
    """Return the values; None if one of them is absent."""
    found = [each for each in values if each is not None]
    return found if len(found) == len(values) else None


def split_fields(text: str) -> list[str]:
    """
    Return the fields of a line, between blanks, tabs, semicolons or commas.

    With blanks or semicolons between them, a comma within a field is a decimal comma.
    """
    fields = text.replace(';', ' ').split()
    if any(',' in field for field in fields):
        if len(fields) == 1 or any(field.endswith(',') for field in fields):
            return [field for field in SEPARATORS.split(text) if field]
        return [DECIMAL_COMMA.sub('.', field) for field in fields]
    return fields
