# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of the training augmentation."""

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
    Random changes of a training image.

    A factor is drawn log-uniformly between its two limits: 0.5 is as likely as 2. The defaults
    suit fine-tuning on some hundred or thousand images.
    """

    flip: Share = 0.5
    """Probability of a mirror image; 0 if left and right matter (text, road signs)."""
    scale: FactorRange = (0.6, 1.6)
    """Limits of the size of the image relative to the input; above 1 the image is cropped."""
    stretch: FactorRange = (0.85, 1.18)
    """Limits of the factor on the aspect ratio (width / height); the area is constant."""
    translate: Annotated[float, Meta(ge=0, le=0.5)] = 0.1
    """Largest shift as a fraction of the input side, in addition to the room that ``scale``
    leaves."""
    rotate: Annotated[float, Meta(ge=0, le=45)] = 0.0
    """Largest rotation in degrees, in both directions. A rotated box becomes its upright bounding
    box, so it grows."""
    brightness: Share = 0.1
    """Largest change of brightness, as a fraction of full white."""
    contrast: FactorRange = (0.7, 1.4)
    """Limits of the factor on the difference from middle grey."""
    saturation: FactorRange = (0.6, 1.6)
    """Limits of the saturation factor; 1 means no change."""
    hue: Annotated[float, Meta(ge=0, le=180)] = 0.0
    """Largest hue shift in degrees, in both directions; 0 if colour distinguishes the classes."""
    mosaic: Share = 0.3
    """Probability of a mosaic of four images (YOLOv4, arXiv:2004.10934)."""
    mosaic_scale: FactorRange = (0.5, 1.0)
    """Limits of an extra scale of each mosaic image; at 0.5 an image about fits its quarter."""
    mosaic_off_epochs: Epochs = 2
    """Epochs without mosaic at the end of a phase, so that training ends on single images."""
    mixup: Share = 0.0
    """Probability of a blend of two images (mixup, arXiv:1710.09412, 1902.04103)."""
    mixup_off_epochs: Epochs = 2
    """Epochs without mixup at the end of a phase."""
    min_visible: Share = 0.1
    """Minimum visible share of a box; a box with less is an ignore region."""
    min_side: Annotated[float, Meta(ge=0, le=64)] = 2.0
    """Minimum side of an object in network pixels; a smaller object is an ignore region."""

    def __post_init__(self) -> None:
        for key in ('scale', 'stretch', 'contrast', 'saturation', 'mosaic_scale'):
            low, high = getattr(self, key)
            if low > high:
                raise ValueError(f'{key}: {low} to {high}; expected the lower limit first')

    @classmethod
    def none(cls) -> AugmentSpec:
        """Return settings without any change, for images as in deployment."""
        return cls(flip=0.0, scale=(1.0, 1.0), stretch=(1.0, 1.0), translate=0.0, brightness=0.0,
                   contrast=(1.0, 1.0), saturation=(1.0, 1.0), mosaic=0.0, min_visible=0.0,
                   min_side=0.0)

    def at(self, epoch: int, epochs: int) -> AugmentSpec:
        """
        Return the settings of one epoch; the last epochs of a phase have no mosaic and no mixup.

        :param epoch: Index of the epoch in its phase, 0 .. epochs - 1.
        :param epochs: Number of epochs of the phase.
        """
        left = epochs - epoch
        return replace(self, mosaic=self.mosaic if left > self.mosaic_off_epochs else 0.0,
                       mixup=self.mixup if left > self.mixup_off_epochs else 0.0)
