# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measure the time that each assigner takes for one image."""

from __future__ import annotations

import argparse
from collections.abc import Callable
import sys
import time

from lite_detector.bench.machine import describe_machine
from lite_detector.core.model_card import DecodeSpec
from lite_detector.core.types import ImageSize
from lite_detector.train.config.training import load_config
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.aligned_ota import assign_aligned_ota
from lite_detector.train.losses.assign.assignment import Assignment
from lite_detector.train.losses.assign.atss import assign_atss
from lite_detector.train.losses.assign.dsla import assign_dsla
from lite_detector.train.losses.assign.uniform import assign_uniform
from lite_detector.train.losses.assign.yolov5 import assign_yolov5
from lite_detector.train.losses.boxes import boxes_from_cxcywh, grid_priors
from lite_detector.zoo import list_configs
import numpy as np
import torch
from torch import Tensor

CLASSES = 80
SIDES = (0.03, 0.6)
"""Of an object, relative to the input; as many small ones as large ones, by their logarithm."""
BLUR = 0.2
"""Of predicted centres and sides, relative to the side of the object: half trained."""


def cases(size: ImageSize, objects: int,
          draw: torch.Generator) -> dict[str, tuple[int, Callable[[], Assignment]]]:
    """Return, by the name of an assigner, the number of its places and a call of it."""
    truth = _truth(size, objects, draw)
    plus, damo, yolof, yolov5 = (_decode(config) for config in (
        'nanodet_plus_m_416', 'damo_yolo_nm_416', 'yolof_10x_dc5_320', 'yolov5_lite_s_416'))
    wide, plain = (grid_priors(size, each.strides, each.grid_offset) for each in (plus, damo))
    cells = grid_priors(size, yolof.strides, yolof.grid_offset).centers
    sizes = torch.tensor(yolof.anchors[0])
    anchors = boxes_from_cxcywh(torch.cat((cells.repeat(len(sizes), 1),
                                           sizes.repeat_interleave(len(cells), dim=0)), dim=1))
    shapes = torch.tensor(yolov5.anchors)
    guesses = {count: (_boxes_near(truth, count, draw),
                       torch.randn((count, CLASSES), generator=draw) - 3)
               for count in (len(wide.centers), len(plain.centers), len(anchors))}
    boxes_wide, logits_wide = guesses[len(wide.centers)]
    boxes, logits = guesses[len(plain.centers)]
    at_anchors = guesses[len(anchors)][0]
    grid = len(plain.centers) * shapes.shape[1]
    return {
        'ATSS': (len(plain.centers), lambda: assign_atss(plain, truth)),
        'DSLA': (len(wide.centers),
                 lambda: assign_dsla(wide.centers, logits_wide, boxes_wide, truth)),
        'AlignedOTA': (len(plain.centers),
                       lambda: assign_aligned_ota(plain, logits, boxes, truth)),
        'uniform matching': (len(anchors),
                             lambda: assign_uniform(anchors, at_anchors, truth).assignment),
        'by shape, of YOLOv5': (grid, lambda: assign_yolov5(size, yolov5.strides, shapes, truth))}


def _decode(config: str) -> DecodeSpec:
    return load_config(list_configs('train')[config]).network.decode


def _truth(size: ImageSize, objects: int, draw: torch.Generator) -> GroundTruth:
    low, high = np.log(SIDES)
    extent = torch.tensor((size.width, size.height))
    sides = (low + (high - low) * torch.rand((objects, 2), generator=draw)).exp() * extent
    centers = sides / 2 + torch.rand((objects, 2), generator=draw) * (extent - sides)
    return GroundTruth(boxes_from_cxcywh(torch.cat((centers, sides), dim=1)),
                       torch.randint(CLASSES, (objects,), generator=draw),
                       torch.ones(objects), torch.zeros(0, 4))


def _boxes_near(truth: GroundTruth, count: int, draw: torch.Generator) -> Tensor:
    """Return a blurred copy of a random object for each place."""
    left_top, right_bottom = truth.boxes_xyxy.chunk(2, dim=1)
    rows = torch.randint(len(left_top), (count,), generator=draw)
    centers, sides = (left_top + right_bottom)[rows] / 2, (right_bottom - left_top)[rows]
    blur = BLUR * torch.randn((2, count, 2), generator=draw)
    return boxes_from_cxcywh(torch.cat((centers + blur[0] * sides, sides * blur[1].exp()), dim=1))


def main() -> int:
    """Print a table; the assigners take turns."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--objects', type=int, default=20, metavar='N', help='(20)')
    parser.add_argument('--size', type=int, default=416, metavar='N', help='input, pixels (416)')
    parser.add_argument('--rounds', type=int, default=300, metavar='N', help='(300)')
    args = parser.parse_args()
    torch.set_num_threads(1)
    size = ImageSize(args.size, args.size)
    found = cases(size, args.objects, torch.Generator().manual_seed(0))
    cpu_ms: dict[str, list[float]] = {name: [] for name in found}
    for _ in range(args.rounds):
        for name, (_, assign) in found.items():
            begin = time.thread_time()
            assign()
            cpu_ms[name].append((time.thread_time() - begin) * 1e3)
    print(f'{describe_machine()} {args.objects} objects at {size}, one thread.\n\n'
          '| assigner | places | of them learn | CPU ms, median | p95 |\n|---|---|---|---|---|')
    for name, (places, assign) in found.items():
        median, high = np.percentile(cpu_ms[name], (50, 95))
        print(f'| {name} | {places} | {int(assign().is_positive.sum())} | {median:.2f} | '
              f'{high:.2f} |')
    return 0


if __name__ == '__main__':
    sys.exit(main())
