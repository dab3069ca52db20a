# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Run the node with a parameter file of `benchmark`, and compare its diagnostics with the budget.

    python experiments/budget.py params.yaml --budget-ms 50 --load 2

Camera and node are processes, and as many busy processes run as in `benchmark`. The compared
figure is the work time in /diagnostics, from the message to the publication. The latency counts
from the stamp and includes transport and waiting, which do not depend on the settings. Exit status
1 if the p95 exceeds the budget.
"""

from __future__ import annotations

import argparse
from pathlib import Path
import sys
import tempfile

import cv2
from lite_detector.bench.load import busy_processes
from lite_detector.bench.machine import describe_machine
from lite_detector.core.draw import generated_image
from lite_detector.core.errors import LiteDetectorError
from lite_detector.core.media import read_image
from lite_detector.core.types import ImageSize, size_of
from lite_detector.ros.domain import enter_own_domain

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'scripts'))
from node_probe import reader, spin, START_TIMEOUT_S, started  # noqa: E402, I100, I202

WARM_UP_S = 3.0
SIZE = ImageSize(480, 640)


def main() -> int:
    """Run the node for a while and print a table."""
    parser = argparse.ArgumentParser(description='Compare the node with a time budget.')
    parser.add_argument('params_file', type=Path, help='parameter file from benchmark --output')
    parser.add_argument('--budget-ms', type=float, required=True, metavar='X')
    parser.add_argument('--load', type=int, default=0, metavar='N', help='busy processes (0)')
    parser.add_argument('--seconds', type=float, default=30.0, metavar='S',
                        help='duration in s (30)')
    parser.add_argument('--image', type=Path, metavar='FILE',
                        help=f'image of the camera (a generated image of {SIZE})')
    args = parser.parse_args()
    enter_own_domain()
    if not args.budget_ms > 0:
        parser.error(f'--budget-ms: {args.budget_ms:g}; expected more than 0')
    try:
        figures, detections = _watch(args)
    except (LiteDetectorError, OSError) as error:
        print(f'error: {error}', file=sys.stderr)
        return 2
    if not detections:
        print(f'error: {args.params_file}: the node detects nothing with it', file=sys.stderr)
        return 2
    rate_hz = 1000 / args.budget_ms
    print(f'{describe_machine()} Camera of {figures["image"]} at {rate_hz:.1f} Hz for '
          f'{args.seconds:g} s beside {args.load} busy processes.\n')
    print('| figure of the node | value |\n|---|---|')
    for name in ('model', 'input size', 'rate (Hz)', 'received', 'dropped for a newer frame',
                 'work p50 (ms)', 'work p95 (ms)', 'latency p50 (ms)', 'latency p95 (ms)'):
        print(f'| {name} | {figures[name]} |')
    print(f'| budget (ms) | {args.budget_ms:g} |')
    return 0 if float(figures['work p95 (ms)']) <= args.budget_ms else 1


def _watch(args: argparse.Namespace) -> tuple[dict[str, str], int]:
    image_bgr = read_image(args.image) if args.image else generated_image(SIZE)
    with tempfile.TemporaryDirectory() as folder:
        picture = Path(folder) / 'camera.png'
        cv2.imwrite(str(picture), image_bgr)
        with (busy_processes(args.load), reader() as (executor, ages_s, figures),
              started('detect_node', '--params-file', str(args.params_file)),
              started('camera_replay', source=picture, rate_hz=1000 / args.budget_ms)):
            spin(executor, START_TIMEOUT_S, lambda: ages_s)
            spin(executor, WARM_UP_S + args.seconds, lambda: False)
    figures['image'] = str(size_of(image_bgr))
    return figures, len(ages_s)


if __name__ == '__main__':
    sys.exit(main())
