# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Readers of ROS 2 recordings (rosbag2: SQLite and MCAP) that need no ROS installation.

This is the only file that imports rosbags. A recording without its end, for example after a loss
of power, is read as far as possible; :attr:`Bag.damage` describes the damage.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
import math
from pathlib import Path
import re
from types import TracebackType
from typing import Any, NamedTuple

from lite_detector.core.encodings import compressed_to_bgr, image_to_bgr
from lite_detector.core.errors import ConfigError, DataError, ImageError
from lite_detector.core.types import ImageArray
from lite_detector.data.bag_salvage import CutMcap, CutSqlite

IMAGE, COMPRESSED = 'sensor_msgs/msg/Image', 'sensor_msgs/msg/CompressedImage'
DETECTIONS = 'vision_msgs/msg/Detection2DArray'
# suffix -> reader for a truncated file
SALVAGE: dict[str, Callable[[Any, Path], Any]] = {
    '.mcap': lambda rosbag2, path: _open_reader(rosbag2, CutMcap(path)),
    '.db3': lambda rosbag2, path: CutSqlite(path),
}
METADATA = 'metadata.yaml'
CDR = 'cdr'
"""Name of the message encoding of ROS 2."""
LOG_SUFFIX = '-wal'
"""Suffix of the write-ahead log of SQLite, which holds the newest rows."""
PACKED_SUFFIX, PACKED_MAGIC = '.zstd', b'\x28\xb5\x2f\xfd'
"""File suffix and magic bytes of zstd-compressed files and messages."""
FOREVER_NS = 2 ** 63 - 1
LONGEST_S = 7e9
"""Seconds in about 200 years; added to the present time it still fits into 64 bits of ns."""
# Definitions of vision_msgs 4 (Humble and later), because a recording may lack them.
VISION_TYPES = {
    'Point2D': 'float64 x\nfloat64 y',
    'Pose2D': 'vision_msgs/Point2D position\nfloat64 theta',
    'BoundingBox2D': 'vision_msgs/Pose2D center\nfloat64 size_x\nfloat64 size_y',
    'ObjectHypothesis': 'string class_id\nfloat64 score',
    'ObjectHypothesisWithPose': 'vision_msgs/ObjectHypothesis hypothesis\n'
                                'geometry_msgs/PoseWithCovariance pose',
    'Detection2D': 'std_msgs/Header header\nvision_msgs/ObjectHypothesisWithPose[] results\n'
                   'vision_msgs/BoundingBox2D bbox\nstring id',
    'Detection2DArray': 'std_msgs/Header header\nvision_msgs/Detection2D[] detections',
}


@dataclass(frozen=True, eq=False)
class BagFrame:
    """
    An image message of a recording.

    :param time_ns: Recording time, nanoseconds.
    :param stamp_ns: ``header.stamp``, nanoseconds; 0: not set by the driver, or damaged.
    :param frame_id: ``header.frame_id``.
    :param message: Decoded message; None: the message is damaged.
    """

    time_ns: int
    stamp_ns: int
    frame_id: str
    message: Any

    def image_bgr(self) -> ImageArray:
        """
        Decode the image.

        :return: BGR image, uint8, shape (height, width, 3); may be read-only.
        :raises ImageError: if the image cannot be decoded.
        """
        if self.message is None:
            raise ImageError('the message is damaged')
        if hasattr(self.message, 'format'):
            return compressed_to_bgr(self.message)
        return image_to_bgr(self.message)

    def file_bytes(self) -> tuple[str, bytes] | None:
        """Return suffix and content of a recorded JPEG or PNG; None for other images."""
        if not hasattr(self.message, 'format'):
            return None
        data = self.message.data.tobytes()
        for suffix, magic in (('.jpg', b'\xff\xd8\xff'), ('.png', b'\x89PNG')):
            if data.startswith(magic):
                return suffix, data
        return None


class RecordedBox(NamedTuple):
    """
    A recorded detection.

    :param class_id: Class of the best hypothesis.
    :param score: Recorded score of the best hypothesis.
    :param box_xyxy: Left, top, right, bottom in pixels of the image.
    """

    class_id: str
    score: float
    box_xyxy: tuple[float, float, float, float]


class Bag:
    """
    A recording, used as a context manager in a ``with`` statement.

    :param path: Folder of a recording, or one of its files (.mcap, .db3).
    :raises ConfigError: if rosbags is not installed.
    :raises DataError: on entry, if nothing in the recording can be read.
    """

    def __init__(self, path: Path) -> None:
        self._rosbag2, self._store = _rosbags()
        self.path = path
        self.problems: list[str] = []
        self._readers: list[Any] = []
        self._stack = ExitStack()

    def __enter__(self) -> Bag:
        try:
            self._open()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 traceback: TracebackType | None) -> None:
        self._stack.close()

    @property
    def topics(self) -> dict[str, str]:
        """Topic -> message type, for topics in the ROS 2 encoding."""
        return {each.topic: each.msgtype for reader in self._readers
                for each in reader.connections if _encoding(each) == CDR}

    @property
    def other_topics(self) -> dict[str, str]:
        """Topic -> message encoding, for topics in other encodings, which cannot be read."""
        return {each.topic: _encoding(each) for reader in self._readers
                for each in reader.connections if _encoding(each) != CDR}

    @property
    def damage(self) -> str:
        """Problems found while reading, in one line; empty: none."""
        return '; '.join(self.problems)

    @property
    def start_ns(self) -> int:
        """Return the recording time of the first message, nanoseconds."""
        return min(reader.start_time for reader in self._readers)

    def find_topic(self, name: str | None, types: Collection[str], option: str) -> str:
        """
        Return a topic of one of these types.

        :param name: Name of the topic; None: the only topic of these types.
        :param types: Accepted message types.
        :param option: Command-line option for the name, used in messages.
        :raises DataError: if no topic or several topics fit; the message lists the topics.
        """
        fitting = sorted(each for each, kind in self.topics.items() if kind in types)
        if name is None and len(fitting) == 1:
            return fitting[0]
        if name is not None and f'/{name.lstrip("/")}' in fitting:
            return f'/{name.lstrip("/")}'
        kinds = ' or '.join(sorted(types))
        there = ', '.join(f'{each} ({kind})' for each, kind in sorted(self.topics.items()))
        if name is None and fitting:
            raise DataError(f'{self.path}: {kinds} on {", ".join(fitting)}; choose one topic with '
                            f'{option}')
        what = f'no {kinds}' if name is None else f'{option} {name}: no {kinds} on this topic'
        raise DataError(f'{self.path}: {what}; topics: {there or "none"}')

    def frames(self, topic: str, start_s: float = 0.0, end_s: float = math.inf,
               every: int = 1) -> Iterator[BagFrame]:
        """
        Read the images of a topic in the order of their recording.

        With simulated time, messages before the first clock message have recording time 0. Such
        images get the time of the first later image.

        :param topic: Name of a topic of type Image or CompressedImage.
        :param start_s: Start in seconds after the first image.
        :param end_s: End in seconds after the first image, exclusive.
        :param every: Stride in images: yield one of every N.
        """
        kind = self.topics[topic]
        first_ns = self._first_ns(topic)
        for index, (time_ns, data) in enumerate(self._messages(topic, start_s, end_s, first_ns)):
            time_ns = time_ns or first_ns
            if index % every == 0:
                msg = self._decode(data, kind)
                stamp_ns, frame_id = (0, '') if msg is None else (
                    _stamp_ns(msg), msg.header.frame_id)
                yield BagFrame(time_ns, stamp_ns, frame_id, msg)

    def detections(self, topic: str) -> Iterator[tuple[int, list[RecordedBox]]]:
        """
        Read recorded detections.

        :param topic: Name of a topic of type Detection2DArray.
        :return: ``header.stamp`` in nanoseconds, and the boxes that have a hypothesis.
        """
        for _, data in self._messages(topic):
            msg = self._decode(data, DETECTIONS)
            if msg is None:
                self._note(f'{topic}: damaged messages')
                continue
            yield _stamp_ns(msg), [_box(each) for each in msg.detections if each.results]

    def _open(self) -> None:
        if not self.path.exists():
            raise DataError(f'{self.path}: no such file or folder')
        files = _storage_files(self.path)
        if self.path.is_dir() and not (self.path / METADATA).is_file():
            self._note(f'{self.path}: no {METADATA}; the recording was not closed properly')
        elif self._add(self.path, _open_whole):
            return
        for file in files:
            if file == self.path or not self._add(file, _open_whole):
                self._add(file, SALVAGE[file.suffix])
        others = _other_recordings(self.path)
        for problem in others:
            self._note(problem)
        if not self._readers:
            known = files or others
            reason = self.problems[-1] if known else f'{self.path}: not a rosbag2 recording'
            raise DataError(f'{reason}; nothing can be read')

    def _add(self, path: Path, open_reader: Callable[[Any, Path], Any]) -> bool:
        try:
            reader = open_reader(self._rosbag2, path)
        except Exception as error:  # rosbags documents no error type for damaged files
            self._note(_reason(path, error))
            return False
        self._stack.callback(reader.close)
        self._readers.append(reader)
        return True

    def _first_ns(self, topic: str) -> int:
        """Return the recording time of the first message of a topic that has a time; 0: none."""
        problems = list(self.problems)
        times = (time_ns for time_ns, _ in self._messages(topic) if time_ns)
        first = next(times, 0)
        self.problems = problems  # the caller reads the same messages and notes them again
        return first

    def _messages(self, topic: str, start_s: float = 0.0, end_s: float = math.inf,
                  first_ns: int = 0) -> Iterator[tuple[int, bytes]]:
        """Yield the messages between two times in seconds after ``first_ns``."""
        if self.start_ns == FOREVER_NS:  # the recording is empty
            return
        start = first_ns + int(min(start_s, LONGEST_S) * 1e9) if start_s > 0 else 0
        stop = first_ns + int(min(end_s, LONGEST_S) * 1e9)
        for reader in self._readers:
            wanted = [each for each in reader.connections if each.topic == topic]
            if not wanted:
                continue
            count = 0
            try:
                for _, time_ns, data in reader.messages(wanted, start, stop):
                    count += 1
                    yield time_ns, data
            except Exception as error:  # rosbags documents no error type for damaged files
                where = getattr(reader, 'path', self.path)
                self._note(f'{_reason(where, error)}; read {count} messages of {topic} before it')

    def _decode(self, data: bytes, kind: str) -> Any:
        try:
            if data[:len(PACKED_MAGIC)] == PACKED_MAGIC:  # only metadata makes rosbags unpack it
                data = _unpack(data)
            return self._store.deserialize_cdr(data, kind)
        except Exception:  # damaged bytes cause errors of any type
            return None

    def _note(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)


def _rosbags() -> tuple[Any, Any]:
    """Return the rosbag2 module and the store of the message types that are read here."""
    try:
        from rosbags import rosbag2
        from rosbags.typesys import get_types_from_msg, get_typestore, Stores
    except ImportError as error:
        raise ConfigError(f'recordings: rosbags cannot be imported ({error}); install it with '
                          '`python3 -m pip install rosbags`') from None
    store = get_typestore(Stores.ROS2_HUMBLE)
    types: dict[str, Any] = {}
    for name, text in VISION_TYPES.items():
        types.update(get_types_from_msg(text, f'vision_msgs/msg/{name}'))
    store.register(types)
    _admit_other_schemas()
    return rosbag2, store


def _admit_other_schemas() -> None:
    """Let rosbags open MCAP files in which a channel has a schema that is not of ROS."""
    try:
        from rosbags.rosbag2 import storage_mcap
        read_definition, read_bytes = storage_mcap.get_msgdef, storage_mcap.read_bytes
    except (ImportError, AttributeError):  # another version, which may accept such schemas
        return
    if getattr(read_definition, 'admits_others', False):
        return

    def definition_of(schema: Any) -> Any:
        try:
            return read_definition(schema)
        except KeyError:
            return read_definition(None)

    setattr(definition_of, 'admits_others', True)  # noqa: B010  (mypy: functions lack the field)
    storage_mcap.get_msgdef = definition_of
    storage_mcap.read_string = lambda bio: read_bytes(bio).decode(errors='replace')


def _encoding(connection: Any) -> str:
    return getattr(getattr(connection, 'ext', None), 'serialization_format', CDR) or CDR


def _open_whole(rosbag2: Any, path: Path) -> Any:
    for file in _storage_files(path):
        log = file.with_name(file.name + LOG_SUFFIX)
        if log.is_file() and log.stat().st_size:  # rosbags would ignore the rows in the log
            raise DataError(f'{file}: not closed properly; its last messages are in {log.name}')
    reader = _open_reader(rosbag2, path)
    told = [(each.topic, each.msgtype, each.ext) for each in reader.connections]
    if any((each.topic, each.msgtype, each.ext) not in told  # rosbags would skip these topics
           for storage in getattr(reader.storage, 'storages', ())
           for each in storage.connections):
        reader.close()
        raise DataError(f'{path}: {METADATA} differs from the files in topics or QoS')
    return reader


def _open_reader(rosbag2: Any, path: Any) -> Any:
    reader = rosbag2.Reader(path)
    reader.open()
    return reader


def _unpack(data: bytes) -> bytes:
    try:
        from compression import zstd  # Python 3.14
    except ImportError:
        from backports import zstd  # a dependency of rosbags
    return zstd.decompress(data)


def _storage_files(path: Path) -> list[Path]:
    """Return the files of a recording in the order in which they were written."""
    if path.is_file():
        return [path] if path.suffix in SALVAGE else []

    def written(file: Path) -> list[str | int]:
        return [int(part) if part.isdigit() else part for part in re.split(r'(\d+)', file.name)]
    return sorted((file for file in path.iterdir() if file.suffix in SALVAGE), key=written)


def _other_recordings(path: Path) -> list[str]:
    """Return a message with the conversion command for each recording that must be converted."""
    inside = sorted(path.iterdir()) if path.is_dir() else [path]
    packed = [f'{file}: the file is compressed; run `zstd -d {file.name} -o {file.stem}`'
              for file in inside if file.suffix == PACKED_SUFFIX]
    return packed + [f'{file}: recording of ROS 1; convert it with `rosbags-convert --src {file} '
                     f'--dst {file.stem}`'
                     for file in inside if file.suffix == '.bag']


def _reason(path: Path, error: Exception) -> str:
    reason = ' '.join(str(error).split())
    if not reason or isinstance(error, LookupError):
        reason = f'{type(error).__name__} {reason}'.rstrip()
    return reason if str(path) in reason else f'{path}: {reason}'


def _stamp_ns(msg: Any) -> int:
    return msg.header.stamp.sec * 10 ** 9 + msg.header.stamp.nanosec


def _box(detection: Any) -> RecordedBox:
    best = max((each.hypothesis for each in detection.results), key=lambda each: each.score)
    center, half_x, half_y = (detection.bbox.center.position, detection.bbox.size_x / 2,
                              detection.bbox.size_y / 2)
    return RecordedBox(best.class_id, best.score, (
        center.x - half_x, center.y - half_y, center.x + half_x, center.y + half_y))
