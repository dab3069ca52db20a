# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Everything that decides a search, as one YAML file says it."""

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
    """Training configuration that the results are made of: a file, or a name of config/train. Of
    it stay the family, its neck and head, the input size, and how it is trained."""
    num_classes: Annotated[int, Meta(ge=1, le=10000)]
    """Of the detector, for its head is counted too."""
    space: SpaceSpec
    budget: BudgetSpec
    entropy_weights: tuple[Weight, Weight, Weight, Weight, Weight] = (0.0, 0.0, 1.0, 1.0, 6.0)
    """What the maps at strides 2, 4, 8, 16 and 32 count in the score."""
    evolution: EvolutionSpec = EvolutionSpec()
    keep: Annotated[int, Meta(ge=1, le=26)] = 5
    """Networks to write: the best one, and others spread over the front."""
