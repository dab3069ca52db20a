# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``replay``: regression-test a model on a recording with a stored baseline."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
import math
from pathlib import Path
import sys
from typing import Any

from lite_detector.bench.speed import single_threaded_opencv
from lite_detector.commands.options import (
    add_model_options,
    add_selection_options,
    check_writable,
    detector_from,
    is_checkpoint,
    selection_from,
    write_json,
)
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, DataError
from lite_detector.data.bags import Bag, COMPRESSED, IMAGE
from lite_detector.evaluation.replay import (
    check_comparable,
    compare_replays,
    Difference,
    read_baseline,
    Replay,
    replay_frames,
    Tolerance,
)
from lite_detector.zoo import DEFAULT_MODEL
import msgspec
import numpy as np
from tqdm import tqdm

DIFFERENT = 1
"""Exit status if the detections differ from the baseline."""
SHOWN = 20
"""Number of printed differences; the JSON file has all."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    tolerance = Tolerance()
    parser.add_argument('bag', type=Path, metavar='BAG',
                        help='folder of a recording, or its .mcap or .db3 file')
    parser.add_argument('--topic', help='topic of raw or compressed images (the only image topic '
                                        'of the recording)')
    add_model_options(parser, default=DEFAULT_MODEL)
    add_selection_options(parser)
    stored = parser.add_mutually_exclusive_group()
    stored.add_argument('--baseline', type=Path, metavar='F',
                        help='stored baseline to compare with; exit status 1 if detections differ')
    stored.add_argument('--write-baseline', type=Path, metavar='F',
                        help='file to store the detections in as a new baseline')
    parser.add_argument('--min-iou', type=float, default=tolerance.min_iou, metavar='X',
                        help='minimum IoU of a box with its box in the baseline, 0 to 1 '
                             f'({tolerance.min_iou})')
    parser.add_argument('--score-tolerance', type=float, default=tolerance.score, metavar='X',
                        help=f'maximum change of a score, 0 to 1 ({tolerance.score})')
    parser.add_argument('--max-slowdown', type=float, metavar='X',
                        help='maximum ratio of the median latency to that of the baseline; '
                             'reliable only on the same idle machine')
    parser.add_argument('--json', type=Path, metavar='FILE',
                        help='file for the figures and all differences')


def run(args: argparse.Namespace) -> int:
    """Replay, print a report, and return the exit status."""
    tolerance = from_mapping({'min_iou': args.min_iou, 'score': args.score_tolerance},
                             Tolerance, 'options')
    if args.max_slowdown is not None:
        if args.baseline is None:
            raise ConfigError('--max-slowdown: no --baseline; expected a baseline to compare with')
        if not 0 < args.max_slowdown < math.inf:
            raise ConfigError(f'--max-slowdown: {args.max_slowdown:g}; expected more than 0')
    check_writable(args.json, args.write_baseline)
    before = read_baseline(args.baseline) if args.baseline else None
    now, damage = _replay(args)
    if damage:
        print(f'warning: {args.bag}: damaged: {damage}; {len(now.frames)} frames read',
              file=sys.stderr)
    print(_summary(now))
    if args.write_baseline:
        write_json(args.write_baseline, msgspec.to_builtins(now))
    differences: list[Difference] = []
    is_slower = False
    if before:
        check_comparable(before, now, args.baseline)
        differences = compare_replays(before, now, tolerance)
        is_slower = (args.max_slowdown is not None
                     and now.median_ms > args.max_slowdown * before.median_ms)
        print(_comparison(before, now, differences, args.max_slowdown if is_slower else None))
    if args.json:
        write_json(args.json, _figures(now, before, differences, is_slower))
    return DIFFERENT if differences or is_slower else 0


def _replay(args: argparse.Namespace) -> tuple[Replay, str]:
    """Return the detections of all frames, and the damage of the recording."""
    detector = detector_from(args, selection_from(args))
    with Bag(args.bag) as bag, single_threaded_opencv():
        topic = bag.find_topic(args.topic, (IMAGE, COMPRESSED), '--topic')
        frames = tqdm(bag.frames(topic), unit='frame', leave=False, disable=None)
        replayed, took_ms = replay_frames(frames, detector)
        if not took_ms:
            reason = replayed[0].problem if replayed else bag.damage or 'no messages'
            raise DataError(f'{args.bag}: 0 readable frames of {topic}: {reason}; expected at '
                            'least one')
        checkpoint, selection = is_checkpoint(args.model), detector.selection
        return Replay(
            format=1, recording=args.bag.resolve().name, topic=topic, model=detector.card.name,
            input_size=str(detector.input_size), runtime='torch' if checkpoint else args.runtime,
            precision='fp32' if checkpoint else args.precision,
            score_threshold=selection.score_threshold,
            nms_iou_threshold=selection.nms_iou_threshold,
            max_detections=selection.max_detections,
            median_ms=round(float(np.median(took_ms)), 3),
            p95_ms=round(float(np.percentile(took_ms, 95)), 3),
            frames=tuple(replayed)), bag.damage


def _summary(now: Replay) -> str:
    counts = Counter(each.class_name for frame in now.frames for each in frame.found)
    unreadable = sum(bool(frame.problem) for frame in now.frames)
    found = ', '.join(f'{count} {name}' for name, count in counts.most_common(5))
    return '\n'.join((
        f'{len(now.frames)} frames of {now.recording} {now.topic}'
        + (f', {unreadable} of them unreadable' if unreadable else ''),
        f'  {now.model} at {now.input_size}: {found or "nothing"}'
        + (', ...' if len(counts) > 5 else ''),
        f'  median {now.median_ms:.1f} ms, p95 {now.p95_ms:.1f} ms'))


def _comparison(before: Replay, now: Replay, differences: Sequence[Difference],
                slowdown: float | None) -> str:
    lines = [f'  baseline: {before.model} at {before.input_size}, median {before.median_ms:.1f} '
             f'ms, p95 {before.p95_ms:.1f} ms']
    if differences:
        frames = len({each.frame for each in differences})
        kinds = Counter(each.kind for each in differences)
        counted = ', '.join(f'{count} {kind}' for kind, count in kinds.items())
        lines.append(f'DIFFERENT: {frames} of {len(now.frames)} frames: {counted}')
        lines += [f'  frame {each.frame}: {each.text}' for each in differences[:SHOWN]]
        if len(differences) > SHOWN:
            lines.append(f'  and {len(differences) - SHOWN} more')
    else:
        lines.append(f'no difference in {len(now.frames)} frames')
    if slowdown is not None:
        lines.append(f'SLOWER: {now.median_ms / before.median_ms:.2f} times the baseline; '
                     f'expected at most {slowdown:g}')
    return '\n'.join(lines)


def _figures(now: Replay, before: Replay | None, differences: Sequence[Difference],
             is_slower: bool) -> dict[str, Any]:
    figures = msgspec.to_builtins(now) | {'frames': len(now.frames)}
    figures['unreadable'] = sum(bool(frame.problem) for frame in now.frames)
    if before:
        figures['baseline'] = msgspec.to_builtins(before) | {'frames': len(before.frames)}
        figures['slower'] = is_slower
        figures['differences'] = [
            {'frame': each.frame, 'stamp_ns': now.frames[each.frame].stamp_ns, 'kind': each.kind,
             'text': each.text} for each in differences]
    return figures
