# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The labels of a training image, as tensors."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class GroundTruth(NamedTuple):
    """
    The labels of one image.

    :param boxes_xyxy: Boxes of the objects in network pixels, float32, shape (m, 4).
    :param labels: Class ids, int64, shape (m,).
    :param scores: Soft label weights, in [0, 1], float32, shape (m,); 1 for human labels.
    :param ignored_xyxy: Ignore regions (crowds and difficult objects), float32, shape (k, 4);
        detections there are neither right nor wrong.
    """

    boxes_xyxy: Tensor
    labels: Tensor
    scores: Tensor
    ignored_xyxy: Tensor
