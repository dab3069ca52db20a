# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Simulated camera: images, a folder or a video file published as a camera topic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
import importlib.util
from itertools import cycle
import math
import os
from pathlib import Path
from typing import Annotated, Literal

import cv2
from lite_detector.core.config import Spec
from lite_detector.core.errors import DataError, ImageError
from lite_detector.core.media import find_media, is_video, read_image, VideoReader
from lite_detector.core.types import ImageArray
from lite_detector.ros.conversions import bgr_to_compressed_msg, bgr_to_image_msg
from lite_detector.ros.parameters import current_settings, declare_parameters, parameter_table
from lite_detector.ros.runner import run_node
from msgspec import Meta
import numpy as np
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

PHOTOS = 'photos'
PHOTO_NAMES = ('astronaut', 'camera', 'chelsea', 'coffee', 'motorcycle_left')
ZOOM = 0.2
KEPT_IMAGES = 16
"""Number of decoded images in the cache of a loop, to save CPU time."""
LINGER_S = 1.0
"""Delay after the last frame in s, so that subscribers receive it before the publisher ends."""


class ReplaySettings(Spec):
    """Parameters of the node."""

    source: Annotated[str, Meta(
        description='Image, folder or video file; photos: the sample photographs of '
        'scikit-image.', min_length=1)] = PHOTOS
    rate_hz: Annotated[float, Meta(
        description='Frame rate in Hz; 0: rate of the video file, 10 Hz for images.',
        ge=0, le=1000)] = 0.0
    loop: Annotated[bool, Meta(
        description='Repetition of the source. true: endless; false: play once and exit.'
    )] = True
    pan_zoom: Annotated[int, Meta(
        description='Number of frames of simulated camera motion over each image; 0: publish '
        'each image once, unchanged.', ge=0, le=10000)] = 0
    transport: Annotated[Literal['raw', 'compressed'], Meta(
        description='Transport of the images. raw: image; compressed: image/compressed.'
    )] = 'raw'
    reliability: Annotated[Literal['best_effort', 'reliable'], Meta(
        description='QoS reliability of the publisher; most cameras use best_effort.'
    )] = 'best_effort'
    frame_id: Annotated[str, Meta(
        description='Frame of the camera; empty: name of the published file.')] = 'camera'
    wait_for_subscriber: Annotated[bool, Meta(
        description='Start of publishing. true: wait for a subscriber; false: start at once.'
    )] = False


PARAMETERS = parameter_table(ReplaySettings)


class CameraReplay(Node):
    """Node ``camera_replay``; publishes ``image`` or ``image/compressed``."""

    def __init__(self) -> None:
        super().__init__('camera_replay')
        declare_parameters(self, PARAMETERS)
        self._settings = current_settings(self, ReplaySettings, PARAMETERS)
        settings = self._settings
        files = (photo_files() if settings.source == PHOTOS
                 else find_media([Path(os.path.expanduser(settings.source))]))
        self._frames = frames_of(files, settings)
        raw = settings.transport == 'raw'
        reliable = settings.reliability == 'reliable'
        qos = QoSProfile(depth=1, reliability=ReliabilityPolicy.RELIABLE if reliable
                         else ReliabilityPolicy.BEST_EFFORT)
        self._publisher = (
            self.create_publisher(Image, 'image', qos) if raw else
            self.create_publisher(CompressedImage, self.resolve_topic_name('image')
                                  + '/compressed', qos))
        self._to_message = bgr_to_image_msg if raw else bgr_to_compressed_msg
        self._left_s = LINGER_S
        self.done = False
        rate_hz = settings.rate_hz or _natural_rate_hz(files)
        self._period_s = 1 / rate_hz
        self.create_timer(self._period_s, self._on_timer)
        self.get_logger().info(f'{len(files)} files on {self._publisher.topic_name} at '
                               f'{rate_hz:.1f} Hz')

    def _on_timer(self) -> None:
        if self._settings.wait_for_subscriber and not self._publisher.get_subscription_count():
            return
        name, image = next(self._frames, ('', None))
        if image is None:
            self._left_s -= self._period_s
            self.done = self._left_s <= 0
            return
        header = Header(stamp=self.get_clock().now().to_msg(),
                        frame_id=self._settings.frame_id or name)
        self._publisher.publish(self._to_message(image, header))


def photo_files() -> list[Path]:
    """
    Return the photographs of scikit-image, without importing it.

    :raises DataError: if the package or its photographs are not installed.
    """
    spec = importlib.util.find_spec('skimage')
    folders = (spec and spec.submodule_search_locations) or []
    files = [path for folder in folders for name in PHOTO_NAMES
             for path in sorted(Path(folder, 'data').glob(f'{name}.*'))]
    if not files:
        raise DataError('source: photos; expected an installed scikit-image: run '
                        '`python3 -m pip install --no-deps scikit-image`, or set another source')
    return files


def frames_of(files: Sequence[Path], settings: ReplaySettings) -> Iterator[tuple[str, ImageArray]]:
    """
    Yield the frames of all files in turn.

    :param files: Image and video files.
    :param settings: Parameters of the node.
    :return: Iterator over the file name without suffix, and the image, uint8 BGR.
    :raises ImageError: if a file is unreadable.
    """
    read = lru_cache(maxsize=KEPT_IMAGES)(read_image)
    for path in cycle(files) if settings.loop else files:
        if is_video(path):
            empty = True
            with VideoReader(path) as video:
                for image in video:
                    empty = False
                    yield path.stem, image
            if empty:  # a loop over an empty video would be endless
                raise ImageError(f'{path}: 0 readable frames; expected at least one')
            continue
        image = read(path)
        if not settings.pan_zoom:
            yield path.stem, image
        for index in range(settings.pan_zoom):
            yield path.stem, pan_zoom(image, index / settings.pan_zoom)


def pan_zoom(image_bgr: ImageArray, phase: float) -> ImageArray:
    """
    Simulate a camera that moves and zooms over an image.

    :param image_bgr: Image, uint8, shape (height, width, 3).
    :param phase: Position on the closed path, 0 to 1; 0 is the full image.
    :return: View of the moving camera, uint8, shape (height, width, 3).
    """
    height, width = image_bgr.shape[:2]
    angle = 2 * math.pi * phase
    zoom = 1 + ZOOM * (1 - math.cos(angle)) / 2
    # the view stays inside the image: the shift is limited by the margin that the zoom leaves
    free = (zoom - 1) / 2
    shift_x = free * width * (math.sin(angle) - 1)
    shift_y = free * height * (math.sin(2 * angle) - 1)
    matrix = np.array([[zoom, 0, shift_x], [0, zoom, shift_y]], np.float32)
    # replicated borders: else the last row and column, partly outside the image, become darker
    return cv2.warpAffine(image_bgr, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


def _natural_rate_hz(files: Sequence[Path]) -> float:
    for path in files:
        if is_video(path):
            with VideoReader(path) as video:
                return video.rate_hz
    return 10.0


def main(args: Sequence[str] | None = None) -> int:
    """Run the node until the end of the source or an interrupt."""
    run_node(CameraReplay, args, finished=lambda node: node.done)
    return 0
