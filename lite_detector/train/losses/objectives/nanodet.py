# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The objective of NanoDet-m."""

from __future__ import annotations

from collections.abc import Sequence

from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import NanoDetLoss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.assign.atss import assign_atss
from lite_detector.train.losses.objectives.gfl import DslaObjective, targets_of
from torch import Tensor


class NanoDetObjective(DslaObjective):
    """
    ATSS, or DSLA on the predictions of the network itself, and the losses of ``GflObjective``.

    :param spec: Settings of the losses.
    """

    spec: NanoDetLoss

    def losses(self, predictions: Sequence[Tensor], truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the weighted losses ``score``, ``box`` and ``distribution``."""
        heads = self.flat(predictions)
        priors = self.priors(input_size, heads.logits.device)
        if self.spec.assigner == 'dsla':
            targets = self.assign_by_prediction(heads, truths, priors)
        else:
            targets = targets_of([assign_atss(priors, truth, self.spec.atss_top_k,
                                              self.spec.prior_scale) for truth in truths], truths)
        return self.terms(heads, targets, priors)
