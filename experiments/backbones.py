# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Measure what backbones cost in ncnn, and the four rules of ShuffleNetV2, as Markdown tables.

The rules (Ma et al., 2018, arXiv:1807.11164, section 2) say which blocks of the same arithmetic
run faster. Here they are asked of this machine: chains of blocks, exported as any network is,
measured in turn on one thread, with random weights.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
import tempfile
import time
from typing import NamedTuple

from lite_detector.backends.ncnn_backend import NcnnNetwork, open_network
from lite_detector.bench.machine import describe_machine
from lite_detector.bench.speed import interleave
from lite_detector.core.types import ImageSize
from lite_detector.export.to_ncnn import write_ncnn
from lite_detector.train.config.backbones import WIDTHS
from lite_detector.train.models.backbones.build import build_backbone
from lite_detector.train.models.blocks import conv_bn, depthwise, RELU
from lite_detector.train.models.layers import count_macs
from lite_detector.train.models.rep_conv import fold
import numpy as np
import torch
from torch import nn, Tensor
from tqdm import tqdm

IMAGE = ImageSize(320, 320)
MAP = ImageSize(40, 40)
"""What the chains of blocks work on: stride 8 of that image."""
LENGTH = 8
"""Blocks in a chain."""
REFERENCE = 'shufflenet_v2_1.0x'


class Cost(NamedTuple):
    """
    Of a network.

    :param macs: multiply-accumulates of one image.
    :param ms: median of the processor time in ncnn.
    :param file_bytes: of what ncnn reads.
    """

    macs: int
    ms: float
    file_bytes: int


class Parallel(nn.Module):
    """Branches that read the same map; their outputs are joined."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, features: Tensor) -> Tensor:
        """Return the channels of all branches, one behind the other."""
        return torch.cat([branch(features) for branch in self.branches], dim=1)


class Sum(nn.Module):
    """A block whose input is added to its output."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.block = block

    def forward(self, features: Tensor) -> Tensor:
        """Return the sum, of the same shape."""
        return features + self.block(features)


def equal_channels() -> Iterator[tuple[str, nn.Module]]:
    """Rule 1: a 1x1 convolution reads least memory if it has as many outputs as inputs."""
    for narrow, wide in ((128, 128), (64, 256), (32, 512)):
        yield f'{narrow} to {wide}', _chain(narrow, lambda narrow=narrow, wide=wide: nn.Sequential(
            *conv_bn(narrow, wide), *conv_bn(wide, narrow)))


def groups() -> Iterator[tuple[str, nn.Module]]:
    """Rule 2: groups allow more channels for the same arithmetic, and more memory to read."""
    for count, channels in ((1, 128), (4, 256), (16, 512)):
        yield f'{count}, {channels} channels', _chain(
            channels, lambda count=count, channels=channels: nn.Sequential(
                *conv_bn(channels, channels, groups=count)))


def branches() -> Iterator[tuple[str, nn.Module]]:
    """Rule 3: many small pieces run slower than one."""
    yield 'one', _chain(128, lambda: nn.Sequential(*conv_bn(128, 128)))
    yield '4 in a row, of 64 channels', _chain(64, lambda: nn.Sequential(
        *(layer for _ in range(4) for layer in conv_bn(64, 64))))
    for count in (2, 4):
        yield f'{count} side by side', _chain(128, lambda count=count: Parallel(
            *(nn.Sequential(*conv_bn(128, 128 // count)) for _ in range(count))))


def elementwise() -> Iterator[tuple[str, nn.Module]]:
    """Rule 4: what is computed value by value is no arithmetic to speak of, but takes time."""
    for relu, add in ((False, False), (True, False), (False, True), (True, True)):
        def block(relu: bool = relu, add: bool = add) -> nn.Module:
            activation = RELU if relu else None
            made = nn.Sequential(*conv_bn(128, 128, activation=activation),
                                 *depthwise(128, 3),
                                 *conv_bn(128, 128, activation=activation))
            return Sum(made) if add else made
        yield ' and '.join(['ReLU'] * relu + ['sum'] * add) or 'neither', _chain(128, block)


RULES = {'channels equal': equal_channels, 'groups': groups, 'branches': branches,
         'element by element': elementwise}


class Maps(nn.Module):
    """A backbone alone, as a network whose outputs are its maps; a trace wants a tuple of them."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.backbone = build_backbone(name, name)

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return the feature maps at strides 8, 16 and 32."""
        return tuple(self.backbone(images))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    parser.add_argument('--seconds', type=float, default=60, help='for each of both tables (60)')
    seconds = parser.parse_args().seconds
    torch.manual_seed(0)
    print(f'{describe_machine()} One thread.\n')
    names = [f'{architecture}_{width}' for architecture, widths in WIDTHS.items()
             for width in widths]
    models: dict[str, nn.Module] = {name: Maps(name) for name in names}
    found = measure(models, IMAGE, seconds)
    print('| backbone | MACs, M | ms | ratio | ms per 100 M MACs |\n|---|---|---|---|---|')
    for name, (macs, ms, _) in found.items():
        print(f'| `{name}` | {macs / 1e6:.0f} | {ms:.1f} | {ms / found[REFERENCE].ms:.2f} | '
              f'{ms / macs * 1e8:.2f} |')
    chains = {(rule, name): chain for rule, made in RULES.items() for name, chain in made()}
    stem = {'stem': nn.Sequential(nn.Conv2d(3, 128, 1))}
    timed = measure({**chains, **stem}, MAP, seconds)
    stem_macs, stem_ms, _ = timed.pop('stem')
    print('\n| rule | blocks | MACs, M | ms | time per MAC |\n|---|---|---|---|---|')
    for (rule, name), (macs, ms, _) in timed.items():
        cost = (ms - stem_ms) / (macs - stem_macs)
        first = next(each for each in timed if each[0] == rule)
        base = (timed[first].ms - stem_ms) / (timed[first].macs - stem_macs)
        print(f'| {rule} | {name} | {macs / 1e6:.0f} | {ms:.2f} | {cost / base:.2f} |')


def measure(models: Mapping[object, nn.Module], size: ImageSize, seconds: float
            ) -> dict[object, Cost]:
    """Return what each network costs in ncnn."""
    with tempfile.TemporaryDirectory() as name:
        folders = {key: Path(name) / str(index) for index, key in enumerate(models)}
        networks = {key: _exported(model, folders[key], size)
                    for key, model in tqdm(models.items(), disable=None)}
        file_bytes = {key: sum(file.stat().st_size for file in folder.iterdir())
                      for key, folder in folders.items()}
    blob = np.random.default_rng(0).normal(size=(3, *size)).astype(np.float32)
    timings = interleave({key: lambda network=network: network.infer(blob)
                          for key, network in networks.items()}, seconds, time.thread_time)
    return {key: Cost(count_macs(fold(model), size), float(np.median(timings[key].cpu_ms)),
                      file_bytes[key]) for key, model in models.items()}


def _exported(model: nn.Module, folder: Path, size: ImageSize) -> NcnnNetwork:
    folder.mkdir()
    with torch.no_grad():
        maps = model.eval()(torch.zeros(1, 3, *size))
    names = [f'out{index}' for index in range(1 if isinstance(maps, Tensor) else len(maps))]
    files = write_ncnn(model, folder, size, names)
    paths = {'param': folder / files.param, 'bin': folder / files.bin}
    return open_network(files, paths, 1, 'fp32')


def _chain(channels: int, block: Callable[[], nn.Module]) -> nn.Module:
    stem = nn.Conv2d(3, channels, 1)
    return nn.Sequential(stem, *(block() for _ in range(LENGTH)))


if __name__ == '__main__':
    main()
