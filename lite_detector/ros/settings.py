# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of the detector node."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from lite_detector.core.config import Spec
from lite_detector.core.types import ImageSize
from lite_detector.detector import Selection
from lite_detector.ros.parameters import live_parameter, parameter_table
from lite_detector.zoo import DEFAULT_MODEL
from msgspec import Meta


class Settings(Spec):
    """Every parameter of the node; docs/node.md and config/detect.yaml are held to it by tests."""

    model: Annotated[str, live_parameter(
        'Model folder, or name of a model in LITE_DETECTOR_MODELS, models/ or the user cache. '
        'A new one is loaded beside the old one, which stays if the new one fails.',
        min_length=1)] = DEFAULT_MODEL
    runtime: Annotated[Literal['ncnn', 'onnx'], Meta(
        description='Library that runs the network.')] = 'ncnn'
    num_threads: Annotated[int, Meta(
        description='Threads per inference. More than one is faster on an idle board and slower '
        'on a busy one.', ge=1, le=64)] = 1
    precision: Annotated[Literal['auto', 'fp32', 'bf16'], Meta(
        description='auto: what the runtime picks for this processor; bf16: ncnn only.')] = 'auto'
    input_size: Annotated[int, Meta(
        description='Side of a square network input, a multiple of 32; 0: the size of the model '
        'card.', ge=0, le=4096, multiple_of=32)] = 0
    cameras: Annotated[tuple[str, ...], Meta(
        description='Namespaces of several cameras that share the model: [front, rear] '
        'subscribes front/image and rear/image and publishes front/detections and '
        'rear/detections. Empty: one camera, image and detections.')] = ()
    transport: Annotated[Literal['raw', 'compressed'], Meta(
        description='raw subscribes image, compressed subscribes image/compressed.')] = 'raw'
    reliability: Annotated[Literal['auto', 'best_effort', 'reliable'], Meta(
        description='Of the image subscription; auto follows what the publishers offer.')] = 'auto'
    score_threshold: Annotated[float, live_parameter(
        'Lowest score that is published.', ge=0, le=1)] = Selection().score_threshold
    nms_iou_threshold: Annotated[float, live_parameter(
        'A box goes if it overlaps a better one of its class by more than this.',
        ge=0, le=1)] = Selection().nms_iou_threshold
    max_detections: Annotated[int, live_parameter(
        'At most this many boxes per image, best first.',
        ge=1, le=1000)] = Selection().max_detections
    classes: Annotated[tuple[str, ...], live_parameter(
        'Names of the classes that are wanted; empty: all.')] = ()
    class_id_format: Annotated[Literal['name', 'index'], live_parameter(
        'What class_id holds: the class name, or its index as in label_info.')] = 'name'
    max_rate_hz: Annotated[float, live_parameter(
        'At most this many images per second and camera, always the newest; 0: no limit.',
        ge=0, le=1000)] = 0.0
    capture_folder: Annotated[str, Meta(
        description='Folder that frames worth a label go to, see docs/bags.md; empty: '
        'none are kept.')] = ''
    capture_max_files: Annotated[int, Meta(
        description='At most this many frames stay there, the most interesting.',
        ge=1, le=1000000)] = 1000
    capture_max_mb: Annotated[int, Meta(
        description='At most this many MB of frames stay there.', ge=1, le=1000000)] = 500
    autostart: Annotated[bool, Meta(
        description='Configure and activate at start; false: wait for a lifecycle manager.'
    )] = True

    def selection(self) -> Selection:
        """Return the part of it that a detector takes."""
        return Selection(score_threshold=self.score_threshold, classes=self.classes,
                         nms_iou_threshold=self.nms_iou_threshold,
                         max_detections=self.max_detections)

    def detector_options(self) -> dict[str, Any]:
        """Return the keyword arguments of ``load_model``."""
        size = ImageSize(self.input_size, self.input_size) if self.input_size else None
        return {'runtime': self.runtime, 'num_threads': self.num_threads,
                'precision': self.precision, 'input_size': size, 'selection': self.selection()}


PARAMETERS = parameter_table(Settings)
