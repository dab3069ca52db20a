# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The base class of backbones: feature maps at strides 8, 16 and 32, and published weights."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence

from lite_detector.core.errors import ModelError
from torch import nn, Tensor


class Backbone(nn.Module, ABC):
    """A feature extractor. A subclass sets the attributes below."""

    out_channels: tuple[int, ...]
    """Channels of the feature maps at strides 8, 16 and 32."""
    classifier_parts: tuple[str, ...]
    """Prefixes of the parameters that only a classifier's checkpoint has."""
    fresh_parts: tuple[str, ...] = ()
    """Prefixes of the parameters that no published checkpoint has."""

    @abstractmethod
    def forward(self, images: Tensor) -> list[Tensor]:
        """
        Return the feature maps at strides 8, 16 and 32.

        :param images: Normalised pixels, shape (n, 3, h, w), sides multiples of 32.
        """


class StagedBackbone(Backbone):
    """A backbone of a stem and one stage per feature map; a subclass creates the parts."""

    conv1: nn.Module
    maxpool: nn.Module
    stage2: nn.Module
    stage3: nn.Module
    stage4: nn.Module

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at strides 8, 16 and 32; twice these with a coarse stem."""
        fine = self.stage2(self.maxpool(self.conv1(images)))
        middle = self.stage3(fine)
        return [fine, middle, self.stage4(middle)]


class LayeredBackbone(Backbone):
    """
    A backbone whose layers run in sequence, named as in torchvision: ``features.0`` ...

    :param layers: All layers up to stride 32.
    :param taps: Indices of the layers whose outputs are the feature maps, fine to coarse.
    :param out_channels: Channels of the feature maps.
    """

    def __init__(self, layers: Sequence[nn.Module], taps: tuple[int, ...],
                 out_channels: tuple[int, ...]) -> None:
        super().__init__()
        self.features = nn.Sequential(*layers)
        self.out_channels = out_channels
        self._taps = taps
        # published classifiers have one more layer, and the classifier
        self.classifier_parts = f'features.{taps[-1] + 1}.', 'classifier.'

    def forward(self, images: Tensor) -> list[Tensor]:
        """Return the feature maps at strides 8, 16 and 32."""
        return tapped(images, self.features, self._taps)


def tapped(features: Tensor, layers: Iterable[nn.Module],
           taps: Collection[int]) -> list[Tensor]:
    """
    Run layers in sequence and return the outputs of some of them.

    :param features: Input of the first layer.
    :param layers: Layers in order of execution.
    :param taps: Indices of the layers whose outputs to return, from 0.
    """
    levels = []
    for index, layer in enumerate(layers):
        features = layer(features)
        if index in taps:
            levels.append(features)
    return levels


def scaled(channels: float, step: int = 8) -> int:
    """
    Return the nearest multiple of a step that is at least 90 % of a number of channels.

    The authors of MobileNetV2 and MobileNetV3 apply a width factor in this way.
    """
    nearest = max(step, int(channels + step / 2) // step * step)
    return nearest if nearest >= 0.9 * channels else nearest + step


def load_torchvision(backbone: Backbone, state_dict: Mapping[str, Tensor]) -> None:
    """
    Load ImageNet weights in the layout of torchvision.

    Parts that no published network has keep their weights.

    :param backbone: Backbone of the same architecture and width. If torchvision has none such, the
        layout is that of the classifier here.
    :param state_dict: State dict of torchvision; a classifier in it is ignored.
    :raises ModelError: if a part is missing, unknown or of another shape.
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
