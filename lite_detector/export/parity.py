# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Parity check: whether an exported network detects the same as the original network.

Three comparisons use the same images: the raw outputs; the boxes after NMS; and the AP, if the
images are labelled. Each box after NMS must be among the decoded boxes of the other runtime,
because of boxes with equal scores its own NMS may keep another one.
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
"""Minimum score of a box that must be matched."""
SCORE_SLACK = 0.02
"""Largest score difference of the same box in another runtime, such as 0.301 and 0.299."""
IOU = 0.9
"""Minimum IoU of two matched boxes of one class."""
MATCHED_PERCENT = 99.5
"""Minimum percentage of matched boxes in both directions, ..."""
ENOUGH_BOXES = 20
"""... or all boxes except one of this number."""
BEFORE_NMS = Selection(SCORE_THRESHOLD - SCORE_SLACK, nms_iou_threshold=1.0,
                       max_detections=MAX_CANDIDATES)
AP_DIFFERENCE = 0.1
"""Largest difference of AP in percent points, or one box of all if there are fewer than 1000."""
OUTPUT_DIFFERENCE = 2e-2
"""
Largest difference of a raw output, as a share of the largest output. Measured on twelve networks:
at most 5e-3, because weights are stored in half precision. A wrong layer changes outputs by 0.1
and more.
"""

Measure = Callable[[Sequence[Detections]], float | None]
"""Function from the detections of all images to AP in percent."""


class RuntimeParity(Spec):
    """Differences between one runtime and the reference."""

    output_difference: float
    """Largest difference of any raw output, in logits."""
    boxes: int
    """Number of boxes with a score of at least ``SCORE_THRESHOLD``."""
    unmatched: int
    """Number of unmatched boxes; the larger of both directions."""
    matched_percent: float | None = None
    """Percentage of matched boxes; the smaller of both directions; None without any box."""
    ap: float | None = None
    ap_difference: float | None = None


class Parity(Spec):
    """Result of :func:`compare`; a section of the card."""

    images: int
    output_range: float
    """Largest absolute value of the reference's raw outputs."""
    boxes: int
    """Number of boxes of the reference with a score of at least ``SCORE_THRESHOLD``."""
    runtimes: dict[str, RuntimeParity]
    ap: float | None = None
    """AP of the reference in percent."""


def compare(reference: Detector, runtimes: Mapping[str, Backend], images: Iterable[ImageArray],
            measure: Measure | None = None, resized: bool = True) -> Parity:
    """
    Run several runtimes of one network on the same images.

    The raw outputs are also compared at an input size different from that of the export.

    :param reference: Detector with a low score threshold, for the AP.
    :param runtimes: Name -> the same network, loaded from the exported files.
    :param images: Images, uint8 BGR, at least one.
    :param measure: Function that returns the AP; None: the images have no labels.
    :param resized: Whether to compare at the other size too.
    :raises ModelError: if outputs have another shape than those of the reference.
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
                # np, because Python's max() ignores a NaN that is not the first value
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

    :param outputs: Outputs of the runtime, one array per stride.
    :param wanted: Outputs of the reference.
    :param name: Name of the runtime, for the error message.
    :raises ModelError: if the shapes differ.
    """
    shapes, wanted_shapes = ([array.shape for array in arrays] for arrays in (outputs, wanted))
    if shapes != wanted_shapes:
        raise ModelError(f'parity: {name} has outputs of shapes {shapes}; expected '
                         f'{wanted_shapes}; the export fixed a size that must stay variable')
    return float(np.max([np.abs(got - want).max() for got, want
                         in zip(outputs, wanted, strict=True)]))


def count_unmatched(wanted: Detections, given: Detections) -> int:
    """
    Return the number of boxes without a counterpart; each counterpart is used once.

    :param wanted: Boxes to match; those with a score below ``SCORE_THRESHOLD`` are ignored.
    :param given: Possible counterparts; their score may be lower by up to ``SCORE_SLACK``.
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
    """Return the boxes with at least this score, without those that have no area."""
    left, top, right, bottom = found.boxes_xyxy.T
    return found.select((found.scores >= threshold) & (right > left) & (bottom > top))


def check(parity: Parity) -> None:
    """
    Raise an error if an export differs.

    :raises ModelError: with the first value beyond its limit.
    """
    for name, runtime in parity.runtimes.items():
        few = runtime.unmatched <= 1 and min(parity.boxes, runtime.boxes) >= ENOUGH_BOXES
        limit = OUTPUT_DIFFERENCE * parity.output_range
        ap_limit = max(AP_DIFFERENCE, 100 / max(1, parity.boxes))
        for what, good in (
                # `not <=`, so that NaN exceeds the limit too
                (f'outputs differ by {runtime.output_difference:.2g}; '
                 f'expected at most {limit:.2g}',
                 runtime.output_difference <= limit),
                (f'{runtime.matched_percent} % of {parity.boxes} boxes matched at IoU {IOU}; '
                 f'expected {MATCHED_PERCENT}',
                 few or runtime.matched_percent is None
                 or runtime.matched_percent >= MATCHED_PERCENT),
                (f'AP is {runtime.ap} instead of {parity.ap}; expected a difference of at most '
                 f'{ap_limit:.2g}',
                 runtime.ap_difference is None or runtime.ap_difference <= ap_limit)):
            if not good:
                raise ModelError(f'{name} differs from torch on {parity.images} images: {what}; '
                                 'nothing was exported')


def card_section(parity: Parity, source: str) -> dict[str, Any]:
    """
    Return the values as a card stores them, with their limits.

    :param source: Text on the source of the images.
    """
    section = msgspec.to_builtins(parity)
    runtimes = section.pop('runtimes')
    return {'images_from': source, **section,
            'limits': {'score_threshold': SCORE_THRESHOLD, 'iou': IOU,
                       'matched_percent': MATCHED_PERCENT, 'ap_difference': AP_DIFFERENCE},
            **runtimes}


def _resized(reference: Detector) -> Detector:
    """Return the same detector at another size and aspect ratio than that of the export."""
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
        wanted_ap, found_ap = ap['reference'], ap[name]
        runtimes[name] = RuntimeParity(
            float(f'{difference[name]:.3g}'), boxes[name], max(missing, invented),
            round(min(shares), 2) if shares else None, found_ap,
            None if wanted_ap is None or found_ap is None
            else round(abs(found_ap - wanted_ap), 2))
    return Parity(len(found['reference']), float(f'{scale:.3g}'), boxes['reference'], runtimes,
                  ap['reference'])
