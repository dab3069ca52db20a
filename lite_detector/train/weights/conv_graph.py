# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Convolutions in the order of the graph instead of the order of a file.

Two files of one network may list its layers in different orders. Layers of equal shape, such as
the heads of all strides, could then be swapped without an error. A walk from the outputs backwards
does not depend on the file.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

N = TypeVar('N', bound=Hashable)


def reads_in_order(outputs: Sequence[N], inputs: Callable[[N], Sequence[N]],
                   is_kept: Callable[[N], bool]) -> dict[N, frozenset[N]]:
    """
    Return the kept nodes in the order of a depth-first walk, each after all of its inputs.

    :param outputs: Nodes at which the walk starts, in order.
    :param inputs: Function that returns the inputs of a node, in the order of its arguments.
    :param is_kept: Function that decides whether to return a node; others only connect nodes.
    :return: Kept node -> kept nodes that it reads, directly or through others.
    """
    reads: dict[N, frozenset[N]] = {}  # of every node that is done, in order
    stack = list(reversed(outputs))
    while stack:
        node = stack[-1]
        waiting = [each for each in inputs(node) if each not in reads]
        if waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if node not in reads:
            reads[node] = frozenset().union(*(
                {each} if is_kept(each) else reads[each] for each in inputs(node)))
    return {node: found for node, found in reads.items() if is_kept(node)}
