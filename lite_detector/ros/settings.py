# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The parameters of the detector node."""

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
"""In front of the name of a topic."""


class Settings(Spec):
    """Every parameter of the node, as in docs/reference/node.md and config/detect.yaml."""

    model: Annotated[str, live_parameter(
        'Model folder, or name of a model in LITE_DETECTOR_MODELS, models/ or the user cache. '
        'A new one is loaded beside the old one, which stays if the new one fails; meanwhile no '
        'new image is taken.',
        min_length=1)] = DEFAULT_MODEL
    runtime: Annotated[Literal['ncnn', 'onnx'], Meta(
        description='Library that runs the network.')] = 'ncnn'
    device: Annotated[str, Meta(
        description='Where the network runs: cpu; gpu or gpu:N (ncnn: Vulkan; onnx: TensorRT or '
        'CUDA); auto: the fastest that agrees with the CPU; with runtime onnx also tensorrt, '
        'cuda, openvino or coreml. What is not there is an error, but for auto.',
        pattern=DEVICE_PATTERN, extra={'wanted': DEVICES})] = 'cpu'
    num_threads: Annotated[Annotated[int, Meta(ge=1, le=MAX_THREADS)] | Literal['auto'], Meta(
        description='Threads per inference. More than one is faster on an idle board and slower '
        'on a busy one. auto: 1, 2 or 4, measured at start under the load of that moment.',
        extra={'wanted': f'1 .. {MAX_THREADS}, or auto'})] = 1
    precision: Annotated[Literal['auto', 'fp32', 'bf16', 'int8', 'int8_auto', 'int8_bf16'], Meta(
        description='auto: what is fastest here and agrees with fp32, measured at start; bf16: '
        'ncnn only; int8: folders of quantize; int8_auto, int8_bf16: ncnn only, its float layers '
        'in fp16 where the processor has it, or in bf16.')] = 'auto'
    input_size: Annotated[int, Meta(
        description='Side of a square network input, a multiple of 32; 0: the size of the model '
        'card.', ge=0, le=4096, multiple_of=32)] = 0
    cameras: Annotated[tuple[Annotated[str, Meta(pattern=NAMESPACE, max_length=100)], ...], Meta(
        description='Namespaces of several cameras that share the model: [front, rear] '
        'subscribes front/image and rear/image and publishes front/detections and '
        'rear/detections. Empty: one camera, image and detections.',
        extra={'wanted': 'list of ROS names, each once'})] = ()
    transport: Annotated[Literal['auto', 'raw', 'compressed'], Meta(
        description='auto: Image or CompressedImage, whichever type image has, else '
        'image/compressed; raw: only Image; compressed: only CompressedImage, on '
        'image/compressed or image.')] = 'auto'
    reliability: Annotated[Literal['auto', 'best_effort', 'reliable'], Meta(
        description='Of the image subscription; auto follows what the publishers offer.')] = 'auto'
    score_threshold: Annotated[float, live_parameter(
        'Lowest score that is published.', ge=0, le=1)] = Selection().score_threshold
    class_thresholds: Annotated[tuple[str, ...], live_parameter(
        'Score thresholds of single classes: [person:0.5, dog:0.3]; the other classes have '
        'score_threshold.', 'list of NAME:SCORE, score 0 .. 1, each class once')] = ()
    nms_iou_threshold: Annotated[float, live_parameter(
        'A box goes if it overlaps a better one of its class by more than this.',
        ge=0, le=1)] = Selection().nms_iou_threshold
    class_agnostic_nms: Annotated[bool, live_parameter(
        'Whether boxes of different classes suppress each other, not only those of one class.'
    )] = Selection().class_agnostic_nms
    max_detections: Annotated[int, live_parameter(
        'At most this many boxes per image, best first.',
        ge=1, le=1000)] = Selection().max_detections
    classes: Annotated[tuple[str, ...], live_parameter(
        'Names of the classes that are wanted; empty: all.')] = ()
    class_id_format: Annotated[Literal['name', 'index'], live_parameter(
        'What class_id holds: the class name, or its index as in label_info.')] = 'name'
    max_rate_hz: Annotated[float, live_parameter(
        'At most this many images per second and camera, each as soon as it comes; 0: no limit.',
        ge=0, le=1000)] = 0.0
    capture_folder: Annotated[str, Meta(
        description='Folder that frames worth a label go to, see docs/guides/recordings.md.',
        extra={'wanted': 'folder; empty: none are kept'})] = ''
    capture_max_files: Annotated[int, Meta(
        description='At most this many frames stay there, the most interesting.',
        ge=1, le=1000000)] = 1000
    capture_max_mb: Annotated[int, Meta(
        description='At most this many MB of frames stay there.', ge=1, le=1000000)] = 500
    tiles: Annotated[str, live_parameter(
        'For small objects: 2x2 looks at two columns and two rows of overlapping tiles one by '
        'one, each as large as the network input; 1x1: at the whole image.',
        '1x1 .. 8x8', pattern='^[1-8]x[1-8]$')] = '1x1'
    tile_overlap: Annotated[float, live_parameter(
        "What neighbouring tiles share, as part of a tile's side; small objects should fit into "
        'it.', ge=0.05, le=0.5)] = View().overlap
    tile_mode: Annotated[Literal['all', 'tiles_only', 'in_turn'], live_parameter(
        'all: every tile and the whole image; tiles_only: large objects are cut; in_turn: one '
        'tile and the whole per image, for the time of two.')] = 'all'
    region: Annotated[tuple[float, float, float, float], live_parameter(
        'The part of the image that is looked at: parts of its width and height if none is over '
        '1, else pixels.', 'left, top, right, bottom')] = View().region
    mask: Annotated[str, live_parameter(
        'Image laid over the camera image; boxes whose centre lies in its black are dropped.',
        'image file; empty: none')] = ''
    rotate: Annotated[Literal[0, 90, 180, 270], live_parameter(
        'Degrees by which the network gets the image rotated clockwise, for a camera that is '
        'mounted upside down or sideways. Boxes, region, mask, tiles and annotated stay in pixels '
        'of the camera image.')] = 0
    tracking: Annotated[bool, live_parameter(
        'Fill id: the same number for the same object as long as it is seen every 2 s. A known '
        'object is published down to half of score_threshold.')] = False
    annotate_every_frame: Annotated[bool, live_parameter(
        'Whether annotated shows every frame of the camera with the newest boxes at once, instead '
        'of each frame with its own boxes when they are found.')] = False
    autostart: Annotated[bool, Meta(
        description='Configure and activate at start; false: wait for a lifecycle manager.'
    )] = True

    def __post_init__(self) -> None:
        if len({name.strip('/') for name in self.cameras}) < len(self.cameras):
            raise ConfigError(f'cameras: got {list(self.cameras)}, wanted each name once')
        parse_class_thresholds(self.class_thresholds)

    def selection(self) -> Selection:
        """Return which boxes the detector is to find: with tracking, also less likely ones."""
        share = FOLLOW_SHARE if self.tracking else 1
        return Selection(
            score_threshold=self.score_threshold * share, classes=self.classes,
            class_thresholds={name: score * share for name, score in
                              parse_class_thresholds(self.class_thresholds).items()},
            nms_iou_threshold=self.nms_iou_threshold, class_agnostic_nms=self.class_agnostic_nms,
            max_detections=self.max_detections)

    def view(self) -> View:
        """Return where the detector looks."""
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
