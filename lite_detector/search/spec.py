# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Configuration of a search."""

from __future__ import annotations

from typing import Annotated

from lite_detector.core.config import Spec
from lite_detector.search.costs import BudgetSpec
from lite_detector.search.evolution import EvolutionSpec
from lite_detector.search.space import SpaceSpec
from msgspec import Meta

Weight = Annotated[float, Meta(ge=0, le=1000)]


class SearchSpec(Spec, kw_only=True):
    """A search for the backbone of a detector."""

    train: str
    """Base of the training configurations that are written: path of a file, or name in
    config/train. Its family, neck, head, input size and training schedule are kept."""
    num_classes: Annotated[int, Meta(ge=1, le=10000)]
    """Number of classes, because the costs include the head."""
    space: SpaceSpec
    budget: BudgetSpec
    entropy_weights: tuple[Weight, Weight, Weight, Weight, Weight] = (0.0, 0.0, 1.0, 1.0, 6.0)
    """Weights in the score of the feature maps with strides 2, 4, 8, 16 and 32."""
    evolution: EvolutionSpec = EvolutionSpec()
    keep: Annotated[int, Meta(ge=1, le=26)] = 5
    """Number of networks to write: the best one, and others spread over the front."""
