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
from lite_detector.train.losses.objectives.gfl import DslaObjective
from lite_detector.train.losses.objectives.objective import ReduceMean
from lite_detector.train.models.assign_guidance import AssignGuidance
from lite_detector.train.models.nanodet_plus import NanoDetPlus
from torch import Tensor


class GuidedHeads(NamedTuple):
    """
    Raw heads of the network and of its guide, if it has one, per stride (n, channels, h, w).

    :param own: Raw heads of the network.
    :param guide: Raw heads of the guide in the same layout.
    """

    own: list[Tensor]
    guide: list[Tensor] | None


class NanoDetPlusObjective(DslaObjective):
    """
    DSLA on the predictions of an auxiliary head (the guide), for both the guide and the network.

    The target scores of both are the IoUs of the guide's boxes, times the score of the object. The
    guide is part of the objective, not of the network. It is trained and saved for ``--resume``,
    but
    not exported.

    :param spec: Settings of the losses and of the guide.
    """

    spec: NanoDetPlusLoss

    def __init__(self, model: NanoDetPlus, card: NetworkCard, spec: NanoDetPlusLoss,
                 reduce_mean: ReduceMean) -> None:
        super().__init__(model, card, spec, reduce_mean)
        decode = card.decode
        assert decode.reg_max is not None, 'checked by the card'
        self.guide = AssignGuidance(model.pan, len(decode.strides), len(card.class_names),
                                    decode.reg_max) if spec.guidance else None
        self._follows = False
        self.start_epoch(0)

    def start_epoch(self, epoch: int) -> None:
        """Train only the guide itself by its losses from epoch ``guidance_epochs`` on."""
        self._follows = epoch >= self.spec.guidance_epochs

    def predict(self, features: Sequence[Tensor], levels: Sequence[Tensor]) -> GuidedHeads:
        """Return the heads of the network, and those of the guide on the same feature maps."""
        own = self.model.raw_heads(levels)
        if self.guide is None:
            return GuidedHeads(own, None)
        if self._follows:
            features = [feature.detach() for feature in features]
            levels = [level.detach() for level in levels]
        return GuidedHeads(own, self.guide(features, levels))

    def raw_heads(self, predictions: GuidedHeads) -> list[Tensor]:
        """Return the heads of the network only."""
        return predictions.own

    def losses(self, predictions: GuidedHeads, truths: Sequence[GroundTruth],
               input_size: ImageSize) -> dict[str, Tensor]:
        """Return the losses of the network, and of the guide with the prefix ``guide_``."""
        own = self.flat(predictions.own)
        priors = self.priors(input_size, own.logits.device)
        guide = None if predictions.guide is None else self.flat(predictions.guide)
        targets = self.assign_by_prediction(own if guide is None else guide, truths, priors)
        terms = self.terms(own, targets, priors, targets.ious)
        if guide is not None:
            terms |= {f'guide_{name}': term for name, term
                      in self.terms(guide, targets, priors, targets.ious).items()}
        return terms
