# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The objective of NanoDet-Plus."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from lite_detector.core.model_card import NetworkCard
from lite_detector.core.types import ImageSize
from lite_detector.train.config.loss import NanoDetPlusLoss
from lite_detector.train.data.truth import GroundTruth
from lite_detector.train.losses.objectives.gfl import GflObjective
from lite_detector.train.losses.objectives.objective import ReduceMean
from lite_detector.train.models.assign_guidance import AssignGuidance
from lite_detector.train.models.nanodet_plus import NanoDetPlus
from torch import Tensor


class GuidedHeads(NamedTuple):
    """
    Raw heads of the network, and of its guide if it has one, per stride (n, channels, h, w).

    :param own: of the network.
    :param guide: in the same layout.
    """

    own: list[Tensor]
    guide: list[Tensor] | None


class NanoDetPlusObjective(GflObjective):
    """
    DSLA by the predictions of a guide, from which both the guide and the network learn.

    The scores of both learn the overlaps that the guide reaches (times the score of the object).
    The guide is a part of the objective, not of the network: it is trained and resumed with it,
    and never exported.

    :param spec: weights of the losses; whether and how long there is a guide.
    """

    def __init__(self, model: NanoDetPlus, card: NetworkCard, spec: NanoDetPlusLoss,
                 reduce_mean: ReduceMean) -> None:
        super().__init__(model, card, spec, reduce_mean)
        self.guide = AssignGuidance(model.pan, len(card.decode.strides), len(card.class_names),
                                    card.decode.reg_max) if spec.guidance else None
        self._follows = False
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """From epoch ``guidance_epochs`` on, the guide trains nothing but itself."""
        self._follows = epoch >= self.spec.guidance_epochs

    def predict(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> GuidedHeads:
        """Return the heads of the network, and of the guide on the same maps."""
        own = self.model.raw_heads(levels)
        if self.guide is None:
            return GuidedHeads(own, None)
        if self._follows:
            features = [feature.detach() for feature in features]
            levels = [level.detach() for level in levels]
        return GuidedHeads(own, self.guide(features, levels))

    def raw_heads(self, predictions: GuidedHeads) -> list[Tensor]:
        """Return the heads without the guide's."""
        return predictions.own

    def losses(self, predictions: GuidedHeads, truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the losses of the network and, with ``guide_`` before their names, the guide."""
        own = self.flat(predictions.own)
        priors = self.priors(input_size, own.logits.device)
        guide = None if predictions.guide is None else self.flat(predictions.guide)
        targets = self.assign_by_prediction(own if guide is None else guide, truths, priors)
        terms = self.terms(own, targets, priors, targets.ious)
        if guide is not None:
            terms |= {f'guide_{name}': term for name, term
                      in self.terms(guide, targets, priors, targets.ious).items()}
        return terms
