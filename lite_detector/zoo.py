# Copyright 2026 lite_detector authors
# SPDX-License-Identifier: Apache-2.0

"""Find models and configurations by name or path, and fetch public weights."""

from __future__ import annotations

from collections.abc import Callable
import hashlib
import os
from pathlib import Path
import shutil
from typing import cast

from lite_detector.core.atomic_files import atomic_folder
from lite_detector.core.cache_folder import cache_folder
from lite_detector.core.errors import ConfigError, DownloadError, ModelError
from lite_detector.core.model_card import (
    CARD_FILE,
    checked_files,
    load_card,
    ModelCard,
    path_inside,
    RuntimeFiles,
)

DEFAULT_MODEL = 'coco_320'
"""What the node runs where nobody names a model; tests hold the documents to it."""
SEARCH_VARIABLE = 'LITE_DETECTOR_MODELS'
Progress = Callable[[str, int, int], None]


def user_cache() -> Path:
    """Return the folder that fetched models go to."""
    return cache_folder('models')


def search_path() -> list[Path]:
    """Return the folders that hold model folders, in the order of precedence."""
    named = [Path(os.path.expanduser(part))
             for part in os.environ.get(SEARCH_VARIABLE, '').split(os.pathsep) if part]
    own = [root / 'models' for root in _package_roots()]
    return [folder for folder in (*named, *own, user_cache())
            if os.path.isdir(folder)]  # is_dir raises where this user may not look


def find_config(config: str, kind: str = 'train') -> Path:
    """
    Return the file of a configuration.

    :param config: path of a file, or the name of one of the package.
    :param kind: folder of ``config`` that it lies in: train or search.
    :raises ConfigError: if there is none.
    """
    path = Path(os.path.expanduser(config))
    if path.is_file() or path.name != config or path.suffix:
        return path  # whoever reads it says what is wrong with it
    shipped = list_configs(kind)
    if config not in shipped:
        raise ConfigError(f'configuration {config!r} not found; wanted a YAML file, or one of '
                          + ', '.join(sorted(shipped)))
    return shipped[config]


def list_configs(kind: str) -> dict[str, Path]:
    """Return name -> file of the configurations of the package; ``kind``: train or search."""
    folders = [root / 'config' / kind for root in _package_roots()]
    return {file.stem: file for folder in folders for file in sorted(folder.rglob('*.yaml'))}


def _package_roots() -> list[Path]:
    """Return what lies beside the sources; and share/ of the prefix (colcon, pip, apt) in use."""
    package = Path(__file__).resolve().parent
    return [package.parent, *(parent / 'share' / 'lite_detector' for parent in package.parents)]


def list_models() -> dict[str, Path]:
    """Return name -> folder of every model in reach; one with weights wins over a bare card."""
    models: dict[str, Path] = {}
    for folder in search_path():
        for card_path in sorted(folder.glob(f'*/{CARD_FILE}')):
            name = card_path.parent.name
            if name not in models or not has_weights(models[name]):
                models[name] = card_path.parent
    return models


def find_model(model: str) -> Path:
    """
    Return the folder of a model, weights included.

    :param model: path of a model folder, or a name to look for in ``search_path``.
    :raises ModelError: if there is none, or only its card.
    """
    if not model:
        raise ModelError('no model named; ' + _choices())
    path = Path(os.path.expanduser(model))  # Path.expanduser raises where there is no home
    # os.path, because Path raises where a name is too long
    if os.path.isfile(path / CARD_FILE):
        return path
    if path.name != model or os.path.isdir(path):
        raise ModelError(f'{model}: no model folder ({CARD_FILE} is missing)')
    folder = list_models().get(model)
    if folder is None:
        raise ModelError(f'model {model!r} not found; ' + _choices())
    load_card(folder)  # a card with a mistake is the news, not that its weights are not found
    if not has_weights(folder):
        raise ModelError(f'model {model!r} has no weights yet; get them with '
                         f'`ros2 run lite_detector fetch_model {model}`')
    return folder


def has_weights(folder: Path) -> bool:
    """Return whether the files of at least one runtime are there; False for a wrong card."""
    try:
        return bool(_present_files(folder, load_card(folder)))
    except ConfigError:
        return False


def fetch_model(name: str, source: Path | None = None,
                progress: Progress | None = None) -> Path:
    """
    Put the public weights of a card into the user cache.

    The folder appears whole or not at all; a download that was cut off goes on where it ended.

    :param name: a model whose card has urls.
    :param source: take the files from this folder instead; they are known by their sha256, so
        their names do not matter.
    :param progress: called with file name, bytes so far and bytes in all (0: unknown).
    :return: the model folder.
    :raises DownloadError: if a file cannot be had or is not the one the card means.
    """
    # the first card, not the first with weights: a cache may hold an older one
    folder = next((path.parent for root in search_path() for path in root.glob(f'*/{CARD_FILE}')
                   if path.parent.name == name), None)
    if folder is None:
        raise ModelError(f'model {name!r} not found; ' + _choices())
    card = load_card(folder)
    target = user_cache() / name
    for ready in (folder, target):
        if _has_card(ready, folder) and _is_intact(ready, card):
            return ready
    with atomic_folder(target, replace=True) as staged:
        shutil.copy(folder / CARD_FILE, staged)
        for files in _public_files(card, with_url=source is None):
            checksums = cast('dict[str, str]', files.sha256)
            urls = cast('dict[str, str]', files.url)
            for role, file_name in files.files().items():
                path = path_inside(staged, file_name)
                path.parent.mkdir(parents=True, exist_ok=True)
                cached = path_inside(target, file_name)
                if _has_sha256(cached, checksums[role]):
                    shutil.copyfile(cached, path)
                    continue
                _obtain(urls.get(role, ''), checksums[role], path, source, progress)
    return target


def _obtain(url: str, sha256: str, path: Path, source: Path | None,
            progress: Progress | None) -> None:
    if source is None:
        # here, because the node never downloads and starts sooner without http and ssl
        from lite_detector.download import download
        download(url, path, sha256, user_cache() / '.partial', progress)
        return
    if not source.is_dir():
        raise DownloadError(f'--from {source}: no such folder')
    for candidate in sorted(source.iterdir()):
        if _has_sha256(candidate, sha256):
            shutil.copyfile(candidate, path)
            return
    raise DownloadError(f'--from {source}: no file with the sha256 of {path.name}, {sha256}')


def _has_sha256(path: Path, sha256: str) -> bool:
    return path.is_file() and hashlib.sha256(path.read_bytes()).hexdigest() == sha256


def _has_card(folder: Path, wanted: Path) -> bool:
    card = folder / CARD_FILE
    return card.is_file() and card.read_bytes() == (wanted / CARD_FILE).read_bytes()


def _is_intact(folder: Path, card: ModelCard) -> bool:
    present = _present_files(folder, card)
    try:
        for files in present:
            checked_files(folder, files)
    except ModelError:
        return False
    return bool(present)


def _present_files(folder: Path, card: ModelCard) -> list[RuntimeFiles]:
    return [files for files in _runtime_files(card)
            if all((folder / name).is_file() for name in files.files().values())]


def _public_files(card: ModelCard, with_url: bool) -> list[RuntimeFiles]:
    """Return the runtimes whose every file can be checked, and downloaded if need be."""
    public = [files for files in _runtime_files(card)
              if files.files().keys() == files.sha256.keys()
              and (files.files().keys() == files.url.keys() or not with_url)]
    if not public:
        raise DownloadError(f'model {card.name!r}: its card has no url and sha256 for its files')
    return public


def _runtime_files(card: ModelCard) -> list[RuntimeFiles]:
    return [files for files in (card.runtimes.ncnn, card.runtimes.onnx) if files]


def _choices() -> str:
    names = sorted(list_models())
    if not names:
        return f'no models in reach; set {SEARCH_VARIABLE} or give the path of a model folder'
    return f'choose from {", ".join(names)}, or give the path of a model folder'
