# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Draw boxes and labels on images, and generate a test image."""

from __future__ import annotations

from collections.abc import Sequence
import colorsys

import cv2
from lite_detector.core.lettering import Color, drawable_names, put_text, text_size
from lite_detector.core.types import Detections, FloatArray, ImageArray, ImageSize, IntArray
import numpy as np

GOLDEN_RATIO = 0.618034


def class_color(class_id: int) -> Color:
    """
    Return the fixed colour of a class; colours of consecutive classes differ clearly.

    :return: Blue, green, red, 0 to 255.
    """
    red, green, blue = colorsys.hsv_to_rgb(class_id * GOLDEN_RATIO % 1, 0.75, 0.95)
    return int(blue * 255), int(green * 255), int(red * 255)


def draw_detections(image_bgr: ImageArray, detections: Detections,
                    class_names: Sequence[str],
                    track_ids: Sequence[int] | IntArray | None = None) -> ImageArray:
    """
    Draw all boxes with class and score; the box with the best score is on top.

    :param image_bgr: BGR image, uint8, shape (height, width, 3); it is not changed.
    :param detections: Boxes in pixels of this image.
    :param class_names: Names of the class ids.
    :param track_ids: Track id of each detection, appended to the label; None: no track ids.
    :return: New image of the same shape.
    """
    names = drawable_names(class_names)
    order = range(len(detections))[::-1]
    labels = [f'{names[detections.class_ids[index]]} {detections.scores[index]:.2f}'
              + ('' if track_ids is None else f' #{track_ids[index]}') for index in order]
    return draw_boxes(image_bgr, detections.boxes_xyxy[::-1], detections.class_ids[::-1], labels)


def draw_boxes(image_bgr: ImageArray, boxes_xyxy: FloatArray, class_ids: IntArray,
               labels: Sequence[str]) -> ImageArray:
    """
    Draw boxes in the colour of their class; the last box is on top.

    :param image_bgr: BGR image, uint8, shape (height, width, 3); it is not changed.
    :param boxes_xyxy: Boxes in pixels of this image, float32, shape (n, 4).
    :param class_ids: Class id of each box, int64, shape (n,).
    :param labels: Text of each box.
    :return: New image of the same shape.
    """
    canvas = image_bgr.copy()
    scale = max(0.4, min(canvas.shape[:2]) / 1000)
    for box, class_id, label in zip(boxes_xyxy, class_ids, labels, strict=True):
        draw_box(canvas, box, class_color(int(class_id)), label, scale)
    return canvas


def draw_box(canvas: ImageArray, box_xyxy: FloatArray, color: Color, label: str,
             scale: float) -> None:
    """
    Draw one box with its label into an image.

    :param canvas: BGR image to draw into, uint8, shape (height, width, 3).
    :param box_xyxy: Box in pixels of this image, shape (4,).
    :param color: Colour of the lines and of the label background.
    :param label: Text of the label; empty: no label.
    :param scale: Font scale; line widths are proportional to it.
    """
    left, top, right, bottom = box_xyxy.round().astype(int).tolist()
    thickness = max(1, round(2 * scale))
    cv2.rectangle(canvas, (left, top), (right, bottom), color, 2 * thickness)
    if not label:
        return
    (width, height), base = text_size(label, scale, thickness)
    x = max(0, min(left, canvas.shape[1] - width))
    y = max(top, height + base)
    cv2.rectangle(canvas, (x, y - height - base), (x + width, y), color, cv2.FILLED)
    put_text(canvas, label, (x, y - base // 2), scale, (0, 0, 0), thickness)


def plain_text(name: str) -> str:
    """Return a name for matplotlib, which treats ``$`` as math and hides labels like ``_a``."""
    return name.lstrip('_').replace('$', r'\$') or '?'


def generated_image(size: ImageSize) -> ImageArray:
    """
    Return a reproducible test image: colour clouds with sharp-edged shapes.

    :param size: Size of the image in pixels.
    :return: BGR image, uint8, shape (height, width, 3).
    """
    random = np.random.default_rng(0)
    clouds = random.integers(0, 256, (12, 16, 3), np.uint8)
    image_bgr = cv2.resize(clouds, (size.width, size.height), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        x, y, radius = (int(value) for value in random.uniform(0, 1, 3)
                        * (size.width, size.height, min(size) / 6))
        color = random.integers(0, 256, 3).tolist()
        cv2.circle(image_bgr, (x, y), radius, color, cv2.FILLED)
        cv2.rectangle(image_bgr, (y, x), (y + 2 * radius, x + radius), color[::-1], 2)
    return image_bgr
