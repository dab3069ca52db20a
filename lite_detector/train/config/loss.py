# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The constants of the losses, in words that a configuration can hold."""

from __future__ import annotations

from typing import Annotated, Literal

from lite_detector.core.config import Spec
from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import Family
from msgspec import Meta

Weight = Annotated[float, Meta(ge=0, le=1000)]
SmallCount = Annotated[int, Meta(ge=1, le=1000)]


class GflLoss(Spec):
    """Generalized focal loss, as NanoDet, NanoDet-Plus and DAMO-YOLO have it."""

    score_weight: Weight = 1.0
    """Of the quality focal loss."""
    score_beta: Annotated[float, Meta(ge=0, le=10)] = 2.0
    """How much less the scores count that are nearly right."""
    box_weight: Weight = 2.0
    """Of the GIoU loss."""
    distribution_weight: Weight = 0.25
    """Of the distribution focal loss."""


class DslaLoss(GflLoss):
    """What NanoDet and NanoDet-Plus share (https://github.com/RangiLyu/nanodet)."""

    dsla_top_k: SmallCount = 13
    dsla_iou_factor: Weight = 3.0


class NanoDetLoss(DslaLoss):
    """NanoDet-m."""

    assigner: Literal['atss', 'dsla'] = 'atss'
    """From the geometry alone, as published, or by what the network predicts already."""
    atss_top_k: SmallCount = 9
    prior_scale: Annotated[float, Meta(gt=0, le=100)] = 5.0
    """ATSS: a cell stands for a square of this many strides."""


class NanoDetPlusLoss(DslaLoss):
    """NanoDet-Plus."""

    guidance: bool = True
    """Whether a larger head, which is dropped afterwards, assigns the objects."""
    guidance_epochs: Annotated[int, Meta(ge=0)] = 10
    """As long the guide trains the backbone too; then it only follows."""


class DamoYoloLoss(GflLoss):
    """DAMO-YOLO (https://github.com/tinyvision/DAMO-YOLO)."""

    ota_top_k: SmallCount = 10
    ota_iou_factor: Weight = 3.0
    center_radius: Annotated[float, Meta(gt=0, le=100)] = 2.5
    """In strides: an object is best learnt so near to its middle."""


class Yolov5Loss(Spec):
    """YOLOv5-Lite (https://github.com/ppogg/YOLOv5-Lite)."""

    box_weight: Weight = 0.05
    """Of the CIoU loss."""
    object_weight: Weight = 1.0
    """Of the objectness at 640 x 640 pixels; in proportion to the area at other sizes."""
    class_weight: Weight = 0.5
    """Of the classes if there are 80; in proportion to their number otherwise."""
    level_balance: Annotated[tuple[Weight, ...], Meta(min_length=1)] = (4.0, 1.0, 0.4)
    """Of the objectness, per stride."""
    anchor_ratio: Annotated[float, Meta(gt=1, le=100)] = 4.0
    """A box learns at the anchors whose sides are all less than this factor away."""


class YolofLoss(Spec):
    """YOLOF (https://github.com/chensnathan/YOLOF)."""

    score_weight: Weight = 1.0
    """Of the focal loss."""
    focal_alpha: Annotated[float, Meta(ge=0, le=1)] = 0.25
    """What an object counts in it; the background counts 1 - focal_alpha."""
    focal_gamma: Annotated[float, Meta(ge=0, le=10)] = 2.0
    """How much less the scores count that are nearly right."""
    box_weight: Weight = 1.0
    """Of the GIoU loss."""
    top_k: SmallCount = 4
    """Anchors that an object picks by their position, and as many by what they predict."""
    min_iou: Annotated[float, Meta(ge=0, le=1)] = 0.15
    """An anchor that overlaps its object by less is ignored."""
    ignore_iou: Annotated[float, Meta(ge=0, le=1)] = 0.7
    """So is background whose predicted box overlaps an object by more."""
    dedupe: bool = True
    """An anchor learns one box, once. False weighs boxes as the authors do: one that was picked
    twice counts twice, and that of several objects learns all of them."""


FamilyLoss = NanoDetLoss | NanoDetPlusLoss | Yolov5Loss | YolofLoss | DamoYoloLoss


class LossSpec(Spec):
    """The section of the family that is trained; what is left out is as published."""

    nanodet: NanoDetLoss | None = None
    nanodet_plus: NanoDetPlusLoss | None = None
    yolov5_lite: Yolov5Loss | None = None
    yolof: YolofLoss | None = None
    damo_yolo: DamoYoloLoss | None = None

    def of(self, family: Family) -> FamilyLoss:
        """
        Return the section of a family.

        :raises ConfigError: if there is one of another family, which would go unheeded.
        """
        for name in self.__struct_fields__:
            if name != family and getattr(self, name) is not None:
                raise ConfigError(f'loss.{name}: the network is of family {family}; wanted '
                                  f'loss.{family} or nothing')
        return getattr(self, family) or DEFAULTS[family]


DEFAULTS: dict[Family, FamilyLoss] = {
    'nanodet': NanoDetLoss(),
    'nanodet_plus': NanoDetPlusLoss(),
    'yolov5_lite': Yolov5Loss(),
    'yolof': YolofLoss(),
    'damo_yolo': DamoYoloLoss(),
}
"""As published."""
