# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``import_weights``: convert public ncnn weights into a torch checkpoint for fine-tuning."""

from __future__ import annotations

import argparse
from pathlib import Path

from lite_detector.commands.options import check_writable
from lite_detector.core.errors import ModelError
from lite_detector.core.model_card import checked_files, load_card, ModelCard, NetworkCard
from lite_detector.zoo import find_model
import msgspec


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument('--model', help='name or folder of a model with ncnn files')
    source.add_argument('--squeezenet', type=Path, metavar='FILE',
                        help='.param file of a SqueezeNet 1.0 or 1.1, with its .bin file in the '
                             'same folder: weights for start.backbone of a training')
    parser.add_argument('--output', required=True, type=Path, metavar='FILE',
                        help='checkpoint to write')


def run(args: argparse.Namespace) -> None:
    """Read the weights, check them and write the checkpoint."""
    check_writable(args.output)
    if args.squeezenet is not None:
        _import_squeezenet(args.squeezenet, args.output)
        return
    # imported here, because `--help` must work without torch
    from lite_detector.export.import_ncnn import read_graph
    from lite_detector.train.config.model import specs_for
    from lite_detector.train.models.layers import count_parameters
    from lite_detector.train.weights.checkpoint import Checkpoint, save_checkpoint
    from lite_detector.train.weights.fused import model_of

    folder = find_model(args.model)
    card = load_card(folder)
    paths = checked_files(folder, card.runtime_files('ncnn'))
    graph = read_graph(paths['param'], paths['bin'], card.runtime_files('ncnn').outputs)
    try:
        spec, model = model_of(graph, specs_for(card))
    except ModelError as error:
        raise ModelError(f'{paths["param"]}: {error}') from None
    if card.decode.strides != model.strides:
        raise ModelError(f'{card.name}: decode.strides: {card.decode.strides}; expected '
                         f'{model.strides}, the strides of the network')
    source = {'imported_from': card.name, 'sha256': dict(card.runtime_files('ncnn').sha256)}
    save_checkpoint(args.output, Checkpoint(spec, _with_raw_scores(card), model.state_dict(),
                                            source))
    print(f'{args.output}: {spec.family} {spec.variant}, {spec.num_classes} classes, '
          f'{count_parameters(model) / 1e6:.2f} M parameters')


def _import_squeezenet(param: Path, output: Path) -> None:
    from lite_detector.export.import_ncnn import read_convolutions
    from lite_detector.train.weights.checkpoint import save_file
    from lite_detector.train.weights.fused import squeezenet_of

    weights = read_convolutions(param, param.with_suffix('.bin'))
    try:
        version, model = squeezenet_of(weights)
    except ModelError as error:
        raise ModelError(f'{param}: {error}') from None
    save_file(output, model.state_dict())
    print(f'{output}: SqueezeNet {version}; train with '
          f'network.backbone=squeezenet_{version}_1.0x start.backbone={output}')


def _with_raw_scores(card: ModelCard) -> NetworkCard:
    """Return the card of a network that ends in its last convolutions."""
    decode = msgspec.structs.replace(card.decode, score_activation='sigmoid')
    return msgspec.structs.replace(card.network(), decode=decode)
