# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
What torch lacks or does wrong, each with the version from which its workaround can go.

Only this module uses private names of torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import torch
from torch import Tensor
from torch.utils.data import DataLoader


def lerp_all_(averages: Sequence[Tensor], values: Sequence[Tensor], weight: float) -> None:
    """
    Move each average towards its value, all in one kernel.

    https://github.com/pytorch/pytorch/pull/193607 makes it public as ``torch.foreach``, which
    torch 2.13 lacks: can go when the oldest supported torch has that.

    :param averages: changed in place.
    :param weight: 0 leaves them, 1 takes the values.
    """
    torch._foreach_lerp_(averages, values, weight)


def iterate_forked(results: DataLoader) -> Iterator[Any]:
    """
    Start the processes of a loader, and return an iterator over what they make.

    A forked process has OpenCV's pool of threads without the threads and waits for them for ever,
    also in ``cv2.setNumThreads``, so the pool has to be gone before
    (https://github.com/opencv/opencv/issues/5150, open): can go when loader processes are not
    forked any more.
    """
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        return iter(results)
    finally:
        cv2.setNumThreads(threads)


def onnx_integer(value: Any, name: str) -> int:
    """
    Return a constant integer argument of an operator that is exported to ONNX.

    ``torch.onnx`` gives a custom symbolic function no public way to read its arguments: can go
    when the exporter with ``dynamo=True`` needs no more packages than this one.
    """
    return torch.onnx.symbolic_helper._get_const(value, 'i', name)


def onnx_sizes(value: Any) -> Sequence[int | None]:
    """Return the sizes of a tensor that is exported to ONNX; see :func:`onnx_integer`."""
    return torch.onnx.symbolic_helper._get_tensor_sizes(value)
