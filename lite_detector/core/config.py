# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""YAML to frozen structs: a typo is answered with its path in the file, never swallowed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from lite_detector.core.errors import ConfigError
import msgspec
import yaml

T = TypeVar('T')


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
    except (yaml.YAMLError, ValueError) as error:  # ValueError: no UTF-8; date 2026-13-01
        reason = ' '.join(str(error).split())
        raise ConfigError(f'{path}: not valid YAML: {reason}') from None
    return from_mapping(data, kind, str(path))
