# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The objective of DAMO-YOLO."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import DamoYoloLoss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.aligned_ota import assign_aligned_ota
from lite_detector.train.losses.assign.assignment import Assignment
from lite_detector.train.losses.boxes import Priors
from lite_detector.train.losses.objectives.gfl import GflObjective
from torch import Tensor


class DamoYoloObjective(GflObjective):
    """
    AlignedOTA on the predictions of the network itself, and the losses of ``GflObjective``.

    :param spec: Settings of the losses.
    """

    spec: DamoYoloLoss

    def assign(self, priors: Priors, logits: Tensor, boxes_xyxy: Tensor,
               truth: GroundTruth) -> Assignment:
        """Assign objects by the predictions for one image (AlignedOTA)."""
        spec = self.spec
        return assign_aligned_ota(priors, logits, boxes_xyxy, truth, spec.ota_top_k,
                                  spec.ota_iou_factor, spec.center_radius)

    def losses(self, predictions: Sequence[Tensor], truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the weighted losses ``score``, ``box`` and ``distribution``."""
        heads = self.flat(predictions)
        priors = self.priors(input_size, heads.logits.device)
        targets = self.assign_by_prediction(heads, truths, priors)
        return self.terms(heads, targets, priors, targets.ious)
