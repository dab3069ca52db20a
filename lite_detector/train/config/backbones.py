# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The names of the backbones."""

from __future__ import annotations

WIDTHS: dict[str, tuple[str, ...]] = {
    'squeezenet_1.0': ('0.5x', '1.0x'),
    'squeezenet_1.1': ('0.5x', '1.0x'),
    'mobilenet_v1': ('0.25x', '0.5x', '0.75x', '1.0x'),
    'mobilenet_v2': ('0.35x', '0.5x', '0.75x', '1.0x', '1.4x'),
    'mobilenet_v3_small': ('0.5x', '0.75x', '1.0x'),
    'mobilenet_v3_large': ('0.5x', '0.75x', '1.0x'),
    **{f'shufflenet_v1_g{groups}': ('0.25x', '0.5x', '1.0x', '1.5x', '2.0x')
       for groups in (1, 2, 3, 4, 8)},
    'shufflenet_v2': ('0.5x', '1.0x', '1.5x', '2.0x'),
}
"""Architecture -> widths, small to large. A backbone is named ``<architecture>_<width>``, for
example ``mobilenet_v2_1.0x``."""


def split_name(name: str) -> tuple[str, str]:
    """
    Split the name of a backbone into architecture and width.

    :param name: Name such as ``shufflenet_v1_g3_0.5x``.
    :raises ValueError: if there is no such backbone.
    """
    architecture, _, width = name.rpartition('_')
    if architecture not in WIDTHS:
        raise ValueError(f'no backbone {name!r}; expected one of {", ".join(WIDTHS)}, followed '
                         'by a width, as in mobilenet_v2_1.0x')
    if width not in WIDTHS[architecture]:
        raise ValueError(f'backbone {architecture} has no width {width!r}; expected one of '
                         f'{", ".join(WIDTHS[architecture])}')
    return architecture, width
