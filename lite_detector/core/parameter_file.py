# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parameter files of the node, as ROS reads them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from lite_detector.core.errors import ConfigError
import yaml

Parameters = Mapping[str, 'str | int | float | list[str]']
DETECTORS = '/**/detector'
"""The node under whatever namespace it is started."""
EVERY_NODE = '/**'
"""What ``ros2 param load`` reads too."""


def write_parameter_file(path: Path, parameters: Parameters, remark: str,
                         nodes: str = DETECTORS) -> None:
    """
    Write a ROS parameter file.

    :param parameters: by name.
    :param remark: lines that say where it comes from.
    :param nodes: which nodes it is for.
    :raises ConfigError: if the file cannot be written.
    """
    comment = ''.join(f'# {line}\n' for line in remark.splitlines())
    content = yaml.safe_dump({nodes: {'ros__parameters': dict(parameters)}}, sort_keys=False)
    try:
        path.write_text(comment + content, encoding='utf-8')
    except OSError as error:
        raise ConfigError(f'{path}: cannot write: {error.strerror}') from None
