# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Settings of the losses."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import Family
from msgspec import Meta

Weight = Annotated[float, Meta(ge=0, le=1000)]
SmallCount = Annotated[int, Meta(ge=1, le=1000)]


class GflLoss(Spec):
    """Generalized focal loss of NanoDet, NanoDet-Plus and DAMO-YOLO."""

    score_weight: Weight = 1.0
    """Weight of the quality focal loss."""
    score_beta: Annotated[float, Meta(ge=0, le=10)] = 2.0
    """Exponent of the quality focal loss; a higher value reduces the weight of good scores."""
    box_weight: Weight = 2.0
    """Weight of the GIoU loss."""
    distribution_weight: Weight = 0.25
    """Weight of the distribution focal loss."""


class DslaLoss(GflLoss):
    """Settings that NanoDet and NanoDet-Plus share (https://github.com/RangiLyu/nanodet)."""

    dsla_top_k: SmallCount = 13
    """Number of best IoUs whose sum is the number of positives of an object (DSLA)."""
    dsla_iou_factor: Weight = 3.0
    """Weight of the IoU in the assignment cost (DSLA)."""


class NanoDetLoss(DslaLoss):
    """NanoDet-m."""

    assigner: Literal['atss', 'dsla'] = 'atss'
    """Assigner: atss uses the geometry alone (as published), dsla also the predictions."""
    atss_top_k: SmallCount = 9
    """Number of candidates per level (ATSS)."""
    prior_scale: Annotated[float, Meta(gt=0, le=100)] = 5.0
    """Side of the square prior of an anchor point (ATSS), in strides."""


class NanoDetPlusLoss(DslaLoss):
    """NanoDet-Plus."""

    guidance: bool = True
    """Whether a larger auxiliary head assigns the objects; it is not exported."""
    guidance_epochs: Annotated[int, Meta(ge=0)] = 10
    """Epochs in which the auxiliary head also trains the backbone; later it does not."""


class DamoYoloLoss(GflLoss):
    """DAMO-YOLO (https://github.com/tinyvision/DAMO-YOLO)."""

    ota_top_k: SmallCount = 10
    """Number of best IoUs whose sum is the number of positives of an object (AlignedOTA)."""
    ota_iou_factor: Weight = 3.0
    """Weight of the IoU in the assignment cost (AlignedOTA)."""
    center_radius: Annotated[float, Meta(gt=0, le=100)] = 2.5
    """Radius around the centre of an object in strides; anchor points within it are
    preferred."""


class Yolov5Loss(Spec):
    """YOLOv5-Lite (https://github.com/ppogg/YOLOv5-Lite)."""

    box_weight: Weight = 0.05
    """Weight of the CIoU loss."""
    object_weight: Weight = 1.0
    """Weight of the objectness loss at 640 x 640 pixels; it scales with the input area."""
    class_weight: Weight = 0.5
    """Weight of the class loss for 80 classes; it scales with the number of classes."""
    level_balance: Annotated[tuple[Weight, ...], Meta(min_length=1)] = (4.0, 1.0, 0.4)
    """Weight of the objectness loss per stride, finest first."""
    anchor_ratio: Annotated[float, Meta(gt=1, le=100)] = 4.0
    """Largest ratio between the sides of a box and of an anchor that is trained on it."""


class YolofLoss(Spec):
    """YOLOF (https://github.com/chensnathan/YOLOF)."""

    score_weight: Weight = 1.0
    """Weight of the focal loss."""
    focal_alpha: Annotated[float, Meta(ge=0, le=1)] = 0.25
    """Weight of objects in the focal loss; background has 1 - focal_alpha."""
    focal_gamma: Annotated[float, Meta(ge=0, le=10)] = 2.0
    """Exponent of the focal loss; a higher value reduces the weight of good scores."""
    box_weight: Weight = 1.0
    """Weight of the GIoU loss."""
    top_k: SmallCount = 4
    """Anchors per object chosen by distance; as many are chosen by predicted box."""
    min_iou: Annotated[float, Meta(ge=0, le=1)] = 0.15
    """Minimum IoU of an anchor with its object; an anchor with less is ignored."""
    ignore_iou: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """Largest IoU of a predicted background box with an object; above it the anchor is
    ignored."""
    dedupe: bool = True
    """Whether an anchor is a positive sample of one box, once. False counts duplicates as the
    authors do: an anchor chosen twice counts twice, one of several objects learns all of them."""


FamilyLoss = NanoDetLoss | NanoDetPlusLoss | Yolov5Loss | YolofLoss | DamoYoloLoss


class LossSpec(Spec):
    """Loss settings by family; only that of the trained family may be set."""

    nanodet: NanoDetLoss | None = None
    nanodet_plus: NanoDetPlusLoss | None = None
    yolov5_lite: Yolov5Loss | None = None
    yolof: YolofLoss | None = None
    damo_yolo: DamoYoloLoss | None = None

    def of(self, family: Family) -> FamilyLoss:
        """
        Return the section of a family.

        :raises ConfigError: if a section of another family is set, because it has no effect.
        """
        for name in self.__struct_fields__:
            if name != family and getattr(self, name) is not None:
                raise ConfigError(f'loss.{name}: the network is of family {family}; expected '
                                  f'loss.{family} or no section')
        return getattr(self, family) or DEFAULTS[family]


DEFAULTS: dict[Family, FamilyLoss] = {
    'nanodet': NanoDetLoss(),
    'nanodet_plus': NanoDetPlusLoss(),
    'yolov5_lite': Yolov5Loss(),
    'yolof': YolofLoss(),
    'damo_yolo': DamoYoloLoss(),
}
"""The published values of each family."""
