# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Input and output of an assigner, for one image at a time.

A prior becomes the positive sample of one object, or background, or is ignored because its
content is unknown. Ties go to the lowest index, so that equal inputs give equal targets on every
machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.boxes import inside_distances
import torch
from torch import Tensor

BACKGROUND = -1
"""Index and label of a prior without an object."""
IGNORED = -2
"""Index and label of a prior that is not part of the loss."""


class Assignment(NamedTuple):
    """
    Training targets of n priors.

    :param gt_indices: Rows of ``GroundTruth.boxes_xyxy``, BACKGROUND or IGNORED, int64, shape
        (n,).
    :param labels: Class ids, BACKGROUND or IGNORED, int64, shape (n,).
    :param ious: IoU of the matched box with its object, float32, shape (n,); 0 without an object.
    """

    gt_indices: Tensor
    labels: Tensor
    ious: Tensor

    @property
    def is_positive(self) -> Tensor:
        """Whether a prior is a positive sample, bool, shape (n,)."""
        return self.gt_indices >= 0

    @property
    def weights(self) -> Tensor:
        """Return 0 for ignored priors and 1 for all others, float32, shape (n,)."""
        return (self.gt_indices != IGNORED).to(self.ious.dtype)


def assignment_from(gt_indices: Tensor, ious: Tensor, truth: GroundTruth,
                    in_ignored: Tensor) -> Assignment:
    """
    Complete an assignment: ignore background inside ignore regions, and look up the labels.

    :param gt_indices: Rows of the objects, or BACKGROUND, int64, shape (n,).
    :param ious: IoU with that object, shape (n,); any value for background.
    :param truth: Labels of the image.
    :param in_ignored: Whether a prior could match an object of an ignore region, bool, shape (n,).
    """
    gt_indices = torch.where((gt_indices == BACKGROUND) & in_ignored, IGNORED, gt_indices)
    labels = gt_indices.clone()
    positive = gt_indices >= 0
    labels[positive] = truth.labels[gt_indices[positive]]
    return Assignment(gt_indices, labels, torch.where(positive, ious, 0).float())


def objects_of(assignments: Sequence[Assignment],
               truths: Sequence[GroundTruth]) -> tuple[Tensor, Tensor]:
    """
    Return box and score of the object of each positive, all images concatenated.

    :return: Boxes, shape (k, 4), and scores, shape (k,).
    """
    rows = [each.gt_indices[each.is_positive] for each in assignments]
    return (torch.cat([truth.boxes_xyxy[row] for truth, row in zip(truths, rows, strict=True)]),
            torch.cat([truth.scores[row] for truth, row in zip(truths, rows, strict=True)]))


def centers_in(centers: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """
    Return which priors have their centre in any of the boxes.

    Positive samples have their centres inside the boxes of their objects. (With DSLA they are
    rarely outside, and then inside the box of another object.) So these are the priors that an
    unlabelled object in an ignore region could match.

    :param centers: Centres x, y in network pixels, shape (n, 2).
    :param boxes_xyxy: Boxes in network pixels, shape (k, 4), also k = 0.
    :return: Mask, bool, shape (n,).
    """
    return (inside_distances(centers, boxes_xyxy) > 0).any(dim=1)
