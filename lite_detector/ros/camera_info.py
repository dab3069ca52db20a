# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The calibration of a camera as it is published, checked against one of its images."""

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
"""Positions wait so long for the one image that the size is checked on, where there is any."""


class CameraInfoInput:
    """
    Subscribes ``camera_info``, and ``image`` or ``image/compressed`` until one image has come.

    :param node: owner of the subscriptions.
    :param rectified: whether detections are of the rectified image.
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
        """Give the subscriptions back."""
        self.input.destroy()
        self._end_probe()

    def model(self, frame_id: str) -> CameraModel:
        """
        Return the model of the camera.

        :param frame_id: of the detections.
        :raises LocateError: if there is no calibration, or it is not that of the detections.
        """
        if self._problem:
            raise LocateError(self._problem)
        if self._model is None:
            raise LocateError(f'no camera_info has arrived on {self.input.topic}')
        if self._frame_id != frame_id:
            raise LocateError(f'camera_info is of the frame {self._frame_id!r}, the detections '
                              f'of {frame_id!r}; expected the camera of the detections')
        if self._image_size is None:
            if time.monotonic() < self._probe_until_s and self._images():
                raise LocateError('waiting for an image, to check the size of camera_info on it')
        elif self._image_size != self._model.size:
            raise LocateError(f'camera_info is of {self._model.size} images, the images are '
                              f'{self._image_size}; expected those of the detections')
        return self._model

    def _images(self) -> bool:
        return any(self._node.count_publishers(probe.topic) for probe in self._probes)

    def _on_info(self, data: bytes) -> None:
        same = data[12:] == self._data[12:]  # all but the stamp
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
        image = self._node.resolve_topic_name('image')  # so that both follow a remapping of it
        self._probes = [
            Input(self._node, image, Image, self._probe(Image, size_of_image), 1),
            Input(self._node, f'{image}/compressed', CompressedImage,
                  self._probe(CompressedImage, size_of_compressed), 1)]

    def _probe(self, kind: type, size_of: Callable) -> Callable[[bytes], None]:
        def on_image(data: bytes) -> None:
            try:
                size = size_of(deserialize_message(data, kind))
            except Exception:  # the detector reports images that cannot be read
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
    """Return the size that a compressed image claims; None: its header cannot be read."""
    return claimed_size(np.frombuffer(msg.data, np.uint8))
