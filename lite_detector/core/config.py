# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""YAML to frozen structs: a typo is answered with its path in the file, never swallowed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
import os
from pathlib import Path
import sys
from typing import Any, TypeVar

from lite_detector.core.errors import ConfigError
import msgspec
import yaml

T = TypeVar('T')
YAML_ERRORS = (yaml.YAMLError, ValueError, LookupError, AttributeError, RecursionError)
"""Of text that is no UTF-8, a date like 2026-13-01, !!bool maybe, !!timestamp x, 3000 brackets."""


if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:
    def dataclass_transform(**_: object) -> Callable[[type[T]], type[T]]:
        """Return the class as it is; only type checkers read the arguments."""
        return lambda kind: kind


# Type checkers take a subclass of a frozen msgspec.Struct for one that is not frozen.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of every card and configuration section: immutable, and unknown keys are errors."""


def from_mapping(data: Any, kind: type[T], where: str) -> T:
    """
    Check plain YAML data against a struct.

    :param data: what ``yaml.safe_load`` returned.
    :param kind: the struct to build.
    :param where: file name for the message.
    :raises ConfigError: ``where: $.path.to.key: what is wrong``.
    """
    try:
        return msgspec.convert(data, kind)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).rpartition(' - at ')
        if not reason:
            reason, path = path, '`$`'
        raise ConfigError(f'{where}: {path.replace("`", "")}: {reason}') from None


def load_yaml(path: Path, kind: type[T]) -> T:
    """
    Read a YAML file into a struct.

    :raises ConfigError: if the file is absent, is no YAML or does not fit the struct.
    """
    try:
        data = yaml.safe_load(path.read_text(encoding='utf-8'))
    except OSError as error:
        raise ConfigError(f'{path}: {error.strerror}') from None
    except YAML_ERRORS as error:
        reason = ' '.join(str(error).split())
        raise ConfigError(f'{path}: not valid YAML: {reason}') from None
    return from_mapping(data, kind, str(path))


def load_changed(path: Path, changes: Sequence[str]) -> dict[str, Any]:
    """
    Read a YAML file as plain data and change it as the command line says.

    :param changes: such as ``optimizer.learning_rate=0.002`` or ``phases.0.epochs=30``; the
        value is YAML.
    :return: with the home directory in place of ~ in paths.
    :raises ConfigError: if the file is none, or a change has no place in it.
    """
    data = load_yaml(path, dict[str, Any])
    for change in changes:
        _change(data, change)
    return _with_home(data)


def _with_home(value: Any) -> Any:
    """Return the data with the home directory in place of ~ in paths."""
    if isinstance(value, dict):
        return {key: _with_home(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_with_home(each) for each in value]
    if isinstance(value, str) and value.startswith('~') and '/' in value:
        return os.path.expanduser(value)
    return value


def _change(data: dict[str, Any], change: str) -> None:
    key, equals, text = change.partition('=')
    if not equals or not key:
        raise ConfigError(f'{change}: wanted dotted.key=value')
    try:
        value = yaml.safe_load(text)
    except YAML_ERRORS:
        raise ConfigError(f'{change}: the value is not valid YAML') from None
    *parents, last = key.split('.')
    place: Any = data
    for name in parents:
        if isinstance(place, dict) and place.get(name) is None:
            place[name] = {}
        place = _item(place, name, change)
    if isinstance(place, dict):
        place[last] = value
    else:
        _item(place, last, change)
        place[int(last)] = value


def _item(place: Any, name: str, change: str) -> Any:
    try:
        return place[name if isinstance(place, dict) else int(name)]
    except (TypeError, ValueError, IndexError, KeyError):
        raise ConfigError(f'{change}: there is no {name!r} to change') from None
