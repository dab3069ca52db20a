# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Operators of a network, as far as they determine its speed, and a graph of them.

::

    graph = Graph(ImageSize(320, 320))
    stem = graph.conv(graph.image, 24, kernel=3, stride=2, activation='relu')
    left, right = graph.split(stem)
    right = graph.depthwise(right, kernel=3)
    graph.conv(graph.shuffle(graph.concat([left, right])), 33)
        graph.operators     # input of the latency table

Batch normalization is folded into the convolutions, and all padding is `same`: an output has
``ceil(side / stride)`` cells.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from lite_detector.core.types import ImageSize

Kind = Literal['conv', 'depthwise', 'pool', 'shuffle', 'split', 'resize', 'se', 'concat', 'add',
               'activation']
Activation = Literal['none', 'relu', 'leaky_relu', 'relu6', 'hardswish', 'swish']
FUSED = frozenset(('none', 'relu', 'leaky_relu', 'relu6', 'hardswish'))
"""Activations that ncnn computes inside a convolution; others are separate layers."""
SE_REDUCTION = 4


class Operator(NamedTuple):
    """
    One operator of a network with the size of its input feature map.

    Kernels are square; ``conv`` has one group; ``split`` returns the two halves of the channels;
    ``resize`` is bilinear upsampling by ``stride``; ``se`` is a full squeeze-and-excitation block;
    ``concat`` and ``add`` have two or more inputs; for ``concat``, ``in_channels`` is the sum.
    """

    kind: Kind
    in_channels: int
    out_channels: int
    height: int
    width: int
    kernel: int = 1
    stride: int = 1
    activation: Activation = 'none'

    @property
    def out_size(self) -> ImageSize:
        """Size of the output feature map."""
        if self.kind == 'resize':
            return ImageSize(self.height * self.stride, self.width * self.stride)
        return ImageSize(-(-self.height // self.stride), -(-self.width // self.stride))

    @property
    def macs(self) -> int:
        """Return the multiply-accumulate operations in convolutions and linear layers."""
        if self.kind == 'se':
            return 2 * self.in_channels * se_channels(self.in_channels)
        height, width = self.out_size
        return height * width * self._weights

    @property
    def parameters(self) -> int:
        """Return the number of weights and biases, with folded batch normalization."""
        if self.kind == 'se':
            hidden = se_channels(self.in_channels)
            return 2 * self.in_channels * hidden + self.in_channels + hidden
        return self._weights + self.out_channels if self._weights else 0

    @property
    def _weights(self) -> int:
        if self.kind == 'conv':
            return self.in_channels * self.out_channels * self.kernel ** 2
        return self.out_channels * self.kernel ** 2 if self.kind == 'depthwise' else 0


class MapShape(NamedTuple):
    """Shape of a feature map."""

    channels: int
    height: int
    width: int


class Node(NamedTuple):
    """An operator with the numbers of its input and output feature maps."""

    operator: Operator
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]


def se_channels(channels: int) -> int:
    """Return the hidden channels of a squeeze-and-excitation: a quarter, rounded to 8."""
    return max(8, round(channels / SE_REDUCTION / 8) * 8)


class Graph:
    """
    A network of operators; each method adds an operator and returns the number of its feature map.

    :param size: Size of the image in network pixels.
    :param channels: Number of channels of the image.
    """

    def __init__(self, size: ImageSize, channels: int = 3) -> None:
        self.image = 0
        self.nodes: list[Node] = []
        self.shapes = [MapShape(channels, size.height, size.width)]
        """Shape of each feature map, by its number."""

    @property
    def operators(self) -> list[Operator]:
        """Operators in the order of execution."""
        return [node.operator for node in self.nodes]

    @property
    def outputs(self) -> list[int]:
        """Numbers of the feature maps that no operator uses as input."""
        read = {number for node in self.nodes for number in node.inputs}
        return [number for number in range(1, len(self.shapes)) if number not in read]

    def conv(self, source: int, out_channels: int, kernel: int = 1, stride: int = 1,
             activation: Activation = 'none') -> int:
        """Add a convolution of one group."""
        return self._add('conv', (source,), out_channels, kernel, stride, activation)

    def depthwise(self, source: int, kernel: int = 3, stride: int = 1,
                  activation: Activation = 'none') -> int:
        """Add a depthwise convolution."""
        return self._add('depthwise', (source,), None, kernel, stride, activation)

    def pool(self, source: int, kernel: int = 3, stride: int = 2) -> int:
        """Add max pooling."""
        return self._add('pool', (source,), None, kernel, stride)

    def shuffle(self, source: int) -> int:
        """Add a channel shuffle with two groups."""
        return self._add('shuffle', (source,))

    def split(self, source: int) -> tuple[int, int]:
        """Add a split into the first and the second half of the channels."""
        shape = self.shapes[source]
        half = shape.channels // 2
        operator = Operator('split', shape.channels, half, shape.height, shape.width)
        first, second = self.append(operator, (source,),
                                    [MapShape(half, shape.height, shape.width)] * 2)
        return first, second

    def resize(self, source: int, factor: int = 2) -> int:
        """Add bilinear upsampling."""
        return self._add('resize', (source,), stride=factor)

    def se(self, source: int) -> int:
        """Add a squeeze-and-excitation."""
        return self._add('se', (source,))

    def concat(self, sources: Sequence[int]) -> int:
        """Add a concatenation of feature maps of one size."""
        return self._add('concat', tuple(sources),
                         sum(self.shapes[source].channels for source in sources))

    def add(self, first: int, second: int, activation: Activation = 'none') -> int:
        """Add the sum of two feature maps of one shape."""
        return self._add('add', (first, second), activation=activation)

    def append(self, operator: Operator, sources: tuple[int, ...],
               shapes: Sequence[MapShape]) -> list[int]:
        """Add an operator with outputs of the given shapes."""
        numbers = list(range(len(self.shapes), len(self.shapes) + len(shapes)))
        self.shapes += shapes
        self.nodes.append(Node(operator, sources, tuple(numbers)))
        return numbers

    def _add(self, kind: Kind, sources: tuple[int, ...], out_channels: int | None = None,
             kernel: int = 1, stride: int = 1, activation: Activation = 'none') -> int:
        shape = self.shapes[sources[0]]
        out_channels = shape.channels if out_channels is None else out_channels
        in_channels = out_channels if kind == 'concat' else shape.channels
        inside = kind in ('conv', 'depthwise') and activation in FUSED
        operator = Operator(kind, in_channels, out_channels, shape.height, shape.width, kernel,
                            stride, activation if inside else 'none')
        result, = self.append(operator, sources, [MapShape(out_channels, *operator.out_size)])
        if inside or activation == 'none':
            return result
        result, = self.append(
            Operator('activation', out_channels, out_channels, *operator.out_size,
                     activation=activation), (result,), [self.shapes[result]])
        return result
