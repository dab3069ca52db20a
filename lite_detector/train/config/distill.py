# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of distillation, which trains a network on the outputs of a teacher."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.model_card import SizeSpec
from msgspec import Meta

TermWeight = Annotated[float, Meta(ge=0, le=10_000)]
Temperature = Annotated[float, Meta(gt=0, le=100)]


class FeatureSpec(Spec):
    """Loss on feature maps of the neck, at the strides that both networks have."""

    kind: Literal['cwd', 'mgd', 'mimic'] = 'cwd'
    """Kind of loss: cwd (attention of each channel), mgd (masked generation) or mimic (feature
    values)."""
    weight: TermWeight = 1.0
    """Weight of the loss."""
    temperature: Temperature = 1.0
    """Softmax temperature of cwd; above 1 the weak positions of a channel count more."""
    masked: Annotated[float, Meta(ge=0, lt=1)] = 0.65
    """Share of the positions that mgd masks and the student generates."""


class HeadSpec(Spec):
    """Loss on scores and box distances, for two GFL networks with the same anchor points."""

    score_weight: TermWeight = 1.0
    """Weight of the loss on the scores of the classes that both networks have."""
    distribution_weight: TermWeight = 0.25
    """Weight of the loss on the distance distributions."""
    temperature: Temperature = 1.0
    """Temperature of the distance distributions; above 1 unlikely distances count more."""


class DistillSpec(Spec, kw_only=True):
    """The teacher and the distillation losses."""

    teacher: Annotated[str, Meta(min_length=1)]
    """Checkpoint (.pt) of the teacher; any family, variant and classes."""
    input_size: SizeSpec | None = None
    """Input size of the teacher; by default that of the student."""
    zoom: Annotated[int, Meta(ge=1, le=4)] = 1
    """Factor on height and width of the teacher's input. The teacher's anchor points of stride
    ``zoom * s`` then match the student's of stride ``s``. So a network can teach a smaller input
    size of itself (after Qi et al., 2021, arXiv:2109.06875)."""
    strides: tuple[Annotated[int, Meta(ge=1, le=256)], ...] | None = None
    """Strides of the student that learn from the teacher; by default all that both networks
    have."""
    features: FeatureSpec | None = FeatureSpec()
    heads: HeadSpec | None = None
    final_factor: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Factor on all distillation losses at the end of the run; it falls from 1 along a cosine."""

    def __post_init__(self) -> None:
        if self.features is None and self.heads is None:
            raise ValueError('neither features nor heads is set; expected at least one of them')
        if self.zoom > 1 and self.input_size is not None:
            raise ValueError('zoom and input_size are both set; expected at most one of them')
        if self.heads is not None and self.input_size is not None:
            raise ValueError('heads and input_size are both set; heads needs the same anchor '
                             'points in both networks: remove input_size or use zoom')
