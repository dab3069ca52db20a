# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Image messages read in place; rclpy would copy the pixels twice.

A serialized message consists of four bytes that name the representation, and the fields in Common
Data Representation (CDR, chapter 9.3 of the CORBA standard): numbers are aligned to their size,
and strings and sequences begin with their length.
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
    """Fields of ``sensor_msgs/msg/Image``; ``data`` is a view of the serialized message."""

    header: Header
    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: memoryview


class SerializedCompressedImage(NamedTuple):
    """Fields of ``sensor_msgs/msg/CompressedImage``; ``data`` is a view of the message."""

    header: Header
    format: str  # noqa: A003
    data: memoryview


class CdrReader:
    """
    Sequential reader of fields.

    :param data: Serialized message.
    :param order: Byte order of numbers in the notation of ``struct``.
    """

    def __init__(self, data: bytes, order: str) -> None:
        self._view = memoryview(data)[PREFIX_BYTES:]
        self._order = order
        self._place = 0

    def number(self, code: str = 'I') -> int:
        """
        Read a number.

        :param code: Type of the number in the notation of ``struct``.
        :raises struct.error: if the message is too short.
        """
        size = struct.calcsize(self._order + code)
        self._place = -(-self._place // size) * size
        value, = struct.unpack_from(self._order + code, self._view, self._place)
        self._place += size
        return value

    def numbers(self, count: int) -> tuple[float, ...]:
        """Read float64 numbers; raise struct.error if the message is too short."""
        self._place = -(-self._place // 8) * 8
        values = struct.unpack_from(f'{self._order}{count}d', self._view, self._place)
        self._place += 8 * count
        return values

    def part(self) -> memoryview:
        """Read a sequence of bytes; raise struct.error if the message is too short."""
        count = self.number()
        begin, self._place = self._place, self._place + count
        if self._place > len(self._view):
            raise struct.error(f'{count} bytes; expected at most {len(self._view) - begin}')
        return self._view[begin:self._place]

    def text(self) -> str:
        """Read a zero-terminated string."""
        return bytes(self.part()).rstrip(b'\0').decode(errors='replace')

    def header(self) -> Header:
        """Read a header."""
        stamp = Time(sec=self.number('i'), nanosec=self.number())
        return Header(stamp=stamp, frame_id=self.text())

    def skip_header(self) -> None:
        """Skip a header."""
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
    Return the fields of a serialized message; the data field is a view.

    :param data: Serialized message from a raw subscription.
    :param kind: Type of the message: ``Image`` or ``CompressedImage``.
    :return: Fields; for a representation other than plain CDR, the message of rclpy.
    :raises struct.error: if the message is too short.
    :raises Exception: see ``rclpy.serialization.deserialize_message``.
    """
    order = PLAIN_CDR.get(data[:2])
    if order is None:
        return deserialize_message(data, kind)
    return READERS[kind](CdrReader(data, order))
