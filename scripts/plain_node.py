# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
A detector node as demo code writes it, to compare with: bench.py starts it.

Deserialized messages, the full image decoded in the callback, the default executor, and the
detections of plain_pipeline.py as message objects.
"""

from __future__ import annotations

import sys

import cv2
from lite_detector.core.types import ImageArray
from lite_detector.zoo import find_model
import numpy as np
from plain_pipeline import PlainPipeline
import rclpy
from rclpy.node import Node
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import CompressedImage, Image
from vision_msgs.msg import Detection2D, Detection2DArray, ObjectHypothesisWithPose


class PlainNode(Node):
    """Subscribes ``image`` and ``image/compressed``, publishes ``detections``."""

    def __init__(self) -> None:
        super().__init__('plain_detector')
        model = self.declare_parameter('model', 'nanodet_m_320').value
        self._pipeline = PlainPipeline(find_model(model))
        self._publisher = self.create_publisher(Detection2DArray, 'detections', 10)
        self.create_subscription(Image, 'image', self._on_image, qos_profile_sensor_data)
        self.create_subscription(CompressedImage, 'image/compressed', self._on_compressed,
                                 qos_profile_sensor_data)

    def _on_image(self, msg: Image) -> None:
        # as cv_bridge: a view of the pixels
        self._detect(msg, np.frombuffer(msg.data, np.uint8).reshape(msg.height, msg.width, 3))

    def _on_compressed(self, msg: CompressedImage) -> None:
        self._detect(msg, cv2.imdecode(np.frombuffer(msg.data, np.uint8), cv2.IMREAD_COLOR))

    def _detect(self, msg: Image | CompressedImage, image_bgr: ImageArray) -> None:
        found = self._pipeline.detect(image_bgr)
        names = self._pipeline.card.class_names
        array = Detection2DArray(header=msg.header)
        for box, score, class_id in zip(found.boxes_xyxy, found.scores, found.class_ids,
                                        strict=True):
            left, top, right, bottom = map(float, box)
            detection = Detection2D(header=msg.header)
            detection.bbox.center.position.x = (left + right) / 2
            detection.bbox.center.position.y = (top + bottom) / 2
            detection.bbox.size_x, detection.bbox.size_y = right - left, bottom - top
            result = ObjectHypothesisWithPose()
            result.hypothesis.class_id = names[class_id]
            result.hypothesis.score = float(score)
            detection.results.append(result)
            array.detections.append(detection)
        self._publisher.publish(array)


def main() -> None:
    """Run the node until it is interrupted."""
    rclpy.init(args=sys.argv)
    cv2.setNumThreads(1)
    rclpy.spin(PlainNode())


if __name__ == '__main__':
    main()
