# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Random backbones of four kinds, to see how well a latency table predicts whole networks."""

from __future__ import annotations

from collections.abc import Callable

from lite_detector.core.types import ImageSize
from lite_detector.search.operators import Activation, Graph
import numpy as np

Block = Callable[[Graph, int, int, int, np.random.Generator], int]
"""(graph, map, channels, stride, random) -> map: one block."""

ACTIVATIONS: tuple[Activation, ...] = ('relu', 'leaky_relu', 'hardswish', 'swish')


def random_network(kind: str, size: ImageSize, random: np.random.Generator) -> Graph:
    """
    Return a backbone to stride 32 with the outputs of a detector at strides 8, 16 and 32.

    :param kind: of its blocks, a key of ``BLOCKS``.
    :param size: of the image.
    """
    block = BLOCKS[kind]
    graph = Graph(size)
    width = 16 * int(random.integers(1, 3))
    feature = graph.conv(graph.image, width, kernel=3, stride=2, activation='relu')
    if random.random() < 0.5:
        feature = graph.pool(feature)
    else:
        feature = block(graph, feature, width, 2, random)
    for _ in range(3):
        width = 16 * round(width * random.uniform(1.5, 2.2) / 16)
        feature = block(graph, feature, width, 2, random)
        for _ in range(int(random.integers(1, 5))):
            feature = block(graph, feature, width, 1, random)
        graph.conv(feature, 40)
    return graph


def mobile_block(graph: Graph, source: int, channels: int, stride: int,
                 random: np.random.Generator) -> int:
    """Add an inverted residual (MobileNetV2), at times with squeeze-and-excitation (V3)."""
    activation = _activation(random)
    inside = 8 * round(graph.shapes[source].channels * random.choice([2, 3, 4, 6]) / 8)
    kernel = int(random.choice([3, 5]))
    result = graph.conv(source, inside, activation=activation)
    result = graph.depthwise(result, kernel, stride, activation)
    if random.random() < 0.3:
        result = graph.se(result)
    result = graph.conv(result, channels)
    if stride == 1 and graph.shapes[source].channels == channels:
        result = graph.add(source, result)
    return result


def shuffle_block(graph: Graph, source: int, channels: int, stride: int,
                  random: np.random.Generator) -> int:
    """Add a unit of ShuffleNetV2: half of the channels passes by."""
    activation = _activation(random)
    kernel = int(random.choice([3, 5]))
    if stride == 1:
        kept, source = graph.split(source)
    else:
        kept = graph.depthwise(source, kernel, stride)
        kept = graph.conv(kept, channels // 2, activation=activation)
    result = graph.conv(source, channels // 2, activation=activation)
    result = graph.depthwise(result, kernel, stride)
    result = graph.conv(result, channels // 2, activation=activation)
    return graph.shuffle(graph.concat([kept, result]))


def residual_block(graph: Graph, source: int, channels: int, stride: int,
                   random: np.random.Generator) -> int:
    """Add a bottleneck of ResNet: 1x1, 3x3, 1x1, and the sum."""
    activation = _activation(random)
    inside = 8 * round(channels * random.choice([0.5, 0.75, 1]) / 8)
    result = graph.conv(source, inside, activation=activation)
    result = graph.conv(result, inside, 3, stride, activation)
    result = graph.conv(result, channels)
    if stride > 1:
        source = graph.conv(source, channels, 1, stride)
    return graph.add(source, result, activation)


def csp_block(graph: Graph, source: int, channels: int, stride: int,
              random: np.random.Generator) -> int:
    """Add a cross-stage partial block: one half runs through two 3x3 convolutions."""
    activation = _activation(random)
    if stride > 1:
        source = graph.conv(source, channels, 3, stride, activation)
    half = channels // 2
    kept = graph.conv(source, half, activation=activation)
    result = graph.conv(source, half, activation=activation)
    for _ in range(int(random.integers(1, 3))):
        inside = graph.conv(result, half, 1, activation=activation)
        result = graph.add(result, graph.conv(inside, half, 3, activation=activation))
    return graph.conv(graph.concat([kept, result]), channels, activation=activation)


BLOCKS: dict[str, Block] = {'mobile': mobile_block, 'shuffle': shuffle_block,
                            'residual': residual_block, 'csp': csp_block}


def _activation(random: np.random.Generator) -> Activation:
    return ACTIVATIONS[random.integers(len(ACTIVATIONS))]
