# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Initialise a network from another one: other classes, more channels, or a backbone alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import Family
from lite_detector.core.structure import StructureSpec
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.backbones.backbone import Backbone, load_torchvision
from lite_detector.train.models.build import build_model
from lite_detector.train.models.pyramid_network import PyramidNetwork
from lite_detector.train.weights.checkpoint import Checkpoint, load_file
from lite_detector.train.weights.narrow import subset_weights
import torch
from torch import nn, Tensor

OUTPUTS: dict[Family, str] = {
    'nanodet': 'head.outputs.',
    'nanodet_plus': 'head.outputs.',
    'yolov5_lite': 'outputs.',
    'yolof': 'head.outputs.',
    'damo_yolo': 'head.outputs.',
}
"""Prefixes of the output convolutions, whose rows depend on the classes."""


class TransferReport(NamedTuple):
    """
    Summary of a transfer.

    :param matched: Classes of the new network that the checkpoint has by the same name.
    :param fresh: Classes with new weights.
    :param boxes_kept: Whether the box weights are taken. Otherwise reg_max or the number of
        anchors differs, and they are new.
    :param narrowed: Whether the weights are a subset of the channels of a wider variant or
        backbone. Such a network needs training first, and its batch norm statistics do not match.
    """

    matched: tuple[str, ...]
    fresh: tuple[str, ...]
    boxes_kept: bool
    narrowed: bool


def transfer_weights(checkpoint: Checkpoint, spec: ModelSpec,
                     class_names: Sequence[str]
                     ) -> tuple[PyramidNetwork, TransferReport]:
    """
    Return a network with other classes, fewer channels or a coarser stem, with given weights.

    Classes are matched by name and keep their scores. A new class starts with the weights and the
    low score of a new network, as do all classes if the number of anchors differs. (The mean of
    the
    known classes is a worse start: AP50 7 and 6 instead of 52 and 63 after 50 steps of NanoDet-m
    and
    YOLOv5-Lite e on six playing cards.)

    :param checkpoint: Checkpoint of the same family; the same variant, a wider or a finer one.
    :param spec: Structure of the new network.
    :param class_names: Class names of the new network, as many as in the structure.
    :return: Network in training mode, and a summary of the transfer.
    :raises ModelError: if the checkpoint is of another family or structure, narrower, or
        malformed.
    """
    old = checkpoint.spec
    if len(class_names) != spec.num_classes:
        raise ModelError(f'{len(class_names)} class names; expected {spec.num_classes}, '
                         'one per class of the network')
    source_model, model = checkpoint.model(), build_model(spec)
    source = _fitting(checkpoint, source_model, spec, model)
    known = checkpoint.card.class_names
    same_anchors = _layout(old)[0] == _layout(spec)[0]
    pairs = [(index, known.index(name)) for index, name in enumerate(class_names)
             if name in known and same_anchors]
    for name, target in model.state_dict().items():
        if name.startswith(OUTPUTS[spec.family]):
            _copy_rows(name, source[name], old, target, spec, pairs)
        else:
            target.copy_(source[name])
    matched = tuple(class_names[index] for index, _ in pairs)
    fresh = tuple(name for name in class_names if name not in matched)
    return model, TransferReport(matched, fresh, _layout(old) == _layout(spec),
                                 _size(old) != _size(spec)
                                 and not _is_coarser(old, spec))


def init_backbone(model: PyramidNetwork, path: Path) -> None:
    """
    Load ImageNet weights of torchvision, such as ``shufflenet_v2_x1_0``, into the backbone.

    :param model: Network of a family with an exchangeable backbone (not YOLOv5-Lite or DAMO-YOLO).
    :param path: State dict of torchvision.
    :raises ModelError: if the file is missing, malformed, or of another network or width.
    """
    state = load_file(path)
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f'{path}: not a state dict; expected only names and tensors')
    if not isinstance(model.backbone, Backbone):
        raise ModelError('start.backbone: expected a family with an exchangeable backbone')
    try:
        load_torchvision(model.backbone, state)
    except ModelError as error:
        raise ModelError(f'{path}: {error}') from None


def _fitting(checkpoint: Checkpoint, source: nn.Module, spec: ModelSpec,
             model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a checkpoint in the shapes of a network, except for output rows."""
    old = checkpoint.spec
    if (old.family, *_size(old)) == (spec.family, *_size(spec)):
        return source.state_dict()
    reason = 'the families differ'
    if old.family == spec.family:
        if _is_coarser(old, spec):
            return _behind_coarse_stem(source, model)
        try:
            return subset_weights(source, model, OUTPUTS[spec.family])
        except ModelError as error:
            reason = str(error)
    raise ModelError(f'{checkpoint.card.name}: cannot start a {spec.label} from the weights of a '
                     f'{old.label}: {reason}')


def _size(spec: ModelSpec) -> tuple[str, str | StructureSpec | None]:
    return spec.variant, spec.backbone


def _is_coarser(old: ModelSpec, spec: ModelSpec) -> bool:
    """Return whether only the stride of the first convolution differs."""
    return (old.family, *_size(old), *_size(spec)) == ('nanodet_plus', 'm', None, 'm-coarse', None)


def _behind_coarse_stem(source: nn.Module, model: nn.Module) -> dict[str, Tensor]:
    """
    Return weights whose outputs equal those of another network on the image at half the size.

    The first convolution includes a mean over 2x2 pixels. All later layers are the same, because
    boxes are in units of the stride.
    """
    known = source.state_dict()
    weights = {name: known[name] for name in model.state_dict()}
    stem = next(name for name in weights if name.startswith('backbone.'))
    weights[stem] = known[stem].repeat_interleave(2, 2).repeat_interleave(2, 3) / 4
    return weights


def _layout(spec: ModelSpec) -> tuple[int, int, bool]:
    """Return blocks of rows, box rows per block, and whether these come before the classes."""
    if spec.family in ('yolov5_lite', 'yolof'):
        return spec.num_anchors, 5, True
    return 1, 4 * (spec.reg_max + 1), False


@torch.no_grad()
def _copy_rows(name: str, source: Tensor, old: ModelSpec, target: Tensor, new: ModelSpec,
               pairs: Sequence[tuple[int, int]]) -> None:
    """Copy the rows of known classes, and those of the boxes if both layouts match."""
    source_classes, source_boxes = _views(name, source, old)
    target_classes, target_boxes = _views(name, target, new)
    if source_boxes.shape == target_boxes.shape:
        target_boxes.copy_(source_boxes)
    for index, old_index in pairs if target_classes.shape[1] else ():
        target_classes[:, index] = source_classes[:, old_index]


def _views(name: str, rows: Tensor, spec: ModelSpec) -> tuple[Tensor, Tensor]:
    """Return the rows of the classes and of the boxes, each shape (blocks, rows, ...)."""
    blocks, boxes, boxes_first = _layout(spec)
    rows = rows.unflatten(0, (blocks, -1))
    if spec.family == 'yolof' and '.classes.' in name:
        boxes = 0  # boxes have a separate convolution
    if boxes_first:
        return rows[:, boxes:], rows[:, :boxes]
    return rows[:, :spec.num_classes], rows[:, spec.num_classes:]
