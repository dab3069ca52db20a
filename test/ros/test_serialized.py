# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Messages read in place say what rclpy says."""

import array
import struct

from camera_images import EVERY, scene_msg
from lite_detector.ros.conversions import (
    bgr_to_compressed_msg,
    compressed_msg_to_bgr,
    image_msg_to_bgr,
)
from lite_detector.ros.serialized import PREFIX_BYTES, read_in_place, SerializedImage
import numpy as np
import pytest
from rclpy.serialization import deserialize_message, serialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

BIG_ENDIAN = b''.join((
    b'\0\0\0\0', struct.pack('>iI', -5, 7), struct.pack('>I', 5), b'lens\0', bytes(3),
    struct.pack('>II', 1, 2), struct.pack('>I', 6), b'mono8\0', b'\1', bytes(1),
    struct.pack('>II', 2, 2), b'ab'))


def header(frame_id: str = 'lens') -> Header:
    made = Header(frame_id=frame_id)
    made.stamp.sec, made.stamp.nanosec = 2 ** 31 - 1, 999_999_999
    return made


def assert_same(data: bytes, kind: type) -> None:
    found, wanted = read_in_place(data, kind), deserialize_message(data, kind)
    for name in wanted.get_fields_and_field_types():
        if name == 'data':
            assert bytes(found.data) == bytes(wanted.data)
        else:
            assert getattr(found, name) == getattr(wanted, name), name


# every remainder of the lengths by four, so that every padding occurs
@pytest.mark.parametrize('frame_id', ['', 'a', 'ab', 'abc', 'abcd', 'vorne/Objektiv \u00e4'])
@pytest.mark.parametrize('encoding', ['', 'mono8', 'rgb8', 'nv12', 'bayer_rggb8', '16UC1'])
def test_image_has_the_fields_that_rclpy_finds(frame_id, encoding):
    for count in (0, 1, 2, 3, 1000):
        msg = Image(header=header(frame_id), height=3, width=2 ** 32 - 1, encoding=encoding,
                    is_bigendian=count % 2, step=7, data=array.array('B', bytes(range(250)) * 4
                                                                     )[:count])
        assert_same(serialize_message(msg), Image)
        compressed = CompressedImage(header=header(frame_id), format=encoding, data=msg.data)
        assert_same(serialize_message(compressed), CompressedImage)


@pytest.mark.parametrize('encoding', EVERY)
def test_pixels_of_every_encoding_are_those_of_the_message(encoding):
    msg = scene_msg(encoding, 5, 8, 'red', padding=3)
    found = read_in_place(serialize_message(msg), Image)
    np.testing.assert_array_equal(image_msg_to_bgr(found), image_msg_to_bgr(msg))


def test_pixels_are_no_copy():
    data = serialize_message(scene_msg('bgr8', 5, 8))
    image = image_msg_to_bgr(read_in_place(data, Image))
    assert np.shares_memory(image, np.frombuffer(data, np.uint8))


def test_jpeg_is_decoded_from_its_place():
    image = np.full((8, 16, 3), 50, np.uint8)
    found = read_in_place(serialize_message(bgr_to_compressed_msg(image, header())),
                          CompressedImage)
    assert (compressed_msg_to_bgr(found) == 50).all()


def test_message_of_a_big_endian_machine_is_read():
    found = read_in_place(BIG_ENDIAN, Image)
    assert (found.header.stamp.sec, found.header.stamp.nanosec, found.header.frame_id) == (
        -5, 7, 'lens')
    assert found[1:6] == (1, 2, 'mono8', 1, 2)
    assert bytes(found.data) == b'ab'


@pytest.mark.parametrize('kind', [Image, CompressedImage])
def test_message_that_ends_early_is_refused_wherever_it_ends(kind):
    msg = kind(header=header(), data=array.array('B', bytes(8)))
    data = serialize_message(msg)
    for length in range(PREFIX_BYTES, len(data)):
        with pytest.raises(struct.error):
            read_in_place(data[:length], kind)


def test_message_with_any_bytes_gives_fields_or_an_error():
    random = np.random.default_rng(0)
    data = np.frombuffer(serialize_message(scene_msg('bgr8', 5, 8)), np.uint8)
    for _ in range(2000):
        spoiled = data.copy()
        places = random.integers(PREFIX_BYTES, 60, random.integers(1, 5))
        spoiled[places] = random.integers(0, 256, len(places))
        try:
            found = read_in_place(spoiled.tobytes(), Image)
        except struct.error:
            continue
        assert len(found.data) <= len(data)


def test_other_representation_is_left_to_rclpy():
    data = serialize_message(scene_msg('bgr8', 5, 8))
    try:
        assert type(read_in_place(b'\0\7' + data[2:], Image)) is Image
    except RuntimeError as error:  # Humble's Fast CDR knows fewer representations
        assert 'failed to deserialize' in str(error)
    assert type(read_in_place(data, Image)) is SerializedImage
