# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Graph of a full detector: the structure of a backbone, with neck and head of a family.

The graph has the convolutions that ncnn runs after an export, with folded batch normalization and
re-parameterized branches. A test compares the graphs with the networks in torch.
"""

from __future__ import annotations

from typing import NamedTuple

from lite_detector.core.model_card import Family
from lite_detector.core.structure import StageSpec, StructureSpec
from lite_detector.core.types import ImageSize
from lite_detector.search.operators import Activation, Graph

ACTIVATION: Activation = 'leaky_relu'
"""Activation of NanoDet and NanoDet-Plus."""


class NetworkFrame(NamedTuple):
    """
    The fixed parts of the networks in a search.

    :param family: Family, nanodet or nanodet_plus, which determines neck and head.
    :param channels: Number of channels of all neck levels.
    :param outputs: Number of output values per cell: classes and distances.
    :param size: Size of the network input in pixels.
    """

    family: Family
    channels: int
    outputs: int
    size: ImageSize


def network_graph(structure: StructureSpec, frame: NetworkFrame) -> Graph:
    """
    Return the graph of a detector; its outputs are the raw heads, fine to coarse.

    :param structure: Structure of the backbone.
    :param frame: The fixed parts of the network.
    """
    graph = Graph(frame.size)
    source, levels = add_stem(graph, structure.stem, structure.pool), []
    for index, stage in enumerate(structure.stages):
        source = add_stage(graph, source, stage)
        if index in structure.taps:
            levels.append(source)
    add_neck_and_head(graph, levels, frame)
    return graph


def add_stem(graph: Graph, channels: int, pool: bool) -> int:
    """Add the first convolution and its pooling; return the feature map."""
    stem = graph.conv(graph.image, channels, 3, 2, ACTIVATION)
    return graph.pool(stem) if pool else stem


def add_stage(graph: Graph, source: int, stage: StageSpec) -> int:
    """Add the blocks of a stage; return the last feature map."""
    if stage.block == 'csp':
        return _csp_stage(graph, source, stage)
    block = BLOCKS[stage.block]
    for index in range(stage.blocks):
        source = block(graph, source, stage, 1 if index else stage.stride)
    return source


def add_neck_and_head(graph: Graph, levels: list[int], frame: NetworkFrame) -> None:
    """
    Add neck and head to a backbone.

    :param graph: Graph to extend.
    :param levels: Feature maps of the backbone with strides 8, 16 and 32.
    :param frame: The fixed parts of the network.
    """
    neck, kernel = (_ghost_pan, 5) if frame.family == 'nanodet_plus' else (_pan, 3)
    for level in neck(graph, levels, frame.channels):
        for _ in range(2):
            level = _separable(graph, level, frame.channels, kernel)
        graph.conv(level, frame.outputs)


def _mobile_block(graph: Graph, source: int, stage: StageSpec, stride: int) -> int:
    wide = graph.conv(source, stage.inner_channels, activation=ACTIVATION)
    deep = graph.depthwise(wide, stage.kernel, stride, ACTIVATION)
    narrow = graph.conv(deep, stage.channels)
    adds = stride == 1 and graph.shapes[source].channels == stage.channels
    return graph.add(source, narrow) if adds else narrow


def _shuffle_block(graph: Graph, source: int, stage: StageSpec, stride: int) -> int:
    half = stage.channels // 2
    if stride == 1:
        passed, worked = graph.split(source)
    else:
        worked = source
        passed = graph.conv(graph.depthwise(source, stage.kernel, 2), half, activation=ACTIVATION)
    worked = graph.conv(worked, half, activation=ACTIVATION)
    worked = graph.depthwise(worked, stage.kernel, stride)
    worked = graph.conv(worked, half, activation=ACTIVATION)
    return graph.shuffle(graph.concat([passed, worked]))


def _residual_block(graph: Graph, source: int, stage: StageSpec, stride: int) -> int:
    return _residual(graph, source, stage.inner_channels, stage.channels, stride, 1)


def _residual(graph: Graph, source: int, inner: int, channels: int, stride: int,
              kernel: int) -> int:
    first = graph.conv(source, inner, kernel, activation=ACTIVATION)
    if stride == 2:
        return graph.conv(first, channels, 3, 2, ACTIVATION)
    second = graph.conv(first, channels, 3)
    if graph.shapes[source].channels != channels:
        source = graph.conv(source, channels)
    return graph.add(second, source, ACTIVATION)


def _csp_stage(graph: Graph, source: int, stage: StageSpec) -> int:
    half = stage.channels // 2
    down = graph.conv(source, stage.channels, 3, 2, ACTIVATION)
    passed = graph.conv(down, half, activation=ACTIVATION)
    worked = graph.conv(down, half, activation=ACTIVATION)
    for _ in range(stage.blocks):
        worked = _residual(graph, worked, stage.inner_channels, half, 1, 3)
    return graph.conv(graph.concat([worked, passed]), stage.channels, activation=ACTIVATION)


BLOCKS = {'mobile': _mobile_block, 'shuffle': _shuffle_block, 'residual': _residual_block}


def _separable(graph: Graph, source: int, channels: int, kernel: int, stride: int = 1) -> int:
    deep = graph.depthwise(source, kernel, stride, ACTIVATION)
    return graph.conv(deep, channels, activation=ACTIVATION)


def _pan(graph: Graph, levels: list[int], channels: int) -> list[int]:
    """Add the neck of NanoDet, which sums its levels."""
    levels = [graph.conv(level, channels) for level in levels]
    for fine in reversed(range(len(levels) - 1)):
        levels[fine] = graph.add(levels[fine], graph.resize(levels[fine + 1]))
    for coarse in range(1, len(levels)):
        # mean of 2x2 pixels, counted as the pooling in latency tables
        levels[coarse] = graph.add(levels[coarse], graph.pool(levels[coarse - 1]))
    return levels


def _ghost_pan(graph: Graph, levels: list[int], channels: int) -> list[int]:
    """Add the neck of NanoDet-Plus, which adds one coarser level."""
    levels = [graph.conv(level, channels, activation=ACTIVATION) for level in levels]
    coarsest = levels[-1]
    for fine in reversed(range(len(levels) - 1)):
        up = graph.resize(levels[fine + 1])
        levels[fine] = _ghost_bottleneck(graph, graph.concat([up, levels[fine]]), channels)
    for coarse in range(1, len(levels)):
        down = _separable(graph, levels[coarse - 1], channels, 5, 2)
        levels[coarse] = _ghost_bottleneck(graph, graph.concat([down, levels[coarse]]), channels)
    extra = graph.add(_separable(graph, coarsest, channels, 5, 2),
                      _separable(graph, levels[-1], channels, 5, 2))
    return [*levels, extra]


def _ghost_bottleneck(graph: Graph, source: int, channels: int) -> int:
    ghosts = source
    for activation in (ACTIVATION, 'none'):
        primary = graph.conv(ghosts, channels // 2, activation=activation)
        ghosts = graph.concat([primary, graph.depthwise(primary, 3, activation=activation)])
    shortcut = graph.conv(graph.depthwise(source, 5), channels)
    return graph.add(ghosts, shortcut)
