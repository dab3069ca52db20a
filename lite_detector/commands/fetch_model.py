# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""``fetch_model``: download public weights into the user cache."""

from __future__ import annotations

import argparse
from pathlib import Path

from lite_detector.core.errors import ConfigError
from lite_detector.core.model_card import load_card
from lite_detector.zoo import fetch_model, has_weights, list_models
from tqdm import tqdm


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of this command."""
    parser.add_argument('names', nargs='*', metavar='NAME',
                        help='models to download; none: list all')
    parser.add_argument('--from', dest='source', type=Path, metavar='DIR',
                        help='folder to copy the files from instead of downloading them; files '
                             'are found by their SHA-256')


def run(args: argparse.Namespace) -> None:
    """Download each model, or list all models."""
    if not args.names:
        for name, folder in sorted(list_models().items()):
            try:
                card = load_card(folder)
            except ConfigError as error:
                print(f'{name:22} invalid card    {error}')
                continue
            state = 'ready' if has_weights(folder) else 'no weights'
            print(f'{name:22} {state:15} {card.description}; licence: {card.license}')
        return
    for name in args.names:
        with _ProgressBar() as bar:
            folder = fetch_model(name, args.source, bar.update)
        print(f'{name}: {folder}')


class _ProgressBar:
    """Progress bars of a download, one per file; a size may become known late."""

    def __init__(self) -> None:
        self._bars: dict[str, tqdm] = {}

    def __enter__(self) -> _ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        for bar in self._bars.values():
            bar.close()

    def update(self, name: str, done: int, total: int) -> None:
        if name not in self._bars:
            self._bars[name] = tqdm(desc=name, unit='B', unit_scale=True)
        bar = self._bars[name]
        bar.total = total or None
        bar.update(done - bar.n)
