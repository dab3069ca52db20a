# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
What the recorders of ROS write and the writer of rosbags does not, by hand.

After the sources of rosbag2 (Foxy to Kilted) and the MCAP specification.
"""

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
import sqlite3
import struct

from recordings import cdr, Message, START_NS
import yaml

NO_LIMIT = {'sec': 9223372036, 'nsec': 854775807}
COUNTED = {'history': 3, 'depth': 0, 'reliability': 1, 'durability': 2, 'liveliness': 1}
NAMED = {'history': 'unknown', 'depth': 0, 'reliability': 'reliable', 'durability': 'volatile',
         'liveliness': 'automatic'}
SCHEMAS = {
    'foxy': """
        CREATE TABLE topics(id INTEGER PRIMARY KEY, name TEXT NOT NULL, type TEXT NOT NULL,
            serialization_format TEXT NOT NULL, offered_qos_profiles TEXT NOT NULL);
        CREATE TABLE messages(id INTEGER PRIMARY KEY, topic_id INTEGER NOT NULL,
            timestamp INTEGER NOT NULL, data BLOB NOT NULL);
        CREATE INDEX timestamp_idx ON messages (timestamp ASC);""",
}
SCHEMAS['humble'] = SCHEMAS['foxy'] + """
        CREATE TABLE schema(schema_version INTEGER PRIMARY KEY, ros_distro TEXT NOT NULL);
        CREATE TABLE metadata(id INTEGER PRIMARY KEY, metadata_version INTEGER NOT NULL,
            metadata TEXT NOT NULL);
        INSERT INTO schema VALUES (3, 'humble');"""


def profiles(names: dict[str, object]) -> list[dict[str, object]]:
    """Return the QoS of one publisher, with policies by number or by name."""
    return [{**names, 'deadline': NO_LIMIT, 'lifespan': NO_LIMIT,
             'liveliness_lease_duration': NO_LIMIT, 'avoid_ros_namespace_conventions': False}]


def write_metadata(folder: Path, version: int, storage: str,
                   files: dict[str, Sequence[Message]], **more: object) -> None:
    """
    Write ``metadata.yaml`` as a recorder of this version does.

    :param version: 4 (Foxy) to 9 (Jazzy and later).
    :param files: name -> its messages.
    :param more: values that are otherwise.
    """
    every = [message for messages in files.values() for message in messages]
    span = {'duration': {'nanoseconds': _time_ns(every[-1]) - _time_ns(every[0])},
            'starting_time': {'nanoseconds_since_epoch': _time_ns(every[0])}}
    qos = profiles(NAMED) if version >= 9 else yaml.safe_dump(profiles(COUNTED))
    topics = [{'topic_metadata': {
        'name': topic, 'type': kind, 'serialization_format': 'cdr', 'offered_qos_profiles': qos,
        **({'type_description_hash': f'RIHS01_{"0" * 64}'} if version >= 7 else {})},
        'message_count': sum(each.topic == topic for each in every)}
        for topic, kind in dict.fromkeys((each.topic, each.kind) for each in every)]
    content = {'version': version, 'storage_identifier': storage, **span,
               'message_count': len(every), 'topics_with_message_count': topics,
               'compression_format': '', 'compression_mode': '',
               'relative_file_paths': list(files)}
    if version >= 5:
        content['files'] = [{'path': name, **span, 'message_count': len(messages)}
                            for name, messages in files.items()]
    if version >= 6:
        content['custom_data'] = None
    if version >= 8:
        content['ros_distro'] = 'jazzy'
    (folder / 'metadata.yaml').write_text(yaml.safe_dump(
        {'rosbag2_bagfile_information': {**content, **more}}, sort_keys=False))


def write_sqlite(path: Path, messages: Sequence[Message], schema: str = 'humble') -> Path:
    """
    Write a database as a recorder does.

    :param schema: that of foxy or of humble.
    """
    with closing(sqlite3.connect(path)) as database:
        fill_sqlite(database, messages, schema)
    return path


def fill_sqlite(database: sqlite3.Connection, messages: Sequence[Message], schema: str) -> None:
    """Make the tables of a recording and write messages into them."""
    database.executescript(SCHEMAS[schema])
    ids: dict[str, int] = {}
    for each in messages:
        if each.topic not in ids:
            ids[each.topic] = len(ids) + 1
            database.execute('INSERT INTO topics VALUES (?, ?, ?, ?, ?)', (
                ids[each.topic], each.topic, each.kind, 'cdr', yaml.safe_dump(profiles(COUNTED))))
        database.execute('INSERT INTO messages(topic_id, timestamp, data) VALUES (?, ?, ?)',
                         (ids[each.topic], _time_ns(each), cdr(each)))
    database.commit()


def mcap_without_chunks(messages: Sequence[Message], profile: str = 'ros2',
                        others: Sequence[tuple[str, str, str, str, bytes]] = ()) -> bytes:
    """
    Return an MCAP file as the preset ``fastwrite`` makes it, which has no summary either.

    :param others: topic, schema, its encoding, that of messages, and definition of more channels,
        each with one message.
    """
    records = [_record(0x01, _text(profile) + _text('libmcap 1.4'))]
    ids: dict[str, int] = {}
    for each in messages:
        if each.topic not in ids:
            ids[each.topic] = number = len(ids) + 1
            records += [
                _record(0x03, struct.pack('<H', number) + _text(each.kind) + _text('ros2msg')
                        + _text('# the fields of the message')),
                _record(0x04, struct.pack('<HH', number, number) + _text(each.topic)
                        + _text('cdr') + _sized(_text('offered_qos_profiles')
                                                + _text(yaml.safe_dump(profiles(COUNTED)))))]
        records.append(_record(0x05, struct.pack(
            '<HIQQ', ids[each.topic], len(records), _time_ns(each), _time_ns(each)) + cdr(each)))
    for number, (topic, name, schema, encoding, definition) in enumerate(others, len(ids) + 1):
        records += [
            _record(0x03, struct.pack('<H', number) + _text(name) + _text(schema)
                    + _sized(definition)),
            _record(0x04, struct.pack('<HH', number, number) + _text(topic) + _text(encoding)
                    + _sized(b'')),
            _record(0x05, struct.pack('<HIQQ', number, 0, START_NS, START_NS) + b'{}')]
    magic = b'\x89MCAP0\r\n'
    return (magic + b''.join(records) + _record(0x0f, bytes(4)) + _record(0x02, bytes(20))
            + magic)


def _time_ns(message: Message) -> int:
    return START_NS + round(message.time_s * 1e9)


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack('<BQ', kind, len(content)) + content


def _sized(content: bytes) -> bytes:
    return struct.pack('<I', len(content)) + content


def _text(text: str) -> bytes:
    return _sized(text.encode())
