# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Search spaces, the score in closed form, and what networks cost; small enough to work out."""

import math

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import GRID
from lite_detector.core.structure import StageSpec, StructureSpec
from lite_detector.core.types import ImageSize
from lite_detector.search.costs import BudgetSpec, costs_of
from lite_detector.search.entropy import entropy_scores
from lite_detector.search.network import network_graph, NetworkFrame
from lite_detector.search.operators import Graph
from lite_detector.search.space import arrays_of, Space, SpaceSpec
import numpy as np
import pytest
from tiny_search import KINDS, milliseconds, ROOT, space_data, tiny_space, tiny_structure

EVERY_KIND = pytest.mark.parametrize('block', KINDS)
EACH_STRIDE = np.eye(5)


def score(structure: StructureSpec, *weights: float) -> float:
    return float(entropy_scores(arrays_of([structure]), weights)[0])


@EVERY_KIND
def test_every_network_of_a_space_is_one_that_can_be_built(block):
    space = Space(tiny_space(block))
    genes = space.draw(np.random.default_rng(0), 50)
    decoded = space.decode(genes)
    for index, row in enumerate(genes):
        structure = space.structure(row)  # checks itself
        widths = [structure.stem, *(stage.channels for stage in structure.stages)]
        assert widths[1:] == sorted(widths[1:])
        assert not [width for width in widths if width % 8]
        assert not [stage for stage in structure.stages if (stage.inner or 8) % 8]
        assert decoded.stages[0].spec(index) == structure.stages[0]


@EVERY_KIND
def test_children_stay_in_the_space_and_differ(block):
    space, rng = Space(tiny_space(block)), np.random.default_rng(0)
    parents = np.concatenate((space.smallest(), space.draw(rng, 1)))
    children = space.children(rng, parents, 200)
    assert (children.shape, children.dtype) == ((200, parents.shape[1]), np.int16)
    assert len(np.unique(children, axis=0)) > 50
    space.structure(children.max(axis=0))
    again = Space(tiny_space(block))
    same = again.children(np.random.default_rng(7), parents, 9)
    np.testing.assert_array_equal(same, space.children(np.random.default_rng(7), parents, 9))


def test_a_space_of_one_network_has_one():
    data = {'block': 'residual', 'stem': [8, 8], 'stages': [
        {'channels': [16, 16], 'blocks': [1, 1], 'expansions': [0.5]}] * 4}
    space = Space(from_mapping(data, SpaceSpec, 'test'))
    rng = np.random.default_rng(0)
    children = space.children(rng, space.draw(rng, 3), 4)
    assert children.tolist() == [[0] * 17] * 4
    assert space.structure(children[0]).stages == (StageSpec('residual', 16, 1, 8),) * 4


@pytest.mark.parametrize(('change', 'words'), [
    ({'stages': []}, 'length >= 2'),
    ({'stages': space_data('residual')['stages'][:3]}, 'last stride 16; expected 32'),
    ({'stem': [16, 8]}, 'stem: .16, 8.; expected values that do not fall'),
    ({'stem': [8, 12]}, 'multiple of 8'),
    ({'block': 'dense'}, 'dense'),
    ({'stages': [{'channels': [16, 32], 'blocks': [3, 1]}] * 4}, 'blocks: .3, 1.'),
    ({'stages': [{'channels': [16, 32], 'blocks': [1, 2]}] * 4}, 'block residual needs inner'),
    ({'stages': [{'channels': [16, high], 'blocks': [1, 1], 'expansions': [1]}
                 for high in (32, 64, 48, 64)]}, 'at most 48 channels; expected at least 64'),
], ids=lambda value: value if isinstance(value, str) else '')
def test_space_with_a_mistake_is_refused(change, words):
    with pytest.raises(ConfigError, match=words):
        from_mapping({**space_data('residual'), **change}, SpaceSpec, 'test')


def test_entropy_of_a_plain_network_is_the_sum_of_its_fan_ins():
    # stem 27 in; then 8 x 24 x (9 + 1) in and no shortcut, for the first block halves the map
    structure = StructureSpec(8, (StageSpec('residual', 16, 1, 24),) * 4)
    first = math.log(27) / 2 + math.log(8 * 24 * 10) / 2
    assert score(structure, *EACH_STRIDE[0]) == pytest.approx(math.log(27) / 2 + math.log(8))
    assert score(structure, *EACH_STRIDE[1]) == pytest.approx(first + math.log(16))
    assert score(structure, *EACH_STRIDE[2]) == pytest.approx(
        first + math.log(16 * 24 * 10) / 2 + math.log(16))


def test_entropy_of_an_added_input_is_that_of_the_sum():
    one, two = (StructureSpec(8, (StageSpec('mobile', 16, blocks, 24, 5),) * 4)
                for blocks in (1, 2))
    more = score(two, *EACH_STRIDE[1]) - score(one, *EACH_STRIDE[1])
    assert more == pytest.approx(math.log(1 + 16 * 25 * 24) / 2)


def test_entropy_of_a_shuffle_is_that_of_the_mean_of_both_halves():
    one, two = (tiny_structure('shuffle', 16, blocks) for blocks in (1, 2))
    gain = score(two, *EACH_STRIDE[2]) - score(one, *EACH_STRIDE[2])
    assert gain == pytest.approx(math.log((1 + 8 * 9 * 8) / 2) / 2)
    # the map at stride 4 comes from pooling
    assert score(one, *EACH_STRIDE[1]) == pytest.approx(math.log(27) / 2 + math.log(8))


@EVERY_KIND
def test_entropy_weighs_the_strides_and_many_networks_score_as_each_does(block):
    space = Space(tiny_space(block))
    structures = [space.structure(genes) for genes in space.draw(np.random.default_rng(0), 9)]
    weights = (0.0, 0.5, 1.0, 2.0, 6.0)
    together = entropy_scores(arrays_of(structures), weights)
    assert together.shape == (9,)
    for structure, found in zip(structures, together, strict=True):
        parts = [score(structure, *weights_) for weights_ in EACH_STRIDE]
        assert found == pytest.approx(np.dot(parts, weights))


def test_costs_of_two_convolutions_worked_out():
    graph = Graph(ImageSize(4, 6))
    graph.conv(graph.depthwise(graph.conv(graph.image, 40), 3, 2), 10)
    costs = costs_of(graph.operators, lambda operators: len(operators))
    assert costs.latency_ms == costs.layers == 3
    # 4 x 6 cells, then 2 x 3
    assert costs.macs_m * 1e6 == 24 * 3 * 40 + 6 * 9 * 40 + 6 * 40 * 10
    assert costs.parameters_m * 1e6 == (3 + 1) * 40 + (9 + 1) * 40 + (40 + 1) * 10
    # a tag of 4 bytes, weights, biases; the last one is stored in half precision
    assert costs.file_mb * 1e6 == 12 + 4 * (160 + 400) + 2 * 400 + 4 * 10


def test_costs_of_nothing_are_nothing():
    assert costs_of([], milliseconds) == (0.1, 0, 0, 0, 0)


def test_costs_of_a_model_of_the_package_are_those_of_its_files():
    folder = ROOT / 'models' / 'coco_320'  # NanoDet-Plus-m: ShuffleNetV2 1.0x
    stages = [StageSpec('shuffle', channels, blocks)
              for channels, blocks in ((116, 4), (232, 8), (464, 4))]
    frame = NetworkFrame('nanodet_plus', 96, 80 + 4 * 8, ImageSize(320, 320))
    graph = network_graph(StructureSpec(24, tuple(stages), pool=True), frame)
    costs = costs_of(graph.operators, milliseconds)
    layers = [line for line in (folder / 'model.param').read_text().splitlines()
              if line.startswith('Convolution')]
    assert costs.layers == len(layers)
    assert round(costs.file_mb * 1e6) == (folder / 'model.bin').stat().st_size


@pytest.mark.parametrize('family', ['nanodet', 'nanodet_plus'])
@EVERY_KIND
def test_graph_gives_one_head_for_each_stride(family, block):
    size = ImageSize(GRID, 3 * GRID)
    graph = network_graph(tiny_structure(block), NetworkFrame(family, 64, 34, size))
    heads = [tuple(graph.shapes[output]) for output in graph.outputs]
    wanted = [(34, 4, 12), (34, 2, 6), (34, 1, 3), (34, 1, 2)]
    assert heads == wanted[:3 + (family == 'nanodet_plus')]
    assert milliseconds(graph.operators) > 0.01 * len(graph.nodes)


@pytest.mark.parametrize(('data', 'words'), [
    ({}, 'expected at least one of latency_ms, macs_m, parameters_m, layers, file_mb'),
    ({'latency_ms': 0}, 'latency_ms'),
    ({'latency': 5}, 'latency'),
])
def test_budget_with_a_mistake_is_refused(data, words):
    with pytest.raises(ConfigError, match=words):
        from_mapping(data, BudgetSpec, 'test')
