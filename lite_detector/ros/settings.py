# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Parameters of the detector node."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.selection import parse_class_thresholds
from lite_detector.core.tiling import grid_of, View
from lite_detector.core.types import DEVICE_PATTERN, DEVICES, ImageSize, MAX_THREADS
from lite_detector.detector import Selection
from lite_detector.ros.parameters import live_parameter, parameter_table
from lite_detector.scene.tracking import FOLLOW_SHARE
from lite_detector.zoo import DEFAULT_MODEL
from msgspec import Meta

NAMESPACE = r'^/?[A-Za-z_][A-Za-z0-9_]*(/[A-Za-z_][A-Za-z0-9_]*)*$'
"""Pattern of a namespace before the name of a topic."""


class Settings(Spec):
    """All parameters of the node, as in docs/reference/node.md and config/detect.yaml."""

    model: Annotated[str, live_parameter(
        'Model folder, or name of a model in LITE_DETECTOR_MODELS, models/ or the user cache. If '
        'a new model fails to load, the node keeps the old one. While a model loads, the node '
        'processes no images.',
        min_length=1)] = DEFAULT_MODEL
    runtime: Annotated[Literal['ncnn', 'onnx'], Meta(
        description='Library that runs the network.')] = 'ncnn'
    device: Annotated[str, Meta(
        description='Device that runs the network. cpu; gpu or gpu:N (ncnn: Vulkan; onnx: '
        'TensorRT or CUDA); auto: the fastest device whose detections agree with the CPU; with '
        'runtime onnx also tensorrt, cuda, openvino or coreml. A missing device is an error, '
        'except with auto.',
        pattern=DEVICE_PATTERN, extra={'expected': DEVICES})] = 'cpu'
    num_threads: Annotated[Annotated[int, Meta(ge=1, le=MAX_THREADS)] | Literal['auto'], Meta(
        description='Number of threads per inference. More than one is faster on an idle board '
        'and slower under CPU load. auto: 1, 2 or 4, measured at start.',
        extra={'expected': f'1 .. {MAX_THREADS}, or auto'})] = 1
    precision: Annotated[Literal['auto', 'fp32', 'bf16', 'int8', 'int8_auto', 'int8_bf16'], Meta(
        description='Precision of the network. auto: the fastest one that agrees with fp32, '
        'measured at start; bf16: ncnn only; int8: needs a model folder from quantize; '
        'int8_auto, int8_bf16: ncnn only, float layers in fp16 if the processor has it, or in '
        'bf16.')] = 'auto'
    input_size: Annotated[int, Meta(
        description='Side of the square network input in pixels, a multiple of 32; 0: the size '
        'of the model card.', ge=0, le=4096, multiple_of=32)] = 0
    cameras: Annotated[tuple[Annotated[str, Meta(pattern=NAMESPACE, max_length=100)], ...], Meta(
        description='Namespaces of several cameras that share the model. [front, rear] '
        'subscribes to front/image and rear/image and publishes front/detections and '
        'rear/detections. Empty: one camera, image and detections.',
        extra={'expected': 'list of ROS names, each once'})] = ()
    transport: Annotated[Literal['auto', 'raw', 'compressed'], Meta(
        description='Transport of the images. auto: the type that is published on image, else '
        'image/compressed; raw: only Image; compressed: only CompressedImage, on '
        'image/compressed or image.')] = 'auto'
    reliability: Annotated[Literal['auto', 'best_effort', 'reliable'], Meta(
        description='QoS reliability of the image subscription; auto: as the publishers offer.'
    )] = 'auto'
    score_threshold: Annotated[float, live_parameter(
        'Minimum score of a published detection, 0 to 1.',
        ge=0, le=1)] = Selection().score_threshold
    class_thresholds: Annotated[tuple[str, ...], live_parameter(
        'Score thresholds per class, e.g. [person:0.5, dog:0.3]; other classes use '
        'score_threshold.', 'list of NAME:SCORE, score 0 .. 1, each class once')] = ()
    nms_iou_threshold: Annotated[float, live_parameter(
        'IoU threshold of the per-class NMS, 0 to 1.',
        ge=0, le=1)] = Selection().nms_iou_threshold
    class_agnostic_nms: Annotated[bool, live_parameter(
        'Application of NMS across classes (true) or per class (false).'
    )] = Selection().class_agnostic_nms
    max_detections: Annotated[int, live_parameter(
        'Maximum number of detections per image, highest scores first.',
        ge=1, le=1000)] = Selection().max_detections
    classes: Annotated[tuple[str, ...], live_parameter(
        'Names of the classes to publish; empty: all classes.')] = ()
    class_id_format: Annotated[Literal['name', 'index'], live_parameter(
        'Content of class_id: the class name, or the class index of label_info.')] = 'name'
    max_rate_hz: Annotated[float, live_parameter(
        'Maximum processing rate per camera in Hz; 0: no limit.',
        ge=0, le=1000)] = 0.0
    capture_folder: Annotated[str, Meta(
        description='Directory for captured frames (low margin, flicker, lost track); see '
        'docs/guides/recordings.md.',
        extra={'expected': 'directory; empty: no capture'})] = ''
    capture_max_files: Annotated[int, Meta(
        description='Maximum number of captured frames; those with the highest interest stay.',
        ge=1, le=1000000)] = 1000
    capture_max_mb: Annotated[int, Meta(
        description='Maximum size of all captured frames in MB (10^6 bytes).',
        ge=1, le=1000000)] = 500
    tiles: Annotated[str, live_parameter(
        'Columns x rows of overlapping tiles, for small objects. Each tile is scaled to the '
        'network input; 1x1: no tiles, only the full image.',
        '1x1 .. 8x8', pattern='^[1-8]x[1-8]$')] = '1x1'
    tile_overlap: Annotated[float, live_parameter(
        'Overlap of adjacent tiles as a fraction of the tile side, 0.05 to 0.5; small objects '
        'should fit into it.', ge=0.05, le=0.5)] = View().overlap
    tile_mode: Annotated[Literal['all', 'tiles_only', 'in_turn'], live_parameter(
        'Tiles per image. all: every tile and the full image; tiles_only: every tile, so that '
        'large objects are cut; in_turn: the full image and one tile, round-robin.')] = 'all'
    region: Annotated[tuple[float, float, float, float], live_parameter(
        'Region of the image to detect in: fractions of its width and height if no value is '
        'above 1, else pixels.', 'left, top, right, bottom')] = View().region
    mask: Annotated[str, live_parameter(
        'Mask image, scaled to the camera image; boxes with their centre in a black area are '
        'discarded.',
        'image file; empty: none')] = ''
    rotate: Annotated[Literal[0, 90, 180, 270], live_parameter(
        'Clockwise rotation of the network input in degrees, for a camera that is mounted upside '
        'down or sideways. Boxes, region, mask, tiles and annotated stay in pixels of the camera '
        'image.')] = 0
    tracking: Annotated[bool, live_parameter(
        'Tracking of objects: id is the track id. A track ends after 2 s without a detection. A '
        'tracked object is published down to half of score_threshold.')] = False
    annotate_every_frame: Annotated[bool, live_parameter(
        'Rate of annotated. true: every camera frame at once, with the newest boxes; false: each '
        'processed frame, with its own boxes.')] = False
    autostart: Annotated[bool, Meta(
        description='Start of the node. true: configure and activate at start; false: wait for '
        'a lifecycle manager.'
    )] = True

    def __post_init__(self) -> None:
        if len({name.strip('/') for name in self.cameras}) < len(self.cameras):
            raise ConfigError(f'cameras: {list(self.cameras)}; expected each name once')
        parse_class_thresholds(self.class_thresholds)

    def selection(self) -> Selection:
        """Return the selection of boxes; tracking needs lower score thresholds."""
        share = FOLLOW_SHARE if self.tracking else 1
        return Selection(
            score_threshold=self.score_threshold * share, classes=self.classes,
            class_thresholds={name: score * share for name, score in
                              parse_class_thresholds(self.class_thresholds).items()},
            nms_iou_threshold=self.nms_iou_threshold, class_agnostic_nms=self.class_agnostic_nms,
            max_detections=self.max_detections)

    def view(self) -> View:
        """Return tiles, region, mask and rotation of the detector."""
        columns, rows = grid_of(self.tiles)
        return View(columns=columns, rows=rows, overlap=self.tile_overlap, mode=self.tile_mode,
                    region=self.region, mask=self.mask, rotate=self.rotate)

    def detector_options(self) -> dict[str, Any]:
        """Return the keyword arguments of ``load_model``."""
        size = ImageSize(self.input_size, self.input_size) if self.input_size else None
        return {'runtime': self.runtime, 'num_threads': self.num_threads,
                'precision': self.precision, 'device': self.device, 'input_size': size,
                'selection': self.selection(), 'view': self.view()}


PARAMETERS = parameter_table(Settings)
