# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The learning rate schedule, a function of the progress with no state to save."""

from __future__ import annotations

import math

from lite_detector.train.config.curves import cosine
from lite_detector.train.config.training import ScheduleSpec

WARMUP_SHARE = 0.1
"""Largest share of the warm-up, for short runs."""


def lr_factor(iteration: int, total: int, spec: ScheduleSpec) -> float:
    """
    Return the factor on the learning rate.

    :param iteration: Number of finished steps, 0 .. total - 1.
    :param total: Number of steps of the run.
    :param spec: Schedule: cosine (Loshchilov and Hutter, 2017, arXiv:1608.03983), step or
        constant, after a warm-up (Goyal et al., 2017, arXiv:1706.02677).
    """
    if spec.warmup_share is None:
        warmup = min(spec.warmup_iterations, math.ceil(total * WARMUP_SHARE))
    else:
        warmup = round(spec.warmup_share * total)
    if iteration < warmup:
        done = (iteration / warmup) ** spec.warmup_power
        return spec.warmup_factor + (1 - spec.warmup_factor) * done
    if spec.kind == 'cosine':
        final = round(spec.final_share * total)
        # without a final share, the last step has the final rate
        falling = total - warmup - (final if final else 1)
        done = (iteration - warmup) / max(1, falling)
        return cosine(done, spec.final_factor)
    if spec.kind == 'step':
        return spec.gamma ** sum(iteration >= part * total for part in spec.milestones)
    return 1.0
