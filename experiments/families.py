# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""
Train every family, size and backbone alike, and tell what each costs and what it finds.

``train`` starts from random weights and makes the same of each: 192 pixels, 6 epochs or
``--epochs``, the same augmentation and rates, which are short ones. ``table`` measures all of
them in ncnn at 320, one image, one class, and adds the AP that the cards of those that were
trained tell.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
import sys

from backbones import measure
from lite_detector import cli
from lite_detector.bench.machine import describe_machine
from lite_detector.core.model_card import CARD_FILE, load_card
from lite_detector.core.types import ImageSize
from lite_detector.data.pictures import require_matplotlib
from lite_detector.train.config.training import load_config
from lite_detector.train.models.build import build_model
from lite_detector.train.models.layers import count_parameters
from lite_detector.train.models.rep_conv import fold
from lite_detector.zoo import list_configs
import torch

IMAGE = ImageSize(320, 320)
REFERENCE = 'nanodet-1.0x'
UNDER_NANODET = ('mobilenet_v1_0.5x', 'mobilenet_v2_0.5x', 'mobilenet_v3_small_1.0x',
                 'mobilenet_v3_large_0.75x', 'shufflenet_v1_g3_1.0x', 'squeezenet_1.0_0.5x',
                 'squeezenet_1.1_0.5x')
"""Backbones that take a similar time."""
ALIKE = (
    'network.input_size={height: 320, width: 320}', 'network.preprocess.resize=letterbox_rect',
    'batch_size=8', 'seed=0',
    'optimizer.kind=adamw', 'optimizer.learning_rate=0.002', 'optimizer.weight_decay=0.05',
    'optimizer.clip_norm=10', 'schedule.warmup_iterations=200', 'schedule.warmup_factor=0.01',
    'schedule.final_factor=0.05', 'ema.decay=0.996', 'ema.ramp=200',
    'augment={flip: 0.5, scale: [0.7, 2.0], stretch: [0.85, 1.18], translate: 0.1, rotate: 0.0, '
    'mosaic: 0.0, mixup: 0.0}', 'validation.every_epochs=100', 'validation.wise_factors=[]')
"""What all of them share; everything else is as the configuration of the family has it."""


def networks() -> dict[str, tuple[str, ...]]:
    """Return the arguments of ``train`` by name: family, variant and, if another, backbone."""
    found: dict[str, tuple[str, ...]] = {}
    for path in list_configs('train').values():
        if path.parent.name != 'ship':
            network = load_config(path).network
            found.setdefault(f'{network.family}-{network.variant}', (path.stem,))
    for backbone in UNDER_NANODET:
        found[f'{REFERENCE}-{backbone}'] = (*found[REFERENCE], f'network.backbone={backbone}')
    return found


def train(args: argparse.Namespace) -> None:
    """Train one of them from random weights; its model is exported at the end."""
    config, *changes = networks()[args.name]
    data = args.data
    phases = f'phases=[{{epochs: {args.epochs}, input_size: {{height: 192, width: 192}}}}]'
    status = cli.main([
        'train', '--config', config, f'network.name={args.name}', *changes, *ALIKE, phases,
        f'data.train={data}/instances_train.json', f'data.train_images={data}/images',
        f'data.val={data}/instances_val.json', f'data.val_images={data}/images',
        '--output', str(args.runs / args.name)] + ['--resume'] * args.resume)
    sys.exit(status)


def table(args: argparse.Namespace) -> None:
    """Print a table of all, and draw AP against time."""
    torch.manual_seed(0)
    models = {}
    for name, (config, *changes) in networks().items():
        spec = load_config(list_configs('train')[config], changes).model_spec(num_classes=1)
        models[name] = build_model(spec)
    costs = measure(models, IMAGE, args.seconds)
    print(f'{describe_machine()}\n\n| network | parameters, M | MACs, M | ms, ratio | file, MB '
          '| AP | small | medium | large |\n|---|---|---|---|---|---|---|---|---|')
    points = {}
    for name, cost in sorted(costs.items(), key=lambda each: each[1].ms):
        ratio, metrics = cost.ms / costs[REFERENCE].ms, _metrics(args.runs / name)
        cells = [f'{metrics[key]:.1f}' if key in metrics else '' for key in
                 ('ap', 'ap_small', 'ap_medium', 'ap_large')]
        parameters = count_parameters(fold(models[name]))
        print(f'| `{name}` | {parameters / 1e6:.2f} | {cost.macs / 1e6:.0f} | {ratio:.2f} | '
              f'{cost.file_bytes / 1e6:.2f} | {" | ".join(cells)} |')
        if metrics:
            points[name] = (ratio, metrics['ap'])
    if args.plot and points:
        _draw(points, args.plot)


def _metrics(run: Path) -> dict[str, float]:
    folders = [path.parent for path in run.glob(f'*/{CARD_FILE}')]
    return load_card(folders[0]).metrics if folders else {}


def _draw(points: Mapping[str, tuple[float, float]], path: Path) -> None:
    figure = require_matplotlib().figure.Figure(figsize=(11, 7), layout='constrained')
    axes = figure.subplots()
    for index, family in enumerate(dict.fromkeys(name.partition('-')[0] for name in points)):
        members = {name: point for name, point in points.items()
                   if name.partition('-')[0] == family}
        axes.scatter(*zip(*members.values(), strict=True), color=f'C{index}', label=family)
    by_time = sorted(points, key=points.__getitem__)
    for index, name in enumerate(by_time):  # above and below in turn, or neighbours would overlap
        axes.annotate(name.removeprefix(f'{REFERENCE}-'), points[name], fontsize=8,
                      xytext=(4, (4, -11)[index % 2]), textcoords='offset points')
    axes.set_xscale('log', base=2)  # half of them take less time than the reference
    axes.xaxis.set_major_formatter('{x:g}')
    axes.margins(x=0.1)
    axes.set(xlabel=f'processor time in ncnn, {REFERENCE} = 1',
             ylabel='AP of persons, percent, after 6 epochs from random weights')
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=100)


def main() -> None:
    """Run ``train`` or ``table``."""
    parser = argparse.ArgumentParser(description=__doc__.strip().splitlines()[0])
    steps = parser.add_subparsers(required=True)
    step = steps.add_parser('train', help=train.__doc__)
    step.add_argument('name', choices=networks())
    step.add_argument('--data', type=Path, required=True, metavar='DIR',
                      help='with instances_train.json, instances_val.json and images')
    step.add_argument('--runs', type=Path, required=True, metavar='DIR')
    step.add_argument('--epochs', type=int, default=6)
    step.add_argument('--resume', action='store_true')
    step.set_defaults(run=train)
    step = steps.add_parser('table', help=table.__doc__)
    step.add_argument('--runs', type=Path, required=True, metavar='DIR')
    step.add_argument('--seconds', type=float, default=60)
    step.add_argument('--plot', type=Path, metavar='FILE')
    step.set_defaults(run=table)
    args = parser.parse_args()
    args.run(args)


if __name__ == '__main__':
    main()
