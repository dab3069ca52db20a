# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""What all backbones are: maps at strides 8, 16 and 32, and a place for published weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

from lite_detector.core.errors import ModelError
from torch import nn, Tensor


class Backbone(nn.Module, ABC):
    """A feature extractor. A subclass sets what stands here."""

    out_channels: tuple[int, int, int]
    """Of the maps at strides 8, 16 and 32."""
    classifier_parts: tuple[str, ...]
    """What the names start with that a checkpoint of the classifier has beyond these features."""
    fresh_parts: tuple[str, ...] = ()
    """What the names start with that no published checkpoint has."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return the maps at strides 8, 16 and 32.

        :param images: normalised pixels, shape (n, 3, h, w), sides on the grid of 32.
        """


class StagedBackbone(Backbone):
    """A backbone of a stem and a stage for each map; a subclass makes its parts."""

    conv1: nn.Module
    maxpool: nn.Module
    stage2: nn.Module
    stage3: nn.Module
    stage4: nn.Module

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps at strides 8, 16 and 32; twice these behind a coarse stem."""
        fine = self.stage2(self.maxpool(self.conv1(images)))
        middle = self.stage3(fine)
        return [fine, middle, self.stage4(middle)]


class LayeredBackbone(Backbone):
    """
    A backbone whose layers run one after another, as torchvision has them: ``features.0`` ...

    :param layers: all up to stride 32.
    :param taps: after which of them a map is taken, fine to coarse.
    :param out_channels: of the maps.
    """

    def __init__(self, layers: Sequence[nn.Module], taps: tuple[int, ...],
                 out_channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.out_channels = out_channels
        self._taps = taps

    @property
    def classifier_parts(self) -> tuple[str, ...]:
        """Return what the published classifiers have: one more layer, and the classifier."""
        return f'features.{self._taps[-1] + 1}.', 'classifier.'

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the maps at strides 8, 16 and 32."""
        return tapped(images, self.features, self._taps)


def tapped(features: Tensor, layers: Iterable[nn.Module],
           taps: Collection[int]) -> list[Tensor]:
    """
    Run layers one after another and return the maps behind some of them.

    :param features: what the first layer reads.
    :param taps: numbers of the layers whose maps are wanted, from 0.
    """
    levels = []
    for index, layer in enumerate(layers):
        features = layer(features)
        if index in taps:
            levels.append(features)
    return levels


def scaled(channels: float, step: int = 8) -> int:
    """
    Return the nearest multiple of a step that is at least nine tenths of a number of channels.

    That is how the authors of MobileNetV2 and MobileNetV3 apply a width.
    """
    nearest = max(step, int(channels + step / 2) // step * step)
    return nearest if nearest >= 0.9 * channels else nearest + step


def load_torchvision(backbone: Backbone, state_dict: Mapping[str, Tensor]) -> None:
    """
    Start from ImageNet weights in the layout of torchvision.

    Parts that no published network has keep the weights that they have.

    :param backbone: of the same architecture and width; if torchvision has none such, the layout
        is that of the classifier here.
    :param state_dict: with or without the classifier, which is passed over.
    :raises ModelError: if a part is absent, unknown or of another shape.
    """
    own = {name: value for name, value in backbone.state_dict().items()
           if name.startswith(backbone.fresh_parts)}
    given = {name: value for name, value in state_dict.items()
             if not name.startswith(backbone.classifier_parts)}
    try:
        backbone.load_state_dict(own | given)
    except RuntimeError as error:
        reason = str(error).splitlines()[1:2] or [str(error)]
        first = reason[0].strip().partition(', ')[0]  # torch lists all keys on one line
        raise ModelError(f'not a {type(backbone).__name__} of this width in the layout of '
                         f'torchvision: {first}') from None
