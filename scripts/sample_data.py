# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0
"""Create small data for the commands of the guides: images, labels, a video and a recording."""

from __future__ import annotations

from importlib.util import find_spec
import json
from pathlib import Path

import cv2
import lite_detector
import numpy as np
from rosbags.rosbag2 import Writer
from rosbags.typesys import get_typestore, Stores

PHOTOS = ('astronaut.png', 'chelsea.png', 'coffee.png')
SIZE = (640, 480)
FRAMES = 12
"""Number of views of each photograph; every third one is for validation."""


def views() -> list[np.ndarray]:
    """Return images that pan over the photographs of scikit-image."""
    folder = Path(find_spec('skimage').origin).parent / 'data'
    images = []
    for name in PHOTOS:
        photo = cv2.imread(str(folder / name))
        height, width = photo.shape[:2]
        for step in range(FRAMES):
            share = 0.6 + 0.4 * step / (FRAMES - 1)
            x, y = (round(side * (1 - share) / 2) for side in (width, height))
            images.append(cv2.resize(photo[y:height - y, x:width - x], SIZE))
    return images


def write_labels(folder: Path, images: list[np.ndarray]) -> None:
    """Write images/, train.json and val.json, labelled by the default model."""
    detector = lite_detector.load_model('coco_320')
    names = detector.card.class_names
    splits = {'train': ([], []), 'val': ([], [])}
    (folder / 'images').mkdir()
    for index, image in enumerate(images):
        entries, boxes = splits['val' if index % 3 == 2 else 'train']
        cv2.imwrite(str(folder / 'images' / f'{index}.jpg'), image)
        entries.append({'id': index, 'file_name': f'{index}.jpg', 'width': SIZE[0],
                        'height': SIZE[1]})
        found = detector.detect(image)
        for (x1, y1, x2, y2), class_id in zip(found.boxes_xyxy.tolist(), found.class_ids.tolist(),
                                              strict=True):
            boxes.append({'id': len(boxes) + 1, 'image_id': index, 'category_id': class_id + 1,
                          'bbox': [x1, y1, x2 - x1, y2 - y1], 'iscrowd': 0,
                          'area': (x2 - x1) * (y2 - y1)})
    used = {box['category_id'] for _, boxes in splits.values() for box in boxes}
    categories = [{'id': index + 1, 'name': name} for index, name in enumerate(names)
                  if index + 1 in used]
    for split, (entries, boxes) in splits.items():
        (folder / f'{split}.json').write_text(json.dumps(
            {'images': entries, 'annotations': boxes, 'categories': categories}))


def write_recording(folder: Path, images: list[np.ndarray]) -> None:
    """Write a recording of /camera/image_raw, one image each 4 s."""
    types = get_typestore(Stores.ROS2_HUMBLE)
    header, stamp = types.types['std_msgs/msg/Header'], types.types['builtin_interfaces/msg/Time']
    kind = 'sensor_msgs/msg/Image'
    with Writer(folder / 'flight', version=9) as writer:
        connection = writer.add_connection('/camera/image_raw', kind, typestore=types)
        for index, image in enumerate(images):
            message = types.types[kind](
                header(stamp(sec=4 * index + 1, nanosec=0), 'camera'), SIZE[1], SIZE[0], 'bgr8', 0,
                3 * SIZE[0], image.reshape(-1))
            writer.write(connection, (4 * index + 1) * 10 ** 9,
                         types.serialize_cdr(message, kind))


def write_sample_data(folder: Path) -> None:
    """
    Write photos/, photo.jpg, images/, train.json, val.json, video.mp4 and flight/.

    :param folder: Empty folder.
    """
    images = views()
    (folder / 'photos').mkdir()
    for index, name in enumerate(PHOTOS):
        cv2.imwrite(str(folder / 'photos' / f'{Path(name).stem}.jpg'),
                    images[FRAMES * (index + 1) - 1])
    cv2.imwrite(str(folder / 'photo.jpg'), images[-1])
    video = cv2.VideoWriter(str(folder / 'video.mp4'), cv2.VideoWriter_fourcc(*'mp4v'), 10, SIZE)
    for image in images:
        video.write(image)
    video.release()
    write_labels(folder, images)
    write_recording(folder, images)
