# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The yardstick of bench.py: the same networks in the way that demo code runs them.

Square letterbox, normalisation in numpy, the network's own final outputs, the whole grid decoded
before the threshold, and greedy NMS class by class. It finds the same objects; the package does
not use it.
"""

from __future__ import annotations

from pathlib import Path

import cv2

# not `import ncnn`: its threads must be set up before it loads
from lite_detector.backends.ncnn_backend import ncnn
from lite_detector.core.geometry import clip_boxes
from lite_detector.core.model_card import load_card
from lite_detector.core.types import Detections, FloatArray, ImageArray, size_of
from lite_detector.detector import Selection
import numpy as np

FINAL_OUTPUTS = {
    'nanodet': ('792', '795', '814', '817', '836', '839'),
    'nanodet_plus': ('output',),
    'yolov5_lite': ('output', '1111', '2222'),
}
"""Family -> final layers; the model cards name the convolutions before them."""


class PlainPipeline:
    """
    Detects with one thread.

    :param folder: Model folder with ncnn weights of one of the families above.
    """

    def __init__(self, folder: Path) -> None:
        self.card = load_card(folder)
        files = self.card.runtimes.ncnn
        self._input = files.input
        self._outputs = FINAL_OUTPUTS[self.card.family]
        self._net = ncnn.Net()
        self._net.opt.num_threads = 1
        self._net.load_param(str(folder / files.param))
        self._net.load_model(str(folder / files.bin))

    def detect(self, image_bgr: ImageArray) -> Detections:
        """Detect objects, like ``Detector.detect``."""
        blob, scale = self._blob(image_bgr)
        with self._net.create_extractor() as extractor:
            extractor.input(self._input, ncnn.Mat(blob).clone())
            outputs = [np.array(extractor.extract(name)[1]) for name in self._outputs]
        decode = _decode_yolo if self.card.family == 'yolov5_lite' else _decode_nanodet
        boxes_xyxy, scores = decode(outputs, self)
        class_ids = scores.argmax(axis=1)
        scores = scores.max(axis=1)
        keep = scores >= Selection().score_threshold
        found = _nms_per_class(boxes_xyxy[keep], scores[keep], class_ids[keep])
        return found.with_boxes(clip_boxes(found.boxes_xyxy / scale, size_of(image_bgr)))

    @property
    def side(self) -> int:
        """Side of the square network input in pixels."""
        return self.card.input_size.width

    def _blob(self, image_bgr: ImageArray) -> tuple[FloatArray, np.float32]:
        spec = self.card.preprocess
        scale = np.float32(self.side / max(image_bgr.shape[:2]))
        resized = cv2.resize(image_bgr, None, fx=float(scale), fy=float(scale))
        canvas = np.full((self.side, self.side, 3), spec.pad_value, np.uint8)
        canvas[:resized.shape[0], :resized.shape[1]] = resized
        if spec.color == 'rgb':
            canvas = cv2.cvtColor(canvas, cv2.COLOR_BGR2RGB)
        normalised = ((canvas.astype(np.float32) - np.array(spec.mean, np.float32))
                      / np.array(spec.std, np.float32))
        return np.ascontiguousarray(normalised.transpose(2, 0, 1)), scale


def _decode_nanodet(outputs: list[FloatArray],
                    pipeline: PlainPipeline) -> tuple[FloatArray, FloatArray]:
    spec = pipeline.card.decode
    count = len(pipeline.card.class_names)
    if len(outputs) == 1:
        scores, logits = outputs[0][:, :count], outputs[0][:, count:]
    else:
        scores, logits = np.concatenate(outputs[0::2]), np.concatenate(outputs[1::2])
    weights = np.exp(logits.reshape(len(logits), 4, spec.reg_max + 1))
    weights /= weights.sum(axis=2, keepdims=True)
    distances = weights @ np.arange(spec.reg_max + 1, dtype=np.float32)
    cells, strides = _grid(spec.strides, pipeline.side)
    centers = (cells + np.float32(spec.grid_offset)) * strides
    distances = distances * strides
    return np.concatenate((centers - distances[:, :2], centers + distances[:, 2:]), axis=1), scores


def _decode_yolo(outputs: list[FloatArray],
                 pipeline: PlainPipeline) -> tuple[FloatArray, FloatArray]:
    spec = pipeline.card.decode
    boxes, scores = [], []
    for output, stride, anchors in zip(outputs, spec.strides, spec.anchors, strict=True):
        values = 1 / (1 + np.exp(-output))
        cells, _ = _grid((stride,), pipeline.side)
        centers = (2 * values[..., :2] - 0.5 + cells) * stride
        half = 2 * values[..., 2:4] ** 2 * np.array(anchors, np.float32)[:, None]
        boxes.append(np.concatenate((centers - half, centers + half), axis=-1).reshape(-1, 4))
        scores.append((values[..., 4:5] * values[..., 5:]).reshape(-1, values.shape[-1] - 5))
    return np.concatenate(boxes).astype(np.float32), np.concatenate(scores)


def _grid(strides: tuple[int, ...], side: int) -> tuple[FloatArray, FloatArray]:
    """Return column and row of every cell, shape (cells, 2), and its stride, shape (cells, 1)."""
    cells, all_strides = [], []
    for stride in strides:
        length = -(-side // stride)
        rows, columns = np.mgrid[:length, :length]
        cells.append(np.stack((columns.ravel(), rows.ravel()), axis=1))
        all_strides.append(np.full((length * length, 1), stride))
    return np.concatenate(cells).astype(np.float32), np.concatenate(all_strides).astype(np.float32)


def _nms_per_class(boxes_xyxy: FloatArray, scores: FloatArray,
                   class_ids: np.ndarray) -> Detections:
    keep: list[int] = []
    areas = (boxes_xyxy[:, 2] - boxes_xyxy[:, 0]) * (boxes_xyxy[:, 3] - boxes_xyxy[:, 1])
    for class_id in np.unique(class_ids):
        members = np.flatnonzero(class_ids == class_id)
        order = members[np.argsort(-scores[members])]
        while len(order):
            best, rest = order[0], order[1:]
            keep.append(best)
            top_left = np.maximum(boxes_xyxy[best, :2], boxes_xyxy[rest, :2])
            bottom_right = np.minimum(boxes_xyxy[best, 2:], boxes_xyxy[rest, 2:])
            extent = np.maximum(0, bottom_right - top_left)
            intersection = extent[:, 0] * extent[:, 1]
            overlap = intersection / (areas[best] + areas[rest] - intersection)
            order = rest[overlap <= Selection().nms_iou_threshold]
    keep.sort(key=lambda index: -scores[index])
    return Detections(boxes_xyxy[keep].reshape(-1, 4), scores[keep], class_ids[keep])
