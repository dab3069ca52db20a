# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Decode raw network outputs into candidate boxes: pure functions, one for each output format.

Each decoder applies the score threshold first and decodes only the remaining cells. Outputs
are raw heads (channels, rows, columns), which is fastest, or rows with one row per cell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
import math

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import DecodeSpec
from lite_detector.core.types import Detections, FloatArray, ImageSize, IntArray
import numpy as np

LARGEST_GROWTH = math.log(1000 / 16)
"""YOLOF: maximum log ratio of the box size to the anchor size."""

Decoder = Callable[[Sequence[FloatArray], DecodeSpec, int, ImageSize, float], Detections]


def decode_gfl(outputs: Sequence[FloatArray], spec: DecodeSpec, num_classes: int,
               input_size: ImageSize, score_threshold: float) -> Detections:
    """
    Decode NanoDet and NanoDet-Plus.

    Generalized Focal Loss (Li et al., 2020, arXiv:2006.04388): the distance of a box side from
    the cell centre is the mean of a distribution over 0 .. reg_max strides.

    :param outputs: One head (num_classes + 4 * (reg_max + 1), rows, columns) for each stride, or
        the same as rows (cells, channels). Alternatives: scores and distances as separate rows for
        each stride, or all strides in one array of rows.
    :param spec: Decode section: strides, reg_max, grid_offset, score_activation.
    :param num_classes: Number of class names in the card.
    :param input_size: Network input in pixels, padding included.
    :param score_threshold: Minimum score of a candidate, 0 to 1.
    :return: Best class of each cell above the threshold, boxes in network pixels.
    :raises ModelError: if the outputs do not have these shapes.
    """
    assert spec.reg_max is not None, 'checked by the card'
    bins = spec.reg_max + 1
    heads = _gfl_heads(outputs, num_classes, 4 * bins, grid_sizes(input_size, spec.strides))
    threshold = logit(score_threshold) if spec.score_activation == 'sigmoid' else score_threshold
    best = np.concatenate([score_map.max(axis=0) for score_map, _ in heads])
    cells = np.flatnonzero(best >= threshold)
    if not len(cells):
        return Detections.empty()
    # all strides at once: few cells remain, and each NumPy call has a fixed cost
    centers, strides, firsts = _priors(input_size, spec.strides, spec.grid_offset)
    scores, logits = _columns(heads, cells, firsts)
    class_ids = scores.argmax(axis=0)
    scores = scores[class_ids, np.arange(len(class_ids))]
    distances = _expectation(logits.reshape(4, bins, -1)) * strides[cells]
    centers = centers[:, cells]
    boxes = np.concatenate((centers - distances[:2], centers + distances[2:])).T
    if spec.score_activation == 'sigmoid':
        scores = sigmoid(scores)
    return _numbers_only(Detections(boxes, scores, class_ids))


def decode_damo_yolo(outputs: Sequence[FloatArray], spec: DecodeSpec, num_classes: int,
                     input_size: ImageSize, score_threshold: float) -> Detections:
    """
    Decode DAMO-YOLO: raw heads as in ``decode_gfl``, or the export format of its authors.

    :param outputs: Heads as in ``decode_gfl``; or scores (cells, num_classes), to which
        ``score_activation`` is applied here, and decoded boxes (cells, 4) as corners in network
        pixels.
    :param spec: Decode section: strides, reg_max, grid_offset, score_activation.
    :param num_classes: Number of class names in the card.
    :param input_size: Network input in pixels, padding included.
    :param score_threshold: Minimum score of a candidate, 0 to 1.
    :return: Best class of each cell above the threshold, boxes in network pixels.
    :raises ModelError: if the outputs do not have these shapes.
    """
    if len(outputs) != 2:
        return decode_gfl(outputs, spec, num_classes, input_size, score_threshold)
    cells = sum(grid.height * grid.width for grid in grid_sizes(input_size, spec.strides))
    for output, columns in zip(outputs, (num_classes, 4), strict=True):
        if output.shape != (cells, columns):
            raise _shape_error(output, f'({cells}, {columns})')
    raw = spec.score_activation == 'sigmoid'
    best = outputs[0].max(axis=1)
    found = np.flatnonzero(best >= (logit(score_threshold) if raw else score_threshold))
    scores = sigmoid(best[found]) if raw else best[found]
    return _numbers_only(Detections(outputs[1][found], scores, outputs[0][found].argmax(axis=1)))


def decode_yolov5(outputs: Sequence[FloatArray], spec: DecodeSpec, num_classes: int,
                  input_size: ImageSize, score_threshold: float) -> Detections:
    """
    Decode YOLOv5-Lite.

    xy = (2 sigmoid - 0.5 + cell) * stride, wh = (2 sigmoid)^2 * anchor, score = objectness *
    class score (https://github.com/ppogg/YOLOv5-Lite).

    :param outputs: Raw logits of each stride: heads (anchors * (5 + num_classes), rows, columns)
        or rows (anchors, cells, 5 + num_classes).
    :param spec: Decode section: strides, anchors, score_activation (``none``: the graph applies
        the sigmoid).
    :param num_classes: Number of class names in the card.
    :param input_size: Network input in pixels, padding included.
    :param score_threshold: Minimum score of a candidate, 0 to 1.
    :return: Best class of each cell and anchor above the threshold, boxes in network pixels.
    :raises ModelError: if the outputs do not have these shapes.
    """
    raw = spec.score_activation == 'sigmoid'
    threshold = logit(score_threshold) if raw else score_threshold
    grids = grid_sizes(input_size, spec.strides)
    _check_count(outputs, (len(grids),))
    assert spec.anchors is not None, 'checked by the card'
    found = []
    for output, grid, stride, anchors in zip(outputs, grids, spec.strides, spec.anchors,
                                             strict=True):
        head = _yolo_head(output, len(anchors), 5 + num_classes, grid)
        # objectness is an upper bound of the score, so one of 85 planes excludes most cells
        anchor_ids, cells = np.nonzero(head[:, 4] >= threshold)
        if len(cells):
            rows, columns = np.divmod(cells, grid.width)
            found.append((head[anchor_ids, :, cells], np.stack((columns, rows), axis=1),
                          np.array(anchors, np.float32)[anchor_ids],
                          np.full((len(cells), 1), stride, np.float32)))
    if not found:
        return Detections.empty()
    values, corners, anchor_sizes, strides = (np.concatenate(parts)
                                              for parts in zip(*found, strict=True))
    class_ids = values[:, 5:].argmax(axis=1)
    # only the best of 80 class scores needs the sigmoid
    best = values[np.arange(len(values)), 5 + class_ids]
    values = np.concatenate((values[:, :5], best[:, None]), axis=1)
    values = sigmoid(values) if raw else values
    scores = values[:, 4] * values[:, 5]
    centers = (2 * values[:, :2] + corners - 0.5) * strides
    half = 2 * values[:, 2:4] ** 2 * anchor_sizes
    boxes = np.concatenate((centers - half, centers + half), axis=1).astype(np.float32)
    return _numbers_only(Detections(boxes, scores, class_ids).select(scores >= score_threshold))


def decode_yolof(outputs: Sequence[FloatArray], spec: DecodeSpec, num_classes: int,
                 input_size: ImageSize, score_threshold: float) -> Detections:
    """
    Decode YOLOF (Chen et al., 2021, arXiv:2103.09460).

    xy = anchor xy + clamp(d * anchor size, +-center_clamp), wh = anchor size * exp(min(d,
    log(1000 / 16))), score = objectness * class score, which are trained as a product.

    :param outputs: One head of raw logits, (anchors * (5 + num_classes), rows, columns), or the
        same as rows (cells, channels). Channels: x, y, width, height, objectness of each anchor,
        then the classes of each anchor.
    :param spec: Decode section: strides (one), anchors, grid_offset, center_clamp,
        score_activation (``none``: the graph applies the sigmoid to objectness and classes).
    :param num_classes: Number of class names in the card.
    :param input_size: Network input in pixels, padding included.
    :param score_threshold: Minimum score of a candidate, 0 to 1.
    :return: Best class of each cell and anchor above the threshold, boxes in network pixels.
    :raises ModelError: if the output does not have this shape.
    """
    _check_count(outputs, (1,))
    grid, = grid_sizes(input_size, spec.strides)
    assert spec.anchors is not None and spec.center_clamp is not None, 'checked by the card'
    anchors = np.array(spec.anchors[0], np.float32)
    head = _channels_first(outputs[0], len(anchors) * (5 + num_classes), grid)
    boxes, classes = np.split(head, (5 * len(anchors),))
    boxes, classes = (part.reshape(len(anchors), -1, grid.height * grid.width)
                      for part in (boxes, classes))
    raw = spec.score_activation == 'sigmoid'
    # the product of two probabilities is at most the smaller one
    bound = np.minimum(boxes[:, 4], classes.max(axis=1))
    anchor_ids, cells = np.nonzero(bound >= (logit(score_threshold) if raw else score_threshold))
    if not len(cells):
        return Detections.empty()
    class_ids = classes[anchor_ids, :, cells].argmax(axis=1)
    factors = np.stack((boxes[anchor_ids, 4, cells], classes[anchor_ids, class_ids, cells]))
    scores = (sigmoid(factors) if raw else factors).prod(axis=0)
    kept = scores >= score_threshold
    anchor_ids, cells, class_ids = anchor_ids[kept], cells[kept], class_ids[kept]
    deltas, sizes = boxes[anchor_ids, :4, cells], anchors[anchor_ids]
    centers, _, _ = _priors(input_size, spec.strides, spec.grid_offset)
    centers = centers.T[cells] + np.clip(deltas[:, :2] * sizes, -spec.center_clamp,
                                         spec.center_clamp)
    half = 0.5 * sizes * np.exp(np.minimum(deltas[:, 2:], LARGEST_GROWTH))
    boxes = np.concatenate((centers - half, centers + half), axis=1).astype(np.float32)
    return _numbers_only(Detections(boxes, scores[kept], class_ids))


DECODERS: dict[str, Decoder] = {
    'nanodet': decode_gfl,
    'nanodet_plus': decode_gfl,
    'yolov5_lite': decode_yolov5,
    'yolof': decode_yolof,
    'damo_yolo': decode_damo_yolo,
}


def sigmoid(values: FloatArray) -> FloatArray:
    """Return 1 / (1 + exp(-values)), without overflow for any finite value."""
    return np.float32(0.5) * (np.tanh(np.float32(0.5) * values) + np.float32(1))


def logit(probability: float) -> float:
    """Return the inverse of the sigmoid; +-inf at 1 and 0."""
    if probability <= 0 or probability >= 1:
        return math.copysign(math.inf, probability - 0.5)
    return math.log(probability / (1 - probability))


def grid_sizes(input_size: ImageSize, strides: Sequence[int]) -> list[ImageSize]:
    """Return rows and columns of cells for each stride; a partial cell at the border counts."""
    return [ImageSize(-(-input_size.height // stride), -(-input_size.width // stride))
            for stride in strides]


def _numbers_only(found: Detections) -> Detections:
    """Discard boxes with NaN or infinity, which overflow in half precision can cause."""
    if math.isfinite(found.boxes_xyxy.sum() + found.scores.sum()):
        return found
    return found.select(np.isfinite(found.boxes_xyxy.sum(axis=1) + found.scores))


@lru_cache(maxsize=32)
def _priors(input_size: ImageSize, strides: tuple[int, ...],
            grid_offset: float) -> tuple[FloatArray, FloatArray, IntArray]:
    """Return centres (2, cells) and strides of all cells, and the first cell of each stride."""
    centers, scales, firsts = [], [], [0]
    for grid, stride in zip(grid_sizes(input_size, strides), strides, strict=True):
        rows, columns = np.mgrid[:grid.height, :grid.width].astype(np.float32)
        centers.append((np.stack((columns.ravel(), rows.ravel())) + grid_offset) * stride)
        scales.append(np.full(rows.size, stride, np.float32))
        firsts.append(firsts[-1] + rows.size)
    return (np.concatenate(centers, axis=1).astype(np.float32), np.concatenate(scales),
            np.array(firsts))


def _columns(heads: Sequence[tuple[FloatArray, FloatArray]], cells: IntArray,
             firsts: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the columns of all heads at the given (rising) cell indices, concatenated."""
    bounds = np.searchsorted(cells, firsts).tolist()
    parts = [[array.take(cells[first:last] - offset, axis=1) for array in head]
             for head, first, last, offset in zip(heads, bounds[:-1], bounds[1:], firsts[:-1],
                                                  strict=True) if last > first]
    scores, logits = (np.concatenate(arrays, axis=1) for arrays in zip(*parts, strict=True))
    return scores, logits


def _expectation(logits: FloatArray) -> FloatArray:
    """Return the mean bin of softmax(logits); shape (4, bins, n) -> (4, n)."""
    weights = np.exp(logits - logits.max(axis=1, keepdims=True))
    bins = np.arange(logits.shape[1], dtype=np.float32)
    return bins @ weights / weights.sum(axis=1)


def _gfl_heads(outputs: Sequence[FloatArray], num_classes: int, num_bins: int,
               grids: Sequence[ImageSize]) -> list[tuple[FloatArray, FloatArray]]:
    """Return views (num_classes, cells) and (num_bins, cells) for each stride."""
    levels = len(grids)
    _check_count(outputs, (1, levels, 2 * levels))
    channels = num_classes + num_bins
    if len(outputs) == 2 * levels:
        return [(_channels_first(outputs[2 * level], num_classes, grid),
                 _channels_first(outputs[2 * level + 1], num_bins, grid))
                for level, grid in enumerate(grids)]
    if len(outputs) == levels:
        heads = [_channels_first(output, channels, grid)
                 for output, grid in zip(outputs, grids, strict=True)]
    else:
        cells = [grid.height * grid.width for grid in grids]
        whole = _channels_first(outputs[0], channels, ImageSize(1, sum(cells)))
        heads = np.split(whole, np.cumsum(cells)[:-1], axis=1)
    return [(head[:num_classes], head[num_classes:]) for head in heads]


def _channels_first(output: FloatArray, channels: int, grid: ImageSize) -> FloatArray:
    cells = grid.height * grid.width
    if output.shape == (channels, *grid):
        return output.reshape(channels, cells)
    if output.shape == (cells, channels):
        return output.T
    raise _shape_error(output, f'({channels}, {grid.height}, {grid.width}) or '
                               f'({cells}, {channels})')


def _yolo_head(output: FloatArray, anchors: int, values: int, grid: ImageSize) -> FloatArray:
    """Return a view (anchors, values, cells)."""
    cells = grid.height * grid.width
    if output.shape == (anchors * values, *grid):
        return output.reshape(anchors, values, cells)
    if output.shape == (anchors, cells, values):
        return output.transpose(0, 2, 1)
    raise _shape_error(output, f'({anchors * values}, {grid.height}, {grid.width}) or '
                               f'({anchors}, {cells}, {values})')


def _check_count(outputs: Sequence[FloatArray], wanted: Sequence[int]) -> None:
    if len(outputs) not in wanted:
        raise ModelError(f'network has {len(outputs)} outputs; expected '
                         f'{" or ".join(str(count) for count in sorted(set(wanted)))} for the '
                         'strides of the card')


def _shape_error(output: FloatArray, wanted: str) -> ModelError:
    return ModelError(f'network output has shape {output.shape}; expected {wanted}: class_names, '
                      'reg_max, anchors or strides of the card do not match this network')
