# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Drawn images that a network can learn in seconds: red squares and green discs on noise."""

from collections.abc import Iterable
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[2]
CLASS_NAMES = ('square', 'disc')
COLORS = ((40, 40, 230), (40, 220, 40))


def write_shapes(folder: Path, count: int = 8, height: int = 96, width: int = 128,
                 seed: int = 0) -> Path:
    """
    Write images with one or two shapes each, and their labels.

    :return: the labels, COCO json; the images lie in ``images`` beside it.
    """
    rng = np.random.default_rng(seed)
    (folder / 'images').mkdir(parents=True)
    images, annotations = [], []
    for number in range(count):
        image = rng.integers(60, 120, (height, width, 3)).astype(np.uint8)
        for half in range(1 + number % 2):
            side = int(rng.integers(24, 44))
            left = int(rng.integers(0, width // 2 - side)) + half * width // 2
            top = int(rng.integers(0, height - side))
            class_id = int(rng.integers(0, 2))
            if class_id == 0:
                image[top:top + side, left:left + side] = COLORS[0]
            else:
                middle = (left + side // 2, top + side // 2)
                cv2.circle(image, middle, side // 2, COLORS[1], cv2.FILLED)
            annotations.append({'id': len(annotations) + 1, 'image_id': number + 1,
                                'category_id': class_id + 1, 'bbox': [left, top, side, side]})
        name = f'{number}.png'
        assert cv2.imwrite(str(folder / 'images' / name), image)
        images.append({'id': number + 1, 'file_name': name, 'height': height, 'width': width})
    categories = [{'id': index, 'name': name} for index, name in enumerate(CLASS_NAMES, start=1)]
    path = folder / 'labels.json'
    path.write_text(json.dumps({'images': images, 'annotations': annotations,
                                'categories': categories}))
    return path


SMALL = {
    'network.input_size': {'height': 64, 'width': 96},
    'network.variant': '0.5x',
    'batch_size': 4,
    'optimizer.learning_rate': 0.001,
    'schedule.warmup_iterations': 2,
    'ema': {'decay': 0.5, 'ramp': 1},
    'validation.every_epochs': 1,
    'phases': [{'epochs': 2}],
}
"""A run of seconds with config/train/nanodet_m_320.yaml."""


def changes(values: dict[str, Any]) -> list[str]:
    """Return the arguments of the command line that make these changes."""
    return [f'{key}={yaml.safe_dump(value, default_flow_style=True).strip().removesuffix("...")}'
            for key, value in values.items()]


def train_arguments(output: Path, labels: Path, *more: str, config: str = 'nanodet_m_320',
                    **values: Any) -> list[str]:
    """
    Return the arguments of a small run.

    :param more: further arguments.
    :param values: changes of the configuration, with ``__`` for the dot.
    """
    data = {'data.train': str(labels), 'data.val': str(labels)}
    dotted: Iterable = {key.replace('__', '.'): value for key, value in values.items()}.items()
    return ['train', '--config', str(ROOT / 'config' / 'train' / f'{config}.yaml'),
            *changes({**data, **SMALL, **dict(dotted)}), '--output', str(output), *more]
