# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The folder of a run: its configuration, its checkpoints, and the state to resume from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lite_detector.core.atomic_files import atomic_file
from lite_detector.core.config import from_mapping
from lite_detector.core.errors import ConfigError
from lite_detector.train.config.training import (
    config_from,
    dump_config,
    first_difference,
    load_config,
    TrainConfig,
)
from lite_detector.train.run.figures import AP
from lite_detector.train.run.origin import code_version, package_version
from lite_detector.train.run.prepare import PreparedNetwork
from lite_detector.train.weights.checkpoint import (
    Checkpoint,
    load_checkpoint,
    load_file,
    save_checkpoint,
    save_file,
)
import msgspec
from msgspec import Struct
from torch import Tensor

CONFIG_FILE = 'config.yaml'
STATE_FILE = 'state.pt'
DATA_FILE = 'data.json'
"""Findings in the data before the first epoch."""
START_FILE, LAST_FILE, BEST_FILE = 'start.pt', 'last.pt', 'best.pt'
FREE_TO_CHANGE = (('data', 'cache_megabytes'), ('data', 'workers'), ('save_every_minutes',),
                  ('recipe',))
"""Keys of the configuration that do not change the computation."""


class RunState(Struct):
    """Progress of a run."""

    epoch: int = 0
    """Number of finished epochs."""
    batch: int = 0
    """Number of finished batches of the next epoch."""
    loss_sums: dict[str, float] = {}
    """Sums of the losses of these batches, in the first process."""
    iteration: int = 0
    """Number of finished steps."""
    seconds: float = 0.0
    """Time of the training itself in seconds, in all sessions."""
    start: dict[str, float] = {}
    """Figures of the start on the selection set; empty if it was not measured."""
    best_ap: float | None = None
    """Best AP of the epochs, without the start."""
    best_epoch: int = 0
    stale: int = 0
    """Number of measurements since the best one."""
    history: list[dict[str, float]] = []
    """Figures, one row per epoch."""


class RunFolder:
    """
    Reader and writer of the files of a run; each file is written atomically.

    :param path: Existing folder.
    :param config: Configuration of the run.
    """

    def __init__(self, path: Path, config: TrainConfig) -> None:
        self.path = path
        self._config = config
        self._data: dict[str, Any] | None = None
        self._has_begun = False

    def start(self) -> None:
        """
        Save the configuration.

        :raises ConfigError: if the folder has a run already, or cannot be written.
        """
        if (self.path / STATE_FILE).exists():
            raise ConfigError(f'--output {self.path}: contains a run; use --resume to continue '
                              'it, or another folder')
        try:
            (self.path / CONFIG_FILE).write_text(dump_config(self._config), encoding='utf-8')
        except OSError as error:
            raise ConfigError(f'--output {self.path}: {error.strerror}') from None
        self._has_begun = True

    def save_data(self, counts: Mapping[str, Any], warnings: Sequence[str],
                  left_out: Sequence[str]) -> None:
        """
        Save the findings in the data, in a file if a run was started here.

        :param counts: Numbers of each split.
        :param warnings: Warnings, one line each.
        :param left_out: Paths of the images that cannot be used.
        :raises ConfigError: if it cannot be written.
        """
        self._data = {'counts': counts, 'warnings': list(warnings), 'left_out': list(left_out)}
        if not self._has_begun:
            return
        try:
            with atomic_file(self.path / DATA_FILE) as scratch:
                scratch.write_bytes(msgspec.json.format(msgspec.json.encode(self._data)) + b'\n')
        except OSError as error:
            raise ConfigError(f'--output {self.path}: {error.strerror}') from None

    def left_out_images(self) -> list[str]:
        """Return the paths of the images that the run left out when it started."""
        return list(self._found_data().get('left_out', ()))

    def _found_data(self) -> dict[str, Any]:
        if self._data is None:
            try:
                self._data = msgspec.json.decode((self.path / DATA_FILE).read_bytes(),
                                                 type=dict[str, Any])
            except (OSError, msgspec.DecodeError):  # written by an older version
                self._data = {}
        return self._data

    def save_weights(self, name: str, network: PreparedNetwork, weights: Mapping[str, Tensor],
                     state: RunState, figures: Mapping[str, float] = {}, **more: Any) -> None:
        """
        Write a checkpoint.

        :param name: Name of the file.
        :param network: Network of the weights.
        :param weights: State dict.
        :param state: Progress of the run.
        :param figures: Measurements of the weights.
        :param more: Further data on their origin.
        :raises ConfigError: if it cannot be written; an older one stays.
        """
        training = {'config': msgspec.to_builtins(self._config), 'epochs': state.epoch,
                    'iterations': state.iteration, 'minutes': round(state.seconds / 60, 1),
                    'seed': self._config.seed, 'lite_detector': package_version(),
                    'commit': code_version(),
                    'metrics': {key.removeprefix(AP): value for key, value in figures.items()},
                    'counts': self._found_data().get('counts', {}),
                    **more}
        weights = {key: value.detach().cpu().contiguous() for key, value in weights.items()}
        save_checkpoint(self.path / name, Checkpoint(network.spec, network.card, weights,
                                                     training))

    def load_weights(self, name: str) -> Checkpoint:
        """Read one of the checkpoints; raise ModelError if it is missing or malformed."""
        return load_checkpoint(self.path / name)

    def save_state(self, state: RunState, tensors: Mapping[str, Any]) -> None:
        """
        Write the state of the run.

        :param state: Progress of the run.
        :param tensors: State dicts of all parts that change.
        :raises ConfigError: if it cannot be written; the older state stays.
        """
        save_file(self.path / STATE_FILE, {'state': msgspec.to_builtins(state),
                                           'config': msgspec.to_builtins(self._config),
                                           'tensors': dict(tensors)})

    def load_state(self) -> tuple[RunState, dict[str, Any]]:
        """
        Read the state of the run.

        :raises ConfigError: if it was started with another configuration, or there is none.
        :raises ModelError: if the file is malformed.
        """
        path = self.path / STATE_FILE
        if not path.is_file():
            raise ConfigError(f'{path}: not found; there is no run to resume')
        content = load_file(path)
        if not content.keys() >= {'state', 'config', 'tensors'}:
            raise ConfigError(f'{path}: not the state of a run')
        # config_from adds the keys that an older version did not have
        started = config_from(content['config'], f'{path}: config')
        difference = first_difference(_essential(msgspec.to_builtins(started)),
                                      _essential(msgspec.to_builtins(self._config)))
        if difference:
            raise ConfigError(f'{path}: the run was started with another configuration: '
                              f'{difference}; use the same one, or start a run in another folder')
        return from_mapping(content['state'], RunState, f'{path}: state'), content['tensors']


def config_of(folder: Path) -> TrainConfig:
    """
    Return the configuration of the run in a folder.

    :raises ConfigError: if there is none.
    """
    return load_config(folder / CONFIG_FILE)


def _essential(config: dict[str, Any]) -> dict[str, Any]:
    config = {**config, 'data': dict(config.get('data', {}))}
    for *parents, last in FREE_TO_CHANGE:
        (config[parents[0]] if parents else config).pop(last, None)
    return config
