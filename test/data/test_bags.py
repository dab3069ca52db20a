# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Recordings, whole and damaged, as they are read."""

from contextlib import closing
from pathlib import Path
import sqlite3
import sys

from lite_detector.core.errors import ConfigError, DataError, ImageError
from lite_detector.data.bag_salvage import CutSqlite
from lite_detector.data.bags import Bag, COMPRESSED, DETECTIONS, IMAGE
import numpy as np
from numpy.testing import assert_array_equal
import pytest
from recorders import mcap_without_chunks
from recordings import (
    compressed_image,
    detections,
    IMAGES,
    LABELS,
    raw_image,
    START_NS,
    storage_file,
    write_bag,
)

STORAGES = pytest.mark.parametrize('storage', ['mcap', 'sqlite3'])


@pytest.fixture(autouse=True)
def needs_rosbags():
    pytest.importorskip('rosbags')


def noise(seed: int, height: int = 48, width: int = 64) -> np.ndarray:
    """Return a picture that no compression makes small, uint8 BGR."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def seen(bag: Bag, topic: str = IMAGES, **options: float) -> list[float]:
    """Return the seconds of the recording at which the images were recorded."""
    return [round((frame.time_ns - START_NS) / 1e9, 3) for frame in bag.frames(topic, **options)]


@STORAGES
def test_bag_without_messages_has_no_frames(tmp_path, storage):
    with Bag(write_bag(tmp_path / 'bag', [], storage)) as bag:
        assert bag.topics == {}
        with pytest.raises(DataError, match='no sensor_msgs/msg/Image; topics: none'):
            bag.find_topic(None, [IMAGE], '--topic')


@STORAGES
def test_bag_gives_raw_images_with_stamp_and_frame(tmp_path, storage):
    grey = noise(1)[..., 0]
    path = write_bag(tmp_path / 'bag', [
        raw_image(noise(0), 0.0, stamp_s=0.25), raw_image(grey, 1.0, encoding='mono8'),
        raw_image(noise(2), 2.0, encoding='rgb8', stamp_s=-1)], storage)
    for source in (path, storage_file(path)):
        with Bag(source) as bag:
            assert bag.topics == {IMAGES: IMAGE}
            frames = list(bag.frames(IMAGES))
            assert bag.damage == ''
        assert [frame.time_ns - START_NS for frame in frames] == [0, 10 ** 9, 2 * 10 ** 9]
        assert [frame.stamp_ns for frame in frames] == [START_NS + 250_000_000,
                                                        START_NS + 10 ** 9, 0]
        assert frames[0].frame_id == 'lens' and frames[0].file_bytes() is None
        assert_array_equal(frames[0].image_bgr(), noise(0))
        assert_array_equal(frames[1].image_bgr(), np.stack([grey] * 3, axis=2))
        assert_array_equal(frames[2].image_bgr(), noise(2)[..., ::-1])


@STORAGES
def test_bag_gives_compressed_images_and_their_files(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', [
        compressed_image(noise(0), 0.0, IMAGES), compressed_image(noise(1), 0.1, IMAGES, '.png'),
        compressed_image(noise(2), 0.2, IMAGES, '.bmp')], storage)
    with Bag(path) as bag:
        frames = list(bag.frames(IMAGES))
    assert [frame.file_bytes() and frame.file_bytes()[0] for frame in frames] == [
        '.jpg', '.png', None]
    assert frames[0].file_bytes()[1] == frames[0].message.data.tobytes()
    assert_array_equal(frames[1].image_bgr(), noise(1))
    assert_array_equal(frames[2].image_bgr(), noise(2))


@STORAGES
def test_bag_frames_of_a_time_and_one_of_so_many(tmp_path, storage):
    messages = [raw_image(noise(0), index / 2) for index in range(9)]
    with Bag(write_bag(tmp_path / 'bag', messages, storage)) as bag:
        assert seen(bag, start_s=1) == [1, 1.5, 2, 2.5, 3, 3.5, 4]
        assert seen(bag, start_s=1, end_s=2) == [1, 1.5]
        assert seen(bag, every=4) == [0, 2, 4]
        assert seen(bag, start_s=100) == []


@STORAGES
def test_bag_times_count_from_the_first_image(tmp_path, storage):
    messages = [detections(0.0), *(raw_image(noise(0), 5 + index / 2) for index in range(4))]
    with Bag(write_bag(tmp_path / 'bag', messages, storage)) as bag:
        assert seen(bag) == [5, 5.5, 6, 6.5]
        assert seen(bag, start_s=0.5) == [5.5, 6, 6.5]
        assert seen(bag, end_s=1) == [5, 5.5]


@STORAGES
@pytest.mark.parametrize('early', [IMAGES, LABELS])
def test_bag_with_messages_before_the_simulated_clock_loses_no_image(tmp_path, storage, early):
    at_zero = -START_NS / 1e9
    first = (detections(at_zero) if early == LABELS else raw_image(noise(1), at_zero, stamp_s=-1))
    messages = [first, *(raw_image(noise(0), index / 2) for index in range(4))]
    with Bag(write_bag(tmp_path / 'bag', messages, storage)) as bag:
        before = [0] if early == IMAGES else []  # it gets the time of the first one
        assert seen(bag) == [*before, 0, 0.5, 1, 1.5]
        assert seen(bag, end_s=1) == [*before, 0, 0.5]
        assert seen(bag, start_s=0.5) == [0.5, 1, 1.5]


@STORAGES
def test_bag_of_images_before_the_simulated_clock_alone_has_them(tmp_path, storage):
    at_zero = -START_NS / 1e9
    with Bag(write_bag(tmp_path / 'bag', [raw_image(noise(1), at_zero, stamp_s=-1)] * 2,
                       storage)) as bag:
        assert [frame.time_ns for frame in bag.frames(IMAGES)] == [0, 0]


@pytest.mark.parametrize(('schema', 'encoding', 'definition'), [
    ('jsonschema', 'json', b'{}'), ('protobuf', 'protobuf', b'\x0a\xff\xfe'),
    ('ros1msg', 'ros1', b'int32 a'), ('', 'json', b''), ('flatbuffer', 'flatbuffer', b'\x80')])
def test_bag_with_a_channel_that_is_not_of_ros_is_read_without_it(tmp_path, schema, encoding,
                                                                  definition):
    path = tmp_path / 'mixed.mcap'
    image = raw_image(noise(0), 0.0)
    path.write_bytes(mcap_without_chunks([image, image], others=[
        ('/status', 'Status', schema, encoding, definition)]))
    with Bag(path) as bag:
        assert (bag.topics, bag.other_topics) == ({IMAGES: IMAGE}, {'/status': encoding})
        assert seen(bag) == [0, 0] and not bag.damage


@STORAGES
@pytest.mark.parametrize('encoding', ['rgb16', 'bgr16', 'bayer_rggb16', '8UC4', 'nv24'])
def test_bag_gives_images_of_rare_encodings_without_a_step(tmp_path, storage, encoding):
    shape = {'bayer_rggb16': (48, 64, 1), '8UC4': (48, 64, 4), 'nv24': (144, 64, 1)}.get(
        encoding, (48, 64, 3))
    pixels = np.full(shape, 128, np.uint16 if encoding.endswith('16') else np.uint8)
    message = raw_image(pixels, 0.0, encoding=encoding)
    message.fields.update(height=48, width=64, step=0)
    with Bag(write_bag(tmp_path / 'bag', [message], storage)) as bag:
        frame, = bag.frames(IMAGES)
        assert frame.image_bgr().shape == (48, 64, 3)
        wanted = {'nv24': 130, '8UC4': 128}.get(encoding, 0)
        assert (frame.image_bgr() == wanted).all()


@STORAGES
def test_bag_gives_boxes_with_the_best_hypothesis(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', [
        detections(0.0), detections(0.5, ('cup', 0.75, (1, 2, 11, 22)), ('', 0, (0, 0, 1, 1)))],
        storage)
    with Bag(path) as bag:
        assert bag.find_topic('detections', [DETECTIONS], '--labels-topic') == LABELS
        empty, full = bag.detections(LABELS)
    assert empty == (START_NS, [])
    assert full == (START_NS + 500_000_000, [('cup', 0.75, (1, 2, 11, 22))])


@pytest.mark.parametrize(('storage', 'compression'), [
    ('sqlite3', 'message'), ('sqlite3', 'file'), ('mcap', 'file'), ('mcap', 'storage')])
def test_bag_that_is_compressed_is_read(tmp_path, storage, compression):
    path = write_bag(tmp_path / 'bag', [raw_image(noise(0), 0.0), raw_image(noise(1), 1.0)],
                     storage, compression)
    with Bag(path) as bag:
        assert seen(bag) == [0, 1]
        assert bag.damage == ''


def test_bag_finds_the_only_image_topic_or_names_what_there_is(tmp_path):
    two = write_bag(tmp_path / 'two', [raw_image(noise(0), 0.0), detections(0),
                                       compressed_image(noise(0), 0)])
    with Bag(two) as bag:
        assert bag.find_topic(None, [IMAGE], '--topic') == IMAGES
        with pytest.raises(DataError, match=f'{IMAGES}, {IMAGES}/compressed; choose one '
                                            'topic with --topic'):
            bag.find_topic(None, [IMAGE, COMPRESSED], '--topic')
        with pytest.raises(DataError, match=r'--topic /detections: no sensor_msgs/msg/Image '
                                            r'on this topic; topics: .*/detections \(vision_msgs'):
            bag.find_topic('/detections', [IMAGE], '--topic')


def test_frame_with_a_damaged_message_says_so(tmp_path):
    broken = raw_image(noise(0), 0.0)
    broken.fields['step'] = 5
    path = write_bag(tmp_path / 'bag', [broken, raw_image(noise(1), 1)], 'sqlite3')
    with sqlite3.connect(storage_file(path)) as database:
        database.execute("UPDATE messages SET data = x'000100000200' WHERE id = 2")
    with Bag(path) as bag:
        first, second = bag.frames(IMAGES)
    with pytest.raises(ImageError, match='step is 5 bytes'):
        first.image_bgr()
    assert second.stamp_ns == 0 and second.file_bytes() is None
    with pytest.raises(ImageError, match='the message is damaged'):
        second.image_bgr()


def cut(path: Path, share: float) -> Path:
    """Cut a recording off as a robot that loses power does: no metadata either."""
    file = storage_file(path)
    file.write_bytes(file.read_bytes()[:int(file.stat().st_size * share)])
    (path / 'metadata.yaml').unlink()
    return path


@STORAGES
@pytest.mark.parametrize('share', [0.3, 0.7, 0.99])
def test_bag_that_was_cut_off_gives_what_is_left(tmp_path, storage, share):
    count = 200 if storage == 'mcap' else 100
    messages = [raw_image(noise(index, 96, 128), index / 10) for index in range(count)]
    path = cut(write_bag(tmp_path / 'bag', messages, storage), share)
    with Bag(path) as bag:
        frames = list(bag.frames(IMAGES))
        assert 'no metadata.yaml' in bag.damage and '\n' not in bag.damage
    # a chunk of MCAP is lost as a whole
    assert (share - 0.2) * count <= len(frames) <= share * count + 1
    assert [frame.time_ns - START_NS for frame in frames] == [
        index * 10 ** 8 for index in range(len(frames))]
    assert_array_equal(frames[-1].image_bgr(), noise(len(frames) - 1, 96, 128))


def test_bag_with_a_damaged_chunk_is_read_up_to_it(tmp_path):
    messages = [raw_image(noise(index, 96, 128), index / 10) for index in range(200)]
    path = write_bag(tmp_path / 'bag', messages, compression='storage')
    data = bytearray(storage_file(path).read_bytes())
    data[data.index(b'\x28\xb5\x2f\xfd', len(data) // 2)] = 0  # where zstd begins a chunk
    storage_file(path).write_bytes(data)
    with Bag(path) as bag:
        count = len(list(bag.frames(IMAGES)))
        assert 80 <= count < 200
        assert f'read {count} messages of {IMAGES} before it' in bag.damage


def test_cut_sqlite_file_with_rows_of_damaged_types_gives_the_others(tmp_path):
    path = write_bag(tmp_path / 'bag', [raw_image(noise(index), index) for index in range(4)],
                     'sqlite3')
    with closing(sqlite3.connect(storage_file(path))) as database, database:
        # a table without the NOT NULL constraint, because damaged files may violate it
        database.execute('CREATE TABLE damaged AS SELECT * FROM messages')
        database.execute('UPDATE damaged SET timestamp = NULL WHERE id = 1')
        database.execute("UPDATE damaged SET data = 'text' WHERE id = 3")
        database.execute('DROP TABLE messages')
        database.execute('ALTER TABLE damaged RENAME TO messages')
    file = CutSqlite(storage_file(path))
    assert file.start_time == START_NS + 10 ** 9
    assert [time_ns - START_NS for _, time_ns, _ in file.messages(file.connections)] == [
        10 ** 9, 3 * 10 ** 9]


@STORAGES
def test_bag_with_metadata_of_another_time_is_read_file_by_file(tmp_path, storage):
    path = write_bag(tmp_path / 'bag', [raw_image(noise(0), 0.0)], storage)
    (path / 'metadata.yaml').write_text('rosbag2_bagfile_information: {version: 5}')
    with Bag(path) as bag:
        assert seen(bag) == [0]
        assert 'metadata key is missing' in bag.damage


def test_bag_of_several_files_goes_on_in_their_order(tmp_path):
    folder = tmp_path / 'bag'
    folder.mkdir()
    for index, number in enumerate((2, 10, 1)):
        part = write_bag(tmp_path / f'part{number}', [raw_image(noise(index), number)])
        storage_file(part).rename(folder / f'bag_{number}.mcap')
    with Bag(folder) as bag:
        assert seen(bag) == [1, 2, 10]


@pytest.mark.parametrize(('name', 'content', 'words'), [
    ('absent', None, 'no such file or folder'),
    ('empty.mcap', b'', 'wrong first bytes; expected an MCAP file; nothing can be read'),
    ('text.mcap', b'# notes', 'wrong first bytes; expected an MCAP file; nothing can be read'),
    ('head.mcap', b'\x89MCAP0\r\n', 'nothing can be read'),
    ('text.db3', b'# notes', 'file is not a database; nothing can be read'),
    ('empty.db3', b'', 'no such table: topics; nothing can be read'),
    ('film.mp4', b'ftyp', 'not a rosbag2 recording; nothing can be read'),
])
def test_bag_that_is_none_is_a_data_error_of_one_line(tmp_path, name, content, words):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as caught, Bag(path):
        pass
    assert words in str(caught.value) and name in str(caught.value)
    assert '\n' not in str(caught.value)


def test_folder_without_a_recording_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match='not a rosbag2 recording; nothing can be read'), \
            Bag(tmp_path):
        pass


def test_bag_without_rosbags_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, 'rosbags', None)
    with pytest.raises(ConfigError, match='python3 -m pip install rosbags'):
        Bag(tmp_path)
