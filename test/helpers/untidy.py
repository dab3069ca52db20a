# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Datasets as labelling tools, other systems and accidents leave them, small and made up."""

import json
from pathlib import Path
from typing import Any

import cv2
from lite_detector.core.types import ImageSize
from lite_detector.data.dataset import Dataset
from lite_detector.data.findings import Reading
import numpy as np

HEIGHT, WIDTH = 40, 64
STRICT = Reading(strict=True)


def picture(value: int = 90, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    return np.full((height, width, 3), value, np.uint8)


def write_images(folder: Path, *names: str) -> Path:
    """Write an image of 64x40 for each name."""
    for place, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        suffix = '.png' if path.suffix.lower() == '.png' else '.jpg'
        path.write_bytes(cv2.imencode(suffix, picture(30 + place))[1].tobytes())
    return folder


def write_texts(folder: Path, **texts: str | bytes) -> Path:
    """Write label files; ``__`` in a name is a folder."""
    for name, text in texts.items():
        path = folder / f'{name.replace("__", "/")}.txt'
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return folder


def coco(images: list[dict[str, Any]], annotations: Any, names: Any = ('ant', 'bee')) -> str:
    categories = [{'id': place, 'name': name} for place, name in enumerate(names, start=1)] if (
        isinstance(names, tuple)) else names
    return json.dumps({'images': images, 'annotations': annotations, 'categories': categories})


def image(image_id: Any, file_name: str, **more: Any) -> dict[str, Any]:
    return {'id': image_id, 'file_name': file_name, 'width': WIDTH, 'height': HEIGHT, **more}


def box(image_id: Any, category_id: Any, bbox: Any, **more: Any) -> dict[str, Any]:
    return {'image_id': image_id, 'category_id': category_id, 'bbox': bbox, **more}


def pixels(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Return the name of an image -> its boxes in pixels, rounded to thousandths."""
    return {each.image_path.name: [
        (dataset.class_names[class_id], tuple(round(value, 3) for value in corners))
        for class_id, corners in zip(each.class_ids, each.boxes_in(
            ImageSize(HEIGHT, WIDTH)).tolist(), strict=True)] for each in dataset.labels}
