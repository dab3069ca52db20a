# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Operators, graphs of them, and the ncnn networks that these are written as."""

from lite_detector.backends.ncnn_backend import NetworkInMemory
from lite_detector.commands.search import load_search
from lite_detector.core.types import ImageSize
from lite_detector.search.ncnn_text import write_ncnn
from lite_detector.search.network import network_graph
from lite_detector.search.operators import Graph, Operator, se_channels
from lite_detector.search.space import Space
from lite_detector.zoo import list_configs
import numpy as np
import pytest

ODD = ImageSize(13, 22)


def output_of(graph: Graph) -> np.ndarray:
    """Return the only output of a graph, from an image of ones."""
    blob = np.ones(graph.shapes[graph.image], np.float32)
    output, = graph.outputs
    return NetworkInMemory(*write_ncnn(graph), blob, 1, 'fp32').start()(str(output)).copy()


def test_an_empty_graph_has_no_operators_and_no_outputs():
    graph = Graph(ODD)
    assert graph.operators == graph.outputs == []
    assert graph.shapes == [(3, 13, 22)]


@pytest.mark.parametrize(('operator', 'size', 'macs', 'parameters'), [
    (Operator('conv', 3, 24, 13, 22, 3, 2), (7, 11), 7 * 11 * 24 * 3 * 9, 24 * 3 * 9 + 24),
    (Operator('conv', 5, 1, 13, 22), (13, 22), 13 * 22 * 5, 6),
    (Operator('depthwise', 6, 6, 13, 22, 5, 2), (7, 11), 7 * 11 * 6 * 25, 6 * 25 + 6),
    (Operator('pool', 6, 6, 13, 22, 3, 2), (7, 11), 0, 0),
    (Operator('resize', 6, 6, 13, 22, 1, 2), (26, 44), 0, 0),
    (Operator('add', 6, 6, 13, 22), (13, 22), 0, 0),
    # 32 channels are squeezed into 8
    (Operator('se', 32, 32, 13, 22), (13, 22), 2 * 32 * 8, 2 * 32 * 8 + 32 + 8),
])
def test_operator_counts_by_hand(operator, size, macs, parameters):
    assert operator.out_size == size
    assert (operator.macs, operator.parameters) == (macs, parameters)


@pytest.mark.parametrize(('channels', 'hidden'), [(8, 8), (32, 8), (96, 24), (72, 16)])
def test_squeezed_channels_are_a_quarter_in_steps_of_8(channels, hidden):
    assert se_channels(channels) == hidden


def test_an_activation_that_ncnn_does_not_fuse_is_an_operator_of_its_own():
    graph = Graph(ODD)
    graph.conv(graph.add(graph.conv(0, 8, activation='relu'), 0, 'relu'), 8, activation='swish')
    assert [(each.kind, each.activation) for each in graph.operators] == [
        ('conv', 'relu'), ('add', 'none'), ('activation', 'relu'), ('conv', 'none'),
        ('activation', 'swish')]


def test_outputs_are_the_maps_that_nobody_reads():
    graph = Graph(ODD)
    left, right = graph.split(graph.conv(0, 8))
    last = graph.conv(right, 4)
    assert graph.outputs == [left, last]


# weights give half of the mean plus a half: ones stay ones where no border is padded with zeros
def build_conv(graph, source):
    return graph.conv(source, 33)


def build_swish(graph, source):
    return graph.conv(source, 16, activation='swish')


def build_hardswish(graph, source):
    return graph.conv(source, 16, activation='hardswish')


def build_pool(graph, source):
    return graph.pool(source)


def build_shuffled_halves(graph, source):
    return graph.shuffle(graph.concat(graph.split(source)))


def build_resize(graph, source):
    return graph.resize(source)


def build_se(graph, source):
    return graph.se(source)


def build_add(graph, source):
    return graph.add(graph.conv(source, 16), source)


@pytest.mark.parametrize(('build', 'shape', 'value'), [
    (build_conv, (33, 13, 22), 1), (build_swish, (16, 13, 22), 1 / (1 + np.exp(-1))),
    (build_hardswish, (16, 13, 22), 4 / 6), (build_pool, (16, 7, 11), 1),
    (build_shuffled_halves, (16, 13, 22), 1), (build_resize, (16, 26, 44), 1),
    (build_se, (16, 13, 22), 4 / 6), (build_add, (16, 13, 22), 2)])
def test_ncnn_computes_what_the_graph_says(build, shape, value):
    graph = Graph(ODD)
    result = build(graph, graph.conv(graph.image, 16, activation='relu'))
    output = output_of(graph)
    assert output.shape == graph.shapes[result] == shape
    np.testing.assert_allclose(output, value, rtol=1e-5)


@pytest.mark.parametrize(('kernel', 'stride', 'size'), [(3, 1, (13, 22)), (3, 2, (7, 11)),
                                                        (5, 1, (13, 22)), (5, 2, (7, 11))])
@pytest.mark.parametrize('depthwise', [False, True])
def test_ncnn_pads_as_the_graph_says(kernel, stride, size, depthwise):
    graph = Graph(ODD)
    source = graph.conv(graph.image, 8)
    if depthwise:
        graph.depthwise(source, kernel, stride)
    else:
        graph.conv(source, 8, kernel, stride)
    output = output_of(graph)
    assert output.shape == (8, *size)
    assert output[0, 3, 4] == pytest.approx(1, abs=1e-5)
    corner = (kernel // 2 + 1) ** 2 / kernel ** 2
    assert output[0, 0, 0] == pytest.approx(0.5 + 0.5 * corner, abs=1e-5)


@pytest.mark.parametrize('name', list_configs('search'))
def test_random_detectors_run_whole(name):
    _, _, task = load_search(list_configs('search')[name])
    space = Space(task.space)
    structure = space.structure(space.draw(np.random.default_rng(3), 1)[0])
    graph = network_graph(structure, task.frame._replace(size=ImageSize(64, 96)))
    blob = np.ones(graph.shapes[graph.image], np.float32)
    compute = NetworkInMemory(*write_ncnn(graph), blob, 1, 'auto').start()
    shapes = [compute(str(number)).shape for number in graph.outputs]
    assert shapes == [graph.shapes[number] for number in graph.outputs]
    assert [shape[1:] for shape in shapes] == [(8, 12), (4, 6), (2, 3), (1, 2)]
