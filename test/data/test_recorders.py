# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings as ROS itself writes them, of all versions, presets and accidents."""

from contextlib import closing
import json
from pathlib import Path
import shutil
import sqlite3

from lite_detector.cli import main
from lite_detector.core.errors import DataError
from lite_detector.data.bags import Bag, IMAGE
import numpy as np
import pytest
from recorders import fill_sqlite, mcap_without_chunks, write_metadata, write_sqlite
from recordings import (
    compressed_image,
    detections,
    IMAGES,
    LABELS,
    Message,
    raw_image,
    write_bag,
)
import yaml

JPEGS = f'{IMAGES}/compressed'


@pytest.fixture(autouse=True)
def needs_rosbags():
    pytest.importorskip('rosbags')


def picture(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (48, 64, 3), np.uint8)


def flight(first: int = 0, count: int = 4) -> list[Message]:
    """Return seconds of a raw and a compressed camera, and what was found in the raw one."""
    return [message for second in range(first, first + count) for message in (
        raw_image(picture(second), second), compressed_image(picture(second), second),
        detections(second, ('cup', 0.75, (1, 2, 11, 22))))]


def read(path: Path) -> tuple[list[int], list[int], int, str]:
    """Return the seconds of raw and of compressed images, the number of labels, the damage."""
    with Bag(path) as bag:
        topics = bag.topics
        seconds = [[round(frame.stamp_ns / 1e9) % 100 for frame in bag.frames(topic)
                    if frame.image_bgr() is not None] if topic in topics else []
                   for topic in (IMAGES, JPEGS)]
        labels = list(bag.detections(LABELS)) if LABELS in topics else []
        return *seconds, len(labels), bag.damage


def refusal(path: Path) -> str:
    with pytest.raises(DataError) as caught, Bag(path):
        pass
    assert '\n' not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize('version', range(4, 10))
@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_metadata_of_every_version_is_read(tmp_path, version, storage):
    if storage == 'mcap':
        (tmp_path / 'bag_0.mcap').write_bytes(mcap_without_chunks(flight()))
    else:
        write_sqlite(tmp_path / 'bag_0.db3', flight(), 'foxy' if version < 5 else 'humble')
    files = {f'bag_0.{"mcap" if storage == "mcap" else "db3"}': flight()}
    write_metadata(tmp_path, version, storage, files)
    assert read(tmp_path) == ([0, 1, 2, 3], [0, 1, 2, 3], 4, '')


def test_metadata_of_the_first_versions_names_files_with_their_folder(tmp_path):
    write_sqlite(tmp_path / 'bag_0.db3', flight(), 'foxy')
    write_metadata(tmp_path, 3, 'sqlite3', {f'{tmp_path.name}/bag_0.db3': flight()})
    assert read(tmp_path) == ([0, 1, 2, 3], [0, 1, 2, 3], 4, '')


def test_recording_that_was_split_is_one(tmp_path):
    parts = {f'bag_{index}.db3': flight(2 * index, 2) for index in range(3)}
    for name, messages in parts.items():
        write_sqlite(tmp_path / name, messages)
    write_metadata(tmp_path, 5, 'sqlite3', parts)
    whole = [0, 1, 2, 3, 4, 5]
    assert read(tmp_path) == (whole, whole, 6, '')
    (tmp_path / 'bag_1.db3').unlink()
    *left, damage = read(tmp_path)
    assert left == [[0, 1, 4, 5], [0, 1, 4, 5], 4]
    assert 'bag_1.db3' in damage and '\n' not in damage


@pytest.mark.parametrize('content', [b'', b'\0' * 500, b'\xff\xfe', b'a: [', b'[]', b'{}'],
                         ids=['empty', 'zeros', 'no text', 'no YAML', 'list', 'other YAML'])
def test_metadata_that_was_lost_is_told_and_not_needed(tmp_path, content):
    write_sqlite(tmp_path / 'bag_0.db3', flight())
    (tmp_path / 'metadata.yaml').write_bytes(content)
    *found, damage = read(tmp_path)
    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], 4]
    assert str(tmp_path) in damage and '\n' not in damage


@pytest.mark.parametrize('closed', [False, True])
def test_messages_that_a_power_cut_left_in_the_log_of_the_database_are_read(tmp_path, closed):
    # preset `resilient`, and all of Foxy: SQLite writes first into a log beside the file
    with closing(sqlite3.connect(tmp_path / 'live.db3')) as database:
        database.execute('PRAGMA journal_mode = WAL')
        fill_sqlite(database, flight(count=2), 'humble')
        database.execute('PRAGMA wal_checkpoint')
        database.execute('INSERT INTO messages SELECT id + 6, topic_id, timestamp, data '
                         'FROM messages')
        database.commit()
        bag = tmp_path / 'bag'
        bag.mkdir()
        for end in ('', '-wal'):
            shutil.copy(tmp_path / f'live.db3{end}', bag / f'bag_0.db3{end}')
    if closed:  # copied, perhaps, while it was recorded
        write_metadata(bag, 5, 'sqlite3', {'bag_0.db3': flight(count=2)})
    for path in (bag, bag / 'bag_0.db3'):
        *found, damage = read(path)
        assert found == [[0, 1, 0, 1], [0, 1, 0, 1], 4]
        assert 'bag_0.db3: not closed properly' in damage and '\n' not in damage


def test_log_of_a_database_that_was_closed_is_empty_and_no_damage(tmp_path):
    write_sqlite(tmp_path / 'bag_0.db3', flight())
    (tmp_path / 'bag_0.db3-wal').touch()
    write_metadata(tmp_path, 4, 'sqlite3', {'bag_0.db3': flight()})
    assert read(tmp_path) == ([0, 1, 2, 3], [0, 1, 2, 3], 4, '')


@pytest.mark.parametrize('closed', [True, False])
def test_recording_compressed_by_message_needs_no_metadata(tmp_path, closed):
    bag = write_bag(tmp_path / 'bag', flight(), 'sqlite3', 'message')
    if not closed:
        (bag / 'metadata.yaml').unlink()
    *found, damage = read(bag)
    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], 4]
    assert bool(damage) is not closed


def test_recording_compressed_by_file_without_metadata_says_how_to_unpack_it(tmp_path):
    bag = write_bag(tmp_path / 'bag', flight(), 'sqlite3', 'file')
    packed, = bag.glob('*.zstd')
    (bag / 'metadata.yaml').unlink()
    command = f'`zstd -d {packed.name} -o {packed.stem}`'
    assert command in refusal(bag)
    assert command in refusal(packed)
    write_sqlite(bag / 'later.db3', flight(4, 1))  # the last one was still open
    *found, damage = read(bag)
    assert found == [[4], [4], 1]
    assert command in damage


@pytest.mark.parametrize('share', [0.3, 0.6, 0.9])
@pytest.mark.parametrize('zeros', [0, 5000])
def test_mcap_without_chunks_that_was_cut_off_is_read_to_its_last_message(tmp_path, share, zeros):
    data = mcap_without_chunks(flight(count=20))
    data = data[:int(len(data) * share)]
    (tmp_path / 'bag_0.mcap').write_bytes(data + bytes(zeros))  # as journals of disks leave it
    raw, jpegs, labels, damage = read(tmp_path)
    assert raw == list(range(len(raw)))
    assert share * 20 - 2 <= len(raw) <= share * 20 + 1
    assert len(raw) - 1 <= labels <= len(jpegs) <= len(raw)
    assert 'no metadata.yaml' in damage and '\n' not in damage


def test_types_that_nobody_knows_here_do_not_matter(tmp_path):
    strange = Message('/pose', 'my_msgs/msg/Pose', 0.5, {'cdr': b'\0\1\0\0\7\0\0\0'})
    (tmp_path / 'bag.mcap').write_bytes(mcap_without_chunks([strange, *flight()]))
    write_sqlite(tmp_path / 'bag.db3', [strange, *flight()])
    for path in (tmp_path / 'bag.mcap', tmp_path / 'bag.db3'):
        assert read(path) == ([0, 1, 2, 3], [0, 1, 2, 3], 4, '')
        with Bag(path) as bag, pytest.raises(DataError, match=r'/pose \(my_msgs/msg/Pose\)'):
            bag.find_topic('/pose', [IMAGE], '--topic')


@pytest.mark.parametrize('qos', ['- reliability: reliable\n', 'many', '[', '', []])
def test_quality_of_service_that_does_not_fit_the_files_costs_no_message(tmp_path, qos):
    write_sqlite(tmp_path / 'bag_0.db3', flight())
    write_metadata(tmp_path, 5, 'sqlite3', {'bag_0.db3': flight()})
    text = (tmp_path / 'metadata.yaml').read_text()
    content = yaml.safe_load(text)
    for topic in content['rosbag2_bagfile_information']['topics_with_message_count']:
        topic['topic_metadata']['offered_qos_profiles'] = qos
    (tmp_path / 'metadata.yaml').write_text(yaml.safe_dump(content))
    *found, damage = read(tmp_path)
    assert found == [[0, 1, 2, 3], [0, 1, 2, 3], 4]
    assert '\n' not in damage


def test_recording_of_ros_1_says_what_makes_it_one_of_ros_2(tmp_path):
    path = tmp_path / 'old.bag'
    path.write_bytes(b'#ROSBAG V2.0\n' + bytes(100))
    for source in (path, tmp_path):
        assert 'old.bag: recording of ROS 1; convert it with `rosbags-convert ' in refusal(source)


@pytest.mark.parametrize(('profile', 'words'), [('ros1', 'ros2'), ('', 'ros2')])
def test_mcap_of_something_else_is_one_line(tmp_path, profile, words):
    path = tmp_path / 'bag.mcap'
    path.write_bytes(mcap_without_chunks(flight(), profile))
    assert words in refusal(path) and str(path) in refusal(path)


@pytest.mark.parametrize('storage', ['sqlite3', 'mcap'])
def test_commands_read_what_a_recorder_wrote(tmp_path, capsys, tiny_nanodet, storage):
    bag = tmp_path / 'bag'
    bag.mkdir()
    if storage == 'mcap':
        (bag / 'bag_0.mcap').write_bytes(mcap_without_chunks(flight()))
    else:
        write_sqlite(bag / 'bag_0.db3', flight())
    write_metadata(bag, 9, storage, {f'bag_0.{"mcap" if storage == "mcap" else "db3"}': flight()})
    assert main(['dataset_from_bag', str(bag), '--topic', IMAGES, '--labels-topic', LABELS,
                 '--val-fraction', '0', '--blur', '0', '--output', str(tmp_path / 'out')]) == 0
    labels = json.loads((tmp_path / 'out' / 'instances_train.json').read_text())
    assert [box['bbox'] for box in labels['annotations']] == [[1, 2, 10, 20]] * 4
    baseline = str(tmp_path / 'baseline.json')
    replay = ['replay', str(bag), '--topic', JPEGS, '--model', str(tiny_nanodet)]
    assert main([*replay, '--write-baseline', baseline]) == 0
    assert main([*replay, '--baseline', baseline]) == 0
    assert '4 frames of' in capsys.readouterr().out
