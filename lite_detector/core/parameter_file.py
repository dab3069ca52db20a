# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Write ROS parameter files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lite_detector.core.errors import ConfigError
import yaml

Parameters = Mapping[str, 'str | int | float | list[str]']
DETECTORS = '/**/detector'
"""Name of the detector node in any namespace."""
EVERY_NODE = '/**'
"""Wildcard for all nodes, which ``ros2 param load`` also accepts."""


def write_parameter_file(path: Path, parameters: Parameters, remark: str,
                         nodes: str = DETECTORS) -> None:
    """
    Write a ROS parameter file.

    :param path: Path of the file.
    :param parameters: Name -> value.
    :param remark: Comment at the top of the file.
    :param nodes: Name pattern of the nodes.
    :raises ConfigError: if the file cannot be written.
    """
    comment = ''.join(f'# {line}\n' for line in remark.splitlines())
    content = yaml.safe_dump({nodes: {'ros__parameters': dict(parameters)}}, sort_keys=False)
    try:
        path.write_text(comment + content, encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'{path}: cannot write: {error.strerror}') from None
