# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Prepare the network of a run, with its initial weights, from configuration and data."""

from __future__ import annotations

from collections.abc import Callable, Iterable
import dataclasses
from pathlib import Path
from typing import NamedTuple

from lite_detector.core.model_card import NetworkCard
from lite_detector.data.cache import CachedDataset
from lite_detector.train.config.loss import Yolov5Loss
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.config.training import TrainConfig
from lite_detector.train.data.datasets import box_sizes
from lite_detector.train.losses.assign.auto_anchor import fit_anchors, measure_anchors
from lite_detector.train.models.batch_norm import (
    has_statistics,
    measure_batch_norm,
    renew_statistics,
)
from lite_detector.train.models.build import build_model
from lite_detector.train.models.pyramid_network import PyramidNetwork
from lite_detector.train.run.optimizer import freeze
from lite_detector.train.weights.checkpoint import Checkpoint, load_checkpoint
from lite_detector.train.weights.transfer import init_backbone, transfer_weights, TransferReport
import msgspec
import torch
from torch import Tensor

ENOUGH_RECALL = 0.98
"""Minimum share of boxes that fit an anchor, as in YOLOv5; below it new anchors are found."""

PIXELS = ('color', 'mean', 'std')
CELLS = ('grid_offset', 'center_clamp')
"""Card values, besides the structure, that weights depend on."""

Say = Callable[[str], None]


class PreparedNetwork(NamedTuple):
    """A network before its first step, with card and flags."""

    spec: ModelSpec
    card: NetworkCard
    model: PyramidNetwork
    is_fine_tuned: bool = False
    """Whether it comes from a trained network, so that averages with it are useful."""
    is_detector: bool = False
    """Whether it detects all of its classes before its first step, so that its AP is measured."""


def prepare(config: TrainConfig, samples: CachedDataset, batches: Callable[[], Iterable[Tensor]],
            say: Say) -> PreparedNetwork:
    """
    Return the initial network of a run.

    :param config: Configuration of the run.
    :param samples: Training images.
    :param batches: Function that returns some hundred of them as network inputs, if needed.
    :param say: Function that prints a line.
    :raises LiteDetectorError: if weights cannot be read or do not fit.
    """
    class_names = samples.class_names
    checkpoint = config.start.checkpoint and load_checkpoint(Path(config.start.checkpoint))
    card = config.card(class_names)
    spec = config.model_spec(len(class_names))
    if checkpoint:
        card = _with_anchors_of(checkpoint, card, say)
        if checkpoint.spec.family == spec.family:  # its weights depend on its constants
            spec = msgspec.structs.replace(spec, batch_norm=checkpoint.spec.batch_norm)
    card = _with_anchors(card, config, samples, say)
    torch.manual_seed(config.seed)
    model, is_fine_tuned, is_detector = build_model(spec), False, False
    if config.start.backbone is not None:
        init_backbone(model, Path(config.start.backbone))
        say(f'backbone of {config.start.backbone}')
    if checkpoint:
        model, report = _started(checkpoint, config, spec, card, batches, say)
        is_fine_tuned = not report.narrowed
        is_detector = is_fine_tuned and report.boxes_kept and not report.fresh
    freeze(model, config.start.freeze)
    # torch's own types lack memory_format
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return PreparedNetwork(spec, card, model, is_fine_tuned, is_detector)


def _started(checkpoint: Checkpoint, config: TrainConfig, spec: ModelSpec, card: NetworkCard,
             batches: Callable[[], Iterable[Tensor]],
             say: Say) -> tuple[PyramidNetwork, TransferReport]:
    """Return a network with the weights of a checkpoint, and a summary of the transfer."""
    model, report = transfer_weights(checkpoint, spec, card.class_names)
    _compare_cards(checkpoint, config, card, say)
    say(f'weights of {config.start.checkpoint}, with {len(report.matched)} of {spec.num_classes} '
        'classes'
        + (f', new: {", ".join(report.fresh[:6])}' if report.fresh else '')
        + ('' if report.boxes_kept else '; box weights are new'))
    if not has_statistics(model):
        source = checkpoint.model()  # unchanged, because scale and shift depend on its outputs
        measure_batch_norm(source, batches())
        checkpoint = dataclasses.replace(checkpoint, state_dict=source.state_dict())
        model, _ = transfer_weights(checkpoint, spec, card.class_names)
        say('its batch norm was fused: statistics are measured')
    if report.narrowed:
        renew_statistics(model, batches())
        say(f'a subset of the channels of {checkpoint.spec.label}: batch norm statistics are '
            'measured; the network needs training before it detects much')
    return model.train(), report


def _compare_cards(checkpoint: Checkpoint, config: TrainConfig, card: NetworkCard,
                   say: Say) -> None:
    """Warn about preprocessing and decoding that differ from the training of the weights."""
    sections: list[tuple[str, tuple[str, ...]]] = [('preprocess', PIXELS)]
    if checkpoint.card.family == card.family:
        sections.append(('decode', CELLS))
    for section, names in sections:
        for name in names:
            known, now = (getattr(getattr(each, section), name)
                          for each in (checkpoint.card, card))
            if known != now:
                say(f'warning: {config.start.checkpoint} was trained with '
                    f'network.{section}.{name} {known}, here it is {now}')


def _with_anchors_of(checkpoint: Checkpoint, card: NetworkCard, say: Say) -> NetworkCard:
    """Return the card with the anchors of a checkpoint, which its boxes are relative to."""
    known, anchors = checkpoint.card.decode.anchors, card.decode.anchors
    if (checkpoint.card.family != card.family or known is None or anchors is None
            or anchors == known
            or [len(level) for level in anchors] != [len(level) for level in known]):
        return card
    say(f'anchors of {checkpoint.card.name}')
    return msgspec.structs.replace(
        card, decode=msgspec.structs.replace(card.decode, anchors=known))


def _with_anchors(card: NetworkCard, config: TrainConfig, samples: CachedDataset,
                  say: Say) -> NetworkCard:
    anchors = card.decode.anchors
    # the other families match the nearest anchors, whatever their size
    if card.family != 'yolov5_lite' or not config.start.auto_anchor:
        return card
    loss = config.loss.of('yolov5_lite')
    assert anchors is not None and isinstance(loss, Yolov5Loss), 'checked by the card'
    sizes, max_ratio = box_sizes(samples, card), loss.anchor_ratio
    given = measure_anchors(sizes, torch.tensor(anchors), max_ratio)
    say(f'anchors fit {given.recall:.1%} of the boxes, fitness {given.fitness:.3f}')
    if given.recall >= ENOUGH_RECALL:
        return card
    fit = fit_anchors(sizes, len(anchors), len(anchors[0]), max_ratio, seed=config.seed)
    if fit.fitness <= given.fitness:
        return card
    say(f'new anchors fit {fit.recall:.1%}, fitness {fit.fitness:.3f}')
    new = tuple(tuple((round(width, 1), round(height, 1)) for width, height in level)
                for level in fit.anchors.tolist())
    return msgspec.structs.replace(card, decode=msgspec.structs.replace(card.decode, anchors=new))
