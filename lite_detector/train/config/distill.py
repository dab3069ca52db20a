# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What is learnt from a teacher, in words that a configuration can hold."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.model_card import SizeSpec
from msgspec import Meta

TermWeight = Annotated[float, Meta(ge=0, le=10_000)]
Temperature = Annotated[float, Meta(gt=0, le=100)]


class FeatureSpec(Spec):
    """Maps of the neck, at the strides that both networks have."""

    kind: Literal['cwd', 'mgd', 'mimic'] = 'cwd'
    """Where each channel looks, masked generation, or the values themselves."""
    weight: TermWeight = 1.0
    temperature: Temperature = 1.0
    """cwd: above 1 the weaker cells of a channel count more."""
    masked: Annotated[float, Meta(ge=0, lt=1)] = 0.65
    """mgd: part of the cells that the student has to make up."""


class HeadSpec(Spec):
    """Scores and distances, for two networks of the GFL families with the same cells."""

    score_weight: TermWeight = 1.0
    """Of the classes that both know by name."""
    distribution_weight: TermWeight = 0.25
    temperature: Temperature = 1.0
    """Of the distributions: above 1 their unlikely distances count more."""


class DistillSpec(Spec, kw_only=True):
    """A teacher, and what is learnt from it."""

    teacher: Annotated[str, Meta(min_length=1)]
    """A checkpoint (.pt) of any family, variant and classes."""
    input_size: SizeSpec | None = None
    """What the teacher sees; by default what the student sees."""
    zoom: Annotated[int, Meta(ge=1, le=4)] = 1
    """How many times as high and wide the teacher sees the images. Its cells of stride
    ``zoom * s`` then lie on the student's of stride ``s`` and measure in the same units, so that
    a network can teach a smaller size of itself (after Qi et al., 2021, arXiv:2109.06875)."""
    strides: tuple[Annotated[int, Meta(ge=1, le=256)], ...] | None = None
    """Of the student, where it learns from the teacher; by default wherever both have maps."""
    features: FeatureSpec | None = FeatureSpec()
    heads: HeadSpec | None = None
    final_factor: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """All of it fades to this part by the end of the run, along a cosine."""

    def __post_init__(self) -> None:
        if self.features is None and self.heads is None:
            raise ValueError('nothing is learnt from the teacher: give features, heads or both')
        if self.zoom > 1 and self.input_size is not None:
            raise ValueError('zoom and input_size both say what the teacher sees: give one')
        if self.heads is not None and self.input_size is not None:
            raise ValueError('heads needs the cells of both networks to be the same: leave '
                             'input_size out, or give zoom')
