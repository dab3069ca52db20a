# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measure the time that tracking takes per image."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
import sys
import time

from lite_detector.core.types import Detections
from lite_detector.scene.tracking import Tracker
import numpy as np

RATE_HZ = 20.0
SCORES = 0.2, 0.9
THRESHOLD = 0.35


def main(argv: Sequence[str] | None = None) -> int:
    """Track objects that wander over 640x480 pixels, and print milliseconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--objects', type=int, default=30, metavar='N')
    parser.add_argument('--images', type=int, default=2000, metavar='N')
    args = parser.parse_args(argv)
    random = np.random.default_rng(0)
    sides = random.uniform(20, 80, (args.objects, 2))
    centers = random.uniform((0, 0), (640, 480), (args.objects, 2))
    tracker, cpu_ms, wall_ms = Tracker(), [], []
    for index in range(args.images):
        centers += random.normal(0, 2, centers.shape)
        boxes = np.concatenate((centers - sides / 2, centers + sides / 2), axis=1)
        scores = np.sort(random.uniform(*SCORES, args.objects))[::-1]
        found = Detections(boxes.astype(np.float32), scores.astype(np.float32),
                           np.zeros(args.objects, np.int64))
        cpu, wall = time.thread_time(), time.perf_counter()
        tracker.update(found, index / RATE_HZ, THRESHOLD, ['object'])
        cpu_ms.append((time.thread_time() - cpu) * 1e3)
        wall_ms.append((time.perf_counter() - wall) * 1e3)
    for name, values in (('CPU', cpu_ms), ('wall', wall_ms)):
        median, high = np.percentile(values, (50, 95))
        print(f'{args.objects} objects ({tracker.remembered} remembered), {name} ms per image: '
              f'median {median:.3f}, p95 {high:.3f}')
    return 0


if __name__ == '__main__':
    sys.exit(main())
