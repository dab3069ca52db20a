# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Initialise a narrow network from a wide one of the same structure: take a subset of its channels.

Both networks are traced into their operations, which must be the same. From the first to the
last operation, each narrow tensor gets a mapping from its channels to those of the wide tensor.
Each layer takes the weights of these channels. The code is independent of families: a network with
new operations needs at most a line in ``RULES``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
import operator
from typing import Any, NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.train.models.layers import LayerTracer
import torch
from torch import fx, nn, Tensor
from torch.nn import functional

NORMS = (nn.BatchNorm2d, nn.GroupNorm)
SAME_CONV = ('kernel_size', 'stride', 'padding', 'dilation')


class Subset(NamedTuple):
    """
    The channels of a wide tensor that the channels of a narrow one represent.

    :param channels: Wide channel of each narrow channel, int64, shape (n,).
    :param total: Number of channels of the wide tensor.
    """

    channels: Tensor
    total: int

    def part(self, narrow: slice, wide: slice) -> Subset:
        """
        Return the subset of a part; channels beyond the wide part are limited to its last one.

        :param narrow: Slice of the narrow channels.
        :param wide: Slice of the wide channels.
        """
        start, stop, _ = wide.indices(self.total)
        return Subset((self.channels[narrow] - start).clamp(0, stop - start - 1), stop - start)


Value = Subset | tuple[Subset, ...] | None
"""Channel mapping of a tensor, or of its parts; None: unknown."""


def spread(count: int, total: int) -> Subset:
    """
    Return the centres of ``count`` equal bins.

    Equal widths always give equal channels, so tensors that are added match. The subsets of two
    halves, concatenated, equal the subset of the full tensor.
    """
    return Subset((2 * torch.arange(count) + 1) * total // (2 * count), total)


def strongest(count: int, scores: Tensor) -> Subset:
    """
    Return the channel of the highest score in each of ``count`` almost equal bins.

    :param count: Number of bins.
    :param scores: Scores of the wide channels, shape (total,).
    """
    total = len(scores)
    starts = [index * total // count for index in range(count + 1)]
    return Subset(torch.tensor([start + int(scores[start:stop].argmax())
                                for start, stop in pairwise(starts)]), total)


@torch.no_grad()
def subset_weights(wide: nn.Module, narrow: nn.Module, outputs: str) -> dict[str, Tensor]:
    """
    Return weights for a narrow network, taken from a wide one.

    A weight is multiplied by the number of wide channels that its input represents. If these
    channels were equal, the outputs would stay the same. Batch norm statistics are those of the
    wide network and do not match: see ``renew_statistics``.

    :param wide: Wide network, in the same mode (training or evaluation) as the narrow one.
    :param narrow: Narrow network with the same operations; no layer is wider.
    :param outputs: Prefix of the names of the output convolutions; they keep all rows.
    :return: State dict with the shapes of the narrow network, except for these rows.
    :raises ModelError: if the structures differ, or a layer of the narrow network is wider.
    """
    values: dict[fx.Node, Value] = {}
    weights: dict[str, Tensor] = {}
    for wide_node, node in _steps(wide, narrow):
        if node.op == 'call_module':
            name, source = str(node.target), node.args[0]
            inputs = values.get(source) if isinstance(source, fx.Node) else None
            layer, wide_layer = narrow.get_submodule(name), wide.get_submodule(name)
            values[node], found = _pass_layer(name, wide_layer, layer, inputs,
                                              name.startswith(outputs), _scores(wide, wide_node))
            weights |= {f'{name}.{key}': value for key, value in found.items()}
        elif node.op == 'placeholder':
            values[node] = spread(3, 3)  # an image
        elif node.target in RULES:
            args = fx.map_arg(node.args, values.get)
            values[node] = RULES[node.target](args, wide_node.args, node.kwargs)
    return weights | _untouched(wide, narrow, weights)


def _steps(wide: nn.Module, narrow: nn.Module) -> Iterator[tuple[fx.Node, fx.Node]]:
    """Yield the operations of both networks in order of execution, in pairs."""
    try:
        wide_nodes, nodes = ([*LayerTracer().trace(model).nodes] for model in (wide, narrow))
    except fx.proxy.TraceError:
        raise ModelError('cannot trace the channels of this network') from None
    for wide_node, node in zip(wide_nodes, nodes, strict=False):
        said, wanted = (f'{each.target} of {", ".join(map(str, each.all_input_nodes))}'
                        if each.all_input_nodes else str(each.target)
                        for each in (wide_node, node))
        if said != wanted:
            raise ModelError(f'the structures differ: {said}; expected {wanted}')
        yield wide_node, node
    if len(wide_nodes) != len(nodes):
        raise ModelError(f'the structures differ: {len(wide_nodes)} operations; expected '
                         f'{len(nodes)}')


def _scores(wide: nn.Module, node: fx.Node) -> Tensor | None:
    """
    Return the importance of a layer's output channels; None if they cannot be chosen freely.

    It is the scale of the following batch norm (network slimming, Liu et al., 2017,
    arXiv:1708.06519). Channels that are added to others or gated must match those.
    """
    layers = [wide.get_submodule(str(user.target)) for user in node.users
              if user.op == 'call_module']
    norms = [layer for layer in layers if isinstance(layer, nn.BatchNorm2d)]
    if not norms:
        return None
    reached, seen = [*node.users], set()
    while reached:
        user = reached.pop()
        if user.target in SUMS:
            return None
        if user not in seen and not _mixes(wide, user):
            reached += user.users
        seen.add(user)
    return norms[0].weight.abs()


def _mixes(model: nn.Module, node: fx.Node) -> bool:
    layer = model.get_submodule(str(node.target)) if node.op == 'call_module' else None
    return isinstance(layer, nn.Conv2d) and layer.groups == 1


def _pass_layer(name: str, wide: nn.Module, narrow: nn.Module, inputs: Value, whole: bool,
                scores: Tensor | None) -> tuple[Value, dict[str, Tensor]]:
    """Return the channel mapping of a layer's output, and its weights."""
    if isinstance(narrow, nn.Conv2d) and isinstance(wide, nn.Conv2d):
        known = _known(name, inputs)
        outputs = _conv_outputs(name, wide, narrow, known, whole, scores)
        return None if whole else outputs, _conv_weights(wide, narrow, known, outputs)
    if isinstance(narrow, NORMS) and type(wide) is type(narrow):
        channels = _known(name, inputs).channels
        return inputs, {key: value[channels] if value.ndim else value
                        for key, value in wide.state_dict().items()}
    if str(wide) != str(narrow):
        raise ModelError(f'the structures differ: {name} is {wide}; expected {narrow}')
    if narrow.state_dict():
        raise ModelError(f'{name}: cannot take channels out of a {type(narrow).__name__}')
    return inputs, {}


def _known(name: str, inputs: Value) -> Subset:
    if not isinstance(inputs, Subset):
        raise ModelError(f'{name}: its input channels are unknown after an untraced operation')
    return inputs


def _conv_outputs(name: str, wide: nn.Conv2d, narrow: nn.Conv2d, inputs: Subset, whole: bool,
                  scores: Tensor | None) -> Subset:
    """Choose the output channels of a convolution."""
    for what in SAME_CONV:
        got, wanted = getattr(wide, what), getattr(narrow, what)
        if got != wanted:
            raise ModelError(f'the structures differ: {name} has {what} {got}; expected {wanted}')
    if whole:
        return spread(wide.out_channels, wide.out_channels)
    if narrow.out_channels > wide.out_channels:
        raise ModelError(f'{name} has {wide.out_channels} channels; expected at least '
                         f'{narrow.out_channels}, because weights come from a wider network')
    if all(conv.groups == conv.in_channels == conv.out_channels for conv in (wide, narrow)):
        return inputs  # depthwise
    if wide.groups != narrow.groups:
        raise ModelError(f'the structures differ: {name} has {wide.groups} groups; expected '
                         f'{narrow.groups}')
    if scores is None:
        return spread(narrow.out_channels, wide.out_channels)
    return strongest(narrow.out_channels, scores)


def _conv_weights(wide: nn.Conv2d, narrow: nn.Conv2d, inputs: Subset,
                  outputs: Subset) -> dict[str, Tensor]:
    """Take rows by the outputs, and in each row columns by the inputs of its group."""
    rows = outputs.channels
    group = torch.arange(len(rows)) * narrow.groups // len(rows)
    wide_group = rows * wide.groups // wide.out_channels
    per_group = wide.in_channels // wide.groups
    columns = inputs.channels.view(narrow.groups, -1)[group] - per_group * wide_group[:, None]
    stands_for = per_group / columns.shape[1]
    weights = {'weight': wide.weight[rows[:, None], columns.clamp(0, per_group - 1)] * stands_for}
    return weights if wide.bias is None else {**weights, 'bias': wide.bias[rows]}


def _untouched(wide: nn.Module, narrow: nn.Module,
               weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return parameters outside all layers, such as single factors."""
    source = wide.state_dict()
    rest = {}
    for name, value in narrow.state_dict().items():
        if name not in weights:
            if name not in source or source[name].shape != value.shape:
                raise ModelError(f'cannot take channels out of {name}')
            rest[name] = source[name]
    return rest


Arguments = Sequence[Any]
"""Arguments of an operation: numbers, and channel mappings (of the wide one: its nodes)."""
Rule = Callable[[Arguments, Arguments, dict[str, Any]], Value]
"""Function of the arguments of the narrow and the wide operation, and keywords."""


def _first(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Keep the channels; in a sum, use the first known mapping."""
    return next((each for each in args if isinstance(each, Subset)), None)


def _joined(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    subsets = args[0]
    if _axis(args, options) != 1 or not all(isinstance(each, Subset) for each in subsets):
        return None
    total, channels = 0, []
    for each in subsets:
        channels.append(each.channels + total)
        total += each.total
    return Subset(torch.cat(channels), total)


def _parts(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Take parts of a given length, or of a list of lengths."""
    subset = args[0]
    if subset is None or _axis(args[1:], options) != 1:
        return None
    bounds, wide_bounds = (_bounds(lengths, total) for lengths, total in
                           ((args[1], len(subset.channels)), (wide[1], subset.total)))
    return tuple(map(subset.part, bounds, wide_bounds))


def _chunks(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Take a given number of parts; the last one may be shorter."""
    subset, count, *axis = args
    if subset is None:
        return None
    return _parts((subset, -(-len(subset.channels) // count), *axis),
                  (None, -(-subset.total // count)), options)


def _bounds(lengths: int | Sequence[int], total: int) -> list[slice]:
    if isinstance(lengths, int):
        return [slice(start, start + lengths) for start in range(0, total, lengths)]
    ends = [*accumulate(lengths)]
    return [slice(end - length, end) for end, length in zip(ends, lengths, strict=True)]


def _shuffled(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    subset, groups = args
    if subset is None:
        return None
    order = torch.arange(len(subset.channels)).view(groups, -1).t().flatten()
    wide_order = torch.arange(subset.total).view(groups, -1).t().flatten()
    place = wide_order.argsort()  # position of each wide channel in the output
    return Subset(place[subset.channels[order]], subset.total)


def _item(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Take one of several parts, or a slice of rows and columns."""
    value, index = args
    if isinstance(value, tuple) and isinstance(index, int):
        return value[index]
    keeps_channels = isinstance(index, tuple) and (
        index[0] is Ellipsis and len(index) < 4 or index[1:2] == (slice(None),))
    return value if keeps_channels else None


def _axis(args: Arguments, options: dict[str, Any]) -> int:
    if 'dim' in options:
        return options['dim']
    return args[1] if len(args) > 1 else 0


SUMS = (operator.add, operator.iadd, operator.mul, operator.imul, operator.truediv, torch.add,
        torch.mul)
"""Operations whose input tensors must have the same channel mapping."""
RULES: dict[Callable[..., Any] | str, Rule] = {
    **dict.fromkeys((
        *SUMS, torch.sigmoid, torch.relu, functional.relu, functional.leaky_relu, functional.silu,
        functional.interpolate, functional.avg_pool2d, functional.max_pool2d,
        functional.adaptive_avg_pool2d, 'contiguous', 'sigmoid', 'float', 'detach',
        'clone'), _first),
    torch.cat: _joined,
    torch.split: _parts, 'split': _parts,
    torch.chunk: _chunks, 'chunk': _chunks,
    functional.channel_shuffle: _shuffled,
    operator.getitem: _item,
}
"""Effect of operations without weights on the channels; others give an unknown mapping."""
