# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The names of the backbones, as a configuration says them."""

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
"""Architecture -> widths, small to large. Its name and a width, as in ``mobilenet_v2_1.0x``, are
the name of a backbone."""


def split_name(name: str) -> tuple[str, str]:
    """
    Return the architecture and the width that a name says.

    :param name: such as ``shufflenet_v1_g3_0.5x``.
    :raises ValueError: if there is no such backbone.
    """
    architecture, _, width = name.rpartition('_')
    if architecture not in WIDTHS:
        raise ValueError(f'there is no backbone {name!r}; wanted a width, as in mobilenet_v2_1.0x'
                         f', behind one of {", ".join(WIDTHS)}')
    if width not in WIDTHS[architecture]:
        raise ValueError(f'backbone {architecture} has no width {width!r}; choose from '
                         f'{", ".join(WIDTHS[architecture])}')
    return architecture, width
