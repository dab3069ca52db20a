# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
What goes into an assigner and what comes out, one image at a time.

A prior becomes a positive of one object, or background, or is left out of the loss
because nobody knows what is there. Ties go to the lowest index, so that equal inputs give equal
targets on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.boxes import inside_distances
import torch
from torch import Tensor

BACKGROUND = -1
"""Index and label of a prior at which there is nothing."""
IGNORED = -2
"""Index and label of a prior that takes no part in the loss."""


class Assignment(NamedTuple):
    """
    What each of n priors has to learn.

    :param gt_indices: row of ``GroundTruth.boxes_xyxy``, or BACKGROUND or IGNORED, int64, (n,).
    :param labels: class id, or BACKGROUND or IGNORED, int64, shape (n,).
    :param ious: overlap of the box that was matched with its object, float32, shape (n,);
        0 where there is none.
    """

    gt_indices: Tensor
    labels: Tensor
    ious: Tensor

    @property
    def is_positive(self) -> Tensor:
        """Whether a prior has an object, bool, shape (n,)."""
        return self.gt_indices >= 0

    @property
    def weights(self) -> Tensor:
        """Return 0 where a prior is ignored, else 1, float32, shape (n,)."""
        return (self.gt_indices != IGNORED).to(self.ious.dtype)


def assignment_from(gt_indices: Tensor, ious: Tensor, truth: GroundTruth,
                    in_ignored: Tensor) -> Assignment:
    """
    Finish an assignment: ignore the background that may hide an object, and look up the labels.

    :param gt_indices: row of the object, or BACKGROUND, int64, shape (n,).
    :param ious: overlap with that object, shape (n,); anything where there is none.
    :param truth: the labels of the image.
    :param in_ignored: whether a prior could learn an object of an ignored region, bool, (n,).
    """
    gt_indices = torch.where((gt_indices == BACKGROUND) & in_ignored, IGNORED, gt_indices)
    labels = gt_indices.clone()
    positive = gt_indices >= 0
    labels[positive] = truth.labels[gt_indices[positive]]
    return Assignment(gt_indices, labels, torch.where(positive, ious, 0).float())


def objects_of(assignments: Sequence[Assignment],
               truths: Sequence[GroundTruth]) -> tuple[Tensor, Tensor]:
    """
    Return box and score of the object of each positive, all images after one another.

    :return: shapes (k, 4) and (k,).
    """
    rows = [each.gt_indices[each.is_positive] for each in assignments]
    return (torch.cat([truth.boxes_xyxy[row] for truth, row in zip(truths, rows, strict=True)]),
            torch.cat([truth.scores[row] for truth, row in zip(truths, rows, strict=True)]))


def centers_in(centers: Tensor, boxes_xyxy: Tensor) -> Tensor:
    """
    Return which priors have their centre in any of the boxes.

    Objects are learnt at centres inside of their boxes (DSLA: rarely outside, and then inside the
    box of another object), so these are the priors that an unlabelled object within an ignored
    region could have had.

    :param centers: x, y in network pixels, shape (n, 2).
    :param boxes_xyxy: shape (k, 4), also k = 0.
    :return: bool, shape (n,).
    """
    return (inside_distances(centers, boxes_xyxy) > 0).any(dim=1)
