# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Build a network from its specification."""

from __future__ import annotations

from collections.abc import Callable

from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.damo_yolo import DamoYolo
from lite_detector.train.models.nanodet import NanoDet
from lite_detector.train.models.nanodet_plus import NanoDetPlus
from lite_detector.train.models.pyramid_network import PyramidNetwork
from lite_detector.train.models.yolof import Yolof
from lite_detector.train.models.yolov5_lite import Yolov5Lite
from torch import nn

NETWORKS: dict[str, Callable[[ModelSpec], PyramidNetwork]] = {
    'nanodet': NanoDet,
    'nanodet_plus': NanoDetPlus,
    'yolov5_lite': Yolov5Lite,
    'yolof': Yolof,
    'damo_yolo': DamoYolo,
}


def build_model(spec: ModelSpec) -> PyramidNetwork:
    """
    Return a network with random weights, in training mode.

    :param spec: Structure of the network.
    """
    model = NETWORKS[spec.family](spec)
    if spec.batch_norm is not None:
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps, module.momentum = spec.batch_norm.eps, spec.batch_norm.momentum
    return model
