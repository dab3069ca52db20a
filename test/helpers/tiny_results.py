# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Labels and detections whose worth can be worked out by hand."""

from lite_detector.core.types import Detections
from lite_detector.data.coco import CocoAnnotation, CocoCategory, CocoDataset, CocoImage
import numpy as np

SQUARE = (100.0, 50.0, 200.0, 150.0)
AWAY = (400.0, 300.0, 500.0, 400.0)


def dataset(*labels: tuple, categories=((1, 'cat'),), images=2) -> CocoDataset:
    """Return images 1 .. n of 640x480; a label is (image id, category id, box_xyxy, ...)."""
    return CocoDataset(
        images=tuple(CocoImage(index, f'{index}.png', 640, 480)
                     for index in range(1, images + 1)),
        annotations=tuple(
            CocoAnnotation(image_id, category_id, (x1, y1, x2 - x1, y2 - y1), *more)
            for image_id, category_id, (x1, y1, x2, y2), *more in labels),
        categories=tuple(CocoCategory(*pair) for pair in categories))


def detections(*rows: tuple) -> Detections:
    """Return boxes given as (box_xyxy, score, class id)."""
    if not rows:
        return Detections.empty()
    boxes, scores, class_ids = zip(*rows, strict=True)
    return Detections(np.array(boxes, np.float32), np.array(scores, np.float32),
                      np.array(class_ids, np.int64))


def shifted(box: tuple, pixels: float) -> tuple:
    """Return a box moved to the right."""
    return (box[0] + pixels, box[1], box[2] + pixels, box[3])
