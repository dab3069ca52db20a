# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Build a backbone from its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from lite_detector.core.structure import StructureSpec
from lite_detector.train.config.backbones import split_name
from lite_detector.train.models.backbones.backbone import Backbone
from lite_detector.train.models.backbones.mobilenet_v1 import MobileNetV1, MobileNetV1Classifier
from lite_detector.train.models.backbones.mobilenet_v2 import MobileNetV2, MobileNetV2Classifier
from lite_detector.train.models.backbones.mobilenet_v3 import MobileNetV3, MobileNetV3Classifier
from lite_detector.train.models.backbones.searched import SearchedBackbone
from lite_detector.train.models.backbones.shufflenet_v1 import (
    CHANNELS as GROUPS,
)
from lite_detector.train.models.backbones.shufflenet_v1 import (
    ShuffleNetV1,
    ShuffleNetV1Classifier,
)
from lite_detector.train.models.backbones.shufflenet_v2 import (
    CHANNELS,
    ShuffleNetV2,
    ShuffleNetV2Classifier,
)
from lite_detector.train.models.backbones.squeezenet import SqueezeNet, SqueezeNetClassifier
from lite_detector.train.models.blocks import MakeActivation, RELU
from torch import nn

BACKBONES: dict[str, Callable[[float], Backbone]] = {
    'squeezenet_1.0': partial(SqueezeNet, '1.0'),
    'squeezenet_1.1': partial(SqueezeNet, '1.1'),
    'mobilenet_v1': MobileNetV1,
    'mobilenet_v2': MobileNetV2,
    'mobilenet_v3_small': partial(MobileNetV3, 'small'),
    'mobilenet_v3_large': partial(MobileNetV3, 'large'),
    **{f'shufflenet_v1_g{groups}': partial(ShuffleNetV1, groups) for groups in GROUPS},
}
"""Architecture -> function of the width factor. ShuffleNetV2 also takes an activation, so it is
not in this table."""

CLASSIFIERS: dict[str, Callable[..., nn.Module]] = {
    'squeezenet_1.0': partial(SqueezeNetClassifier, '1.0'),
    'squeezenet_1.1': partial(SqueezeNetClassifier, '1.1'),
    'mobilenet_v1': MobileNetV1Classifier,
    'mobilenet_v2': MobileNetV2Classifier,
    'mobilenet_v3_small': partial(MobileNetV3Classifier, 'small'),
    'mobilenet_v3_large': partial(MobileNetV3Classifier, 'large'),
    **{f'shufflenet_v1_g{groups}': partial(ShuffleNetV1Classifier, groups) for groups in GROUPS},
    'shufflenet_v2': lambda width, **options: ShuffleNetV2Classifier(f'{width}x', **options),
}
"""Architecture with published weights -> function of the width factor that builds their
classifier."""


def build_backbone(name: str | StructureSpec | None, default: str,
                   activation: MakeActivation = RELU) -> Backbone:
    """
    Return a backbone with random weights.

    :param name: Name of a backbone (``config.backbones.WIDTHS``) such as ``mobilenet_v2_1.0x``, or
        its structure; None: the default.
    :param default: Name of the family's default backbone.
    :param activation: Activation of the family, for ShuffleNetV2 and a structure. All others have
        that of their paper, which published weights were trained with.
    :raises ValueError: if there is no backbone of that name.
    """
    if isinstance(name, StructureSpec):
        return SearchedBackbone(name, activation)
    architecture, width = split_name(name or default)
    if architecture == 'shufflenet_v2':
        return ShuffleNetV2(CHANNELS[width], activation)
    return BACKBONES[architecture](_factor(width))


def build_classifier(name: str, **options: int) -> nn.Module:
    """
    Return the published classifier of a backbone, with random weights.

    :param name: Name of a backbone, as for ``build_backbone``.
    :param options: Options of the classifier: ``num_classes``, by default the 1000 of ImageNet;
        ``head_padding`` of SqueezeNet.
    :raises ValueError: if there is no backbone of that name.
    """
    architecture, width = split_name(name)
    return CLASSIFIERS[architecture](_factor(width), **options)


def _factor(width: str) -> float:
    return float(width.removesuffix('x'))
