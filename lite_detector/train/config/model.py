# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The structure of a network, as configurations and checkpoints store it."""

from __future__ import annotations

from typing import Annotated, Any

from lite_detector.core.config import Spec
from lite_detector.core.model_card import DecodeSpec, Family, NetworkCard
from lite_detector.core.structure import StructureSpec
from lite_detector.train.config.backbones import split_name
from msgspec import Meta

VARIANTS: dict[Family, tuple[str, ...]] = {
    'nanodet': ('0.5x', '1.0x', '1.5x'),
    'nanodet_plus': ('m-coarse', 'm-0.5x', 'm', 'm-1.5x'),
    'yolov5_lite': ('e', 's'),
    'yolof': ('0.5x', '0.5x-dc5', '1.0x', '1.0x-dc5', '1.5x-dc5'),
    'damo_yolo': ('ns', 'nm', 'nl', 't', 's', 'm'),
}
"""The sizes of each family, small to large."""
PAN_CHANNELS: dict[Family, dict[str, int]] = {
    'nanodet': {'0.5x': 96, '1.0x': 96, '1.5x': 128},
    'nanodet_plus': {'m-coarse': 96, 'm-0.5x': 64, 'm': 96, 'm-1.5x': 128},
}
"""Channels of each level of the neck; the search uses them too."""
ANY_BACKBONE: tuple[Family, ...] = ('nanodet', 'nanodet_plus', 'yolof')
"""Families whose backbone can be replaced."""
OWN_BACKBONE = ('m-coarse',)
"""Variants of these families whose backbone is fixed."""
SEARCHED_BACKBONE: tuple[Family, ...] = ('nanodet', 'nanodet_plus')
"""Families whose backbone can be given as a list of stages."""


class BatchNormSpec(Spec):
    """Constants of every batch norm of a network."""

    eps: Annotated[float, Meta(gt=0, le=0.1)] = 1e-5
    """Constant that is added to the variance."""
    momentum: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Weight of a batch in the running statistics."""


PUBLISHED_BATCH_NORM: dict[Family, BatchNormSpec] = {
    'yolov5_lite': BatchNormSpec(eps=1e-3, momentum=0.03),
}
"""Batch norm constants of the authors' code, for new networks of these families."""


class ModelSpec(Spec):
    """The shape of all weights of a network, and its batch norm."""

    family: Family
    variant: str
    """One of ``VARIANTS[family]``."""
    num_classes: Annotated[int, Meta(ge=1, le=10000)]
    reg_max: Annotated[int, Meta(ge=1, le=64)] = 7
    """Largest distance of a box side from its anchor point in strides (GFL families); the network
    predicts a distribution over 0 .. reg_max."""
    num_anchors: Annotated[int, Meta(ge=1, le=9)] = 3
    """Anchors per cell (YOLOv5-Lite and YOLOF)."""
    backbone: str | StructureSpec | None = None
    """Name of a backbone (``config.backbones.WIDTHS``) such as ``mobilenet_v2_1.0x``, or its
    stages; None: the backbone of the family."""
    batch_norm: BatchNormSpec | None = None
    """Batch norm constants; None: the defaults of the layers, for checkpoints without this
    entry."""

    def __post_init__(self) -> None:
        variants = VARIANTS[self.family]
        if self.variant not in variants:
            raise ValueError(f'family {self.family} has no variant {self.variant!r}; '
                             f'expected one of {", ".join(variants)}')
        if self.backbone is not None:
            written_out = isinstance(self.backbone, StructureSpec)
            families = SEARCHED_BACKBONE if written_out else ANY_BACKBONE
            if self.family not in families or self.variant in OWN_BACKBONE:
                what = 'a list of stages' if written_out else self.backbone
                raise ValueError(f'backbone: {what}, which {self.family} {self.variant} cannot '
                                 f'have; expected one of the families {", ".join(families)}')
            if isinstance(self.backbone, str):
                split_name(self.backbone)

    @property
    def label(self) -> str:
        """Return family, variant and backbone as text, for messages."""
        added = '' if self.backbone is None else f' with {self.backbone}'
        return f'{self.family} {self.variant}{added}'


def specs_for(card: NetworkCard) -> list[ModelSpec]:
    """Return all networks that fit a model card, which does not state the variant."""
    return [spec_of(card.family, variant, len(card.class_names), card.decode)
            for variant in VARIANTS[card.family]]


def spec_of(family: Family, variant: str, num_classes: int, decode: DecodeSpec,
            backbone: str | StructureSpec | None = None) -> ModelSpec:
    """Return the structure of a network whose outputs are decoded as a card states."""
    outputs: dict[str, Any] = {}  # what the family does not have keeps its default
    if decode.reg_max is not None:
        outputs['reg_max'] = decode.reg_max
    if decode.anchors is not None:
        outputs['num_anchors'] = len(decode.anchors[0])
    return ModelSpec(family, variant, num_classes, backbone=backbone,
                     batch_norm=PUBLISHED_BATCH_NORM.get(family), **outputs)
