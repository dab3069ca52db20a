# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Labels of an image as assigners and losses take them."""

from lite_detector.train.data.truth import GroundTruth
import torch


def truth_of(*boxes: tuple[float, ...], labels: list[int] | None = None,
             ignored: tuple[tuple[float, ...], ...] = (),
             scores: list[float] | None = None) -> GroundTruth:
    """Return the labels of an image; class 0 where none is given."""
    return GroundTruth(torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4),
                       torch.tensor(labels or [0] * len(boxes), dtype=torch.int64),
                       torch.tensor(scores or [1.0] * len(boxes), dtype=torch.float32),
                       torch.tensor(ignored, dtype=torch.float32).reshape(-1, 4))
