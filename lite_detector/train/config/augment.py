# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""How much a training image may change, in words that a configuration can hold."""

from __future__ import annotations

from typing import Annotated

from lite_detector.core.config import Spec
from msgspec import Meta
from msgspec.structs import replace

Share = Annotated[float, Meta(ge=0, le=1)]
Factor = Annotated[float, Meta(ge=0.05, le=20)]
FactorRange = tuple[Factor, Factor]
Epochs = Annotated[int, Meta(ge=0)]


class AugmentSpec(Spec):
    """
    The random changes of a training image.

    A factor is drawn log-uniformly between its two limits: halving is as likely as doubling.
    The defaults are meant for fine-tuning on some hundred or thousand images.
    """

    flip: Share = 0.5
    """Probability of a mirror image; 0 where left and right matter (text, road signs)."""
    scale: FactorRange = (0.6, 1.6)
    """Size of the image in the input; above 1 a part of it is seen."""
    stretch: FactorRange = (0.85, 1.18)
    """Width to height, at the same area."""
    translate: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """How far the image may move, in sides of the input, beside what ``scale`` gives room for."""
    rotate: Annotated[float, Meta(ge=0, le=45)] = 0.0
    """Degrees, either way. A turned box is the upright hull of it, so it grows."""
    brightness: Share = 0.1
    """Share of full white that may be added or taken away."""
    contrast: FactorRange = (0.7, 1.4)
    saturation: FactorRange = (0.6, 1.6)
    """Colourfulness; 1 leaves it."""
    hue: Annotated[float, Meta(ge=0, le=180)] = 0.0
    """Degrees on the colour circle, either way; 0 where colour tells the classes apart."""
    mosaic: Share = 0.3
    """Probability of four images in one (YOLOv4, arXiv:2004.10934)."""
    mosaic_scale: FactorRange = (0.5, 1.0)
    """Size of each of the four, beside ``scale``: at 0.5 an image about fits its quarter."""
    mosaic_off_epochs: Epochs = 2
    """Last epochs of a phase without mosaic: the end is learnt on whole images."""
    mixup: Share = 0.0
    """Probability of two images laid over each other (arXiv:1710.09412, 1902.04103)."""
    mixup_off_epochs: Epochs = 2
    """Last epochs of a phase without mixup."""
    min_visible: Share = 0.1
    """Share of a box that must stay in view; of less it is not said what it is: ignored."""
    min_side: Annotated[float, Meta(ge=0, le=64)] = 2.0
    """Network pixels; an object with a shorter side is ignored."""

    def __post_init__(self) -> None:
        for key in ('scale', 'stretch', 'contrast', 'saturation', 'mosaic_scale'):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f'{key}: got {low} to {high}, wanted the lower limit first')

    @classmethod
    def none(cls) -> AugmentSpec:
        """Return no change at all: what the robot sees."""
        return cls(flip=0.0, scale=(1.0, 1.0), stretch=(1.0, 1.0), translate=0.0, brightness=0.0,
                   contrast=(1.0, 1.0), saturation=(1.0, 1.0), mosaic=0.0, min_visible=0.0,
                   min_side=0.0)

    def at(self, epoch: int, epochs: int) -> AugmentSpec:
        """
        Return what holds in one epoch of a phase: at its end mosaic and mixup are off.

        :param epoch: 0 .. epochs - 1.
        :param epochs: length of the phase.
        """
        left = epochs - epoch
        return replace(self, mosaic=self.mosaic if left > self.mosaic_off_epochs else 0.0,
                       mixup=self.mixup if left > self.mixup_off_epochs else 0.0)
