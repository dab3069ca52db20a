# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Calibration of a camera from its CameraInfo, checked with one of its images."""

from __future__ import annotations

from collections.abc import Callable
import time

from lite_detector.core.errors import LocateError
from lite_detector.core.image_header import claimed_size
from lite_detector.core.types import ImageSize
from lite_detector.ros.inputs import Input
from lite_detector.ros.space_conversions import calibration_of, stamp_ns_of
from lite_detector.scene.projection import CameraModel
import numpy as np
from rclpy.node import Node
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

PROBE_S = 2.0
"""Maximum time that positions wait for the image that checks the size, in s."""


class CameraInfoInput:
    """
    Subscriptions of ``camera_info``, and of ``image`` or ``image/compressed`` until one arrives.

    :param node: Node of the subscriptions.
    :param rectified: True: detections are in the rectified image.
    """

    def __init__(self, node: Node, rectified: bool) -> None:
        self._node, self._rectified = node, rectified
        self._data, self._frame_id = b'', ''
        self._model: CameraModel | None = None
        self._problem = ''
        self._image_size: ImageSize | None = None
        self._probes: list[Input] = []
        self._probe_until_s = 0.0
        self.input = Input(node, 'camera_info', CameraInfo, self._on_info)

    def destroy(self) -> None:
        """Destroy the subscriptions."""
        self.input.destroy()
        self._end_probe()

    def model(self, frame_id: str) -> CameraModel:
        """
        Return the model of the camera.

        :param frame_id: Frame of the detections.
        :raises LocateError: if there is no calibration, or it does not fit the detections.
        """
        if self._problem:
            raise LocateError(self._problem)
        if self._model is None:
            raise LocateError(f'no camera_info has arrived on {self.input.topic}')
        if self._frame_id != frame_id:
            raise LocateError(f'camera_info has frame {self._frame_id!r}; expected {frame_id!r}, '
                              'the frame of the detections')
        if self._image_size is None:
            if time.monotonic() < self._probe_until_s and self._images():
                raise LocateError('waiting for an image, to check the size in camera_info')
        elif self._image_size != self._model.size:
            raise LocateError(f'camera_info has size {self._model.size}; expected '
                              f'{self._image_size}, the size of the images')
        return self._model

    def _images(self) -> bool:
        return any(self._node.count_publishers(probe.topic) for probe in self._probes)

    def _on_info(self, data: bytes) -> None:
        same = data[12:] == self._data[12:]  # compare everything except the stamp
        self._data = data
        if same:
            return
        try:
            stamp_ns_of(data)
            msg = deserialize_message(data, CameraInfo)
            self._frame_id, self._problem = msg.header.frame_id, ''
            self._model = CameraModel(calibration_of(msg), self._rectified)
        except LocateError as error:
            self._model, self._problem = None, str(error)
            return
        except Exception:  # RMWError has no public name
            self._model, self._problem = None, 'camera_info: damaged message'
            return
        self._begin_probe()

    def _begin_probe(self) -> None:
        self._end_probe()
        self._image_size = None
        self._probe_until_s = time.monotonic() + PROBE_S
        image = self._node.resolve_topic_name('image')  # so that a remapping applies to both
        self._probes = [
            Input(self._node, image, Image, self._probe(Image, size_of_image), 1),
            Input(self._node, f'{image}/compressed', CompressedImage,
                  self._probe(CompressedImage, size_of_compressed), 1)]

    def _probe(self, kind: type, size_of: Callable) -> Callable[[bytes], None]:
        def on_image(data: bytes) -> None:
            try:
                size = size_of(deserialize_message(data, kind))
            except Exception:  # the detector reports unreadable images
                size = None
            if size and self._image_size is None:
                self._image_size = size
                self._end_probe()
        return on_image

    def _end_probe(self) -> None:
        for probe in self._probes:
            probe.destroy()
        self._probes = []


def size_of_image(msg: Image) -> ImageSize:
    """Return the size of a raw image."""
    return ImageSize(msg.height, msg.width)


def size_of_compressed(msg: CompressedImage) -> ImageSize | None:
    """Return the size in the header of a compressed image; None: the header is not readable."""
    return claimed_size(np.frombuffer(msg.data, np.uint8))
