# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Whether an exported network finds what the network found that it was made of.

Three looks at the same images: the raw outputs; the boxes after NMS, each of which the other
runtime has to decode too (of boxes that score alike, its own NMS may keep another); and the AP,
where the images are labelled.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from lite_detector.backends.base import Backend
from lite_detector.core.config import Spec
from lite_detector.core.errors import ModelError
from lite_detector.core.geometry import iou_matrix
from lite_detector.core.nms import MAX_CANDIDATES
from lite_detector.core.types import Detections, FloatArray, ImageArray, ImageSize
from lite_detector.detector import Detector, Selection, with_resize
import msgspec
import numpy as np

SCORE_THRESHOLD = 0.3
"""Boxes of this score and more have to be found again."""
SCORE_SLACK = 0.02
"""By how much less the same box may score elsewhere: 0.301 and 0.299 is no difference."""
IOU = 0.9
"""A box is found again if one of its class overlaps it as much."""
MATCHED_PERCENT = 99.5
"""How many boxes have to be found again, either way..."""
ENOUGH_BOXES = 20
"""... or all but one of so many."""
BEFORE_NMS = Selection(SCORE_THRESHOLD - SCORE_SLACK, nms_iou_threshold=1.0,
                       max_detections=MAX_CANDIDATES)
AP_DIFFERENCE = 0.1
"""Percent points that AP may differ by, or by one box of all if there are less than a thousand."""
OUTPUT_DIFFERENCE = 2e-2
"""
By how much a raw output may differ, as a share of the largest one. Measured on twelve networks: at
most 5e-3, since weights are stored in half precision. A wrong layer changes outputs by a tenth and
more.
"""

Measure = Callable[[Sequence[Detections]], float | None]
"""Detections of every image in turn -> AP in percent."""


class RuntimeParity(Spec):
    """How one runtime differs from the reference."""

    output_difference: float
    """The largest of any raw output, in its own unit (logits)."""
    boxes: int
    """With a score of ``SCORE_THRESHOLD`` and more."""
    unmatched: int
    """Boxes not found again; the greater of both directions."""
    matched_percent: float | None = None
    """Boxes found again; the lesser of both directions; None: there was no box."""
    ap: float | None = None
    ap_difference: float | None = None


class Parity(Spec):
    """What :func:`compare` measured; a section of the card."""

    images: int
    output_range: float
    """The largest absolute value of the reference's raw outputs."""
    boxes: int
    """What the reference found, score of ``SCORE_THRESHOLD`` and more."""
    runtimes: dict[str, RuntimeParity]
    ap: float | None = None
    """The reference's, in percent."""


def compare(reference: Detector, runtimes: Mapping[str, Backend], images: Iterable[ImageArray],
            measure: Measure | None = None, resized: bool = True) -> Parity:
    """
    Run the same images through several runtimes of one network.

    The raw outputs are also compared at an input size that the network was not exported at.

    :param reference: with a low score threshold, for the AP.
    :param runtimes: name -> the same network, loaded from the exported files.
    :param images: uint8 BGR, at least one.
    :param measure: gives the AP; None: the images have no labels.
    :param resized: whether to compare at that other size.
    :raises ModelError: if outputs have another shape than the reference's.
    """
    backends = {'reference': reference.backend, **runtimes}
    found: dict[str, list[Detections]] = {name: [] for name in backends}
    decoded: dict[str, list[Detections]] = {name: [] for name in backends}
    before_nms = reference.configured(BEFORE_NMS, reference.view)
    scale, difference = 0.0, dict.fromkeys(runtimes, 0.0)
    for image_bgr in images:
        other = [_resized(reference)] if resized and not found['reference'] else []
        for detector in (reference, *other):
            letterbox = detector.fit(image_bgr)
            blob = detector.make_blob(image_bgr, letterbox)
            outputs = {name: backend.infer(blob) for name, backend in backends.items()}
            wanted = outputs['reference']
            scale = max(scale, *(float(np.abs(output).max()) for output in wanted))
            for name in runtimes:
                # np, because max() of Python passes over a NaN that is not the first
                difference[name] = float(np.maximum(
                    difference[name], largest_difference(outputs[name], wanted, name)))
            if detector is reference:
                for name, output in outputs.items():
                    found[name].append(reference.postprocess(output, letterbox))
                    decoded[name].append(before_nms.postprocess(output, letterbox))
    if not found['reference']:
        raise ModelError('parity: there is no image to compare the runtimes on')
    return _summary(found, decoded, scale, difference, measure)


def largest_difference(outputs: Sequence[FloatArray], wanted: Sequence[FloatArray],
                       name: str) -> float:
    """
    Return the largest absolute difference; NaN if an output has one.

    :param outputs: of the runtime, one array per stride.
    :param wanted: of the reference.
    :param name: the runtime's, for the message.
    :raises ModelError: if the shapes differ.
    """
    shapes, wanted_shapes = ([array.shape for array in arrays] for arrays in (outputs, wanted))
    if shapes != wanted_shapes:
        raise ModelError(f'parity: {name} gives outputs of shapes {shapes}, torch '
                         f'{wanted_shapes}; the export fixed a size that has to stay free')
    return float(np.max([np.abs(got - want).max() for got, want
                         in zip(outputs, wanted, strict=True)]))


def count_unmatched(wanted: Detections, given: Detections) -> int:
    """
    Return how many boxes of the one are not among those of the other; each is taken once.

    :param wanted: boxes that score less than ``SCORE_THRESHOLD`` are not asked for.
    :param given: boxes that score up to ``SCORE_SLACK`` less than that count too.
    """
    wanted = confident(wanted, SCORE_THRESHOLD)
    given = confident(given, SCORE_THRESHOLD - SCORE_SLACK)
    overlap = iou_matrix(wanted.boxes_xyxy, given.boxes_xyxy)
    overlap[wanted.class_ids[:, None] != given.class_ids[None, :]] = 0
    unmatched = 0
    for row in range(len(wanted)):
        column = int(overlap[row].argmax()) if len(given) else -1
        if column < 0 or overlap[row, column] < IOU:
            unmatched += 1
        else:
            overlap[:, column] = 0
    return unmatched


def confident(found: Detections, threshold: float) -> Detections:
    """Return the boxes of this score and more, without those that have no area."""
    left, top, right, bottom = found.boxes_xyxy.T
    return found.select((found.scores >= threshold) & (right > left) & (bottom > top))


def check(parity: Parity) -> None:
    """
    Refuse an export that differs.

    :raises ModelError: with the first figure that is beyond its limit.
    """
    for name, runtime in parity.runtimes.items():
        few = runtime.unmatched <= 1 and min(parity.boxes, runtime.boxes) >= ENOUGH_BOXES
        limit = OUTPUT_DIFFERENCE * parity.output_range
        ap_limit = max(AP_DIFFERENCE, 100 / max(1, parity.boxes))
        for what, good in (
                # `not <=` where NaN is to fail as well
                (f'outputs differ by {runtime.output_difference:.2g}, wanted at most {limit:.2g}',
                 runtime.output_difference <= limit),
                (f'{runtime.matched_percent} % of {parity.boxes} boxes found again at IoU {IOU}, '
                 f'wanted {MATCHED_PERCENT}',
                 few or runtime.matched_percent is None
                 or runtime.matched_percent >= MATCHED_PERCENT),
                (f'AP is {runtime.ap} instead of {parity.ap}, wanted a difference of at most '
                 f'{ap_limit:.2g}',
                 runtime.ap_difference is None or runtime.ap_difference <= ap_limit)):
            if not good:
                raise ModelError(f'{name} differs from torch on {parity.images} images: {what}; '
                                 'nothing was exported')


def card_section(parity: Parity, source: str) -> dict[str, Any]:
    """
    Return the figures as a card holds them, with the limits that they passed.

    :param source: where the images come from, in words.
    """
    section = msgspec.to_builtins(parity)
    runtimes = section.pop('runtimes')
    return {'images_from': source, **section,
            'limits': {'score_threshold': SCORE_THRESHOLD, 'iou': IOU,
                       'matched_percent': MATCHED_PERCENT, 'ap_difference': AP_DIFFERENCE},
            **runtimes}


def _resized(reference: Detector) -> Detector:
    """Return the same detector at a size off the exported one, and of another ratio."""
    height, width = reference.input_size
    grid = reference.card.grid
    size = ImageSize(height + grid, width + 3 * grid)
    limit = ImageSize(*(min(side, 4096) for side in size))
    return Detector(with_resize(reference.card, 'stretch'), reference.backend,
                    reference.selection, limit)


def _summary(found: Mapping[str, Sequence[Detections]],
             decoded: Mapping[str, Sequence[Detections]], scale: float,
             difference: Mapping[str, float], measure: Measure | None) -> Parity:
    ap = {name: measure(detections) if measure else None for name, detections in found.items()}
    boxes = {name: sum(len(confident(image, SCORE_THRESHOLD)) for image in detections)
             for name, detections in found.items()}
    runtimes = {}
    for name in difference:
        missing, invented = (
            sum(count_unmatched(*pair) for pair in zip(found[one], decoded[other], strict=True))
            for one, other in (('reference', name), (name, 'reference')))
        shares = [100 * (1 - count / total) for count, total
                  in ((missing, boxes['reference']), (invented, boxes[name])) if total]
        ap_known = ap['reference'] is not None and ap[name] is not None
        runtimes[name] = RuntimeParity(
            float(f'{difference[name]:.3g}'), boxes[name], max(missing, invented),
            round(min(shares), 2) if shares else None, ap[name],
            round(abs(ap[name] - ap['reference']), 2) if ap_known else None)
    return Parity(len(found['reference']), float(f'{scale:.3g}'), boxes['reference'], runtimes,
                  ap['reference'])
