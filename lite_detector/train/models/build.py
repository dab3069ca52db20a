# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""From the words of a spec to a network."""

from __future__ import annotations

from collections.abc import Callable

from lite_detector.train.models.nanodet import NanoDet
from lite_detector.train.models.nanodet_plus import NanoDetPlus
from lite_detector.train.models.spec import ModelSpec
from lite_detector.train.models.yolov5_lite import Yolov5Lite
from torch import nn

NETWORKS: dict[str, Callable[[ModelSpec], nn.Module]] = {
    'nanodet': NanoDet,
    'nanodet_plus': NanoDetPlus,
    'yolov5_lite': Yolov5Lite,
}


def build_model(spec: ModelSpec) -> nn.Module:
    """
    Return a network with fresh weights, in training mode.

    Its ``forward(images)`` returns one raw head (n, channels, h, w) per element of its
    ``strides``: what the decoders of ``core`` read. It is ``raw_heads(pyramids(images)[1])``,
    whose two halves training uses; ``level_channels`` are those of the maps between them.

    :param spec: what to build.
    """
    return NETWORKS[spec.family](spec)
