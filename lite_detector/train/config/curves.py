# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The decay curve of learning rate and distillation weight."""

from __future__ import annotations

import math


def cosine(done: float, final: float) -> float:
    """Return half a cosine wave that falls from 1 to ``final`` while ``done`` rises to 1."""
    return final + (1 - final) * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
