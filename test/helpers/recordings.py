# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Small recordings, written as rosbag2 writes them."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

START_NS = 1_700_000_000_000_000_000
IMAGES, LABELS = '/camera/image_raw', '/detections'


class Message(NamedTuple):
    """A message that :func:`write_bag` takes; ``fields`` go to the type of this name."""

    topic: str
    kind: str
    time_s: float
    fields: dict[str, Any]


def raw_image(image: np.ndarray, time_s: float, topic: str = IMAGES, encoding: str = 'bgr8',
              stamp_s: float | None = None) -> Message:
    """Return an Image message; ``image`` holds the bytes as the encoding wants them."""
    image = np.ascontiguousarray(image)
    return Message(topic, 'sensor_msgs/msg/Image', time_s, {
        'stamp_s': time_s if stamp_s is None else stamp_s, 'height': image.shape[0],
        'width': image.shape[1], 'encoding': encoding, 'is_bigendian': 0,
        'step': image.strides[0], 'data': np.frombuffer(image.tobytes(), np.uint8)})


def compressed_image(image_bgr: np.ndarray, time_s: float, topic: str = f'{IMAGES}/compressed',
                     suffix: str = '.jpg') -> Message:
    """Return a CompressedImage message."""
    data = cv2.imencode(suffix, image_bgr)[1].ravel()
    return Message(topic, 'sensor_msgs/msg/CompressedImage', time_s,
                   {'stamp_s': time_s, 'format': suffix[1:], 'data': data})


def detections(time_s: float, *found: tuple[str, float, tuple[float, float, float, float]],
               topic: str = LABELS) -> Message:
    """Return a Detection2DArray of (class_id, score, left-top-right-bottom)."""
    return Message(topic, 'vision_msgs/msg/Detection2DArray', time_s,
                   {'stamp_s': time_s, 'found': found})


def write_bag(folder: Path, messages: Sequence[Message], storage: str = 'mcap',
              compression: str = 'none') -> Path:
    """
    Write a recording.

    :param storage: mcap or sqlite3.
    :param compression: none, message, file, or storage (MCAP only).
    """
    from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer
    store = _typestore()
    writer = Writer(folder, version=9, storage_plugin=StoragePlugin[storage.upper()])
    writer.set_compression(CompressionMode[compression.upper()], CompressionFormat.ZSTD)
    with writer:
        connections = {}
        for each in messages:
            if each.topic not in connections:
                connections[each.topic] = writer.add_connection(each.topic, each.kind,
                                                                typestore=store)
            writer.write(connections[each.topic], START_NS + round(each.time_s * 1e9),
                         cdr(each, store))
    return folder


def cdr(message: Message, store: Any = None) -> bytes:
    """Return the bytes of a message as ROS sends and records them; its field ``cdr`` if it has."""
    if 'cdr' in message.fields:
        return message.fields['cdr']
    store = store or _typestore()
    return bytes(store.serialize_cdr(_message(store, message), message.kind))


def storage_file(folder: Path) -> Path:
    """Return the file that holds the messages."""
    path, = (path for path in folder.iterdir() if path.suffix in ('.mcap', '.db3'))
    return path


@cache
def _typestore() -> Any:
    from lite_detector.data.bags import VISION_TYPES
    from rosbags.typesys import get_types_from_msg, get_typestore, Stores
    store = get_typestore(Stores.ROS2_JAZZY)
    types = {}
    for name, text in VISION_TYPES.items():
        types.update(get_types_from_msg(text, f'vision_msgs/msg/{name}'))
    store.register(types)
    return store


def _message(store: Any, message: Message) -> Any:
    types = store.types
    stamp_ns = START_NS + round(message.fields['stamp_s'] * 1e9)
    if message.fields['stamp_s'] < 0:  # a driver that does not stamp
        stamp_ns = 0
    header = types['std_msgs/msg/Header'](types['builtin_interfaces/msg/Time'](
        *divmod(stamp_ns, 10 ** 9)), 'lens')
    fields = {name: value for name, value in message.fields.items() if name != 'stamp_s'}
    if 'found' in fields:
        fields = {'detections': [_detection(types, header, *each) for each in fields['found']]}
    return types[message.kind](header=header, **fields)


def _detection(types: Any, header: Any, class_id: str, score: float,
               box_xyxy: tuple[float, float, float, float]) -> Any:
    left, top, right, bottom = box_xyxy
    vision = {name: types[f'vision_msgs/msg/{name}'] for name in (
        'Point2D', 'Pose2D', 'BoundingBox2D', 'ObjectHypothesis', 'ObjectHypothesisWithPose',
        'Detection2D')}
    geometry = {name: types[f'geometry_msgs/msg/{name}'] for name in (
        'Point', 'Quaternion', 'Pose', 'PoseWithCovariance')}
    pose = geometry['PoseWithCovariance'](
        geometry['Pose'](geometry['Point'](0.0, 0.0, 0.0),
                         geometry['Quaternion'](0.0, 0.0, 0.0, 1.0)), np.zeros(36))
    center = vision['Pose2D'](vision['Point2D']((left + right) / 2, (top + bottom) / 2), 0.0)
    results = [vision['ObjectHypothesisWithPose'](
        vision['ObjectHypothesis'](class_id, score), pose)] if class_id else []
    return vision['Detection2D'](header, results,
                                 vision['BoundingBox2D'](center, right - left, bottom - top), '')
