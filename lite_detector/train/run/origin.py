# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""The origin of weights, as stored in a model card."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
import subprocess
from typing import Any

from lite_detector.core.config import from_mapping
from lite_detector.core.errors import LiteDetectorError
from lite_detector.data.coco import labelled_by
from lite_detector.data.findings import Findings
from lite_detector.data.formats import open_dataset
from lite_detector.train.config.training import DataSpec
from lite_detector.train.data.sources import (
    as_list,
    MeasuredSet,
    report_set,
    selection_set,
    train_sources,
)

PACKAGE = Path(__file__).resolve().parents[2]
RANDOM, NONE = 'random weights', 'none'


@cache
def code_version() -> str:
    """
    Return the commit of this code, or the version of the package without a repository.

    :return: Commit or version; ``-dirty`` follows a commit with later changes.
    """
    try:
        root, commit = (subprocess.run(['git', '-C', str(PACKAGE), *command], text=True,
                                       capture_output=True, timeout=20, check=True).stdout.strip()
                        for command in (('rev-parse', '--show-toplevel'),
                                        ('describe', '--always', '--dirty', '--abbrev=40',
                                         '--exclude=*')))
        # not the commit of a project in which this package is installed
        if (Path(root) / PACKAGE.name / '__init__.py').is_file():
            return commit
    except (OSError, subprocess.SubprocessError):
        pass
    return package_version()


def package_version() -> str:
    """Return the version of the installed package; ``unknown`` if only sources are there."""
    try:
        return version('lite_detector')
    except PackageNotFoundError:
        return 'unknown'


def describe_training(training: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the training section of a model card, which has all data to repeat the training.

    The data are counted if they still exist at their paths. Only the ends of paths are included.

    :param training: Training section of a checkpoint.
    :raises ConfigError: if its configuration is invalid.
    """
    told = {key: value for key, value in training.items()
            if key not in ('config', 'metrics', 'counts')}
    if 'config' not in training:
        return told  # imported weights
    # read key by key, because an older version of the package had fewer keys
    settings = training['config']
    data = from_mapping(settings.get('data', {}), DataSpec, 'training.config.data')
    start = settings.get('start', {})
    return {
        'config': settings.get('recipe') or settings.get('network', {}).get('name'),
        **told,
        'planned_epochs': sum(phase['epochs'] for phase in settings.get('phases', [])),
        'chosen': _how_chosen(training, settings, data),
        'select': training.get('metrics', {}),
        'report_measured': training.get('report_measured', 0),
        'data': _with_counts(_describe_data(data), training.get('counts', {})),
        'start': short_path(start.get('checkpoint') or start.get('backbone') or RANDOM),
        'teacher': short_path((settings.get('distill') or {}).get('teacher', NONE)),
        'settings': _without_paths(settings),
    }


def short_path(path: str) -> str:
    """Return the last two parts of a path outside the current folder; others unchanged."""
    if Path(path).is_absolute() or path.startswith(('..', '~')):
        return '/'.join(Path(path).parts[-2:])
    return path


def _how_chosen(training: Mapping[str, Any], settings: Mapping[str, Any], data: DataSpec) -> str:
    if data.select is None and data.val is None:
        return 'the last epoch; nothing was measured'
    if training.get('kept_start'):
        return 'the start, since no epoch and no mixture has a higher AP on the selection set'
    every = settings.get('validation', {}).get('every_epochs', '?')
    mixed = '; then mixed with the start by wise_factor' if 'wise_factor' in training else ''
    images = 'the selection set' if data.select is not None else 'data.val, the selection set here'
    return f'highest AP on {images}, measured every {every} epochs{mixed}'


def _describe_data(data: DataSpec) -> dict[str, Any]:
    told: dict[str, Any] = {}
    if data.train is not None:
        counts = [_count(path, data, partial(_train_images, data, Path(path)))
                  for path in as_list(data.train)]
        if data.repeat:
            counts = [{**each, 'repeat': times} for each, times in zip(counts, data.repeat,
                                                                       strict=False)]
        told['train'] = counts[0] if len(counts) == 1 else counts
    select = data.select or data.val
    if select:
        told['select'] = _count(select, data, lambda: _images(selection_set(data)),
                                data.select_min_score)
    if data.select and data.val:
        told['report'] = _count(data.val, data, lambda: _images(report_set(data)))
    return told


def _train_images(data: DataSpec, annotations: Path) -> Path:
    return dict(train_sources(data))[annotations]


def _images(measured: MeasuredSet | None) -> Path:
    assert measured is not None, 'its annotations are given'
    return measured.images


def _with_counts(told: dict[str, Any], counts: Mapping[str, Any]) -> dict[str, Any]:
    """Return the data with the counts from the start of the training, for single files."""
    return {split: {**each, **counts.get(split, {})} if isinstance(each, dict) else each
            for split, each in told.items()}


def _count(annotations: str, data: DataSpec, images: Callable[[], Path],
           min_score: float = 0.0) -> dict[str, Any]:
    told: dict[str, Any] = {'annotations': short_path(annotations)}
    try:
        dataset = open_dataset(Path(annotations), images(), data.class_names,
                               Findings(data.reading))
    except LiteDetectorError:
        return told  # the data were moved since, which must not prevent the export
    teacher = labelled_by(Path(annotations))
    boxes = sum(int((labels.scores >= min_score).sum()) for labels in dataset.labels)
    findings = dataset.findings.counts()
    return {**told, 'images': len(dataset), 'boxes': boxes,
            **({'min_score': min_score} if min_score else {}),
            **({'findings': findings} if findings else {}),
            **({} if teacher is None else {'labelled_by': teacher})}


def _without_paths(settings: Any) -> Any:
    if isinstance(settings, Mapping):
        return {key: _without_paths(value) for key, value in settings.items()}
    if isinstance(settings, (list, tuple)):
        return [_without_paths(value) for value in settings]
    return short_path(settings) if isinstance(settings, str) else settings
