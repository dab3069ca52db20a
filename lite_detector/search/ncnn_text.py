# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Write a graph of operators as an ncnn network with constant weights, to measure its latency.

The weights keep all values near 1 at any depth: a convolution returns half of the mean of its
inputs plus 0.5. Vanishing values would be slow (denormal numbers).
"""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from lite_detector.search.operators import FUSED, Graph, Node, Operator, se_channels
import numpy as np

PARAM_MAGIC = '7767517'
FULL_TAG = bytes(4)
"""Tag before the float32 weights of a convolution in a ``.bin`` file."""

ACTIVATION_LAYERS = {
    'relu': 'ReLU {}', 'leaky_relu': 'ReLU {} 0=0.1', 'relu6': 'Clip {} 0=0 1=6',
    'hardswish': 'HardSwish {} 0=0.1666667 1=0.5', 'swish': 'Swish {}'}
"""Layer type and parameters; the name and the blobs are inserted at the braces."""
FUSED_OPTIONS = {'none': '', 'relu': ' 9=1', 'leaky_relu': ' 9=2 -23310=1,0.1',
                 'relu6': ' 9=3 -23310=2,0.0,6.0', 'hardswish': ' 9=6 -23310=2,0.1666667,0.5'}
assert set(FUSED_OPTIONS) == FUSED


class NetworkText(NamedTuple):
    """The two files of an ncnn network; feature map n of the graph is blob ``str(n)``."""

    param: str
    weights: bytes


def write_ncnn(graph: Graph) -> NetworkText:
    """Return the ncnn network of a graph."""
    writer = _Writer(graph)
    for node in graph.nodes:
        writer.write(node)
    return writer.text()


class _Writer:
    """Writer of the lines of a ``.param`` file and of the weights, layer by layer."""

    def __init__(self, graph: Graph) -> None:
        self._lines: list[str] = []
        self._blobs = 0
        self._chunks: list[bytes] = []
        self._readers = Counter(number for node in graph.nodes for number in node.inputs)
        # ncnn layers own their inputs, so a blob with two consumers needs a Split layer
        self._copies: dict[int, list[str]] = {}
        self._layer('Input {}', [], ['0'])
        self._offer(0)

    def text(self) -> NetworkText:
        head = f'{PARAM_MAGIC}\n{len(self._lines)} {self._blobs}\n'
        return NetworkText(head + '\n'.join(self._lines) + '\n', b''.join(self._chunks))

    def write(self, node: Node) -> None:
        operator = node.operator
        sources = [self._copies[number].pop() for number in node.inputs]
        targets = [str(number) for number in node.outputs]
        if operator.kind in ('conv', 'depthwise'):
            self._convolution(operator, sources, targets)
        elif operator.kind == 'se':
            self._squeeze_and_excitation(operator, sources[0], targets[0])
        elif operator.kind == 'activation':
            self._layer(ACTIVATION_LAYERS[operator.activation], sources, targets)
        else:
            self._layer(_PLAIN_LAYERS[operator.kind].format(
                '{}', kernel=operator.kernel, stride=operator.stride,
                pad=operator.kernel // 2), sources, targets)
        for number in node.outputs:
            self._offer(number)

    def _offer(self, number: int) -> None:
        name, readers = str(number), self._readers[number]
        self._copies[number] = [name]
        if readers > 1:
            self._copies[number] = [f'{name}_{index}' for index in range(readers)]
            self._layer('Split {}', [name], self._copies[number])

    def _layer(self, text: str, sources: list[str], targets: list[str]) -> None:
        blobs = ' '.join([f'layer{len(self._lines)}', str(len(sources)), str(len(targets)),
                          *sources, *targets])
        self._lines.append(text.format(blobs))
        self._blobs += len(targets)

    def _convolution(self, operator: Operator, sources: list[str], targets: list[str]) -> None:
        depthwise = operator.kind == 'depthwise'
        fan_in = operator.kernel ** 2 * (1 if depthwise else operator.in_channels)
        self._layer(
            f'Convolution{"DepthWise" if depthwise else ""} {{}} 0={operator.out_channels} '
            f'1={operator.kernel} 3={operator.stride} 4={operator.kernel // 2} 5=1 '
            f'6={operator.out_channels * fan_in}'
            + (f' 7={operator.in_channels}' if depthwise else '')
            + FUSED_OPTIONS[operator.activation], sources, targets)
        weights = np.full(operator.out_channels * fan_in, 0.5 / fan_in, '<f4')
        bias = np.full(operator.out_channels, 0.5, '<f4')
        self._chunks += [FULL_TAG, weights.tobytes(), bias.tobytes()]

    def _squeeze_and_excitation(self, operator: Operator, source: str, target: str) -> None:
        channels, hidden = operator.in_channels, se_channels(operator.in_channels)
        names = [f'{target}_{step}' for step in ('map', 'copy', 'mean', 'hidden', 'out', 'gate')]
        kept, copy, mean, squeezed, expanded, gate = names
        self._layer('Split {}', [source], [kept, copy])
        self._layer('Pooling {} 0=1 4=1', [copy], [mean])
        # after global pooling there is a vector of channels instead of a feature map
        for before, after, fan_in, out, option in ((mean, squeezed, channels, hidden, ' 9=1'),
                                                   (squeezed, expanded, hidden, channels, '')):
            self._layer(f'InnerProduct {{}} 0={out} 1=1 2={fan_in * out}{option}',
                        [before], [after])
            self._chunks += [FULL_TAG, np.full(fan_in * out, 0.5 / fan_in, '<f4').tobytes(),
                             np.full(out, 0.5, '<f4').tobytes()]
        self._layer('HardSigmoid {} 0=0.1666667 1=0.5', [expanded], [gate])
        self._layer('BinaryOp {} 0=2', [kept, gate], [target])


_PLAIN_LAYERS = {
    # 5=1: rounds down, which gives ceil(side / stride) with this padding
    'pool': 'Pooling {} 0=0 1={kernel} 2={stride} 3={pad} 5=1',
    'shuffle': 'ShuffleChannel {} 0=2',
    'split': 'Slice {} -23300=2,-233,-233 1=0',
    'resize': 'Interp {} 0=2 1={stride}.0 2={stride}.0',
    'concat': 'Concat {} 0=0',
    'add': 'BinaryOp {} 0=0',
}
