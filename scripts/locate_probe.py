# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Measurement of the locate node: its work on the messages of one image."""

from __future__ import annotations

from lite_detector.ros.locate_node import LocateNode
from lite_detector.ros.serialized_detections import empty_rows, RESULT, write_detections
from lite_detector.scene.projection import Calibration
import numpy as np
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CameraInfo, Image
from std_msgs.msg import Header
from vision_msgs.msg import Detection2DArray


class LocateProbe:
    """
    An active node whose subscription callbacks are called by hand.

    :param calibration: Calibration of the camera.
    :param boxes_xyxy: Boxes of the detections in pixels, shape (n, 4).
    :param depth_mm: Depth in mm, uint16, shape (height, width).
    """

    def __init__(self, calibration: Calibration, boxes_xyxy: np.ndarray,
                 depth_mm: np.ndarray) -> None:
        self._node = LocateNode()
        self._node.trigger_configure()
        self._node.trigger_activate()
        height, width = depth_mm.shape
        header = Header(frame_id='camera', stamp=self._node.get_clock().now().to_msg())
        info = CameraInfo(header=header, height=height, width=width, k=calibration.k,
                          d=calibration.d, distortion_model=calibration.distortion_model)
        self._node._camera._on_info(serialize_message(info))
        self._node._camera._end_probe()
        self._depth = serialize_message(Image(
            header=header, height=height, width=width, encoding='16UC1', step=2 * width,
            data=depth_mm.tobytes()))
        rows = empty_rows(Detection2DArray, len(boxes_xyxy))
        corners = boxes_xyxy.astype(float)
        rows[:, RESULT:RESULT + 2] = (corners[:, :2] + corners[:, 2:]) / 2
        rows[:, RESULT + 3:] = corners[:, 2:] - corners[:, :2]
        ids = [str(index) for index in range(len(rows))]
        self._detections = write_detections(Detection2DArray, header, ['person'] * len(rows),
                                            rows, ids)
        self.step()
        if not self._node._stats.published:
            raise RuntimeError(self._node._stats.last_drop)

    def __enter__(self) -> LocateProbe:
        return self

    def __exit__(self, *_: object) -> None:
        self._node.destroy_node()

    def step(self) -> None:
        """Process one image as the node does: read, locate, publish."""
        self._node._on_depth(self._depth)
        self._node._on_detections(self._detections)
