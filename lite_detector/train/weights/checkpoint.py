# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Checkpoints: a network, its weights and its card in one file.

A checkpoint holds only tensors and plain data, so loading one runs no code from the file.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
import pickle
import struct
from typing import Any

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError, ModelError
from lite_detector.core.model_card import NetworkCard
from lite_detector.train.config.model import ModelSpec
from lite_detector.train.models.build import build_model
from lite_detector.train.models.pyramid_network import PyramidNetwork
import msgspec
import torch
from torch import Tensor

FORMAT = 1


@dataclass(frozen=True)
class Checkpoint:
    """
    Content of a checkpoint file.

    :param spec: Structure of the network.
    :param card: Model card: preprocessing, decoding, class names, licence and origin.
    :param state_dict: Weights on the CPU.
    :param training: Data on the training, for the card of the exported model.
    """

    spec: ModelSpec
    card: NetworkCard
    state_dict: dict[str, Tensor]
    training: dict[str, Any] = field(default_factory=dict)

    def model(self) -> PyramidNetwork:
        """
        Return the network with these weights, in training mode.

        :raises ModelError: if the weights are those of another network.
        """
        model = build_model(self.spec)
        try:
            model.load_state_dict(self.state_dict)
        except RuntimeError as error:
            reason = str(error).splitlines()[-1].strip()
            raise ModelError(f'{self.card.name}: the weights do not fit {self.spec.label}: '
                             f'{reason}') from None
        return model


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """
    Write a checkpoint atomically.

    :raises ConfigError: if it cannot be written; an older file of that name stays unchanged.
    """
    save_file(path, {'format': FORMAT, 'model': msgspec.to_builtins(checkpoint.spec),
                     'card': msgspec.to_builtins(checkpoint.card),
                     'state_dict': checkpoint.state_dict, 'training': checkpoint.training})


def load_checkpoint(path: Path) -> Checkpoint:
    """
    Read a checkpoint.

    :raises ModelError: if it is missing, malformed or not a checkpoint of this package.
    :raises ConfigError: if its card or its model section is invalid.
    """
    content = load_file(path)
    if not content.keys() >= {'model', 'card', 'state_dict'}:
        raise ModelError(f'{path}: not a checkpoint of lite_detector')
    if content.get('format') != FORMAT:
        raise ModelError(f'{path}: checkpoint format {content.get("format")!r}; expected {FORMAT}')
    spec = from_mapping(content['model'], ModelSpec, f'{path}: model')
    card = from_mapping(content['card'], NetworkCard, f'{path}: card')
    if (spec.family, spec.num_classes) != (card.family, len(card.class_names)):
        raise ModelError(f'{path}: network {spec.family} with {spec.num_classes} classes, but '
                         f'card of {card.family} with {len(card.class_names)}')
    if any(name.endswith('.log2_threshold') for name in content['state_dict']):
        raise ModelError(f'{path}: weights of int8 fine-tuning, which was removed; expected a '
                         'checkpoint of float training')
    return Checkpoint(spec, card, content['state_dict'], content.get('training', {}))


def save_file(path: Path, content: dict[str, Any]) -> None:
    """
    Write tensors and plain data atomically.

    :raises ConfigError: if it cannot be written; an older file of that name stays unchanged.
    """
    try:
        with atomic_file(path, durable=True) as scratch, scratch.open('wb') as file:
            torch.save(content, file)
    except (OSError, RuntimeError) as error:  # torch raises RuntimeError on a full disk
        reason = getattr(error, 'strerror', None) or str(error).splitlines()[0]
        raise ConfigError(f'{path}: cannot write: {reason}') from None


def load_file(path: Path) -> dict[str, Any]:
    """
    Read a file of ``save_file`` without running any code from it.

    :raises ModelError: if it is missing, malformed or holds anything else.
    """
    try:
        content = torch.load(path, map_location='cpu', weights_only=True)
    except OSError as error:
        raise ModelError(f'{path}: {error.strerror or error}') from None
    except (RuntimeError, pickle.UnpicklingError, EOFError, LookupError, ValueError, TypeError,
            AttributeError, struct.error):
        raise ModelError(f'{path}: malformed, or not a file of weights') from None
    if not isinstance(content, dict):
        raise ModelError(f'{path}: a {type(content).__name__}; expected names and tensors')
    return content
