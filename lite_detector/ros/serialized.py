# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Image messages read in place, where rclpy copies the pixels twice.

A serialized message is the Common Data Representation of its fields (CDR, chapter 9.3 of the
CORBA standard), behind four bytes that say so: numbers aligned to their size, strings and
sequences with their length in front.
"""

from __future__ import annotations

from collections.abc import Callable
import struct
from typing import Any, NamedTuple

from builtin_interfaces.msg import Time
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

PLAIN_CDR = {b'\0\0': '>', b'\0\1': '<'}
"""First two bytes of a message -> byte order of its numbers."""
PREFIX_BYTES = 4


class SerializedImage(NamedTuple):
    """The fields of ``sensor_msgs/msg/Image``; ``data`` is a part of the serialized message."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


class SerializedCompressedImage(NamedTuple):
    """The fields of ``sensor_msgs/msg/CompressedImage``, likewise."""

    header: Header
    format: str  # noqa: A003
    data: memoryview


class CdrReader:
    """
    Reads fields one after the other.

    :param data: a serialized message.
    :param order: of the bytes of a number, as ``struct`` writes it.
    """

    def __init__(self, data: bytes, order: str) -> None:
        self._view = memoryview(data)[PREFIX_BYTES:]
        self._order = order
        self._place = 0

    def number(self, code: str = 'I') -> int:
        """
        Read a number.

        :param code: its type, as ``struct`` writes it.
        :raises struct.error: if the message ends before.
        """
        size = struct.calcsize(self._order + code)
        self._place = -(-self._place // size) * size
        value, = struct.unpack_from(self._order + code, self._view, self._place)
        self._place += size
        return value

    def numbers(self, count: int) -> tuple[float, ...]:
        """Read float64 numbers; raise struct.error if the message ends before."""
        self._place = -(-self._place // 8) * 8
        values = struct.unpack_from(f'{self._order}{count}d', self._view, self._place)
        self._place += 8 * count
        return values

    def part(self) -> memoryview:
        """Read a sequence of bytes; raise struct.error if the message ends before."""
        count = self.number()
        begin, self._place = self._place, self._place + count
        if self._place > len(self._view):
            raise struct.error(f'{count} bytes, where {len(self._view) - begin} are left')
        return self._view[begin:self._place]

    def text(self) -> str:
        """Read a string, which ends with a zero."""
        return bytes(self.part()).rstrip(b'\0').decode(errors='replace')

    def header(self) -> Header:
        """Read a header."""
        stamp = Time(sec=self.number('i'), nanosec=self.number())
        return Header(stamp=stamp, frame_id=self.text())

    def skip_header(self) -> None:
        """Go on behind a header."""
        self.number()
        self.number()
        self.part()


def _image(reader: CdrReader) -> SerializedImage:
    return SerializedImage(reader.header(), reader.number(), reader.number(), reader.text(),
                           reader.number('B'), reader.number(), reader.part())


def _compressed(reader: CdrReader) -> SerializedCompressedImage:
    return SerializedCompressedImage(reader.header(), reader.text(), reader.part())


READERS: dict[type, Callable[[CdrReader], Any]] = {Image: _image, CompressedImage: _compressed}


def read_in_place(data: bytes, kind: type) -> SerializedImage | SerializedCompressedImage | Any:
    """
    Return the fields of a serialized message; the data field is no copy.

    :param data: as a raw subscription gets it.
    :param kind: ``Image`` or ``CompressedImage``.
    :return: for a representation other than plain CDR, the message as rclpy makes it.
    :raises struct.error: if the message ends before its fields do.
    :raises Exception: as ``rclpy.serialization.deserialize_message``.
    """
    order = PLAIN_CDR.get(data[:2])
    if order is None:
        return deserialize_message(data, kind)
    return READERS[kind](CdrReader(data, order))
