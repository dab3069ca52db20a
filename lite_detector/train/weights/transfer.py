# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Start a network from another: of other classes, of more channels, or from a backbone alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import Family
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.backbones.backbone import Backbone, load_torchvision
from lite_detector.train.models.build import build_model
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
"""What the names of the last convolutions start with: their rows depend on the classes."""


class TransferReport(NamedTuple):
    """
    What was taken over.

    :param matched: classes of the new network that the checkpoint knows by that name.
    :param fresh: classes that start from scratch.
    :param boxes_kept: whether the network still finds boxes as the checkpoint did; else reg_max
        or the number of anchors differs, and the boxes start from scratch.
    :param narrowed: whether the checkpoint is of a wider variant or backbone, and the network has
        a subset of its channels: it knows little before it has learnt, and its batch norm is off.
    """

    matched: tuple[str, ...]
    fresh: tuple[str, ...]
    boxes_kept: bool
    narrowed: bool


def transfer_weights(checkpoint: Checkpoint, spec: ModelSpec,
                     class_names: Sequence[str]) -> tuple[nn.Module, TransferReport]:
    """
    Return a network of other classes, fewer channels or coarser steps, with given weights.

    Classes are matched by name: their scores are what they were. A new class starts with the
    weights and the low score of a fresh network; so do all if the number of anchors differs.
    (From the mean of the known classes it learns far slower: AP50 7 and 6 instead of 52 and 63
    after 50 steps of NanoDet-m and YOLOv5-Lite e on six playing cards.)

    :param checkpoint: of the same family, and of the same variant, a wider or a finer one.
    :param spec: of the new network.
    :param class_names: of the new network, as many as the spec says.
    :return: the network in training mode, and what it took over.
    :raises ModelError: if the checkpoint is of another family or structure, narrower, or damaged.
    """
    old = checkpoint.spec
    if len(class_names) != spec.num_classes:
        raise ModelError(f'got {len(class_names)} class names for a network of '
                         f'{spec.num_classes} classes')
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


def init_backbone(model: nn.Module, path: Path) -> None:
    """
    Start the backbone from ImageNet weights of torchvision, such as ``shufflenet_v2_x1_0``.

    :param model: any but a YOLOv5-Lite or DAMO-YOLO, whose backbones are others.
    :param path: the state dict as torchvision publishes it.
    :raises ModelError: if the file is absent, damaged, or of another network or width.
    """
    state = load_file(path)
    if not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelError(f'{path}: wanted a state dict: names and tensors, nothing else')
    if not isinstance(model.backbone, Backbone):
        raise ModelError('start.backbone: wanted a family that can have another backbone')
    try:
        load_torchvision(model.backbone, state)
    except ModelError as error:
        raise ModelError(f'{path}: {error}') from None


def _fitting(checkpoint: Checkpoint, source: nn.Module, spec: ModelSpec,
             model: nn.Module) -> dict[str, Tensor]:
    """Return the weights of a checkpoint in the shapes of a network, but for the last rows."""
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


def _size(spec: ModelSpec) -> tuple[str, str | None]:
    return spec.variant, spec.backbone


def _is_coarser(old: ModelSpec, spec: ModelSpec) -> bool:
    """Tell whether only the step of the first convolution differs."""
    return (old.family, *_size(old), *_size(spec)) == ('nanodet_plus', 'm', None, 'm-coarse', None)


def _behind_coarse_stem(source: nn.Module, model: nn.Module) -> dict[str, Tensor]:
    """
    Return weights with which a network finds what another finds in the image at half its size.

    Its first convolution is that of the other one after a mean over 2x2 pixels; what follows,
    boxes in units of the stride included, is the same.
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
    """Copy the rows of known classes, and those of the boxes if both have the same."""
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
        boxes = 0  # they have a convolution of their own
    if boxes_first:
        return rows[:, boxes:], rows[:, :boxes]
    return rows[:, :spec.num_classes], rows[:, spec.num_classes:]
