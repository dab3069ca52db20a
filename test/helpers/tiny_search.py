# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Small search spaces, one of each kind of blocks, and a latency that can be worked out."""

from collections.abc import Sequence
from pathlib import Path

from lite_detector.core.config import from_mapping
from lite_detector.core.structure import BlockKind, StageSpec, StructureSpec
from lite_detector.core.types import ImageSize
from lite_detector.search.latency import LatencyTable, save_table
from lite_detector.search.network import network_graph, NetworkFrame
from lite_detector.search.operators import Operator
from lite_detector.search.space import Space, SpaceSpec
from lite_detector.train.config.training import dump_config, load_config
import yaml

ROOT = Path(__file__).resolve().parents[2]
KINDS: tuple[BlockKind, ...] = ('mobile', 'shuffle', 'residual', 'csp')
EXPANSIONS = {'mobile': [1, 2, 4], 'shuffle': [], 'residual': [0.5, 1], 'csp': [0.5, 1]}


def space_data(block: BlockKind) -> dict:
    """Return a space as plain data; shuffles pool, mobile blocks have a stage of stride 1."""
    widths = [(8, 24), (16, 48), (24, 64), (32, 96), (48, 128)]
    strides = {'mobile': [2, 2, 2, 1, 2], 'shuffle': [2, 2, 2]}.get(block, [2, 2, 2, 2])
    stages = [{'channels': list(width), 'blocks': [1, 3], 'expansions': EXPANSIONS[block],
               'kernels': [3, 5] if block in ('mobile', 'shuffle') else [3], 'stride': stride}
              for width, stride in zip(widths[-len(strides):], strides, strict=True)]
    return {'block': block, 'stem': [8, 16], 'pool': block == 'shuffle', 'stages': stages}


def tiny_space(block: BlockKind) -> SpaceSpec:
    """Return the same as a search takes it."""
    return from_mapping(space_data(block), SpaceSpec, 'test')


def tiny_structure(block: BlockKind, channels: int = 16, blocks: int = 2) -> StructureSpec:
    """Return a backbone whose stages are alike."""
    inner = None if block == 'shuffle' else 24
    pool = block == 'shuffle'
    stage = StageSpec(block, channels, blocks, inner)
    return StructureSpec(8, (stage,) * (4 - pool), pool)


def milliseconds(operators: Sequence[Operator]) -> float:
    """Return 0.1 and the times of the operators: 10 per billion and 0.01 each."""
    return 0.1 + sum(1e-8 * operator.macs + 0.01 for operator in operators)


def write_search(folder: Path, block: BlockKind = 'mobile', **changes: object) -> Path:
    """
    Write a search of seconds, and the training that it is for: NanoDet at 96 x 64.

    :return: the search; the latter is ``train.yaml`` beside it.
    """
    config = load_config(ROOT / 'config' / 'train' / 'nanodet_m_05x_320.yaml',
                         ['network.input_size={height: 64, width: 96}', 'phases=[{epochs: 1}]',
                          'batch_size=4'])
    (folder / 'train.yaml').write_text(dump_config(config))
    path = folder / 'tiny.yaml'
    path.write_text(yaml.safe_dump({
        'train': str(folder / 'train.yaml'), 'num_classes': 2, 'space': space_data(block),
        'budget': {'layers': 70}, 'keep': 3,
        'evolution': {'candidates': 160, 'population': 8, 'islands': 2}, **changes}))
    return path


def tiny_operators(block: BlockKind = 'mobile') -> list[Operator]:
    """Return the operators of the smallest and of the largest network of that search."""
    frame = NetworkFrame('nanodet', 96, 2 + 4 * 8, ImageSize(64, 96))
    space = Space(tiny_space(block))
    extremes = (space.smallest()[0], space.largest()[0])
    return sorted({operator for genes in extremes
                   for operator in network_graph(space.structure(genes), frame).operators})


def write_table(path: Path, machine: str, factor: float = 1.0) -> Path:
    """Write a latency table of made up times, in which that search finds all that it needs."""
    save_table(path, LatencyTable(1, machine, 1, 'auto', 1.0, 0.1, tuple(
        (operator, factor * (1e-8 * operator.macs + 0.01)) for operator in tiny_operators())))
    return path
