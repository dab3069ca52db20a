# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
The two files of an ncnn network: ``.param`` (text) and ``.bin`` (weights), with NumPy alone.

A ``.bin`` holds, layer by layer in the order of the ``.param``: a tag of 4 bytes, the weights
padded to 4 bytes, then the bias as float32 without a tag (measured on the public files).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lite_detector.core.errors import ModelError
from lite_detector.core.types import FloatArray
import numpy as np
import numpy.typing as npt

PARAM_MAGIC = '7767517'
FULL_TAG, HALF_TAG, INT8_TAG = 0x00000000, 0x01306B47, 0x000D4B38
WEIGHT_TYPES = {FULL_TAG: '<f4', HALF_TAG: '<f2'}
"""Tag -> number format of the weights."""


@dataclass(frozen=True)
class Layer:
    """
    One line of a ``.param`` file.

    :param kind: Type of the layer, such as Convolution.
    :param name: Name of the layer.
    :param bottoms: Names of its input blobs.
    :param tops: Names of its output blobs.
    :param options: Parameters as written in the file, such as ``0=24``.
    """

    kind: str
    name: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    options: tuple[str, ...] = ()

    @classmethod
    def parse(cls, line: str, path: Path) -> Layer:
        """
        Parse a line.

        :param line: Line of the file.
        :param path: Path of the file, for the error message.
        :raises ModelError: if it is not a layer.
        """
        try:
            kind, name, bottoms, tops, *rest = line.split()
            first, last = int(bottoms), int(bottoms) + int(tops)
            for option in rest[last:]:
                key, _ = option.split('=')
                int(key)
        except ValueError:
            raise ModelError(f'{path}: line {line[:60]!r} is not an ncnn layer') from None
        return cls(kind, name, tuple(rest[:first]), tuple(rest[first:last]), tuple(rest[last:]))

    def option(self, number: int, default: int = 0) -> int:
        """Return an integer parameter; lists and fractions are ignored."""
        for option in self.options:
            key, value = option.split('=')
            if int(key) == number and value.lstrip('-').isdecimal():
                return int(value)
        return default

    def with_option(self, number: int, value: int) -> Layer:
        """Return the layer with a parameter set."""
        others = tuple(option for option in self.options
                       if not option.startswith(f'{number}='))
        return replace(self, options=(*others, f'{number}={value}'))

    def __str__(self) -> str:
        """Return the line of the file."""
        return ' '.join((f'{self.kind:24}', f'{self.name:24}', str(len(self.bottoms)),
                         str(len(self.tops)), *self.bottoms, *self.tops, *self.options))


def read_layers(path: Path) -> list[Layer]:
    """
    Read a ``.param`` file.

    :raises ModelError: if it is malformed, truncated or cannot be read.
    """
    lines = _read(path).decode('ascii', errors='replace').splitlines()
    if not lines or lines[0].strip() != PARAM_MAGIC:
        raise ModelError(f'{path}: not an ncnn .param text file')
    layers = [Layer.parse(line, path) for line in lines[2:] if line.strip()]
    counts = lines[1].split() if len(lines) > 1 else []
    if not counts or counts[0] != str(len(layers)):
        raise ModelError(f'{path}: {len(layers)} layers, but line 2 has {" ".join(counts)}; the '
                         'file is truncated')
    return layers


def param_text(layers: Sequence[Layer]) -> str:
    """Return the text of a ``.param`` file."""
    blobs = sum(len(layer.tops) for layer in layers)
    return '\n'.join((PARAM_MAGIC, f'{len(layers)} {blobs}', *map(str, layers))) + '\n'


class WeightFile:
    """
    A ``.bin`` file, read from start to end.

    :raises ModelError: if it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = _read(path)
        self._position = 0

    @property
    def position(self) -> int:
        """Position of the next values in bytes."""
        return self._position

    def stored(self, start: int) -> bytes:
        """Return the bytes from a position up to the next values."""
        return self._data[start:self._position]

    def weights(self, count: int, layer: str) -> FloatArray:
        """
        Return the next values, converted from the number format of their tag.

        :param count: Number of values.
        :param layer: Name of the layer, for the error message.
        :raises ModelError: if they are int8, of another type, or missing.
        """
        tag = self._tag(layer)
        if tag == INT8_TAG:
            raise ModelError(f'{self._path}: layer {layer} is int8; expected fp16 or fp32, '
                             'because int8 networks cannot be trained or quantized')
        if tag not in WEIGHT_TYPES:
            raise ModelError(f'{self._path}: layer {layer} starts with tag 0x{tag:08X}, which is '
                             'neither fp16 nor fp32; the file belongs to another network')
        return self._take(WEIGHT_TYPES[tag], count, layer).astype(np.float32)

    def is_int8(self, layer: str) -> bool:
        """
        Return whether the next weights are int8, without reading them.

        :param layer: Name of the layer, for the error message.
        :raises ModelError: if no bytes are left.
        """
        start = self._position
        tag = self._tag(layer)
        self._position = start
        return tag == INT8_TAG

    def int8_weights(self, count: int, layer: str) -> npt.NDArray[np.int8]:
        """
        Return the next values, for which :meth:`is_int8` is true.

        :param count: Number of values.
        :param layer: Name of the layer, for the error message.
        """
        self._tag(layer)
        return self._take('i1', count, layer).view(np.int8)

    def bias(self, count: int, layer: str) -> FloatArray:
        """Return the next values, which are float32 without a tag."""
        return self._take('<f4', count, layer).astype(np.float32)

    def _tag(self, layer: str) -> int:
        return int(self._take('<u4', 1, layer)[0])

    def check_end(self) -> None:
        """Raise ModelError if bytes are left over."""
        left = len(self._data) - self._position
        if left > 0:
            raise ModelError(f'{self._path}: {left} bytes are left over after the last layer; '
                             'the file belongs to another network')

    def _take(self, dtype: str, count: int, layer: str) -> npt.NDArray[np.generic]:
        size = np.dtype(dtype).itemsize * count
        if self._position + size > len(self._data):
            raise ModelError(f'{self._path}: ends inside layer {layer}; the file is truncated or '
                             'belongs to another network')
        values = np.frombuffer(self._data, dtype, count, self._position)
        self._position += size + -size % 4
        return values


def tagged(values: npt.NDArray[np.generic]) -> bytes:
    """
    Return weights in the format of a ``.bin`` file: tag, values, padding to 4 bytes.

    :param values: Values, int8, float16 or float32.
    """
    tags = {np.dtype(np.int8): INT8_TAG, np.dtype('<f2'): HALF_TAG, np.dtype('<f4'): FULL_TAG}
    data = values.tobytes()
    return tags[values.dtype].to_bytes(4, 'little') + data + bytes(-len(data) % 4)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror}') from None
