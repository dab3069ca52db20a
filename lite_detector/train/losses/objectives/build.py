# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Build the training objective of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import Family, NetworkCard
from lite_detector.train.config.loss import LossSpec
from lite_detector.train.losses.objectives.damo_yolo import DamoYoloObjective
from lite_detector.train.losses.objectives.nanodet import NanoDetObjective
from lite_detector.train.losses.objectives.nanodet_plus import NanoDetPlusObjective
from lite_detector.train.losses.objectives.objective import identity, Objective, ReduceMean
from lite_detector.train.losses.objectives.yolof import YolofObjective
from lite_detector.train.losses.objectives.yolov5_lite import Yolov5Objective
from lite_detector.train.models.pyramid_network import PyramidNetwork

OBJECTIVES: dict[Family, Callable[..., Objective]] = {
    'nanodet': NanoDetObjective,
    'nanodet_plus': NanoDetPlusObjective,
    'yolov5_lite': Yolov5Objective,
    'yolof': YolofObjective,
    'damo_yolo': DamoYoloObjective,
}


def build_objective(model: PyramidNetwork, card: NetworkCard, spec: LossSpec,
                    reduce_mean: ReduceMean = identity) -> Objective:
    """
    Return the training objective of a network, in training mode.

    :param model: Network from ``build_model``, on any device; move the result to the training
        device.
    :param card: Model card of the same network.
    :param spec: Settings of the losses.
    :param reduce_mean: Function that averages a tensor over processes.
    :raises ConfigError: if the settings are of another family.
    :raises ModelError: if the card is of another network.
    """
    decode, classes = card.decode, len(card.class_names)
    network: Any = model  # each family has its outputs elsewhere
    if card.family == 'yolov5_lite':
        outputs = network.outputs
    else:
        outputs = [network.head] if card.family == 'yolof' else network.head.outputs
    if decode.anchors is not None:
        wanted = len(decode.anchors[0]) * (5 + classes)
    else:
        assert decode.reg_max is not None, 'checked by the card'
        wanted = classes + 4 * (decode.reg_max + 1)
    got = [(stride, conv.out_channels) for stride, conv
           in zip(model.strides, outputs, strict=True)]
    if got != [(stride, wanted) for stride in decode.strides]:
        raise ModelError(f'{card.name}: the network has {got[0][1]} output channels at strides '
                         f'{list(model.strides)}; expected {wanted} at '
                         f'{list(decode.strides)}, as in the card')
    return OBJECTIVES[card.family](model, card, spec.of(card.family), reduce_mean)
