# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Read YAML into frozen structs; an error names the path of the key in the file."""

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
"""Errors of PyYAML: also text that is not UTF-8, a date like 2026-13-01, !!timestamp x."""


if sys.version_info >= (3, 11):
    from typing import dataclass_transform
else:
    def dataclass_transform(**_: object) -> Callable[[type[T]], type[T]]:
        """Return the class unchanged; only type checkers read the arguments."""
        return lambda kind: kind


# Without this, type checkers treat a subclass of a frozen msgspec.Struct as not frozen.
@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Spec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Base of all card and configuration sections: immutable, and unknown keys are errors."""


def from_mapping(data: Any, kind: type[T], where: str) -> T:
    """
    Convert plain YAML data to a struct and check it.

    :param data: Result of ``yaml.safe_load``.
    :param kind: Type of the struct.
    :param where: File name, for messages.
    :raises ConfigError: if the data do not fit; the message is ``where: $.path.to.key: problem``.
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

    :raises ConfigError: if the file is absent, not YAML or does not fit the struct.
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
    Read a YAML file as plain data and apply changes from the command line.

    :param path: Path of the file.
    :param changes: Changes such as ``optimizer.learning_rate=0.002`` or ``phases.0.epochs=30``;
        the value is YAML.
    :return: Changed data, with ~ in paths replaced by the home directory.
    :raises ConfigError: if the file is malformed, or a change refers to an absent key.
    """
    data = load_yaml(path, dict[str, Any])
    for change in changes:
        _change(data, change)
    return _with_home(data)


def _with_home(value: Any) -> Any:
    """Return the data with ~ in paths replaced by the home directory."""
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
        raise ConfigError(f'{change}; expected dotted.key=value')
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
        raise ConfigError(f'{change}: no key {name!r}; expected a key of the file') from None
