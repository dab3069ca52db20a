# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Start a narrow network from a wide one of the same structure: from a subset of its channels.

Both networks are traced into the operations that they run, which must be the same ones. From the
first to the last, each narrow tensor learns which channels of the wide tensor its own stand for,
and each layer takes the weights of these. Nothing here knows a family: a network of new operations
needs a line in ``RULES`` at most.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
import operator
from typing import Any, NamedTuple

from lite_detector.core.errors import ModelError
import torch
from torch import fx, nn, Tensor
from torch.nn import functional

NORMS = (nn.BatchNorm2d, nn.GroupNorm)
SAME_CONV = ('kernel_size', 'stride', 'padding', 'dilation')


class Subset(NamedTuple):
    """
    The channels of a wide tensor that those of a narrow one stand for.

    :param channels: per narrow channel the wide one, int64, shape (n,).
    :param total: how many the wide tensor has.
    """

    channels: Tensor
    total: int

    def part(self, narrow: slice, wide: slice) -> Subset:
        """
        Return the subset of a part: what lies beyond the wide part gets the channel at its end.

        :param narrow: of the narrow channels.
        :param wide: of the wide ones.
        """
        start, stop, _ = wide.indices(self.total)
        return Subset((self.channels[narrow] - start).clamp(0, stop - start - 1), stop - start)


Value = Subset | tuple[Subset, ...] | None
"""What is known of a tensor, or of the parts of one; None: nothing."""


def spread(count: int, total: int) -> Subset:
    """
    Return the centres of ``count`` equal bins.

    The same widths always give the same channels, so that tensors that are added agree; and the
    choice in two halves, laid side by side, is the choice in the whole.
    """
    return Subset((2 * torch.arange(count) + 1) * total // (2 * count), total)


def strongest(count: int, scores: Tensor) -> Subset:
    """
    Return the channel of the highest score in each of ``count`` bins that are about equal.

    :param scores: of the wide channels, shape (total,).
    """
    total = len(scores)
    starts = [index * total // count for index in range(count + 1)]
    return Subset(torch.tensor([start + int(scores[start:stop].argmax())
                                for start, stop in pairwise(starts)]), total)


@torch.no_grad()
def subset_weights(wide: nn.Module, narrow: nn.Module, outputs: str) -> dict[str, Tensor]:
    """
    Return weights for a narrow network, taken from a wide one.

    A weight is multiplied by the number of wide channels for which its input stands: if these
    were all alike, the layer would give what it gave. Statistics of batch norm are those of the
    wide network, which no longer fit: see ``renew_statistics``.

    :param wide: a network in the same mode, training or not, as the narrow one.
    :param narrow: of the same operations; nowhere wider.
    :param outputs: what the names of the last convolutions start with; they keep all their rows.
    :return: a state dict, of the shapes of the narrow network but for these rows.
    :raises ModelError: if the structures differ, or the narrow network is wider somewhere.
    """
    values: dict[fx.Node, Value] = {}
    weights: dict[str, Tensor] = {}
    for wide_node, node in _steps(wide, narrow):
        if node.op == 'call_module':
            name = node.target
            inputs = values.get(node.args[0])
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
    """Give the operations of both networks in the order in which they run, in pairs."""
    try:
        wide_nodes, nodes = ([*fx.Tracer().trace(model).nodes] for model in (wide, narrow))
    except fx.proxy.TraceError:
        raise ModelError('the channels of this network cannot be followed') from None
    for wide_node, node in zip(wide_nodes, nodes, strict=False):
        said, wanted = (f'{each.target} of {", ".join(map(str, each.all_input_nodes))}'
                        if each.all_input_nodes else str(each.target)
                        for each in (wide_node, node))
        if said != wanted:
            raise ModelError(f'the structures differ: got {said}, wanted {wanted}')
        yield wide_node, node
    if len(wide_nodes) != len(nodes):
        raise ModelError(f'the structures differ: got {len(wide_nodes)} operations, wanted '
                         f'{len(nodes)}')


def _scores(wide: nn.Module, node: fx.Node) -> Tensor | None:
    """
    Return how strong the channels are that a layer gives; None where their choice is not free.

    That is the scale of the batch norm that follows (network slimming, Liu et al., 2017,
    arXiv:1708.06519). Where they are added to others, or gated, these must be the same.
    """
    norms = [user for user in node.users if user.op == 'call_module'
             and isinstance(wide.get_submodule(user.target), nn.BatchNorm2d)]
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
    return wide.get_submodule(norms[0].target).weight.abs()


def _mixes(model: nn.Module, node: fx.Node) -> bool:
    layer = model.get_submodule(node.target) if node.op == 'call_module' else None
    return isinstance(layer, nn.Conv2d) and layer.groups == 1


def _pass_layer(name: str, wide: nn.Module, narrow: nn.Module, inputs: Value, whole: bool,
                scores: Tensor | None) -> tuple[Value, dict[str, Tensor]]:
    """Return what a layer makes of its input, and its weights."""
    if isinstance(narrow, nn.Conv2d) and isinstance(wide, nn.Conv2d):
        if inputs is None:
            raise ModelError(f'{name}: an operation before it hides which channels come in')
        outputs = _conv_outputs(name, wide, narrow, inputs, whole, scores)
        return None if whole else outputs, _conv_weights(wide, narrow, inputs, outputs)
    if isinstance(narrow, NORMS) and type(wide) is type(narrow):
        return inputs, {key: value[inputs.channels] if value.ndim else value
                        for key, value in wide.state_dict().items()}
    if str(wide) != str(narrow):
        raise ModelError(f'the structures differ: {name} is {wide}, wanted {narrow}')
    if narrow.state_dict():
        raise ModelError(f'{name}: cannot take channels out of a {type(narrow).__name__}')
    return inputs, {}


def _conv_outputs(name: str, wide: nn.Conv2d, narrow: nn.Conv2d, inputs: Subset, whole: bool,
                  scores: Tensor | None) -> Subset:
    """Choose the channels that a convolution gives."""
    for what in SAME_CONV:
        got, wanted = getattr(wide, what), getattr(narrow, what)
        if got != wanted:
            raise ModelError(f'the structures differ: {name} has {what} {got}, wanted {wanted}')
    if whole:
        return spread(wide.out_channels, wide.out_channels)
    if narrow.out_channels > wide.out_channels:
        raise ModelError(f'{name} has {wide.out_channels} channels, wanted at least '
                         f'{narrow.out_channels}: a network can only start from a wider one')
    if all(conv.groups == conv.in_channels == conv.out_channels for conv in (wide, narrow)):
        return inputs  # depthwise
    if wide.groups != narrow.groups:
        raise ModelError(f'the structures differ: {name} has {wide.groups} groups, wanted '
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
    """Return what no layer of the walk holds, such as single factors."""
    source = wide.state_dict()
    rest = {}
    for name, value in narrow.state_dict().items():
        if name not in weights:
            if name not in source or source[name].shape != value.shape:
                raise ModelError(f'cannot take channels out of {name}')
            rest[name] = source[name]
    return rest


Arguments = Sequence[Any]
"""Of an operation: numbers, and what is known of its tensors (of the wide one: its nodes)."""
Rule = Callable[[Arguments, Arguments, dict[str, Any]], Value]
"""From the arguments of the narrow and of the wide operation, and keywords, to the result."""


def _first(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Keep the channels as they are; in a sum, those of the first that is known."""
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
    place = wide_order.argsort()  # where each wide channel goes
    return Subset(place[subset.channels[order]], subset.total)


def _item(args: Arguments, wide: Arguments, options: dict[str, Any]) -> Value:
    """Take one of several parts, or some of them."""
    value, index = args
    if isinstance(value, tuple) and isinstance(index, int):
        return value[index]
    keeps_channels = isinstance(index, tuple) and (
        index[0] is Ellipsis and len(index) < 4 or index[1:2] == (slice(None),))
    return value if keeps_channels else None


def _axis(args: Arguments, options: dict[str, Any]) -> int:
    return options.get('dim', args[1] if len(args) > 1 else 0)


SUMS = (operator.add, operator.iadd, operator.mul, operator.imul, operator.truediv, torch.add,
        torch.mul)
"""Operations on several tensors whose channels must mean the same."""
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
"""What an operation without weights does to the channels; of any other nothing is known."""
