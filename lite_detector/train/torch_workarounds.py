# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Workarounds for torch, each with the condition under which it can be removed.

Only this module uses private names of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader


def lerp_all_(averages: list[Tensor], values: list[Tensor], weight: float) -> None:
    """
    Move each average towards its value, all in one kernel.

    https://github.com/pytorch/pytorch/pull/193607 makes this public as ``torch.foreach``, which
    torch 2.13 lacks. Remove it when the oldest supported torch has that.

    :param averages: Tensors to change in place.
    :param values: Tensors of the same shapes.
    :param weight: Weight of the values; 0 keeps the averages, 1 takes the values.
    """
    torch._foreach_lerp_(averages, values, weight)


def iterate_forked(results: DataLoader[Any]) -> Iterator[Any]:
    """
    Start the processes of a loader, and return an iterator over their results.

    A forked process has the state of OpenCV's thread pool but not its threads, and waits for them
    forever, even in ``cv2.setNumThreads``. So the pool must be stopped before
    (https://github.com/opencv/opencv/issues/5150, open). Remove it when loader processes are not
    forked.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(results)
    finally:
        cv2.setNumThreads(threads)


def onnx_integer(value: Any, name: str) -> int:
    """
    Return a constant integer argument of an operator in the ONNX export.

    ``torch.onnx`` has no public way for a custom symbolic function to read its arguments. Remove
    it
    when the exporter with ``dynamo=True`` needs no more packages than this one.
    """
    return torch.onnx.symbolic_helper._get_const(value, 'i', name)


def onnx_sizes(value: Any) -> Sequence[int | None]:
    """Return the sizes of a tensor in the ONNX export; see :func:`onnx_integer`."""
    return torch.onnx.symbolic_helper._get_tensor_sizes(value)
